// What is particular to FreeBSD about messages over Unix sockets.
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>

#include "unix_message.h"

namespace coreactor {

const int kReceiveMessageFlags = MSG_CMSG_CLOEXEC | MSG_DONTWAIT;

// The system closes what has no room.
const bool kMakesRoomForFds = false;

int PrepareReceived(int) { return 0; }

Result<Credentials> PeerCredentials(int fd) {
  xucred peer{};
  socklen_t length = sizeof(peer);
  const Status asked =
      StatusOf(Call([&] { return getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &peer, &length); }));
  if (!asked.ok()) return asked;
  if (peer.cr_version != XUCRED_VERSION) return Status::Errno(EINVAL);
  return Credentials{peer.cr_pid, peer.cr_uid, peer.cr_gid};
}

}  // namespace coreactor

// What is particular to macOS about messages over Unix sockets.
#include <sys/socket.h>
#include <sys/ucred.h>
#include <sys/un.h>

#include "inherited_fd.h"
#include "unix_message.h"

namespace coreactor {

const int kReceiveMessageFlags = MSG_DONTWAIT;

// The system installs all fds of a message first, and what has no room stays open under a number
// that nobody is told (unp_externalize; cpython#80931). So there is always room for them.
const bool kMakesRoomForFds = true;

int PrepareReceived(int fd) { return SetCloseOnExec(fd); }

Result<Credentials> PeerCredentials(int fd) {
  xucred peer{};
  socklen_t length = sizeof(peer);
  const Status asked =
      StatusOf(Call([&] { return getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &peer, &length); }));
  if (!asked.ok()) return asked;
  if (peer.cr_version != XUCRED_VERSION) return Status::Errno(EINVAL);
  pid_t pid = 0;
  length = sizeof(pid);
  const Status told =
      StatusOf(Call([&] { return getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &length); }));
  if (!told.ok()) return told;
  return Credentials{pid, peer.cr_uid, peer.cr_groups[0]};
}

}  // namespace coreactor

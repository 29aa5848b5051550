// What is particular to Linux about messages over Unix sockets.
#include <sys/socket.h>

#include "unix_message.h"

namespace coreactor {

// DONTWAIT: the socket may have been received, and whether its description blocks is not ours to
// say.
const int kReceiveMessageFlags = MSG_CMSG_CLOEXEC | MSG_DONTWAIT;

// The system closes what has no room.
const bool kMakesRoomForFds = false;

int PrepareReceived(int) { return 0; }

int MarkMessages(int fd) {
  const int on = 1;
  return Call([&] { return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)); });
}

// It is marked.
bool HasNoEnd(int) { return false; }

Result<Credentials> PeerCredentials(int fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  const Status asked =
      StatusOf(Call([&] { return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length); }));
  if (!asked.ok()) return asked;
  // Of a socket that has no peer, all say nobody.
  if (peer.pid == 0 && peer.uid == static_cast<uid_t>(-1)) return Status::Errno(ENOTCONN);
  return Credentials{peer.pid, peer.uid, peer.gid};
}

}  // namespace coreactor

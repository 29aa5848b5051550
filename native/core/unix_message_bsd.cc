// What is particular to macOS and FreeBSD about empty messages over Unix sockets.
#include <sys/socket.h>

#include "unix_message.h"

namespace coreactor {

// Only messages of the Internet are stamped there. So an empty message of a seqpacket connection is
// taken for its end; macOS has no such connections.
int MarkMessages(int) { return 0; }

bool HasNoEnd(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

}  // namespace coreactor

// What is particular to macOS about sockets.
#include <libproc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "new_fd_macos.h"
#include "socket.h"

namespace coreactor {

// DONTWAIT: the socket may have been received from another process, and its description may block.
// Sockets that are opened here raise no SIGPIPE (SO_NOSIGPIPE); of others Node ignores it.
const int kSendFlags = MSG_DONTWAIT;
const int kReceiveFlags = MSG_DONTWAIT;

ssize_t SendResult(ssize_t result) {
  // Sent while the connection was being torn down (libuv#482).
  return result == -EPROTOTYPE ? -ECONNRESET : result;
}

int OpenSocket(int family, int type, int protocol) {
  return Prepared(Call([&] { return socket(family, type, protocol); }));
}

int OpenStream(int family) { return OpenSocket(family, SOCK_STREAM, 0); }

int Accept(int fd) {
  return Prepared(Call([&] { return accept(fd, nullptr, nullptr); }));
}

int AcceptsConnections(int fd) {
  int value = 0;
  socklen_t length = sizeof(value);
  const int result =
      Call([&] { return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length); });
  if (result >= 0) return value != 0 ? 1 : 0;
  if (result != -ENOPROTOOPT) return result;
  // The option has a name and no answer.
  socket_fdinfo about{};
  const int size = proc_pidfdinfo(getpid(), fd, PROC_PIDFDSOCKETINFO, &about, sizeof(about));
  if (size < static_cast<int>(sizeof(about))) return result;
  return (about.psi.soi_options & SO_ACCEPTCONN) != 0 ? 1 : 0;
}

OptionName NameOf(SocketOption option) {
  switch (option) {
    case SocketOption::kReuseAddress:
      return {SOL_SOCKET, SO_REUSEADDR};
    case SocketOption::kReusePort:
      return {SOL_SOCKET, SO_REUSEPORT};
    case SocketOption::kV6Only:
      return {IPPROTO_IPV6, IPV6_V6ONLY};
    case SocketOption::kNoDelay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case SocketOption::kKeepAlive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case SocketOption::kKeepAliveIdle:
      return {IPPROTO_TCP, TCP_KEEPALIVE};
    case SocketOption::kKeepAliveInterval:
      return {IPPROTO_TCP, TCP_KEEPINTVL};
    case SocketOption::kKeepAliveCount:
      return {IPPROTO_TCP, TCP_KEEPCNT};
    case SocketOption::kSendBuffer:
      return {SOL_SOCKET, SO_SNDBUF};
    case SocketOption::kReceiveBuffer:
      return {SOL_SOCKET, SO_RCVBUF};
    case SocketOption::kLinger:
      // The other one counts ticks of the clock.
      return {SOL_SOCKET, SO_LINGER_SEC};
    case SocketOption::kPendingError:
      return {SOL_SOCKET, SO_ERROR};
    case SocketOption::kFastOpenConnect:
    case SocketOption::kBindAddressNoPort:
      return {-1, -1};
    case SocketOption::kAcceptsConnections:
      return {SOL_SOCKET, SO_ACCEPTCONN};
  }
  return {-1, -1};
}

}  // namespace coreactor

// What is particular to FreeBSD about sockets.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "socket.h"

namespace coreactor {

// DONTWAIT: the socket may have been received from another process, and its description may block.
const int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
const int kReceiveFlags = MSG_DONTWAIT;

ssize_t SendResult(ssize_t result) { return result; }

int OpenSocket(int family, int type, int protocol) {
  return Call([&] { return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol); });
}

int OpenStream(int family) { return OpenSocket(family, SOCK_STREAM, 0); }

int Accept(int fd) {
  // EINTR is retried here; the connections that were gone before they could be accepted are
  // TypeScript's to pass over.
  return Call([&] { return accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
}

int AcceptsConnections(int fd) {
  int value = 0;
  socklen_t length = sizeof(value);
  const int result =
      Call([&] { return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length); });
  return result < 0 ? result : value;
}

OptionName NameOf(SocketOption option) {
  switch (option) {
    case SocketOption::kReuseAddress:
      return {SOL_SOCKET, SO_REUSEADDR};
    case SocketOption::kReusePort:
      // The other one, SO_REUSEPORT, gives all connections to the last listener.
      return {SOL_SOCKET, SO_REUSEPORT_LB};
    case SocketOption::kV6Only:
      return {IPPROTO_IPV6, IPV6_V6ONLY};
    case SocketOption::kNoDelay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case SocketOption::kKeepAlive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case SocketOption::kKeepAliveIdle:
      return {IPPROTO_TCP, TCP_KEEPIDLE};
    case SocketOption::kKeepAliveInterval:
      return {IPPROTO_TCP, TCP_KEEPINTVL};
    case SocketOption::kKeepAliveCount:
      return {IPPROTO_TCP, TCP_KEEPCNT};
    case SocketOption::kSendBuffer:
      return {SOL_SOCKET, SO_SNDBUF};
    case SocketOption::kReceiveBuffer:
      return {SOL_SOCKET, SO_RCVBUF};
    case SocketOption::kLinger:
      return {SOL_SOCKET, SO_LINGER};
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

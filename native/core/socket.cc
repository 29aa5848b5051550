#include "socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace coreactor {

int Bind(int fd, const Address& address) {
  return Call([&] { return bind(fd, address.get(), address.length()); });
}

int Listen(int fd, int backlog) {
  return Call([&] { return listen(fd, backlog); });
}

int Connect(int fd, const Address& address) {
  return connect(fd, address.get(), address.length()) < 0 ? -errno : 0;
}

Result<Address> LocalAddress(int fd) {
  Address address;
  const Status status =
      StatusOf(Call([&] { return getsockname(fd, address.out(), address.length()); }));
  if (!status.ok()) return status;
  return address;
}

Result<Address> RemoteAddress(int fd) {
  Address address;
  const Status status =
      StatusOf(Call([&] { return getpeername(fd, address.out(), address.length()); }));
  if (!status.ok()) return status;
  return address;
}

int SetOption(int fd, SocketOption option, int value) {
  const OptionName at = NameOf(option);
  if (at.name < 0) return -ENOPROTOOPT;
  if (option == SocketOption::kLinger) {
    const linger setting{value >= 0 ? 1 : 0, std::max(value, 0)};
    return Call([&] { return setsockopt(fd, at.level, at.name, &setting, sizeof(setting)); });
  }
  return Call([&] { return setsockopt(fd, at.level, at.name, &value, sizeof(value)); });
}

int GetOption(int fd, SocketOption option) {
  if (option == SocketOption::kAcceptsConnections) return AcceptsConnections(fd);
  const OptionName at = NameOf(option);
  if (at.name < 0) return -ENOPROTOOPT;
  if (option == SocketOption::kLinger) {
    linger setting{};
    socklen_t length = sizeof(setting);
    const int result = Call([&] { return getsockopt(fd, at.level, at.name, &setting, &length); });
    // -1 says "off" to SetOption, and cannot be told from an errno here.
    return result < 0 ? result : setting.l_onoff ? setting.l_linger : 0;
  }
  int value = 0;
  socklen_t length = sizeof(value);
  const int result = Call([&] { return getsockopt(fd, at.level, at.name, &value, &length); });
  return result < 0 ? result : value;
}

ssize_t Receive(int fd, void* into, size_t length) {
  return Call([&] { return recv(fd, into, length, kReceiveFlags); });
}

ssize_t Send(int fd, const void* from, size_t length) {
  return SendResult(Call([&] { return send(fd, from, length, kSendFlags); }));
}

ssize_t SendVector(int fd, const iovec* chunks, size_t count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(chunks);
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(std::min(count, kVectorMax));
  return SendResult(Call([&] { return sendmsg(fd, &message, kSendFlags); }));
}

int Shutdown(int fd, int how) {
  return Call([&] { return shutdown(fd, how == kShutRead ? SHUT_RD : SHUT_WR); });
}

int Close(int fd) { return close(fd) < 0 ? -errno : 0; }

}  // namespace coreactor

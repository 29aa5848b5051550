// Non-blocking system calls on sockets. Each returns what the system says, >= 0 or -errno, and
// decides nothing.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "address.h"
#include "status.h"

namespace coreactor {

// The numbers stand in lib/kernel/layout.ts, too.
enum class SocketOption : int {
  kReuseAddress = 0,
  kReusePort = 1,
  kV6Only = 2,
  kNoDelay = 3,
  kKeepAlive = 4,
  kKeepAliveIdle = 5,
  kKeepAliveInterval = 6,
  kKeepAliveCount = 7,
  kSendBuffer = 8,
  kReceiveBuffer = 9,
  kLinger = 10,
  kPendingError = 11,
  kFastOpenConnect = 12,
  kBindAddressNoPort = 13,
  kAcceptsConnections = 14,
};
constexpr int kSocketOptions = 15;

constexpr int kShutRead = 0;
constexpr int kShutWrite = 1;

// The most chunks of one SendVector: IOV_MAX of Linux and of the BSDs.
constexpr size_t kVectorMax = 1024;

// A new socket, or an accepted one: non-blocking and close-on-exec from the start.
// (socket_linux.cc)
int OpenSocket(int family, int type, int protocol);
int OpenStream(int family);
int Accept(int fd);

int Bind(int fd, const Address& address);
int Listen(int fd, int backlog);
// -EINPROGRESS is the normal answer. Not called again after EINTR: the connection goes on by itself
// (POSIX).
int Connect(int fd, const Address& address);
Result<Address> LocalAddress(int fd);
Result<Address> RemoteAddress(int fd);

int SetOption(int fd, SocketOption option, int value);
// The value; ERROR is positive. -errno if the call itself fails.
int GetOption(int fd, SocketOption option);

// Whether it listens: 1 or 0, or -errno. (socket_linux.cc)
int AcceptsConnections(int fd);

ssize_t Receive(int fd, void* into, size_t length);
// Neither raises SIGPIPE.
ssize_t Send(int fd, const void* from, size_t length);
ssize_t SendVector(int fd, const iovec* chunks, size_t count);

int Shutdown(int fd, int how);
int Close(int fd);

// The level and the name of an option on this system; name < 0 where it does not exist.
// (socket_linux.cc)
struct OptionName {
  int level;
  int name;
};
OptionName NameOf(SocketOption option);

// What a send has returned, under the name that other systems have for it. (socket_linux.cc)
ssize_t SendResult(ssize_t result);

// What sending takes besides, so that a peer that is gone is EPIPE and no signal. (socket_linux.cc)
extern const int kSendFlags;
extern const int kReceiveFlags;

}  // namespace coreactor

// Any descriptor on macOS and FreeBSD. Sockets are told not to wait with each call; the rest is
// polled first, unless it is non-blocking itself.
#include "descriptor_bsd.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "descriptor.h"
#include "polled.h"
#include "socket.h"

namespace coreactor {
namespace {

// Whether the next read of a stream socket would be its end: poll(2) does not tell that of a peer
// that has shut down only its own side.
bool HasEnded(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM) return false;
  char byte;
  return Call([&] { return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT); }) == 0;
}

}  // namespace

int PollNow(int fd, Interest interest) {
  pollfd asked{fd, 0, 0};
  const auto ask = [&](int events) { asked.events = static_cast<short>(asked.events | events); };
  if (interest.bits & kReadable) ask(POLLIN | kPollEnd);
  if (interest.bits & kWritable) ask(POLLOUT);
  if (interest.bits & kPriority) ask(POLLPRI);
  if (fd < 0) return -EBADF;
  const int result = Call([&] { return poll(&asked, 1, 0); });
  if (result < 0) return result;
  const auto said = [&](int events) { return (asked.revents & events) != 0; };
  if (said(POLLNVAL)) {
    return PollOtherwise(fd, (interest.bits & kReadable) != 0, (interest.bits & kWritable) != 0);
  }
  uint32_t readiness = 0;
  if (said(POLLIN)) readiness |= kReadable;
  if (said(POLLOUT)) readiness |= kWritable;
  if (said(POLLPRI)) readiness |= kPriority;
  if (said(kPollEnd) || (said(POLLIN) && HasEnded(fd))) readiness |= kReadable | kReadClosed;
  if (said(POLLHUP)) readiness |= kReadable | kWritable | kReadClosed | kWriteClosed;
  if (said(POLLERR)) readiness |= kReadable | kWritable | kError;
  return static_cast<int>(readiness);
}

ssize_t Read(int fd, void* into, size_t length) {
  const ssize_t result = Receive(fd, into, length);
  return result == -ENOTSOCK ? ReadIfReady(fd, into, length) : result;
}

ssize_t Write(int fd, const void* from, size_t length) {
  const iovec piece{const_cast<void*>(from), length};
  return WriteVector(fd, &piece, 1);
}

ssize_t WriteVector(int fd, const iovec* chunks, size_t count) {
  count = std::min(count, kVectorMax);
  const ssize_t result = SendVector(fd, chunks, count);
  return result == -ENOTSOCK ? WriteQuietly(fd, chunks, count) : result;
}

}  // namespace coreactor

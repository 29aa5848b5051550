// Any descriptor on Linux: preadv2(2) and pwritev2(2) do not wait although the description does.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "descriptor.h"
#include "polled.h"
#include "sigpipe.h"
#include "socket.h"

namespace coreactor {
namespace {

// Linux 6.18: no SIGPIPE for this one write. The headers of this machine may be older.
#ifdef RWF_NOSIGNAL
constexpr int kNoSignal = RWF_NOSIGNAL;
#else
constexpr int kNoSignal = 0x100;
#endif

// Where the file is now, if it has a place.
constexpr off_t kHere = -1;

// Of preadv2(2) and pwritev2(2), by their numbers: musl has functions for them only since 1.2.5,
// and an addon that asks for these does not load on an older one. The position is kHere, in two
// words.
ssize_t ReadHere(int fd, const iovec* pieces, int count, int flags) {
  return syscall(SYS_preadv2, fd, pieces, count, kHere, kHere, flags);
}

ssize_t WriteHere(int fd, const iovec* pieces, int count, int flags) {
  return syscall(SYS_pwritev2, fd, pieces, count, kHere, kHere, flags);
}

// The kind of file, or the kernel, does not know a flag of preadv2 and pwritev2. If it is the
// answer of the file itself, it gives it once more.
bool Unsupported(ssize_t result) { return result == -EOPNOTSUPP || result == -ENOSYS; }

}  // namespace

Result<Ends> OpenPipe() {
  int ends[2];
  const int result = Call([&] { return pipe2(ends, O_NONBLOCK | O_CLOEXEC); });
  if (result < 0) return StatusOf(result);
  return Ends{OwnedFd(ends[0]), OwnedFd(ends[1])};
}

Result<Ends> OpenSocketPair(int type) {
  int ends[2];
  const int result =
      Call([&] { return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends); });
  if (result < 0) return StatusOf(result);
  return Ends{OwnedFd(ends[0]), OwnedFd(ends[1])};
}

int PollNow(int fd, Interest interest) {
  pollfd asked{fd, 0, 0};
  if (interest.bits & kReadable) asked.events |= POLLIN | POLLRDHUP;
  if (interest.bits & kWritable) asked.events |= POLLOUT;
  if (interest.bits & kPriority) asked.events |= POLLPRI;
  // poll(2) passes negative ones over.
  if (fd < 0) return -EBADF;
  const int result = Call([&] { return poll(&asked, 1, 0); });
  if (result < 0) return result;
  const auto said = [&](int events) { return (asked.revents & events) != 0; };
  if (said(POLLNVAL)) return -EBADF;
  uint32_t readiness = 0;
  if (said(POLLIN)) readiness |= kReadable;
  if (said(POLLOUT)) readiness |= kWritable;
  if (said(POLLPRI)) readiness |= kPriority;
  // As in poller_epoll.cc: who waits in a direction that has ended or failed must find out.
  if (said(POLLRDHUP)) readiness |= kReadable | kReadClosed;
  if (said(POLLHUP)) readiness |= kReadable | kWritable | kReadClosed | kWriteClosed;
  if (said(POLLERR)) readiness |= kReadable | kWritable | kError;
  return static_cast<int>(readiness);
}

ssize_t Read(int fd, void* into, size_t length) {
  const iovec piece{into, length};
  const ssize_t result = Call([&] { return ReadHere(fd, &piece, 1, RWF_NOWAIT); });
  return Unsupported(result) ? ReadIfReady(fd, into, length) : result;
}

ssize_t Write(int fd, const void* from, size_t length) {
  const iovec piece{const_cast<void*>(from), length};
  return WriteVector(fd, &piece, 1);
}

ssize_t WriteVector(int fd, const iovec* chunks, size_t count) {
  count = std::min(count, kVectorMax);
  const auto write_now = [&](int flags) {
    return Call([&] { return WriteHere(fd, chunks, static_cast<int>(count), flags); });
  };
  const ssize_t result = write_now(RWF_NOWAIT | kNoSignal);
  if (!Unsupported(result)) return result;
  return WithoutSigpipe([&] {
    const ssize_t guarded = write_now(RWF_NOWAIT);
    return Unsupported(guarded) ? WriteIfReady(fd, chunks, count) : guarded;
  });
}

}  // namespace coreactor

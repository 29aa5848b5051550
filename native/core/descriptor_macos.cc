// What is particular to macOS about descriptors.
#include <fcntl.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptor.h"
#include "descriptor_bsd.h"
#include "new_fd_macos.h"
#include "polled.h"

namespace coreactor {
namespace {

bool IgnoresSigpipe() {
  struct sigaction now {};
  return sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

// There is no POLLRDHUP.
const short kPollEnd = 0;

Result<Ends> OpenPipe() {
  int ends[2];
  const int result = Call([&] { return pipe(ends); });
  if (result < 0) return StatusOf(result);
  Ends opened{OwnedFd(ends[0]), OwnedFd(ends[1])};
  for (const int end : ends) {
    const int prepared = PrepareNew(end);
    if (prepared < 0) return StatusOf(prepared);
  }
  return opened;
}

Result<Ends> OpenSocketPair(int type) {
  int ends[2];
  const int result = Call([&] { return socketpair(AF_UNIX, type, 0, ends); });
  if (result < 0) return StatusOf(result);
  Ends opened{OwnedFd(ends[0]), OwnedFd(ends[1])};
  for (const int end : ends) {
    const int prepared = PrepareNewSocket(end);
    if (prepared < 0) return StatusOf(prepared);
  }
  return opened;
}

ssize_t WriteQuietly(int fd, const iovec* chunks, size_t count) {
  // A write raises it in the process, and not in this thread (dofilewrite of xnu): it cannot be
  // blocked and taken back. Node ignores it.
  if (IgnoresSigpipe()) return WriteIfReady(fd, chunks, count);
  // The one flag of the description that is changed, and only for the moment: who shares it and
  // writes in between gets EPIPE without a signal.
  const int quiet = fcntl(fd, F_GETNOSIGPIPE);
  if (quiet == 0) fcntl(fd, F_SETNOSIGPIPE, 1);
  const ssize_t result = WriteIfReady(fd, chunks, count);
  if (quiet == 0) fcntl(fd, F_SETNOSIGPIPE, 0);
  return result;
}

int PollOtherwise(int fd, bool for_reading, bool for_writing) {
  // Some devices, such as /dev/tty, are unknown to poll(2), and known to select(2).
  if (fcntl(fd, F_GETFD) < 0) return -EBADF;
  if (fd >= FD_SETSIZE) return -EOPNOTSUPP;
  fd_set readable;
  fd_set writable;
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  if (for_reading) FD_SET(fd, &readable);
  if (for_writing) FD_SET(fd, &writable);
  timeval at_once{};
  const int result = select(fd + 1, &readable, &writable, nullptr, &at_once);
  if (result < 0) return -errno;
  uint32_t readiness = 0;
  if (FD_ISSET(fd, &readable)) readiness |= kReadable;
  if (FD_ISSET(fd, &writable)) readiness |= kWritable;
  return static_cast<int>(readiness);
}

}  // namespace coreactor

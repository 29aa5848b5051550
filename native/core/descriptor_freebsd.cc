// What is particular to FreeBSD about descriptors.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptor.h"
#include "descriptor_bsd.h"
#include "polled.h"
#include "sigpipe.h"

namespace coreactor {

const short kPollEnd = POLLRDHUP;

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

ssize_t WriteQuietly(int fd, const iovec* chunks, size_t count) {
  return WithoutSigpipe([&] { return WriteIfReady(fd, chunks, count); });
}

int PollOtherwise(int, bool, bool) { return -EBADF; }

}  // namespace coreactor

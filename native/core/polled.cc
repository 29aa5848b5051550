#include "polled.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "descriptor.h"

namespace coreactor {
namespace {

// Asked every time: whoever shares the description may change it.
bool MayBlock(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

bool IsFifo(int fd) {
  struct stat about {};
  return fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
}

bool IsWritable(int readiness) { return (static_cast<uint32_t>(readiness) & kWritable) != 0; }

// A terminal that polls writable takes 256 bytes of plain text, or one character that it may turn
// into several, such as a newline. Of more it may take a part, and make its writer wait for the
// rest (n_tty_write; seen with 4096 bytes, and with 16 that have newlines).
constexpr size_t kTerminalPiece = 256;

size_t PieceForTerminal(const unsigned char* bytes, size_t length) {
  const size_t most = std::min(length, kTerminalPiece);
  const auto isControl = [](unsigned char byte) { return byte < ' '; };
  const size_t plain = static_cast<size_t>(std::find_if(bytes, bytes + most, isControl) - bytes);
  return std::max<size_t>(plain, 1);
}

// The caller has seen that it is writable.
ssize_t WriteToTerminal(int fd, const void* from, size_t length) {
  const auto* bytes = static_cast<const unsigned char*>(from);
  ssize_t total = 0;
  while (length > 0 && (total == 0 || IsWritable(PollNow(fd, Interest{kWritable})))) {
    const size_t piece = PieceForTerminal(bytes, length);
    const ssize_t taken = Call([&] { return write(fd, bytes, piece); });
    if (taken < 0) return total > 0 ? total : taken;
    total += taken;
    bytes += taken;
    length -= static_cast<size_t>(taken);
  }
  return total;
}

}  // namespace

ssize_t ReadIfReady(int fd, void* into, size_t length) {
  if (MayBlock(fd)) {
    const int readiness = PollNow(fd, Interest{kReadable});
    if (readiness < 0) return readiness;
    if ((static_cast<uint32_t>(readiness) & kReadable) == 0) return -EAGAIN;
  }
  return Call([&] { return read(fd, into, length); });
}

ssize_t WriteIfReady(int fd, const iovec* chunks, size_t count) {
  if (!MayBlock(fd)) return Call([&] { return writev(fd, chunks, static_cast<int>(count)); });
  const int readiness = PollNow(fd, Interest{kWritable});
  if (readiness < 0) return readiness;
  if (!IsWritable(readiness)) return -EAGAIN;
  const bool terminal = isatty(fd) == 1;
  if (!terminal && !IsFifo(fd)) {
    return Call([&] { return writev(fd, chunks, static_cast<int>(count)); });
  }
  const auto isEmpty = [](const iovec& chunk) { return chunk.iov_len == 0; };
  const iovec* first = std::find_if_not(chunks, chunks + count, isEmpty);
  if (first == chunks + count) return 0;
  const size_t length = std::min<size_t>(first->iov_len, PIPE_BUF);
  if (terminal) return WriteToTerminal(fd, first->iov_base, length);
  return Call([&] { return write(fd, first->iov_base, length); });
}

Status AwaitReady(int fd, Interest interest) {
  pollfd asked{fd, 0, 0};
  if ((interest.bits & kReadable) != 0) asked.events = POLLIN;
  if ((interest.bits & kWritable) != 0) asked.events = POLLOUT;
  const int result = Call([&] { return poll(&asked, 1, -1); });
  if (result < 0) return Status::Errno(-result);
  return (asked.revents & POLLNVAL) == 0 ? Status::Ok() : Status::Errno(ENOTSUP);
}

}  // namespace coreactor

// splice(2) and sendfile(2) of Linux.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sigpipe.h"
#include "transfer.h"

namespace coreactor {
namespace {

// With the 64 KiB that a pipe has by itself, splicing costs more than copying does; with this,
// two thirds of it (bench/proxy.mjs, 256 KiB and more at a time).
constexpr int kRoom = 1024 * 1024;

// Half of what the kernel reads ahead by itself: a file that was read has no smaller holes,
// usually.
constexpr int64_t kStep = 64 * 1024;

bool HasPageAt(int file, int64_t offset) {
  uint8_t byte;
  const iovec into{&byte, 1};
  const auto low = static_cast<unsigned long>(offset);
  // By its number: see descriptor_linux.cc. In two words, of which 64-bit systems look at one.
  const auto high = static_cast<unsigned long>(static_cast<uint64_t>(offset) >> 32);
  return Call([&] { return syscall(SYS_preadv2, file, &into, 1, low, high, RWF_NOWAIT); }) !=
         -EAGAIN;
}

}  // namespace

Result<Ends> OpenTransferPipe() {
  Result<Ends> opened = OpenPipe();
  if (!opened.ok()) return opened;
  const int result = Call([&] { return fcntl(opened.value().first.get(), F_SETPIPE_SZ, kRoom); });
  if (result < 0) return StatusOf(result);
  return opened;
}

ssize_t Splice(int from, int to, size_t length) {
  return WithoutSigpipe([&] {
    return Call([&] {
      return splice(from, nullptr, to, nullptr, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    });
  });
}

ssize_t SendFile(int to, int file, int64_t offset, size_t length) {
  return WithoutSigpipe([&] {
    return Call([&] {
      off_t from = offset;
      return sendfile(to, file, &from, length);
    });
  });
}

bool IsCached(int file, int64_t offset, size_t length) {
  const int64_t last = offset + static_cast<int64_t>(length) - 1;
  for (int64_t at = offset; at < last; at += kStep) {
    if (!HasPageAt(file, at)) return false;
  }
  return HasPageAt(file, last);
}

}  // namespace coreactor

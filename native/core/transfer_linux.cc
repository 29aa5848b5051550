// splice(2) and sendfile(2) of Linux.
#include <fcntl.h>
#include <sys/sendfile.h>

#include "sigpipe.h"
#include "transfer.h"

namespace coreactor {
namespace {

// With the 64 KiB that a pipe has by itself, splicing costs more than copying does; with this,
// two thirds of it (bench/proxy.mjs, 256 KiB and more at a time).
constexpr int kRoom = 1024 * 1024;

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

}  // namespace coreactor

// splice(2) and sendfile(2) of Linux.
#include <fcntl.h>
#include <sys/sendfile.h>

#include "sigpipe.h"
#include "transfer.h"

namespace coreactor {

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

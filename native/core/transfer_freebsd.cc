// sendfile(2) of FreeBSD. There is no splice(2) for users: TypeScript copies instead.
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "sigpipe.h"
#include "transfer.h"

namespace coreactor {

Result<Ends> OpenTransferPipe() { return Status::Errno(ENOSYS); }

ssize_t Splice(int, int, size_t) { return -ENOSYS; }

bool IsCached(int, int64_t, size_t) { return true; }

ssize_t SendFile(int to, int file, int64_t offset, size_t length) {
  // 0 would mean the rest of the file.
  if (length == 0) return 0;
  return WithoutSigpipe([&]() -> ssize_t {
    off_t sent = 0;
    const int result = sendfile(file, to, offset, length, nullptr, &sent, 0);
    // What was sent before it stopped is said even with EAGAIN and EINTR.
    return result == 0 || sent > 0 ? static_cast<ssize_t>(sent) : -errno;
  });
}

}  // namespace coreactor

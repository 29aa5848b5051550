// sendfile(2) of macOS. There is no splice(2): TypeScript copies instead.
#include <sys/socket.h>
#include <sys/types.h>

#include "transfer.h"

namespace coreactor {

Result<Ends> OpenTransferPipe() { return Status::Errno(ENOSYS); }

ssize_t Splice(int, int, size_t) { return -ENOSYS; }

bool IsCached(int, int64_t, size_t) { return true; }

ssize_t SendFile(int to, int file, int64_t offset, size_t length) {
  // 0 would mean the rest of the file.
  if (length == 0) return 0;
  off_t sent = static_cast<off_t>(length);
  const int result = sendfile(file, to, offset, &sent, nullptr, 0);
  // What was sent before it stopped is said even with EAGAIN and EINTR. Sockets of ours raise no
  // SIGPIPE (SO_NOSIGPIPE).
  return result == 0 || sent > 0 ? static_cast<ssize_t>(sent) : -errno;
}

}  // namespace coreactor

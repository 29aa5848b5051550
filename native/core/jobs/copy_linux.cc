// copy_file_range(2) and sendfile(2) of Linux.
#include <sys/sendfile.h>
#include <unistd.h>

#include "../status.h"
#include "file.h"

namespace coreactor {

int32_t CopyJob::Run() {
  // Where it can, it shares the blocks; between file systems, and for what is no regular file, it
  // says EXDEV, EINVAL, ENOSYS, EOPNOTSUPP or EPERM (a seccomp filter), and of files without a
  // size, as in /proc, that there is nothing. The two that follow find out what is really wrong.
  const ssize_t shared =
      Call([this] { return copy_file_range(from_, nullptr, to_, nullptr, length_, 0); });
  if (shared > 0 || shared == -ENOSPC || shared == -EDQUOT) return static_cast<int32_t>(shared);
  const ssize_t sent = Call([this] { return sendfile(to_, from_, nullptr, length_); });
  if (sent > 0 || sent == -ENOSPC || sent == -EDQUOT) return static_cast<int32_t>(sent);
  return Copy();
}

int SyncData(int fd) {
  return Call([&] { return fdatasync(fd); });
}

}  // namespace coreactor

// What is particular to macOS and FreeBSD about the files of Unix sockets.
#include <fcntl.h>
#include <sys/stat.h>

#include "socket_file.h"

namespace coreactor {

// fchmod refuses sockets, and the umask is the whole process's. Until SetModeOf the file is as open
// as the umask leaves it; nobody listens yet.
int SetModeBeforeBind(int, mode_t) { return 0; }

int SetModeOf(const char* path, const std::string& identity, mode_t mode) {
  // There is no fd of a socket's file that could be held on to: it may be exchanged for another
  // between the look and the change by whoever may write to the directory.
  const Result<SocketFile> looked = LookAt(path);
  if (!looked.ok()) return looked.status().code();
  if (looked.value().identity != identity) return -ENOENT;
  return Call([&] { return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW); });
}

}  // namespace coreactor

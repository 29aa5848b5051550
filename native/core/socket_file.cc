#include "socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owned_fd.h"

namespace coreactor {

Result<SocketFile> LookAt(const char* path) {
  struct stat about {};
  const Status looked = StatusOf(Call([&] { return lstat(path, &about); }));
  if (!looked.ok()) return looked;
  SocketFile file;
  file.identity = std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino);
  file.mode = about.st_mode & 07777;
  file.is_socket = S_ISSOCK(about.st_mode);
  file.is_own = about.st_uid == geteuid();
  return file;
}

int LockDirectory(const char* path) {
  OwnedFd directory(Call([&] { return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!directory.valid()) return directory.get();
  const int locked = Call([&] { return flock(directory.get(), LOCK_EX | LOCK_NB); });
  return locked < 0 ? locked : directory.Release();
}

int Unlink(const char* path) {
  return Call([&] { return unlink(path); });
}

}  // namespace coreactor

// What is particular to Linux about the files of Unix sockets.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owned_fd.h"
#include "socket_file.h"

namespace coreactor {

// Linux makes the file with the mode of the socket itself, less the umask.
int SetModeBeforeBind(int fd, mode_t mode) {
  return Call([&] { return fchmod(fd, mode); });
}

int SetModeOf(const char* path, const std::string& identity, mode_t mode) {
  // Held by an fd, it cannot be exchanged for another between the look and the change. fchmod
  // refuses such fds; their names under /proc do as well.
  const OwnedFd file(Call([&] { return open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC); }));
  if (!file.valid()) return file.get();
  const std::string held = "/proc/self/fd/" + std::to_string(file.get());
  struct stat about {};
  const int looked = Call([&] { return fstat(file.get(), &about); });
  if (looked < 0) return looked;
  if (std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino) != identity) return -ENOENT;
  return Call([&] { return chmod(held.c_str(), mode); });
}

}  // namespace coreactor

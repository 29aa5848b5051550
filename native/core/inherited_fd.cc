#include "inherited_fd.h"

#include <fcntl.h>

#include "status.h"

namespace coreactor {

int SetCloseOnExec(int fd) {
  const int flags = Call([&] { return fcntl(fd, F_GETFD); });
  if (flags < 0 || (flags & FD_CLOEXEC) != 0) return flags < 0 ? flags : 0;
  return Call([&] { return fcntl(fd, F_SETFD, flags | FD_CLOEXEC); });
}

int SetNonBlocking(int fd) {
  const int flags = Call([&] { return fcntl(fd, F_GETFL); });
  if (flags < 0 || (flags & O_NONBLOCK) != 0) return flags < 0 ? flags : 0;
  return Call([&] { return fcntl(fd, F_SETFL, flags | O_NONBLOCK); });
}

}  // namespace coreactor

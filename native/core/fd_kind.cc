#include "fd_kind.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "socket.h"
#include "status.h"

namespace coreactor {
namespace {

FdKind::Is IsOf(mode_t mode) {
  if (S_ISREG(mode)) return FdKind::Is::kFile;
  if (S_ISDIR(mode)) return FdKind::Is::kDirectory;
  if (S_ISFIFO(mode)) return FdKind::Is::kPipe;
  if (S_ISCHR(mode)) return FdKind::Is::kCharacterDevice;
  if (S_ISBLK(mode)) return FdKind::Is::kBlockDevice;
  if (S_ISSOCK(mode)) return FdKind::Is::kSocket;
  return FdKind::Is::kOther;
}

int Option(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  const int result = Call([&] { return getsockopt(fd, SOL_SOCKET, name, &value, &length); });
  return result < 0 ? result : value;
}

}  // namespace

int KindOf(int fd, FdKind* kind) {
  struct stat about {};
  const int looked = Call([&] { return fstat(fd, &about); });
  if (looked < 0) return looked;
  kind->is = IsOf(about.st_mode);
  if (kind->is != FdKind::Is::kSocket) return 0;
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  const int named =
      Call([&] { return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length); });
  if (named < 0) return named;
  kind->family = address.ss_family;
  kind->type = Option(fd, SO_TYPE);
  // Sockets of some families do not know the option, and do not accept.
  kind->accepts = AcceptsConnections(fd) > 0;
  length = sizeof(address);
  kind->connected =
      Call([&] { return getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length); }) == 0;
  return 0;
}

}  // namespace coreactor

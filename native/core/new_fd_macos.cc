#include "new_fd_macos.h"

#include <sys/socket.h>

#include "inherited_fd.h"
#include "status.h"

namespace coreactor {

int PrepareNew(int fd) {
  const int marked = SetCloseOnExec(fd);
  return marked < 0 ? marked : SetNonBlocking(fd);
}

int PrepareNewSocket(int fd) {
  const int on = 1;
  // EINVAL: a connection that is over before it is accepted (sosetoptlock). It will not be written
  // to for long, and Node ignores SIGPIPE.
  const int quiet = Call([&] { return setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on)); });
  if (quiet < 0 && quiet != -EINVAL) return quiet;
  // Options can be set although both directions have ended, as elsewhere; where that is refused, so
  // will they be.
  so_np_extensions lasting{SONPX_SETOPTSHUT, SONPX_SETOPTSHUT};
  setsockopt(fd, SOL_SOCKET, SO_NP_EXTENSIONS, &lasting, sizeof(lasting));
  return PrepareNew(fd);
}

int Prepared(int fd) {
  if (fd < 0) return fd;
  OwnedFd owned(fd);
  const int result = PrepareNewSocket(fd);
  return result < 0 ? result : owned.Release();
}

}  // namespace coreactor

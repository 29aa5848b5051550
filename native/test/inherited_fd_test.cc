// Flags of an fd that was inherited: set once, the others left as they are.
#include "../core/inherited_fd.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "support.h"

namespace coreactor::testing {

TEST_CASE(
    "an inherited fd becomes close-on-exec and non-blocking, and doing it twice does no harm") {
  OwnedFd fd = MustOpen(socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(fcntl(fd.get(), F_GETFD) == 0);
  for (int i = 0; i < 2; i++) {
    CHECK(SetCloseOnExec(fd.get()) == 0);
    CHECK(SetNonBlocking(fd.get()) == 0);
    CHECK(fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(fd.get(), F_GETFL) == (O_RDWR | O_NONBLOCK));
  }
}

TEST_CASE("an fd that is closed is EBADF") {
  CHECK(SetCloseOnExec(-1) == -EBADF);
  CHECK(SetNonBlocking(-1) == -EBADF);
}

}  // namespace coreactor::testing

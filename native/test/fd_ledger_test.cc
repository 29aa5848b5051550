// What an environment leaves behind is closed, and nothing else is.
#include "../core/fd_ledger.h"

#include "support.h"

namespace coreactor::testing {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

int Copy(int at_least) { return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, at_least); }

TEST_CASE_FIXTURE(Fds, "a ledger closes what was opened and not let go, whatever the number") {
  // Around the ends of a word of the ledger, in an order that is not theirs.
  std::vector<int> opened;
  {
    FdLedger ledger;
    for (const int at_least : {192, 63, 100, 64, 127, 128, 191, 65}) {
      opened.push_back(Copy(at_least));
      REQUIRE(opened.back() >= at_least);
      ledger.Opened(opened.back());
      CHECK(ledger.Has(opened.back()));
    }
  }
  for (const int fd : opened) CHECK_FALSE(IsOpen(fd));
}

TEST_CASE_FIXTURE(Fds, "an fd that was let go, or never opened, is left alone") {
  const OwnedFd kept = MustOpen(Copy(64));
  const OwnedFd other = MustOpen(Copy(64));
  {
    FdLedger ledger;
    ledger.Opened(kept.get());
    ledger.LetGo(kept.get());
    CHECK_FALSE(ledger.Has(kept.get()));
    CHECK_FALSE(ledger.Has(other.get()));
  }
  CHECK(IsOpen(kept.get()));
  CHECK(IsOpen(other.get()));
}

TEST_CASE_FIXTURE(Fds, "a number that is used again is in the ledger again") {
  int fd = Copy(64);
  {
    FdLedger ledger;
    ledger.Opened(fd);
    ledger.LetGo(fd);
    REQUIRE(Close(fd) == 0);
    REQUIRE(Copy(fd) == fd);
    ledger.Opened(fd);
  }
  CHECK_FALSE(IsOpen(fd));
}

TEST_CASE_FIXTURE(Fds, "letting go of a number that was never there is nothing") {
  FdLedger ledger;
  ledger.LetGo(-1);
  ledger.LetGo(1'000'000);
  CHECK_FALSE(ledger.Has(-1));
  CHECK_FALSE(ledger.Has(1'000'000));
}

}  // namespace
}  // namespace coreactor::testing

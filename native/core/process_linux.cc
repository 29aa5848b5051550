// pidfd_open(2), since Linux 5.3.
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

namespace coreactor {
namespace {

// The same on all architectures.
#ifdef SYS_pidfd_open
constexpr long kPidfdOpen = SYS_pidfd_open;
#else
constexpr long kPidfdOpen = 434;
#endif

}  // namespace

Result<OwnedFd> OpenProcess(pid_t pid) {
  // Close-on-exec by itself.
  const auto fd = static_cast<int>(Call([&] { return syscall(kPidfdOpen, pid, 0); }));
  // A seccomp filter that does not know it says EPERM, which the call itself never does.
  if (fd == -EPERM) return Status::Errno(ENOSYS);
  if (fd < 0) return StatusOf(fd);
  return OwnedFd(fd);
}

}  // namespace coreactor

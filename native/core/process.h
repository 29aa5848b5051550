// Processes: waiting for their end.
#pragma once

#include <sys/types.h>

#include "owned_fd.h"
#include "status.h"

namespace coreactor {

// How a process has ended.
struct ProcessEnd {
  pid_t pid = 0;
  // What it has exited with, or the signal that has killed it.
  int status = 0;
  bool killed = false;
};

// An fd that is readable when the process has ended. ENOSYS where the system has none.
// (process_linux.cc, process_bsd.cc)
Result<OwnedFd> OpenProcess(pid_t pid);

// Whether a child has ended, and how: 1, 0 = it has not, or -errno. `pid` 0 is any. Unless `reap`,
// it is left for whoever asks next.
int HasEnded(pid_t pid, bool reap, ProcessEnd* end);

// Waits until one has, and leaves it: its number, or -errno.
int AwaitEnd(pid_t pid);

}  // namespace coreactor

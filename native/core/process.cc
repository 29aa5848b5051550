#include "process.h"

#include <signal.h>
#include <sys/wait.h>

namespace coreactor {
namespace {

int Wait(pid_t pid, int options, siginfo_t* about) {
  // What waitid leaves as it is if nobody has ended.
  about->si_pid = 0;
  const idtype_t which = pid == 0 ? P_ALL : P_PID;
  return Call([&] { return waitid(which, static_cast<id_t>(pid), about, WEXITED | options); });
}

}  // namespace

int HasEnded(pid_t pid, bool reap, ProcessEnd* end) {
  siginfo_t about{};
  const int result = Wait(pid, WNOHANG | (reap ? 0 : WNOWAIT), &about);
  if (result < 0) return result;
  if (about.si_pid == 0) return 0;
  end->pid = about.si_pid;
  end->status = about.si_status;
  end->killed = about.si_code != CLD_EXITED;
  return 1;
}

int AwaitEnd(pid_t pid) {
  siginfo_t about{};
  const int result = Wait(pid, WNOWAIT, &about);
  return result < 0 ? result : about.si_pid;
}

}  // namespace coreactor

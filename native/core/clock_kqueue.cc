// Clock over a timer of kqueue(2).
#include <fcntl.h>

#include <algorithm>

#include "clock.h"
#include "kqueue.h"

namespace coreactor {
namespace {

// The one timer; numbers of timers have nothing to do with fds.
constexpr uintptr_t kTimer = 0;

// Later ones are refused by some systems (timer2sbintime of FreeBSD counts 68 years in all).
constexpr int64_t kFarthest = int64_t{30} * 365 * 24 * 3600 * 1'000'000'000;

void* PackClock() {
  static_assert(kClockSlot == 0, "so its token is all zeros");
  return nullptr;
}

}  // namespace

Result<Clock> Clock::Create(Poller& poller) {
  const int copy = Call([&] { return fcntl(poller.fd(), F_DUPFD_CLOEXEC, 0); });
  if (copy < 0) return StatusOf(copy);
  Clock clock;
  clock.timer_ = OwnedFd(copy);
  return clock;
}

Status Clock::Arm(int64_t deadline) {
  const int64_t left = std::max<int64_t>(deadline, 0) - MonotonicNanoseconds();
  // Zero is refused by some, and negative ones do not mean the same everywhere.
  const int64_t delay = std::clamp<int64_t>(left + kTimerGrain, 1, kFarthest);
  struct kevent changes[2];
  struct kevent receipts[2];
  // Deleted first, which takes back an expiry that nobody has seen. With NOTE_ABSOLUTE it would be
  // the time of day on macOS, and a change of that would move it.
  EV_SET(&changes[0], kTimer, EVFILT_TIMER, EV_DELETE | EV_RECEIPT, 0, 0, nullptr);
  EV_SET(&changes[1], kTimer, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_RECEIPT, kTimerNotes, delay,
         PackClock());
  const int made = Call([&] { return kevent(timer_.get(), changes, 2, receipts, 2, nullptr); });
  if (made < 0) return StatusOf(made);
  return Status::Errno(static_cast<int>(receipts[1].data));
}

}  // namespace coreactor

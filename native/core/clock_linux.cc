// Clock over timerfd_create(2).
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>

#include "clock.h"

namespace coreactor {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

int64_t MonotonicNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

Result<Clock> Clock::Create(Poller& poller) {
  Clock clock;
  const int timer =
      Call([] { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); });
  if (timer < 0) return StatusOf(timer);
  clock.timer_ = OwnedFd(timer);
  // Edge-triggered, an expiry is reported once although nobody reads it; timerfd_settime sets the
  // count back to zero.
  const Status added = poller.Add(timer, Interest{kReadable}, Mode::kEdge, Token{kClockSlot, 0});
  if (!added.ok()) return added;
  return clock;
}

Status Clock::Arm(int64_t deadline) {
  // 0 would disarm it, and a time that has passed expires at once: just what is wanted.
  const int64_t at = std::max<int64_t>(deadline, 1);
  itimerspec setting{};
  setting.it_value.tv_sec = at / kNanosecondsPerSecond;
  setting.it_value.tv_nsec = at % kNanosecondsPerSecond;
  return StatusOf(
      Call([&] { return timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr); }));
}

}  // namespace coreactor

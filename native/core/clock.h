// The time, and one timer inside the readiness queue, in nanoseconds: the host loop's timers count
// milliseconds.
#pragma once

#include <cstdint>

#include "poller.h"

namespace coreactor {

// Monotonic nanoseconds; does not run while the machine is suspended.
int64_t MonotonicNanoseconds();

// The one deadline of a poller. It reports an event of kClockSlot, and is armed again without being
// read or removed.
class Clock {
 public:
  static Result<Clock> Create(Poller& poller);

  Clock() = default;

  // Reports at `deadline` (of MonotonicNanoseconds) or as soon as possible after it, once. Replaces
  // an earlier deadline.
  Status Arm(int64_t deadline);

 private:
  // A timer of its own (timerfd), or a duplicate of the queue, which has timers in it (kqueue).
  OwnedFd timer_;
};

}  // namespace coreactor

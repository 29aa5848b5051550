// kqueue(2) of macOS, and the clock that its timers follow.
#include <time.h>

#include <cstddef>

#include "clock.h"
#include "kqueue.h"

namespace coreactor {

// bsd/sys/event.h packs it to 4 bytes: the same on both architectures.
static_assert(sizeof(struct kevent) == 32, "the kevent of 64-bit macOS");
static_assert(offsetof(struct kevent, ident) == 0 && offsetof(struct kevent, filter) == 8 &&
                  offsetof(struct kevent, flags) == 10 && offsetof(struct kevent, fflags) == 12 &&
                  offsetof(struct kevent, data) == 16 && offsetof(struct kevent, udata) == 24,
              "the kevent of 64-bit macOS");

const int16_t kUrgentFilter = EVFILT_EXCEPT;
const uint32_t kUrgentNotes = NOTE_OOB;

const uint32_t kTimerNotes = NOTE_NSECONDS | NOTE_CRITICAL;

// The clock of Apple's processors ticks at 24 MHz, and what is left of a tick is cut off.
const int64_t kTimerGrain = 42;

bool IsWatchable(const struct stat& about) {
  if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode)) return false;
  // Of a FIFO that has a name the end is not reported, when its last writer is gone (libuv#4513,
  // go#24164). A pipe and a queue are on no device (pipe_stat, kqueue_stat of xnu).
  return !S_ISFIFO(about.st_mode) || about.st_dev == 0;
}

int64_t MonotonicNanoseconds() {
  // Stands still while the machine sleeps, as timers without NOTE_MACH_CONTINUOUS_TIME do.
  return static_cast<int64_t>(clock_gettime_nsec_np(CLOCK_UPTIME_RAW));
}

}  // namespace coreactor

// kqueue(2) of FreeBSD, and the clock that its timers follow.
#include <time.h>

#include <cstddef>

#include "clock.h"
#include "kqueue.h"

namespace coreactor {

static_assert(sizeof(struct kevent) == 64, "the kevent of FreeBSD 12 and later");
static_assert(offsetof(struct kevent, ident) == 0 && offsetof(struct kevent, filter) == 8 &&
                  offsetof(struct kevent, flags) == 10 && offsetof(struct kevent, fflags) == 12 &&
                  offsetof(struct kevent, data) == 16 && offsetof(struct kevent, udata) == 24,
              "the kevent of FreeBSD 12 and later");

// EVFILT_READ reports urgent data as any other, and nothing reports them alone.
const int16_t kUrgentFilter = 0;
const uint32_t kUrgentNotes = 0;

const uint32_t kTimerNotes = NOTE_NSECONDS;

// sbintime_t counts 2^-32 seconds.
const int64_t kTimerGrain = 1;

bool IsWatchable(const struct stat& about) {
  return !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode) && !S_ISBLK(about.st_mode);
}

int64_t MonotonicNanoseconds() {
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace coreactor

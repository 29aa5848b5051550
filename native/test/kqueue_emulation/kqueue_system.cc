// What native/core/kqueue.h says of a system, for the one that is emulated.
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/kqueue.h"
#include "emulation.h"

namespace coreactor {
namespace {

bool IsMacos() { return testing::EmulatedSystem() == testing::KqueueSystem::kMacos; }

dev_t DeviceOfPipes() {
  int ends[2];
  struct stat about {};
  if (pipe(ends) != 0) return 0;
  fstat(ends[0], &about);
  for (const int end : ends) close(end);
  return about.st_dev;
}

}  // namespace

const int16_t kUrgentFilter = IsMacos() ? EVFILT_EXCEPT : 0;
const uint32_t kUrgentNotes = IsMacos() ? NOTE_OOB : 0;
const uint32_t kTimerNotes = NOTE_NSECONDS | (IsMacos() ? NOTE_CRITICAL : 0);
const int64_t kTimerGrain = IsMacos() ? 42 : 1;

bool IsWatchable(const struct stat& about) {
  if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode)) return false;
  static const dev_t pipes = DeviceOfPipes();
  return !IsMacos() || !S_ISFIFO(about.st_mode) || about.st_dev == pipes;
}

int64_t MonotonicNanoseconds() {
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace coreactor

// What differs between the systems that have kqueue(2). One file for each system defines it:
// kqueue_macos.cc, kqueue_freebsd.cc.
#pragma once

#include <sys/event.h>
#include <sys/stat.h>

#include <cstdint>

namespace coreactor {

// Beyond sockets and pipes: whether what happens to a file of this kind is reported, and all of it.
bool IsWatchable(const struct stat& about);

// The filter that reports urgent data, and what it is asked for. 0: there is none.
extern const int16_t kUrgentFilter;
extern const uint32_t kUrgentNotes;

// How EVFILT_TIMER is asked for nanoseconds, and not to be late for the sake of other timers.
extern const uint32_t kTimerNotes;

// How much earlier than asked for a timer may fire, because its own unit is coarser: nanoseconds.
extern const int64_t kTimerGrain;

}  // namespace coreactor

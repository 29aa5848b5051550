// What the kernel's readiness queue reports, and the names it is asked by. The same values stand in
// lib/kernel/layout.ts; the two are compared when the addon is loaded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coreactor {

// Given at Add, given back with every event. Never an fd: a slot that was freed has another
// generation, so a stale event finds nobody.
struct Token {
  uint32_t slot;
  uint32_t generation;
};

// The kernel's own slots.
constexpr uint32_t kClockSlot = 0;
constexpr uint32_t kWakeSlot = 1;
constexpr uint32_t kFirstSlot = 2;

// Bits of Event::readiness; the first three are also the interests of Add. Hints all of them: the
// fd has the truth.
constexpr uint32_t kReadable = 1u << 0;
constexpr uint32_t kWritable = 1u << 1;
constexpr uint32_t kPriority = 1u << 2;
constexpr uint32_t kReadClosed = 1u << 3;
constexpr uint32_t kWriteClosed = 1u << 4;
constexpr uint32_t kError = 1u << 5;
constexpr uint32_t kClock = 1u << 6;
// A job has ended: Event::result is what it returned.
constexpr uint32_t kCompleted = 1u << 7;

// The directions of kReadable, kWritable and kPriority that are asked for.
struct Interest {
  uint32_t bits;
};

enum class Mode : uint32_t {
  kEdge = 0,     // Every change, for the fd's life.
  kOneShot = 1,  // Once, and then not until it is removed and added again.
};

// One report. TypeScript reads it as four 32-bit integers, straight from where it was written.
struct Event {
  Token token;
  uint32_t readiness;
  int32_t result;
};
static_assert(sizeof(Event) == 16, "lib/kernel/layout.ts reads records of 16 bytes");
static_assert(offsetof(Event, readiness) == 8 && offsetof(Event, result) == 12,
              "see EVENT_READINESS in layout.ts");

// 16 KiB of events. More are reported by the next Wait: too small costs a turn, never an event.
constexpr size_t kBatchCapacity = 1024;

}  // namespace coreactor

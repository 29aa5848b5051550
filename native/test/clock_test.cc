// What Clock promises: never early, and armed again at any time without being read.
#include "support.h"

namespace coreactor::testing {
namespace {

// Waits for the clock's event; the time at which it had come.
int64_t Fired(Poller& poller, int timeout_ms = kLongMs) {
  const std::vector<Event> events = WaitFor(poller, timeout_ms);
  const int64_t now = MonotonicNanoseconds();
  REQUIRE(events.size() == 1);
  CHECK(events[0].token.slot == kClockSlot);
  CHECK(events[0].readiness == kClock);
  return now;
}

TEST_CASE_FIXTURE(Fds, "monotonic time does not go back") {
  int64_t last = MonotonicNanoseconds();
  CHECK(last > 0);
  for (int i = 0; i < 10'000; i++) {
    const int64_t now = MonotonicNanoseconds();
    REQUIRE(now >= last);
    last = now;
  }
}

TEST_CASE_FIXTURE(Fds, "a clock that was never armed says nothing") {
  Poller poller = Must(Poller::Create());
  const Clock clock = Must(Clock::Create(poller));
  CHECK(WaitFor(poller, 5).empty());
}

TEST_CASE_FIXTURE(Fds, "the clock never fires early (0.1 to 2.5 ms)") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  for (int64_t delay = 100; delay <= 2'500; delay += 50) {
    const int64_t deadline = MonotonicNanoseconds() + delay * kNanosecondsPerMicrosecond;
    REQUIRE(clock.Arm(deadline).ok());
    CHECK(Fired(poller) >= deadline);
    CHECK(Pending(poller).empty());
  }
}

TEST_CASE_FIXTURE(Fds, "re-arming an expired clock fires again although it was never read") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  for (int i = 0; i < 200; i++) {
    const int64_t deadline = MonotonicNanoseconds() + 20 * kNanosecondsPerMicrosecond;
    REQUIRE(clock.Arm(deadline).ok());
    REQUIRE(Fired(poller) >= deadline);
  }
}

TEST_CASE_FIXTURE(Fds, "arming for a past time fires at once") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  for (const int64_t deadline :
       {MonotonicNanoseconds() - 1, int64_t{1}, int64_t{0}, int64_t{-1}, INT64_MIN}) {
    REQUIRE(clock.Arm(deadline).ok());
    const int64_t before = MonotonicNanoseconds();
    CHECK(Fired(poller) - before < 1000 * kNanosecondsPerMillisecond);
    CHECK(Pending(poller).empty());
  }
}

TEST_CASE_FIXTURE(Fds, "re-arming for later before expiry does not fire early") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  const int64_t now = MonotonicNanoseconds();
  REQUIRE(clock.Arm(now + 5 * kNanosecondsPerMillisecond).ok());
  REQUIRE(clock.Arm(now + 20 * kNanosecondsPerMillisecond).ok());
  CHECK(Fired(poller) >= now + 20 * kNanosecondsPerMillisecond);
}

TEST_CASE_FIXTURE(Fds, "re-arming for sooner fires at the sooner time, and only then") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  const int64_t now = MonotonicNanoseconds();
  REQUIRE(clock.Arm(now + 3600 * 1000 * kNanosecondsPerMillisecond).ok());
  REQUIRE(clock.Arm(now + kNanosecondsPerMillisecond).ok());
  CHECK(Fired(poller) >= now + kNanosecondsPerMillisecond);
  CHECK(WaitFor(poller, 5).empty());
}

TEST_CASE_FIXTURE(Fds, "an expiry that nobody has seen is taken back by arming for later") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  REQUIRE(clock.Arm(1).ok());
  const int64_t deadline = MonotonicNanoseconds() + 20 * kNanosecondsPerMillisecond;
  REQUIRE(clock.Arm(deadline).ok());
  CHECK(Fired(poller) >= deadline);
}

TEST_CASE_FIXTURE(Fds, "a deadline as far away as it can be is accepted and does not fire") {
  Poller poller = Must(Poller::Create());
  Clock clock = Must(Clock::Create(poller));
  REQUIRE(clock.Arm(INT64_MAX).ok());
  CHECK(WaitFor(poller, 5).empty());
}

}  // namespace
}  // namespace coreactor::testing

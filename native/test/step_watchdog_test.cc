// What is told of a step that does not come back, and that nothing is told of any other.
#include "../core/step_watchdog.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>

namespace coreactor::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr double kWorker = 1 * kNameFactor + 7;
constexpr nanoseconds kLimit = milliseconds(100);
constexpr nanoseconds kAtMost = milliseconds(25);

// Somebody who looks every 10 ms at a thread that computes, unless something else is said.
class Looks {
 public:
  bool At(double whose, double step, nanoseconds elapsed = milliseconds(10),
          nanoseconds cpu = milliseconds(10)) {
    cpu_ += cpu;
    return judge.Judge({whose, step, elapsed, cpu_}, kLimit, kAtMost, debugged);
  }

  int ReportsOf(int looks, double whose, double step, nanoseconds elapsed = milliseconds(10),
                nanoseconds cpu = milliseconds(10)) {
    int reports = 0;
    for (int i = 0; i < looks; i++) reports += At(whose, step, elapsed, cpu) ? 1 : 0;
    return reports;
  }

  StepJudge judge;
  bool debugged = false;

 private:
  nanoseconds cpu_{hours(1)};
};

TEST_CASE("a step is reported once, when it has lasted for the limit") {
  Looks looks;
  CHECK(looks.ReportsOf(10, kWorker, 1) == 0);
  CHECK(looks.At(kWorker, 1));
  CHECK(looks.ReportsOf(100, kWorker, 1) == 0);
  CHECK(looks.judge.whose() == kWorker);
  CHECK(looks.judge.lasted() == milliseconds(1100));
  CHECK(looks.judge.cpu() == milliseconds(1100));
}

TEST_CASE("many steps of the same task are not one, and neither is the time between steps") {
  Looks looks;
  for (int step = 1; step <= 100; step++) CHECK(looks.ReportsOf(9, kWorker, step) == 0);
  CHECK(looks.ReportsOf(100, 0, 100) == 0);
}

TEST_CASE(
    "each of two steps that last too long is reported, and what is known of the first stays until "
    "then") {
  Looks looks;
  CHECK(looks.ReportsOf(21, kWorker, 1) == 1);
  CHECK(looks.ReportsOf(10, kWorker + 1, 2) == 0);
  CHECK(looks.judge.whose() == kWorker);
  CHECK(looks.judge.lasted() == milliseconds(200));
  CHECK(looks.At(kWorker + 1, 2));
  CHECK(looks.judge.whose() == kWorker + 1);
}

TEST_CASE(
    "time in which nobody could run does not count: a process that was stopped, a machine that "
    "slept") {
  Looks looks;
  CHECK(!looks.At(kWorker, 1));
  CHECK(!looks.At(kWorker, 1, hours(8)));
  CHECK(looks.ReportsOf(7, kWorker, 1) == 0);
  CHECK(looks.At(kWorker, 1));
  CHECK(looks.judge.lasted() == milliseconds(105));
}

TEST_CASE(
    "a thread that waits in a call is reported, unless somebody may be looking at it in a "
    "debugger") {
  Looks looks;
  CHECK(looks.ReportsOf(11, kWorker, 1, milliseconds(10), nanoseconds(0)) == 1);
  CHECK(looks.judge.cpu() == nanoseconds(0));
  looks.debugged = true;
  CHECK(looks.ReportsOf(100, kWorker, 2, milliseconds(10), nanoseconds(0)) == 0);
  CHECK(looks.ReportsOf(11, kWorker, 3) == 1);
}

// What a watchdog has said.
class Said {
 public:
  static void Say(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex);
    texts.push_back(text);
    changed.notify_all();
  }

  static std::vector<std::string> Await(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [count] { return texts.size() >= count; });
    std::vector<std::string> all;
    all.swap(texts);
    return all;
  }

 private:
  static inline std::mutex mutex;
  static inline std::condition_variable changed;
  static inline std::vector<std::string> texts;
};

void Begin(StepRecord& record, double whose, double step) {
  record.whose.store(whose, std::memory_order_relaxed);
  record.step.store(step, std::memory_order_relaxed);
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

TEST_CASE("the report comes while the step is still stuck, with its name and its origin") {
  StepWatchdog watchdog(Said::Say);
  StepRecord record{};
  StepWatchdog::Watched* watched = watchdog.Add(&record, "here: ", milliseconds(5));
  REQUIRE(watched != nullptr);
  watchdog.SetName(watched, 1, "worker", "    at main.js:1");
  Begin(record, kWorker, 1);
  const std::string text = Said::Await(1)[0];
  CHECK(Has(text, "here: the task worker#7 has run for "));
  CHECK(Has(text, "\n    at main.js:1\n"));
  CHECK(record.reported.load() == 1);
  const StepWatchdog::Ended ended = watchdog.TakeReported(watched);
  CHECK(ended.whose == kWorker);
  CHECK(ended.lasted >= milliseconds(5));
  CHECK(record.reported.load() == 0);
  watchdog.Remove(watched);
}

TEST_CASE("a task whose name is not known is reported by its number") {
  StepWatchdog watchdog(Said::Say);
  StepRecord record{};
  StepWatchdog::Watched* watched = watchdog.Add(&record, "", milliseconds(1));
  Begin(record, 12 * kNameFactor + 4'000'000'000.0, 1);
  CHECK(Has(Said::Await(1)[0], "the task task#4000000000 has run for "));
  watchdog.Remove(watched);
}

TEST_CASE("several threads are watched at once, and each is told of") {
  StepWatchdog watchdog(Said::Say);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([&watchdog, i] {
      StepRecord record{};
      StepWatchdog::Watched* watched = watchdog.Add(&record, "", milliseconds(2));
      watchdog.SetName(watched, 1, "thread", "");
      Begin(record, kNameFactor + i, 1);
      while (record.reported.load() == 0) std::this_thread::yield();
      watchdog.Remove(watched);
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(Said::Await(3).size() == 3);
}

TEST_CASE("threads that come and go in the midst of a step are not looked at any more") {
  StepWatchdog watchdog([](const std::string&) {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&watchdog, i] {
      for (int round = 0; round < 200; round++) {
        // On the heap: a look that came too late would be seen by the sanitizers.
        const auto record = std::make_unique<StepRecord>();
        StepWatchdog::Watched* watched = watchdog.Add(record.get(), "", milliseconds(1));
        for (int step = 1; step < 50 + i; step++) Begin(*record, kWorker, step);
        watchdog.SetLimit(watched, milliseconds(2));
        watchdog.Remove(watched);
      }
    });
  }
  for (std::thread& each : threads) each.join();
}

TEST_CASE("its thread ends with the last that is watched, and comes again with the next") {
  StepWatchdog watchdog(Said::Say);
  for (int round = 0; round < 3; round++) {
    StepRecord record{};
    StepWatchdog::Watched* watched = watchdog.Add(&record, "", milliseconds(1));
    Begin(record, kWorker, 1);
    CHECK(Said::Await(1).size() == 1);
    watchdog.Remove(watched);
  }
}

}  // namespace
}  // namespace coreactor::testing

// Sees that a thread has been in the same step for too long, and says so while it still is: in a
// thread of its own, since the one that is stuck says nothing. What a step is, and whose, the
// watched thread writes down; the numbers mean what it has called them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "thread_cpu.h"

namespace coreactor {

// What the watched thread writes and the watching one reads, as doubles: JavaScript's numbers. Two
// relaxed stores a step, without a clock. See STEP_* in lib/kernel/layout.ts.
struct StepRecord {
  // Whose step it is: a name's number times kNameFactor, and a task's id. 0: in no step.
  std::atomic<double> whose;
  // Another number for each step.
  std::atomic<double> step;
  // Written by the watching thread: a step was reported, and the end of it is of interest.
  std::atomic<double> reported;
  // Not 0: somebody may have stopped the thread to look at it. One that does not compute is not
  // reported then.
  std::atomic<double> debugged;
};
static_assert(std::atomic<double>::is_always_lock_free, "a store is one instruction");
static_assert(sizeof(StepRecord) == 4 * sizeof(double), "JavaScript sees four doubles");

constexpr double kNameFactor = 4294967296.0;

// How long one thread has been in the same step, as somebody judges who looks now and then.
class StepJudge {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  struct Sample {
    double whose;
    double step;
    // Since the sample before.
    Nanoseconds elapsed;
    // CPU time of the thread.
    Nanoseconds cpu;
  };

  // True, once a step: it has lasted for `limit` at least. Of a look that comes later than
  // `at_most` after the one before only so much counts: the process was stopped, the machine has
  // slept, or nobody had a processor to run on.
  bool Judge(const Sample& sample, Nanoseconds limit, Nanoseconds at_most, bool debugged);

  // Of the step that was reported, until the next is.
  double whose() const { return reported_whose_; }
  Nanoseconds lasted() const { return reported_lasted_; }
  Nanoseconds cpu() const { return reported_cpu_; }

 private:
  double step_ = -1;
  bool in_step_ = false;
  bool reported_ = false;
  Nanoseconds lasted_{0};
  Nanoseconds cpu_before_{0};
  double reported_whose_ = 0;
  Nanoseconds reported_lasted_{0};
  Nanoseconds reported_cpu_{0};
};

// The thread that watches, and those that are watched.
class StepWatchdog {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  // Where a report goes: one line or more, each with its end. Called in the watching thread, which
  // may be kept waiting there: nobody else is.
  using Report = void (*)(const std::string& text);

  // One for the process. Never destroyed: its thread may outlive main.
  static StepWatchdog& OfProcess();

  explicit StepWatchdog(Report report);
  // Waits for its thread. For tests.
  ~StepWatchdog();
  StepWatchdog(const StepWatchdog&) = delete;
  StepWatchdog& operator=(const StepWatchdog&) = delete;

  // A thread that is watched, from Add until Remove: which are both called in it, as is the rest.
  class Watched;

  // `record` outlives the watch. Every report begins with `opening`. Null: the system has no thread
  // to give.
  Watched* Add(StepRecord* record, std::string opening, Nanoseconds limit);
  // When it comes back, the record is not touched any more.
  void Remove(Watched* watched);

  void SetLimit(Watched* watched, Nanoseconds limit);
  // What the number `name` stands for, from 1 on; `origin` is where whoever has it was made, any
  // number of lines, or empty.
  void SetName(Watched* watched, uint32_t name, std::string text, std::string origin);

  struct Ended {
    double whose;
    Nanoseconds lasted;
    Nanoseconds cpu;
  };
  // Of the step that was reported last, which has ended now; and its end is not of interest any
  // more. Accurate to within an interval.
  Ended TakeReported(Watched* watched);

 private:
  // The rest with the mutex held.
  void StartThread();
  static void* Thread(void* watchdog);
  void Watch();
  // One look at everybody. What there is to say.
  std::vector<std::string> Look(Nanoseconds elapsed);
  Nanoseconds Interval() const;

  const Report report_;
  std::mutex mutex_;
  // Somebody has come or gone, or has another limit.
  std::condition_variable changed_;
  std::condition_variable ended_;
  // The rest with the mutex held.
  std::vector<std::unique_ptr<Watched>> watched_;
  bool running_ = false;
  bool stopping_ = false;
};

}  // namespace coreactor

// The threads that make blocking calls. They know no environment: a job that has ended goes to its
// outbox.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

#include "job.h"
#include "status.h"

namespace coreactor {

// Started when they are needed, ended when they have had nothing to do for a while. They are
// detached: a process that exits does not wait for a call that hangs.
class BlockingPool {
 public:
  struct Options {
    // Threads, at most. Half of them, at most, are for the slow lane.
    int threads = 8;
    std::chrono::milliseconds idle{10'000};
  };

  // The one of this process, for all its environments. Never destroyed: its threads may outlive
  // main. Its bound is that of each outbox.
  static BlockingPool& OfProcess();

  explicit BlockingPool(Options options);
  // Waits for its threads, and so for the jobs that run. What is queued is destroyed. For tests.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Takes the job. EAGAIN: the system has no thread for it, and none is running; the job is gone.
  Status Submit(std::unique_ptr<Job> job);
  // Takes back a job that has not been begun. Null if it has. `job` must be alive.
  std::unique_ptr<Job> Withdraw(Job* job);

  int threads() const;

 private:
  struct Queue {
    Job* first = nullptr;
    Job* last = nullptr;
    int running = 0;
  };

  // The rest with the mutex held.
  Queue& QueueOf(const Job& job) { return queues_[static_cast<size_t>(job.lane())]; }
  void Append(Job* job);
  void Unlink(Job* job);
  // The one of those that could be begun now that came first; null if there is none.
  Job* First() const;
  // Sees to it that a thread comes for the jobs that could be begun, unless one is on its way: each
  // that takes a job asks again, so that a burst of short jobs does not wake everybody. True: call
  // work_.notify_one, when the mutex is free.
  bool Rouse();
  // A thread that was started or woken looks for a job now.
  void Arrived();
  bool StartThread();

  static void* Thread(void* pool);
  void Work();

  const Options options_;
  const int slow_threads_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable ended_;
  Queue queues_[kLanes];
  uint64_t next_ticket_ = 0;
  // Invariant: threads_ <= options_.threads.
  int threads_ = 0;
  // In work_'s wait.
  int waiting_ = 0;
  // Never more than those that have been started or woken and do not look for a job yet.
  int coming_ = 0;
  // The number in the next thread's name.
  int next_name_ = 1;
  bool stopping_ = false;
};

}  // namespace coreactor

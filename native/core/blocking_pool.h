// The threads that make blocking calls. They know no environment: a job that has ended goes to its
// outbox.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "job.h"
#include "status.h"

namespace coreactor {

// Started when they are needed, ended when they have had nothing to do for a while. They are
// detached: a process that exits does not wait for a call that hangs.
//
// One for the process and not one for each environment: an environment can be terminated at any
// moment, and what then still runs in a thread has to belong to somebody who is not. It also keeps
// the limits true, as twenty workers use the same disks and servers as one. What is an
// environment's own is its outbox, which the jobs hold until they have ended.
class BlockingPool {
 public:
  struct Options {
    // How many jobs of each lane run at a time. There is a thread for each that does, so the sum
    // is the most threads there can be.
    PerLane limits{8, 4, 128};
    std::chrono::milliseconds idle{10'000};
    // See Start::kSoon: about as long as a thread takes to come. A job waits longer than that only
    // if its turn goes on and submits no other.
    std::chrono::nanoseconds call_again{50'000};
  };

  struct Counts {
    int threads = 0;
    // Of these, how many have nothing to do.
    int idle = 0;
    PerLane queued{};
    PerLane running{};
  };

  // The one of this process, for all its environments. Never destroyed: its threads may outlive
  // main. Its bound is that of each outbox.
  static BlockingPool& OfProcess();

  explicit BlockingPool(Options options);
  // Waits for its threads, and so for the jobs that run. What is queued is destroyed. For tests.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // When a job is begun for which there is a thread that has nothing to do. Calling a thread costs
  // more than a short job, and one that has ended the last job sooner than the next one came waits
  // again: of 64 jobs in flight that were begun at once, every fourth paid for a call. Left until
  // later, they cost the loop's thread 0.75 us each and not 1.2 (bench/blocking).
  enum class Start {
    kNow,
    // Once a thread was called Options::call_again ago, or Hurry is called.
    kSoon,
  };

  // Takes the job. EAGAIN: the system has no thread for it, and none is running; the job is gone.
  Status Submit(std::unique_ptr<Job> job, Start start = Start::kNow);
  // Sees to it that what was submitted to be begun soon is.
  void Hurry();
  // Takes back a job that has not been begun. Null if it has. `job` must be alive.
  std::unique_ptr<Job> Withdraw(Job* job);
  // Since when a job runs, in MonotonicNanoseconds; 0 if it is queued. `job` must be alive.
  int64_t Begun(const Job& job) const;

  // Closes an fd that the caller owns: now, or when the last job that runs and uses it has ended.
  // The number of an fd that is closed may be another's at once, and the job would go on with that.
  // What close(2) says, if it was called.
  Status Close(int fd);

  // From now on. What runs goes on, also if it is more than the new limits allow.
  void Configure(const Options& options);
  Options options() const;
  Counts counts() const;
  int threads() const { return counts().threads; }

 private:
  // A list of jobs through their own links.
  struct List {
    Job* first = nullptr;
    Job* last = nullptr;
    int size = 0;
  };
  // Where a thread waits for work, and what it is doing.
  struct Seat {
    std::condition_variable woken;
    bool called = false;
    // Of the job that runs.
    FdsInUse fds{-1, -1};
    // Those of them that are to be closed when it has ended.
    std::vector<int> orphans;
  };

  // The rest with the mutex held.
  List& QueueOf(const Job& job) { return queued_[static_cast<size_t>(job.lane())]; }
  static void Append(List& list, Job* job);
  static void Unlink(List& list, Job* job);
  // The one of those that could be begun now that came first; null if there is none.
  Job* First() const;
  // Sees to it that a thread comes for the jobs that could be begun, unless one is on its way: each
  // that takes a job asks again, so that a burst of short jobs does not wake everybody. Not null:
  // notify it, when the mutex is free.
  Seat* Rouse();
  // Whether a thread is on its way, or was called so lately that calling another one can wait.
  bool HasJustCalled() const;
  bool StartThread();
  // Waits for a job that could be begun; false: for too long, the thread ends.
  bool AwaitWork(std::unique_lock<std::mutex>& lock, Seat* seat);
  void Begin(Job* job, Seat* seat);
  void End(Lane lane, Seat* seat);
  void CloseOrphans(std::unique_lock<std::mutex>& lock, Seat* seat);

  static void* Thread(void* pool);
  void Work();

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  Options options_;
  List queued_[kLanes];
  PerLane running_{};
  uint64_t next_ticket_ = 0;
  int threads_ = 0;
  // Of threads that wait. The one that came last is called first: its memory is still in a cache,
  // and those who are not needed reach their end.
  std::vector<Seat*> waiting_;
  // Threads that were called or started and do not look for a job yet.
  int coming_ = 0;
  // When the last one was, in MonotonicNanoseconds.
  int64_t called_at_ = 0;
  // All there have been: a seat is never freed, as somebody may be about to notify it.
  std::vector<std::unique_ptr<Seat>> seats_;
  // Of threads that have ended.
  std::vector<Seat*> spare_seats_;
  // The number in the next thread's name.
  int next_name_ = 1;
  bool stopping_ = false;
};

}  // namespace coreactor

// The jobs of one environment: which there are, and those that have ended and wait to be reported.
// Whoever runs a job holds the outbox, so that it outlives an environment that is terminated.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "blocking_pool.h"
#include "event.h"
#include "job.h"
#include "poller.h"
#include "status.h"

namespace coreactor {

// Everything but Deliver is called in the environment's own thread.
class Outbox : public std::enable_shared_from_this<Outbox> {
 public:
  // Jobs of one environment that have been submitted and not reported, at most, unless it is said.
  static constexpr size_t kMostJobs = 4096;

  // A job that has not been reported.
  struct Report {
    std::string what;
    // How long it has been running; -1 while it is queued.
    int64_t nanoseconds;
    bool abandoned;
  };

  // `waker` is used when a job has ended.
  static std::shared_ptr<Outbox> Create(BlockingPool& pool, Waker waker);

  // The job's id, until it has been reported and its result, if it has one, was taken. EAGAIN: see
  // kMostJobs and BlockingPool::Submit; the job is gone then.
  Result<uint32_t> Submit(std::unique_ptr<Job> job, Token token);

  enum class Cancelled { kNo, kYes };
  // Takes a job that is queued out again: it has not happened and is not reported. One that has
  // been begun goes on, and is reported; with `abandon` it is not, and what it finds is freed.
  Cancelled Cancel(uint32_t id, bool abandon);

  // The events of jobs that have ended, as many as fit. The rest wakes the poller again.
  size_t Collect(Event* out, size_t capacity);

  // From here on the owner collects by itself, and whatever ends need not wake the poller;
  void Attend();
  // until here. What has ended and was not collected wakes it.
  void Rest();
  // Whether there is something to collect.
  bool HasMore() const;

  // A job that was reported and has a result, once. Null for any other.
  std::unique_ptr<Job> Take(uint32_t id);

  // The environment ends: what is queued is destroyed, what runs will be, and nobody is woken.
  // Idempotent.
  void Close();

  // A job has ended: in a thread of the pool.
  static void Deliver(std::unique_ptr<Job> job, int32_t result);

  // As many jobs from now on; what is more already stays.
  void set_most_jobs(size_t most) { most_jobs_ = most; }
  // Those that are queued or run.
  std::vector<Report> Reports() const;

  // Jobs that are queued, run, or wait to be taken.
  size_t size() const { return entries_.size() - free_.size(); }
  // Whether Submit would be refused for kMostJobs.
  bool full() const { return size() >= kMostJobs; }
  // How often the poller was woken.
  size_t wakes() const { return wakes_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    // Owned by the pool until the job has ended. Null while this entry is free.
    Job* job = nullptr;
    // Reported: here until it is taken.
    std::unique_ptr<Job> finished;
    bool abandoned = false;
  };

  Outbox(BlockingPool& pool, Waker waker) : pool_(pool), waker_(std::move(waker)) {}

  // The turn is over: what it has submitted is begun, if it is not yet.
  void Hurry();
  // Takes over what has ended, if nothing is left of the last time. False: there is nothing.
  bool Refill();
  void Push(std::unique_ptr<Job> job);
  // Without the mutex: whoever is woken wants it next.
  void Wake();
  Entry* Find(uint32_t id);
  void Free(uint32_t id);

  BlockingPool& pool_;
  const Waker waker_;
  size_t most_jobs_ = kMostJobs;
  // Indexed by id.
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_;
  // What Collect has taken out of `ended_` and not reported yet.
  std::vector<std::unique_ptr<Job>> taken_;
  size_t reported_ = 0;
  bool attending_ = false;
  // In this turn: since the last Collect.
  bool submitted_ = false;
  // And some of it to be begun soon.
  bool delayed_ = false;

  std::mutex mutex_;
  // With the mutex.
  bool closed_ = false;
  std::vector<std::unique_ptr<Job>> ended_;
  // Whether nobody need wake the poller: somebody has, and `ended_` has not been emptied since, so
  // that one wake is enough for all that end in between; or the owner attends.
  bool awake_ = false;
  // Whether there is something in `ended_`. Written with the mutex held, and read without.
  std::atomic<bool> some_ended_{false};
  std::atomic<size_t> wakes_{0};
};

}  // namespace coreactor

#include "outbox.h"

#include <utility>

#include "clock.h"

namespace coreactor {

std::shared_ptr<Outbox> Outbox::Create(BlockingPool& pool, Waker waker) {
  return std::shared_ptr<Outbox>(new Outbox(pool, std::move(waker)));
}

Result<uint32_t> Outbox::Submit(std::unique_ptr<Job> job, Token token) {
  if (size() >= most_jobs_) return Status::Errno(EAGAIN);
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const uint32_t id = free_.back();
  job->id_ = id;
  job->token_ = token;
  job->outbox_ = shared_from_this();
  Job* running = job.get();
  // The first of a turn is begun at once, also if the turn goes on for long.
  const BlockingPool::Start start =
      attending_ && submitted_ ? BlockingPool::Start::kSoon : BlockingPool::Start::kNow;
  submitted_ = true;
  delayed_ = delayed_ || start == BlockingPool::Start::kSoon;
  const Status submitted = pool_.Submit(std::move(job), start);
  if (!submitted.ok()) return submitted;
  free_.pop_back();
  entries_[id].job = running;
  return id;
}

Outbox::Cancelled Outbox::Cancel(uint32_t id, bool abandon) {
  Entry* entry = Find(id);
  if (entry == nullptr) return Cancelled::kYes;
  if (entry->finished == nullptr) {
    // Whoever withdraws it destroys it: here, at the end of this statement.
    if (pool_.Withdraw(entry->job) != nullptr) {
      Free(id);
      return Cancelled::kYes;
    }
    entry->abandoned = entry->abandoned || abandon;
    // Alive until it is collected, which is done in this thread.
    entry->job->Interrupt();
    return abandon ? Cancelled::kYes : Cancelled::kNo;
  }
  if (!abandon) return Cancelled::kNo;
  Free(id);
  return Cancelled::kYes;
}

size_t Outbox::Collect(Event* out, size_t capacity) {
  size_t count = 0;
  Hurry();
  while (count < capacity && Refill()) {
    std::unique_ptr<Job> job = std::move(taken_[reported_++]);
    const uint32_t id = job->id_;
    Entry& entry = entries_[id];
    if (entry.abandoned) {
      Free(id);
      continue;
    }
    out[count++] = Event{job->token_, kCompleted, job->result_};
    if (job->has_result()) {
      entry.finished = std::move(job);
    } else {
      Free(id);
    }
  }
  // The wake that has been heard was that of all these.
  if (!attending_ && count == capacity && HasMore()) Wake();
  return count;
}

bool Outbox::HasMore() const {
  return reported_ < taken_.size() || some_ended_.load(std::memory_order_acquire);
}

void Outbox::Attend() {
  attending_ = true;
  // Without jobs nobody would wake the poller.
  if (size() == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  awake_ = true;
}

void Outbox::Rest() {
  attending_ = false;
  Hurry();
  bool more = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    more = HasMore();
    awake_ = more;
  }
  if (more) Wake();
}

bool Outbox::Refill() {
  if (reported_ < taken_.size()) return true;
  // One that sets it after this has not woken the poller yet: it is collected then.
  if (!some_ended_.load(std::memory_order_acquire)) return false;
  taken_.clear();
  reported_ = 0;
  const std::lock_guard<std::mutex> lock(mutex_);
  awake_ = attending_;
  some_ended_.store(false, std::memory_order_relaxed);
  taken_.swap(ended_);
  return !taken_.empty();
}

void Outbox::Hurry() {
  if (delayed_) pool_.Hurry();
  submitted_ = delayed_ = false;
}

std::unique_ptr<Job> Outbox::Take(uint32_t id) {
  Entry* entry = Find(id);
  if (entry == nullptr || entry->finished == nullptr) return nullptr;
  std::unique_ptr<Job> job = std::move(entry->finished);
  Free(id);
  return job;
}

std::vector<Outbox::Report> Outbox::Reports() const {
  std::vector<Report> reports;
  const int64_t now = MonotonicNanoseconds();
  for (const Entry& entry : entries_) {
    if (entry.job == nullptr || entry.finished != nullptr) continue;
    const int64_t begun = pool_.Begun(*entry.job);
    reports.push_back({entry.job->what(), begun == 0 ? -1 : now - begun, entry.abandoned});
  }
  return reports;
}

void Outbox::Close() {
  for (Entry& entry : entries_) {
    if (entry.job == nullptr || entry.finished != nullptr) continue;
    if (pool_.Withdraw(entry.job) == nullptr) entry.job->Interrupt();
  }
  std::vector<std::unique_ptr<Job>> ended;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    ended.swap(ended_);
  }
  entries_.clear();
  free_.clear();
  taken_.clear();
  reported_ = 0;
}

void Outbox::Deliver(std::unique_ptr<Job> job, int32_t result) {
  job->result_ = result;
  // Out of the job, which is about to be inside it.
  const std::shared_ptr<Outbox> outbox = std::move(job->outbox_);
  outbox->Push(std::move(job));
}

void Outbox::Push(std::unique_ptr<Job> job) {
  std::unique_lock<std::mutex> lock(mutex_);
  // The job is destroyed when this returns, outside the lock, by whoever has called.
  if (closed_) return;
  ended_.push_back(std::move(job));
  some_ended_.store(true, std::memory_order_release);
  const bool wake = !std::exchange(awake_, true);
  lock.unlock();
  if (wake) Wake();
}

void Outbox::Wake() {
  wakes_.fetch_add(1, std::memory_order_relaxed);
  // Its failure would be that of an eventfd with 2^64 - 2 unread wakes.
  waker_.Wake();
}

Outbox::Entry* Outbox::Find(uint32_t id) {
  return id < entries_.size() && entries_[id].job != nullptr ? &entries_[id] : nullptr;
}

void Outbox::Free(uint32_t id) {
  entries_[id] = Entry{};
  free_.push_back(id);
}

}  // namespace coreactor

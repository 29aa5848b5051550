#include "blocking_pool.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "clock.h"
#include "outbox.h"
#include "thread_name.h"

namespace coreactor {
namespace {

// Of address space; only what is used takes memory. The default of 8 MiB would show in every
// account of virtual memory. A resolver with modules of its own (sssd, systemd) wants far more than
// the least that is allowed.
constexpr size_t kStackBytes = 512 * 1024;

}  // namespace

BlockingPool& BlockingPool::OfProcess() {
  static BlockingPool* pool = new BlockingPool(Options{});
  return *pool;
}

BlockingPool::BlockingPool(Options options) : options_(options) {}

BlockingPool::~BlockingPool() {
  std::unique_lock<std::mutex> lock(mutex_);
  stopping_ = true;
  for (Seat* seat : waiting_) seat->woken.notify_one();
  ended_.wait(lock, [this] { return threads_ == 0; });
  for (List& queue : queued_) {
    while (queue.first != nullptr) {
      std::unique_ptr<Job> job(queue.first);
      Unlink(queue, job.get());
    }
  }
}

Status BlockingPool::Submit(std::unique_ptr<Job> job, Start start) {
  std::unique_lock<std::mutex> lock(mutex_);
  job->ticket_ = next_ticket_++;
  job->queued_ = true;
  Append(QueueOf(*job), job.get());
  Seat* const called = start == Start::kSoon && HasJustCalled() ? nullptr : Rouse();
  if (threads_ == 0) {
    Unlink(QueueOf(*job), job.get());
    return Status::Errno(EAGAIN);
  }
  job.release();
  lock.unlock();
  if (called != nullptr) called->woken.notify_one();
  return Status::Ok();
}

void BlockingPool::Hurry() {
  std::unique_lock<std::mutex> lock(mutex_);
  Seat* const called = Rouse();
  lock.unlock();
  if (called != nullptr) called->woken.notify_one();
}

std::unique_ptr<Job> BlockingPool::Withdraw(Job* job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!job->queued_) return nullptr;
  Unlink(QueueOf(*job), job);
  job->queued_ = false;
  return std::unique_ptr<Job>(job);
}

int64_t BlockingPool::Begun(const Job& job) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return job.begun_;
}

Status BlockingPool::Close(int fd) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::unique_ptr<Seat>& seat : seats_) {
      if (seat->fds[0] != fd && seat->fds[1] != fd) continue;
      seat->orphans.push_back(fd);
      return Status::Ok();
    }
  }
  // Not Call: the fd is gone, whatever close says.
  if (close(fd) == 0 || errno == EINTR) return Status::Ok();
  return Status::Errno(errno);
}

void BlockingPool::Configure(const Options& options) {
  std::unique_lock<std::mutex> lock(mutex_);
  options_ = options;
  Seat* const called = Rouse();
  lock.unlock();
  if (called != nullptr) called->woken.notify_one();
}

BlockingPool::Options BlockingPool::options() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return options_;
}

BlockingPool::Counts BlockingPool::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Counts counts;
  counts.threads = threads_;
  counts.idle = static_cast<int>(waiting_.size());
  for (size_t lane = 0; lane < kLanes; lane++) counts.queued[lane] = queued_[lane].size;
  counts.running = running_;
  return counts;
}

void BlockingPool::Append(List& list, Job* job) {
  job->previous_ = list.last;
  (list.last == nullptr ? list.first : list.last->next_) = job;
  list.last = job;
  list.size++;
}

void BlockingPool::Unlink(List& list, Job* job) {
  (job->previous_ == nullptr ? list.first : job->previous_->next_) = job->next_;
  (job->next_ == nullptr ? list.last : job->next_->previous_) = job->previous_;
  job->previous_ = job->next_ = nullptr;
  list.size--;
}

Job* BlockingPool::First() const {
  Job* first = nullptr;
  for (size_t lane = 0; lane < kLanes; lane++) {
    Job* const candidate = queued_[lane].first;
    if (candidate == nullptr || running_[lane] >= options_.limits[lane]) continue;
    if (first == nullptr || candidate->ticket_ < first->ticket_) first = candidate;
  }
  return first;
}

bool BlockingPool::HasJustCalled() const {
  if (threads_ == 0) return false;
  return coming_ > 0 || MonotonicNanoseconds() - called_at_ < options_.call_again.count();
}

BlockingPool::Seat* BlockingPool::Rouse() {
  if (coming_ > 0 || First() == nullptr) return nullptr;
  called_at_ = MonotonicNanoseconds();
  if (waiting_.empty()) {
    if (StartThread()) coming_++;
    return nullptr;
  }
  Seat* const seat = waiting_.back();
  waiting_.pop_back();
  seat->called = true;
  coming_++;
  return seat;
}

bool BlockingPool::StartThread() {
  // A thread has the mask of the one that starts it. No signal is a pool thread's business, and
  // Node wants its own where it waits for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, Thread, this) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (started) threads_++;
  return started;
}

void* BlockingPool::Thread(void* pool) {
  static_cast<BlockingPool*>(pool)->Work();
  return nullptr;
}

void BlockingPool::Begin(Job* job, Seat* seat) {
  Unlink(QueueOf(*job), job);
  job->queued_ = false;
  job->begun_ = MonotonicNanoseconds();
  seat->fds = job->fds();
  running_[static_cast<size_t>(job->lane())]++;
}

void BlockingPool::End(Lane lane, Seat* seat) {
  running_[static_cast<size_t>(lane)]--;
  seat->fds = {-1, -1};
}

bool BlockingPool::AwaitWork(std::unique_lock<std::mutex>& lock, Seat* seat) {
  waiting_.push_back(seat);
  const auto until = std::chrono::steady_clock::now() + options_.idle;
  while (!seat->called && !stopping_) {
    if (seat->woken.wait_until(lock, until) == std::cv_status::timeout && !seat->called) break;
  }
  if (seat->called) {
    seat->called = false;
    coming_--;
    return true;
  }
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), seat));
  return First() != nullptr;
}

void BlockingPool::CloseOrphans(std::unique_lock<std::mutex>& lock, Seat* seat) {
  const std::vector<int> orphans = std::move(seat->orphans);
  seat->orphans.clear();
  lock.unlock();
  // Another job that runs may use one, too.
  for (const int fd : orphans) Close(fd);
  lock.lock();
}

void BlockingPool::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  NameThread(next_name_++);
  if (spare_seats_.empty()) {
    seats_.push_back(std::make_unique<Seat>());
    spare_seats_.push_back(seats_.back().get());
  }
  Seat* const seat = spare_seats_.back();
  spare_seats_.pop_back();
  coming_--;
  while (!stopping_) {
    std::unique_ptr<Job> job(First());
    if (job == nullptr) {
      if (!AwaitWork(lock, seat)) break;
      continue;
    }
    Begin(job.get(), seat);
    Seat* const called = Rouse();
    lock.unlock();
    if (called != nullptr) called->woken.notify_one();
    const Lane lane = job->lane();
    const int32_t result = job->Run();
    Outbox::Deliver(std::move(job), result);
    lock.lock();
    End(lane, seat);
    if (!seat->orphans.empty()) CloseOrphans(lock, seat);
  }
  spare_seats_.push_back(seat);
  threads_--;
  // With the mutex held: after that the pool may be gone.
  if (threads_ == 0) ended_.notify_all();
}

}  // namespace coreactor

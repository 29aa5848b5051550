#include "blocking_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

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

BlockingPool::BlockingPool(Options options)
    : options_(options), slow_threads_(std::max(options.threads / 2, 1)) {}

BlockingPool::~BlockingPool() {
  std::unique_lock<std::mutex> lock(mutex_);
  stopping_ = true;
  work_.notify_all();
  ended_.wait(lock, [this] { return threads_ == 0; });
  for (Queue& queue : queues_) {
    while (queue.first != nullptr) {
      std::unique_ptr<Job> job(queue.first);
      Unlink(job.get());
    }
  }
}

Status BlockingPool::Submit(std::unique_ptr<Job> job) {
  std::unique_lock<std::mutex> lock(mutex_);
  Append(job.get());
  const bool notify = Rouse();
  if (threads_ == 0) {
    Unlink(job.get());
    return Status::Errno(EAGAIN);
  }
  job.release();
  lock.unlock();
  if (notify) work_.notify_one();
  return Status::Ok();
}

std::unique_ptr<Job> BlockingPool::Withdraw(Job* job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!job->queued_) return nullptr;
  Unlink(job);
  return std::unique_ptr<Job>(job);
}

int BlockingPool::threads() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return threads_;
}

void BlockingPool::Append(Job* job) {
  Queue& queue = QueueOf(*job);
  job->ticket_ = next_ticket_++;
  job->queued_ = true;
  job->previous_ = queue.last;
  (queue.last == nullptr ? queue.first : queue.last->next_) = job;
  queue.last = job;
}

void BlockingPool::Unlink(Job* job) {
  Queue& queue = QueueOf(*job);
  (job->previous_ == nullptr ? queue.first : job->previous_->next_) = job->next_;
  (job->next_ == nullptr ? queue.last : job->next_->previous_) = job->previous_;
  job->previous_ = job->next_ = nullptr;
  job->queued_ = false;
}

Job* BlockingPool::First() const {
  Job* ordinary = queues_[static_cast<size_t>(Lane::kOrdinary)].first;
  const Queue& slow = queues_[static_cast<size_t>(Lane::kSlow)];
  if (slow.first == nullptr || slow.running >= slow_threads_) return ordinary;
  return ordinary == nullptr || slow.first->ticket_ < ordinary->ticket_ ? slow.first : ordinary;
}

bool BlockingPool::Rouse() {
  if (coming_ > 0 || First() == nullptr) return false;
  if (waiting_ > 0) {
    coming_++;
    return true;
  }
  if (threads_ < options_.threads && StartThread()) coming_++;
  return false;
}

void BlockingPool::Arrived() {
  // One that comes by itself, for a wake that was meant for another or for none, counts, too: at
  // worst somebody is woken in vain. Never may it be thought that somebody comes when nobody does.
  if (coming_ > 0) coming_--;
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

void BlockingPool::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  NameThread(next_name_++);
  Arrived();
  while (!stopping_) {
    std::unique_ptr<Job> job(First());
    if (job == nullptr) {
      waiting_++;
      const std::cv_status woken = work_.wait_for(lock, options_.idle);
      waiting_--;
      Arrived();
      if (woken == std::cv_status::timeout && First() == nullptr) break;
      continue;
    }
    Queue& queue = QueueOf(*job);
    Unlink(job.get());
    queue.running++;
    const bool notify = Rouse();
    lock.unlock();
    if (notify) work_.notify_one();
    const int32_t result = job->Run();
    Outbox::Deliver(std::move(job), result);
    lock.lock();
    queue.running--;
  }
  threads_--;
  // With the mutex held: after that the pool may be gone.
  if (threads_ == 0) ended_.notify_all();
}

}  // namespace coreactor

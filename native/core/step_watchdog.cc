#include "step_watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "thread_name.h"

namespace coreactor {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Looks in the time that a step may take: a step is reported an eighth too late, at most. Each look
// is two loads, and for a step that was not there before a clock: some 5 us with the wake-up.
constexpr int kLooks = 8;
constexpr nanoseconds kShortestInterval = milliseconds(1);
constexpr nanoseconds kLongestInterval = milliseconds(50);

// As those of BlockingPool.
constexpr size_t kStackBytes = 512 * 1024;

// A terminal or a pipe that nobody reads: a report that nobody sees is dropped.
constexpr int kPatienceMs = 1000;

void WriteToStderr(const std::string& text) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = write(STDERR_FILENO, text.data() + written, text.size() - written);
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      // Node may have made it non-blocking.
      pollfd writable{STDERR_FILENO, POLLOUT, 0};
      if (poll(&writable, 1, kPatienceMs) <= 0) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

std::string InMilliseconds(nanoseconds time) {
  return std::to_string(duration_cast<milliseconds>(time).count()) + " ms";
}

}  // namespace

bool StepJudge::Judge(const Sample& sample, Nanoseconds limit, Nanoseconds at_most, bool debugged) {
  const bool same = in_step_ && sample.step == step_ && sample.whose != 0;
  if (!same) {
    in_step_ = sample.whose != 0;
    step_ = sample.step;
    reported_ = false;
    lasted_ = Nanoseconds(0);
    cpu_before_ = sample.cpu;
    return false;
  }
  lasted_ += std::min(sample.elapsed, at_most);
  const Nanoseconds cpu = sample.cpu - cpu_before_;
  const bool first = !reported_ && lasted_ >= limit && !(debugged && cpu < lasted_ / 2);
  reported_ = reported_ || first;
  if (reported_) {
    reported_whose_ = sample.whose;
    reported_lasted_ = lasted_;
    reported_cpu_ = cpu;
  }
  return first;
}

class StepWatchdog::Watched {
 public:
  Watched(StepRecord* record, std::string opening, Nanoseconds limit)
      : record_(record), opening_(std::move(opening)), cpu_(ThreadCpu::OfThisThread()) {
    set_limit(limit);
  }

  void set_limit(Nanoseconds limit) { limit_ = limit; }

  void SetName(uint32_t name, std::string text, std::string origin) {
    if (names_.size() <= name) names_.resize(name + 1);
    names_[name] = {std::move(text), std::move(origin)};
  }

  Nanoseconds interval() const {
    return std::clamp(limit_ / kLooks, kShortestInterval, kLongestInterval);
  }

  // Empty, or a report.
  std::string Look(Nanoseconds elapsed) {
    const double step = record_->step.load(std::memory_order_relaxed);
    const double whose = record_->whose.load(std::memory_order_relaxed);
    const bool debugged = record_->debugged.load(std::memory_order_relaxed) != 0;
    const Nanoseconds used = cpu_.Used();
    const Nanoseconds computed = used - used_before_;
    used_before_ = used;
    // Neither computing nor waiting: others have the processors. Nobody's step is too long for
    // that.
    const bool doubtful = whose != 0 && computed < elapsed * 3 / 4;
    if (doubtful && cpu_.HasNoProcessor()) elapsed = computed;
    if (!judge_.Judge({whose, step, elapsed, used}, limit_, 2 * interval(), debugged)) return {};
    record_->reported.store(step, std::memory_order_relaxed);
    return Text();
  }

  Ended TakeReported() {
    record_->reported.store(0, std::memory_order_relaxed);
    return {judge_.whose(), judge_.lasted(), judge_.cpu()};
  }

 private:
  std::string Text() const {
    const double whose = judge_.whose();
    const auto name = static_cast<uint32_t>(whose / kNameFactor);
    const auto id = static_cast<uint32_t>(whose - name * kNameFactor);
    const std::string label = (name < names_.size() ? names_[name].first : "task") + "#";
    std::string text =
        opening_ + "the task " + label + std::to_string(id) + " has run for " +
        InMilliseconds(judge_.lasted()) +
        " without a wait, and has not come back: everybody else waits for it (" +
        InMilliseconds(judge_.cpu()) + " of CPU" +
        (judge_.cpu() * 2 < judge_.lasted() ? ", so it is in a call that blocks" : "") + ")\n";
    if (name < names_.size() && !names_[name].second.empty()) text += names_[name].second + "\n";
    return text;
  }

  StepRecord* const record_;
  const std::string opening_;
  const ThreadCpu cpu_;
  Nanoseconds limit_{0};
  // Indexed by number.
  std::vector<std::pair<std::string, std::string>> names_;
  Nanoseconds used_before_{0};
  StepJudge judge_;
};

StepWatchdog& StepWatchdog::OfProcess() {
  static StepWatchdog* watchdog = new StepWatchdog(WriteToStderr);
  return *watchdog;
}

StepWatchdog::StepWatchdog(Report report) : report_(report) {}

StepWatchdog::~StepWatchdog() {
  std::unique_lock<std::mutex> lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  ended_.wait(lock, [this] { return !running_; });
}

StepWatchdog::Watched* StepWatchdog::Add(StepRecord* record, std::string opening,
                                         Nanoseconds limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!running_) StartThread();
  if (!running_) return nullptr;
  watched_.push_back(std::make_unique<Watched>(record, std::move(opening), limit));
  changed_.notify_all();
  return watched_.back().get();
}

void StepWatchdog::Remove(Watched* watched) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_it = [watched](const std::unique_ptr<Watched>& each) {
    return each.get() == watched;
  };
  watched_.erase(std::remove_if(watched_.begin(), watched_.end(), is_it), watched_.end());
  changed_.notify_all();
}

void StepWatchdog::SetLimit(Watched* watched, Nanoseconds limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  watched->set_limit(limit);
  changed_.notify_all();
}

void StepWatchdog::SetName(Watched* watched, uint32_t name, std::string text, std::string origin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  watched->SetName(name, std::move(text), std::move(origin));
}

StepWatchdog::Ended StepWatchdog::TakeReported(Watched* watched) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return watched->TakeReported();
}

void StepWatchdog::StartThread() {
  // No signal is its business: see BlockingPool::StartThread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  running_ = pthread_create(&thread, &attributes, Thread, this) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void* StepWatchdog::Thread(void* watchdog) {
  static_cast<StepWatchdog*>(watchdog)->Watch();
  return nullptr;
}

void StepWatchdog::Watch() {
  std::unique_lock<std::mutex> lock(mutex_);
  // The pool's begin with 1.
  NameThread(0);
  auto before = std::chrono::steady_clock::now();
  // It ends with the last that is watched.
  while (!stopping_ && !watched_.empty()) {
    changed_.wait_for(lock, Interval());
    const auto now = std::chrono::steady_clock::now();
    const std::vector<std::string> reports = Look(now - before);
    before = now;
    if (reports.empty()) continue;
    // Without the mutex: whoever reads them may take their time, and a thread that ends must not
    // wait for that.
    lock.unlock();
    for (const std::string& each : reports) report_(each);
    lock.lock();
  }
  running_ = false;
  // With the mutex held: after that the watchdog may be gone.
  ended_.notify_all();
}

std::vector<std::string> StepWatchdog::Look(Nanoseconds elapsed) {
  std::vector<std::string> reports;
  for (const std::unique_ptr<Watched>& each : watched_) {
    std::string report = each->Look(elapsed);
    if (!report.empty()) reports.push_back(std::move(report));
  }
  return reports;
}

StepWatchdog::Nanoseconds StepWatchdog::Interval() const {
  Nanoseconds shortest = kLongestInterval;
  for (const std::unique_ptr<Watched>& each : watched_) {
    shortest = std::min(shortest, each->interval());
  }
  return shortest;
}

}  // namespace coreactor

// Jobs run once, are reported once, and leave nothing behind, whoever lets go of them and when.
#include "../core/blocking_pool.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>

#include "../core/jobs/file.h"
#include "../core/jobs/lookup.h"
#include "../core/jobs/path.h"
#include "../core/jobs/reverse.h"
#include "../core/jobs/wait_process.h"
#include "../core/outbox.h"
#include "support.h"

namespace coreactor::testing {
namespace {

std::atomic<int> live_jobs{0};

class TestJob : public Job {
 public:
  explicit TestJob(
      std::function<int32_t()> run = [] { return 0; }, Lane lane = Lane::kOrdinary)
      : Job(lane), run_(std::move(run)) {
    live_jobs++;
  }
  ~TestJob() override { live_jobs--; }
  int32_t Run() override { return run_(); }

 private:
  const std::function<int32_t()> run_;
};

// A job whose result is an fd.
class NullJob : public Job {
 public:
  int32_t Run() override {
    fd_ = OwnedFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    return 0;
  }
  bool has_result() const override { return fd_.valid(); }
  int fd() const { return fd_.get(); }

 private:
  OwnedFd fd_;
};

// Something that jobs wait at until the test opens it.
class Gate {
 public:
  void Pass() {
    std::unique_lock<std::mutex> lock(mutex_);
    waiting_++;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // Returns when so many are at it.
  void Await(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::milliseconds(kLongMs),
                              [&] { return waiting_ >= count; }));
  }
  int waiting() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

// So many jobs of each lane.
BlockingPool::Options AtOnce(int jobs) { return {{jobs, jobs, jobs}, std::chrono::seconds(10)}; }

// An environment: a poller, and the outbox that wakes it.
class Environment {
 public:
  explicit Environment(BlockingPool& pool)
      : poller(Must(Poller::Create())), outbox(Outbox::Create(pool, Must(poller.NewWaker()))) {}
  ~Environment() { outbox->Close(); }

  uint32_t Submit(std::unique_ptr<Job> job, uint32_t slot = kFirstSlot) {
    return Must(outbox->Submit(std::move(job), Token{slot, 7}));
  }
  uint32_t Submit(std::function<int32_t()> run, Lane lane = Lane::kOrdinary) {
    return Submit(std::make_unique<TestJob>(std::move(run), lane));
  }

  // The events of the next `count` jobs that end.
  std::vector<Event> Ended(size_t count) {
    std::vector<Event> all;
    Event batch[64];
    while (all.size() < count) {
      const size_t woken = Must(poller.Wait(batch, 64, kLongMs));
      REQUIRE(woken > 0);
      const size_t ended = outbox->Collect(batch, 64);
      all.insert(all.end(), batch, batch + ended);
    }
    REQUIRE(all.size() == count);
    return all;
  }

  Poller poller;
  std::shared_ptr<Outbox> outbox;
};

// Every job is destroyed by the end, and no fd is left.
class Jobs : public Fds {
 public:
  ~Jobs() { CHECK(live_jobs == 0); }
};

template <typename F>
void Eventually(F happened) {
  const int64_t deadline = MonotonicNanoseconds() + kLongMs * kNanosecondsPerMillisecond;
  while (!happened() && MonotonicNanoseconds() < deadline) std::this_thread::yield();
  REQUIRE(happened());
}

TEST_CASE_FIXTURE(Jobs, "a job's end is an event with its token and result") {
  BlockingPool pool({});
  Environment environment(pool);
  environment.Submit(std::make_unique<TestJob>([] { return -EIO; }), 1234);
  const Event event = environment.Ended(1)[0];
  CHECK(event.token.slot == 1234);
  CHECK(event.token.generation == 7);
  CHECK(event.readiness == kCompleted);
  CHECK(event.result == -EIO);
  CHECK(environment.outbox->size() == 0);
}

TEST_CASE_FIXTURE(Jobs, "threads are started as they are needed, and no more than are allowed") {
  BlockingPool pool(AtOnce(3));
  Environment environment(pool);
  Gate gate;
  CHECK(pool.threads() == 0);
  for (int i = 1; i <= 5; i++) {
    environment.Submit([&] { return gate.Pass(), 0; });
    gate.Await(std::min(i, 3));
    CHECK(pool.threads() == std::min(i, 3));
  }
  CHECK(gate.waiting() == 3);
  gate.Open();
  environment.Ended(5);
  // What comes next finds threads that are free.
  environment.Submit([] { return 0; });
  environment.Ended(1);
  CHECK(pool.threads() == 3);
}

TEST_CASE_FIXTURE(Jobs, "threads with nothing to do end, and others take their place") {
  BlockingPool pool({{4, 4, 4}, std::chrono::milliseconds(1)});
  Environment environment(pool);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++) environment.Submit([] { return 0; });
    environment.Ended(4);
    Eventually([&] { return pool.threads() == 0; });
  }
}

TEST_CASE_FIXTURE(Jobs, "a job never waits behind one that hangs while another thread is allowed") {
  for (int round = 0; round < 200; round++) {
    BlockingPool pool(AtOnce(2));
    Environment environment(pool);
    Gate gate;
    // One thread, which is free again by the time of the next two, or just not yet.
    environment.Submit([] { return 0; });
    if (round % 2 == 0) environment.Ended(1);
    environment.Submit([&] { return gate.Pass(), 1; });
    environment.Submit([] { return 2; });
    const std::vector<Event> ended = environment.Ended(round % 2 == 0 ? 1 : 2);
    CHECK(ended.back().result == 2);
    gate.Open();
    environment.Ended(1);
  }
}

TEST_CASE_FIXTURE(Jobs, "hazard 45: jobs that hang hold up none of another lane") {
  BlockingPool pool({{2, 2, 2}, std::chrono::seconds(10)});
  Environment environment(pool);
  Gate gate;
  std::vector<uint32_t> stuck;
  for (int i = 0; i < 8; i++) {
    stuck.push_back(environment.Submit([&] { return gate.Pass(), 1; }, Lane::kLookup));
    environment.Submit([&] { return gate.Pass(), 1; }, Lane::kWaiting);
  }
  gate.Await(4);
  for (int i = 0; i < 100; i++) {
    environment.Submit([] { return 2; });
    CHECK(environment.Ended(1)[0].result == 2);
  }
  CHECK(gate.waiting() == 4);
  CHECK(pool.counts().queued[static_cast<size_t>(Lane::kLookup)] == 6);
  CHECK(pool.counts().running[static_cast<size_t>(Lane::kLookup)] == 2);
  // An abandoned one keeps its thread, and its place: the lane is no wider for it.
  environment.outbox->Cancel(stuck[0], true);
  environment.outbox->Cancel(stuck[1], true);
  environment.Submit([] { return 3; });
  CHECK(environment.Ended(1)[0].result == 3);
  CHECK(gate.waiting() == 4);
  gate.Open();
  environment.Ended(14);
}

TEST_CASE_FIXTURE(Jobs, "hazard 63: a job that waits for another one finds a thread for it") {
  BlockingPool pool({{2, 1, 64}, std::chrono::seconds(10)});
  Environment environment(pool);
  // More that wait than there are threads for files, each for one that comes after them all.
  std::vector<std::unique_ptr<Gate>> gates;
  for (int i = 0; i < 20; i++) gates.push_back(std::make_unique<Gate>());
  for (const std::unique_ptr<Gate>& gate : gates) {
    environment.Submit([&gate] { return gate->Pass(), 0; }, Lane::kWaiting);
  }
  for (const std::unique_ptr<Gate>& gate : gates) {
    environment.Submit([&gate] { return gate->Open(), 0; });
  }
  environment.Ended(40);
}

TEST_CASE_FIXTURE(Jobs,
                  "limits hold from when they are set: more begin at once, fewer only later") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  for (int i = 0; i < 8; i++) environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(1);
  pool.Configure(AtOnce(4));
  gate.Await(4);
  pool.Configure(AtOnce(2));
  CHECK(pool.counts().running[0] == 4);
  CHECK(pool.counts().queued[0] == 4);
  gate.Open();
  environment.Ended(8);
}

TEST_CASE_FIXTURE(Jobs,
                  "the thread that came to rest last is called first, so that others can end") {
  BlockingPool pool({{4, 1, 1}, std::chrono::milliseconds(100)});
  Environment environment(pool);
  Gate gate;
  for (int i = 0; i < 4; i++) environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(4);
  gate.Open();
  environment.Ended(4);
  // Never idle for as long as a thread lives: of four that took turns, none would end. Two may: a
  // job's end is seen before its thread has come to rest, and the next job calls another one.
  Eventually([&] {
    environment.Submit([] { return 0; });
    environment.Ended(1);
    return pool.threads() <= 2;
  });
}

TEST_CASE_FIXTURE(Jobs, "an fd is not closed while a job that runs uses it") {
  BlockingPool pool(AtOnce(4));
  Environment environment(pool);
  Gate gate;
  const int fd = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC)).Release();
  class UsingJob : public TestJob {
   public:
    UsingJob(int fd, std::function<int32_t()> run) : TestJob(std::move(run)), fd_(fd) {}
    FdsInUse fds() const override { return {fd_, -1}; }

   private:
    const int fd_;
  };
  for (int i = 0; i < 2; i++) {
    environment.Submit(std::make_unique<UsingJob>(fd, [&] {
      gate.Pass();
      return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
    }));
  }
  gate.Await(2);
  pool.Close(fd);
  CHECK(fcntl(fd, F_GETFD) >= 0);
  gate.Open();
  for (const Event& event : environment.Ended(2)) CHECK(event.result == 0);
  Eventually([&] { return fcntl(fd, F_GETFD) < 0; });
  // With no job that uses it, at once.
  const int other = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC)).Release();
  pool.Close(other);
  CHECK(fcntl(other, F_GETFD) < 0);
}

TEST_CASE_FIXTURE(Jobs,
                  "hazard 63: it can be said what is still queued, running, or was abandoned") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  const uint32_t running = environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(1);
  environment.Submit(std::make_unique<LookupJob>("name.test", AF_INET, 0));
  environment.Submit([] { return 0; });
  std::vector<Outbox::Report> reports = environment.outbox->Reports();
  REQUIRE(reports.size() == 3);
  CHECK(reports[0].nanoseconds >= 0);
  CHECK(reports[1].what == "lookup name.test");
  CHECK(reports[2].nanoseconds == -1);
  environment.outbox->Cancel(running, true);
  CHECK(environment.outbox->Reports()[0].abandoned);
  gate.Open();
  environment.Ended(2);
  CHECK(environment.outbox->Reports().empty());
}

TEST_CASE_FIXTURE(Jobs, "jobs of a lane begin in the order in which they came") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  environment.Submit([&] { return gate.Pass(), 0; });
  for (int i = 1; i <= 6; i++) environment.Submit([i] { return i; });
  gate.Open();
  const std::vector<Event> ended = environment.Ended(7);
  for (int i = 0; i <= 6; i++) CHECK(ended[static_cast<size_t>(i)].result == i);
}

TEST_CASE_FIXTURE(Jobs, "a queued job is taken out and never runs; one that has begun goes on") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  const uint32_t running = environment.Submit([&] { return gate.Pass(), 5; });
  gate.Await(1);
  bool ran = false;
  const uint32_t queued = environment.Submit([&] { return ran = true, 0; });
  CHECK(environment.outbox->Cancel(queued, false) == Outbox::Cancelled::kYes);
  CHECK(live_jobs == 1);
  CHECK(environment.outbox->Cancel(running, false) == Outbox::Cancelled::kNo);
  gate.Open();
  CHECK(environment.Ended(1)[0].result == 5);
  CHECK_FALSE(ran);
  // Ids that mean nobody any more.
  CHECK(environment.outbox->Cancel(running, false) == Outbox::Cancelled::kYes);
  CHECK(environment.outbox->Cancel(4'000'000, true) == Outbox::Cancelled::kYes);
}

TEST_CASE_FIXTURE(Jobs, "an abandoned job is not reported, and its id is free when it has ended") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  const uint32_t running = environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(1);
  CHECK(environment.outbox->Cancel(running, true) == Outbox::Cancelled::kYes);
  const uint32_t next = environment.Submit([] { return 9; });
  CHECK(next != running);
  gate.Open();
  CHECK(environment.Ended(1)[0].result == 9);
  CHECK(environment.outbox->size() == 0);
}

TEST_CASE_FIXTURE(Jobs, "hazard 33: an fd that a job has opened is closed unless it is taken") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  const uint32_t taken = environment.Submit(std::make_unique<NullJob>());
  environment.Ended(1);
  const std::unique_ptr<Job> job = environment.outbox->Take(taken);
  REQUIRE(job != nullptr);
  CHECK(fcntl(static_cast<NullJob&>(*job).fd(), F_GETFD) == FD_CLOEXEC);
  CHECK(environment.outbox->Take(taken) == nullptr);
  // Abandoned when it was reported and not taken; and while it was on its way.
  const uint32_t reported = environment.Submit(std::make_unique<NullJob>());
  environment.Ended(1);
  environment.outbox->Cancel(reported, true);
  Gate gate;
  environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(1);
  environment.Submit(std::make_unique<NullJob>());
  gate.Open();
  // The rest ends with the environment.
}

TEST_CASE_FIXTURE(Jobs, "hazard 64: one wake is enough for all that end before it is heard") {
  BlockingPool pool(AtOnce(4));
  Environment environment(pool);
  for (int round = 1; round <= 3; round++) {
    std::atomic<int> ended{0};
    for (int i = 0; i < 1000; i++) environment.Submit([&] { return ended++, 0; });
    Eventually([&] { return ended == 1000; });
    // The last ones may be on their way to the outbox, and are collected after it.
    CHECK(environment.outbox->wakes() >= static_cast<size_t>(round));
    environment.Ended(1000);
    CHECK(environment.outbox->wakes() <= static_cast<size_t>(round * (1 + 4 + 1000 / 64)));
  }
}

TEST_CASE_FIXTURE(Jobs, "what does not fit into the batch wakes the poller again") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  for (int i = 0; i < 5; i++) environment.Submit([i] { return i; });
  Gate gate;
  environment.Submit([&] { return gate.Pass(), 0; });
  gate.Await(1);
  Event out[2];
  for (const size_t expected : {2u, 2u, 1u}) {
    CHECK(Must(environment.poller.Wait(out, 2, 0)) == 1);
    CHECK(environment.outbox->Collect(out, 2) == expected);
  }
  CHECK(Must(environment.poller.Wait(out, 2, 0)) == 0);
  CHECK(environment.outbox->Collect(out, 2) == 0);
  gate.Open();
  environment.Ended(1);
}

TEST_CASE_FIXTURE(Jobs, "hazard 63: an environment has a bound, and says when it is reached") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  Gate gate;
  environment.Submit([&] { return gate.Pass(), 0; });
  for (size_t i = 1; i < Outbox::kMostJobs; i++) environment.Submit([] { return 0; });
  const Result<uint32_t> refused =
      environment.outbox->Submit(std::make_unique<TestJob>(), Token{kFirstSlot, 0});
  CHECK(refused.status().error() == EAGAIN);
  CHECK(live_jobs == static_cast<int>(Outbox::kMostJobs));
  gate.Open();
  environment.Ended(Outbox::kMostJobs);
  environment.Submit([] { return 0; });
  environment.Ended(1);
}

TEST_CASE_FIXTURE(Jobs, "threads block every signal, and bear their names") {
  BlockingPool pool(AtOnce(1));
  Environment environment(pool);
  char name[16] = "";
  sigset_t blocked;
  environment.Submit([&] {
    pthread_getname_np(pthread_self(), name, sizeof(name));
    return pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  });
  CHECK(environment.Ended(1)[0].result == 0);
  CHECK(std::string(name) == "coreactor-1");
  for (const int each : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGPIPE, SIGALRM}) {
    CHECK(sigismember(&blocked, each) == 1);
  }
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  CHECK(sigismember(&own, SIGINT) == 0);
}

TEST_CASE_FIXTURE(Jobs, "hazard 64: an owner that attends is not woken, and misses nothing") {
  BlockingPool pool(AtOnce(4));
  Environment environment(pool);
  Event batch[64];
  for (int round = 0; round < 200; round++) {
    const int jobs = 1 + round % 3;
    // The first one before, so that it wakes; the others while it attends.
    environment.Submit([] { return 0; });
    REQUIRE(Must(environment.poller.Wait(batch, 64, kLongMs)) == 1);
    environment.outbox->Attend();
    const size_t wakes = environment.outbox->wakes();
    for (int i = 1; i < jobs; i++) environment.Submit([] { return 0; });
    int collected = 0;
    Eventually([&] {
      collected += static_cast<int>(environment.outbox->Collect(batch, 64));
      return collected == jobs;
    });
    CHECK(environment.outbox->wakes() == wakes);
    // What ends after it has looked for the last time wakes it again.
    environment.Submit([] { return 7; });
    environment.outbox->Rest();
    CHECK(environment.Ended(1)[0].result == 7);
  }
}

TEST_CASE_FIXTURE(
    Jobs, "the first job of a turn is begun at once, and the others at its end at the latest") {
  BlockingPool::Options options = AtOnce(4);
  options.call_again = std::chrono::hours(1);
  BlockingPool pool(options);
  Environment environment(pool);
  Event batch[8];
  for (int round = 0; round < 50; round++) {
    environment.outbox->Attend();
    // Of each turn in a row: what has ended is collected, and then the tasks run.
    for (int turn = 0; turn < 2; turn++) {
      environment.Submit([] { return 1; });
      Eventually(
          [&] { return environment.outbox->HasMore() && pool.counts().idle == pool.threads(); });
      environment.Submit([] { return 2; });
      CHECK(pool.counts().queued[0] == 1);
      CHECK(pool.counts().idle == pool.threads());
      if (turn == 1) break;
      size_t ended = 0;
      Eventually([&] { return (ended += environment.outbox->Collect(batch, 8)) == 2; });
    }
    environment.outbox->Rest();
    CHECK(environment.Ended(2)[1].result == 2);
  }
}

TEST_CASE_FIXTURE(Jobs, "a job that may wait does not, if no thread was called lately") {
  BlockingPool::Options options = AtOnce(4);
  options.call_again = std::chrono::nanoseconds(0);
  BlockingPool pool(options);
  Environment environment(pool);
  environment.outbox->Attend();
  for (int i = 0; i < 3; i++) {
    Event batch[8];
    environment.Submit([] { return 0; });
    Eventually([&] { return pool.counts().idle == pool.threads(); });
    environment.Submit([] { return 0; });
    Eventually([&] { return pool.counts().queued[0] == 0; });
    size_t ended = 0;
    Eventually([&] { return (ended += environment.outbox->Collect(batch, 8)) == 2; });
  }
  environment.outbox->Rest();
}

TEST_CASE_FIXTURE(Jobs, "hazard 64: of 100,000 jobs of eight environments each is reported once") {
  constexpr int kEnvironments = 8;
  constexpr int kEach = 12'500;
  BlockingPool pool(AtOnce(8));
  std::atomic<int> ran{0};
  std::atomic<size_t> wakes{0};
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int e = 0; e < kEnvironments; e++) {
    threads.emplace_back([&] {
      Environment environment(pool);
      std::vector<char> reported(kEach, 0);
      int submitted = 0;
      int ended = 0;
      Event batch[256];
      while (ended < kEach) {
        while (submitted < kEach && submitted - ended < 256) {
          const int number = submitted++;
          const Lane lane = number % 5 == 0 ? Lane::kLookup : Lane::kOrdinary;
          auto job = std::make_unique<TestJob>([&ran, number] { return ran++, number; }, lane);
          if (!environment.outbox->Submit(std::move(job), Token{kFirstSlot, 0}).ok()) wrong++;
        }
        const Result<size_t> woken = environment.poller.Wait(batch, 256, kLongMs);
        if (!woken.ok() || woken.value() == 0) {
          wrong++;
          return;
        }
        const size_t count = environment.outbox->Collect(batch, 256);
        for (size_t i = 0; i < count; i++) {
          if (reported[static_cast<size_t>(batch[i].result)]++ != 0) wrong++;
        }
        ended += static_cast<int>(count);
      }
      wakes += environment.outbox->wakes();
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(wrong == 0);
  CHECK(ran == kEnvironments * kEach);
  MESSAGE(wakes.load(), " wakes for ", kEnvironments * kEach, " jobs");
  CHECK(wakes < static_cast<size_t>(kEnvironments * kEach));
}

TEST_CASE_FIXTURE(Jobs,
                  "cancelling at any moment: each job either ran and was reported, or neither") {
  BlockingPool pool(AtOnce(4));
  Environment environment(pool);
  std::minstd_rand random(1);
  std::atomic<int> ran{0};
  int taken_out = 0;
  int abandoned = 0;
  int reported = 0;
  const int jobs = 20'000;
  std::vector<uint32_t> ids;
  Event batch[64];
  for (int i = 0; i < jobs; i++) {
    ids.push_back(environment.Submit([&ran] { return ran++, 0; }));
    if (random() % 4 == 0) {
      // The last one, or the one before: queued, running, ended, or reported long ago.
      const bool abandon = random() % 2 == 0;
      const size_t size = environment.outbox->size();
      const Outbox::Cancelled cancelled = environment.outbox->Cancel(ids.back(), abandon);
      const bool withdrawn = environment.outbox->size() < size;
      if (withdrawn) {
        taken_out++;
      } else if (abandon) {
        abandoned++;
      }
      CHECK((cancelled == Outbox::Cancelled::kYes) == (withdrawn || abandon));
    }
    while (random() % 3 == 0 || environment.outbox->size() > 1000) {
      reported += static_cast<int>(environment.outbox->Collect(batch, 64));
    }
  }
  Eventually([&] {
    reported += static_cast<int>(environment.outbox->Collect(batch, 64));
    return environment.outbox->size() == 0;
  });
  CHECK(taken_out > 0);
  CHECK(reported + taken_out + abandoned == jobs);
  CHECK(ran == jobs - taken_out);
}

TEST_CASE_FIXTURE(Jobs, "hazard 55, 63: environments that end at any moment leave nothing behind") {
  BlockingPool pool(AtOnce(4));
  std::minstd_rand random(2);
  for (int round = 0; round < 300; round++) {
    auto environment = std::make_unique<Environment>(pool);
    const int jobs = static_cast<int>(random() % 64);
    for (int i = 0; i < jobs; i++) {
      if (i % 3 == 0) {
        environment->Submit(std::make_unique<NullJob>());
      } else {
        environment->Submit([] { return std::this_thread::yield(), 0; });
      }
    }
    Event batch[16];
    if (round % 2 == 0) environment->outbox->Collect(batch, 16);
    for (uint32_t spin = random() % 4; spin > 0; spin--) std::this_thread::yield();
    // Closes the outbox, and then the poller, whose waker the threads still have.
  }
}

TEST_CASE_FIXTURE(Jobs, "hazard 55: a job outlives its environment, and ends for nobody") {
  BlockingPool pool(AtOnce(1));
  Gate gate;
  std::weak_ptr<Outbox> outbox;
  {
    Environment environment(pool);
    environment.Submit([&] { return gate.Pass(), 0; });
    environment.Submit([] { return 0; });
    gate.Await(1);
    outbox = environment.outbox;
  }
  // The queued one has gone with it.
  CHECK(live_jobs == 1);
  CHECK_FALSE(outbox.expired());
  gate.Open();
  Eventually([&] { return live_jobs == 0 && outbox.expired(); });
}

// A directory that is gone when the test is.
class Directory {
 public:
  Directory() { REQUIRE(mkdtemp(path_) != nullptr); }
  ~Directory() {
    const std::string command = std::string("rm -rf ") + path_;
    CHECK(std::system(command.c_str()) == 0);
  }
  std::string at(const char* name) const { return std::string(path_) + "/" + name; }

 private:
  char path_[32] = "/tmp/coreactor-XXXXXX";
};

std::vector<uint8_t> BytesOf(const char* text) { return {text, text + std::strlen(text)}; }

TEST_CASE_FIXTURE(Jobs, "a file is written, read, copied, renamed and removed") {
  const Directory directory;
  const std::string path = directory.at("file");
  CHECK(WriteFileJob(path, O_CREAT | O_WRONLY, 0600, BytesOf("contents"), Lane::kOrdinary).Run() ==
        0);
  ReadFileJob whole(path, O_RDONLY, 100, Lane::kOrdinary);
  CHECK(whole.Run() == 8);
  CHECK(whole.bytes() == BytesOf("contents"));
  CHECK_FALSE(whole.fd().valid());
  ReadFileJob part(path, O_RDONLY, 3, Lane::kOrdinary);
  CHECK(part.Run() == 3);
  CHECK(part.fd().valid());
  ReadJob rest(part.fd().get(), 100, kOwnPlace, Lane::kOrdinary);
  CHECK(rest.Run() == 5);
  OpenJob to(directory.at("copy"), O_CREAT | O_RDWR, 0600, Lane::kOrdinary);
  REQUIRE(to.Run() == 0);
  ReadJob from_start(part.fd().get(), 100, 0, Lane::kOrdinary);
  CHECK(from_start.Run() == 8);
  REQUIRE(lseek(part.fd().get(), 0, SEEK_SET) == 0);
  CHECK(CopyJob(part.fd().get(), to.fd().get(), 1000).Run() == 8);
  CHECK(CopyJob(part.fd().get(), to.fd().get(), 1000).Run() == 0);
  CHECK(SyncJob(to.fd().get(), true).Run() == 0);
  CHECK(TruncateJob(to.fd().get(), 2).Run() == 0);
  StatJob about(directory.at("copy"), true);
  CHECK(about.Run() == 0);
  CHECK(about.status().st_size == 2);
  CHECK(RenameJob(path, directory.at("copy")).Run() == 0);
  CHECK(RemoveJob(directory.at("copy"), false).Run() == 0);
  CHECK(MakeDirectoryJob(directory.at("a/b/c"), 0700, true).Run() == 0);
  CHECK(MakeDirectoryJob(directory.at("a/b/c"), 0700, true).Run() == 0);
  CHECK(MakeDirectoryJob(directory.at("a/b/c"), 0700, false).Run() == -EEXIST);
  ReadDirectoryJob list(directory.at("a"));
  CHECK(list.Run() == 1);
  CHECK(list.entries()[0].name == "b");
  CHECK(S_ISDIR(list.entries()[0].kind));
}

TEST_CASE_FIXTURE(Jobs, "a lock that another has is not waited for") {
  const Directory directory;
  OpenJob first(directory.at("lock"), O_CREAT | O_RDWR, 0600, Lane::kOrdinary);
  OpenJob second(directory.at("lock"), O_RDWR, 0600, Lane::kOrdinary);
  REQUIRE(first.Run() == 0);
  REQUIRE(second.Run() == 0);
  CHECK(LockJob(first.fd().get(), LockJob::How::kExclusive).Run() == 0);
  CHECK(LockJob(second.fd().get(), LockJob::How::kShared).Run() == -EAGAIN);
  CHECK(LockJob(first.fd().get(), LockJob::How::kUnlock).Run() == 0);
  CHECK(LockJob(second.fd().get(), LockJob::How::kShared).Run() == 0);
}

TEST_CASE_FIXTURE(Jobs, "what may wait for somebody is not opened in the ordinary lane") {
  const Directory directory;
  const std::string path = directory.at("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK(OpenJob(path, O_RDONLY, 0, Lane::kOrdinary).Run() == kMayWait);
  CHECK(ReadFileJob(path, O_RDONLY, 1, Lane::kOrdinary).Run() == kMayWait);
  CHECK(WriteFileJob(path, O_WRONLY, 0, {}, Lane::kOrdinary).Run() == kMayWait);
  OpenJob both(path, O_RDWR, 0, Lane::kWaiting);
  CHECK(both.Run() == 0);
}

TEST_CASE_FIXTURE(Jobs, "hazard 63: opens that hang end with their environment, and leave no fd") {
  const Directory directory;
  const std::string path = directory.at("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  BlockingPool pool(AtOnce(4));
  {
    Environment environment(pool);
    for (int i = 0; i < 8; i++) {
      environment.Submit(std::make_unique<OpenJob>(path, O_RDONLY, 0, Lane::kWaiting));
    }
    Eventually([&] { return pool.counts().running[static_cast<size_t>(Lane::kWaiting)] == 4; });
  }
  CHECK(pool.counts().queued[static_cast<size_t>(Lane::kWaiting)] == 0);
  // Until somebody opens the other end, as here.
  const OwnedFd writer = MustOpen(open(path.c_str(), O_RDWR | O_CLOEXEC));
  Eventually([&] { return pool.counts().idle == 4; });
}

TEST_CASE_FIXTURE(Jobs, "a child's end is waited for without taking it from whoever reaps it") {
  const pid_t child = fork();
  if (child == 0) _exit(9);
  REQUIRE(child > 0);
  CHECK(WaitProcessJob(child).Run() == child);
  ProcessEnd end;
  CHECK(HasEnded(child, false, &end) == 1);
  CHECK(HasEnded(child, true, &end) == 1);
  CHECK(end.pid == child);
  CHECK(end.status == 9);
  CHECK_FALSE(end.killed);
  CHECK(HasEnded(child, true, &end) == -ECHILD);
}

// In a process of its own, which ends in the middle of this.
void ExitWithJobsThatHang() {
  static auto* const environment = new Environment(BlockingPool::OfProcess());
  static auto* const gate = new Gate;
  environment->Submit([] { return gate->Pass(), 0; });
  environment->Submit([] { return gate->Pass(), 0; }, Lane::kLookup);
  gate->Await(2);
  std::exit(42);
}

TEST_CASE("hazard 63: a process with jobs that hang exits") {
  constexpr const char* kInChild = "COREACTOR_TEST_IN_CHILD";
  if (std::getenv(kInChild) != nullptr) ExitWithJobsThatHang();
  const pid_t child = fork();
  if (child == 0) {
    setenv(kInChild, "1", 1);
    execl("/proc/self/exe", "unit", "--test-case=hazard 63: a process with jobs that hang exits",
          static_cast<char*>(nullptr));
    _exit(1);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(Call([&] { return waitpid(child, &status, 0); }) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE_FIXTURE(Jobs, "a name is looked up in the system's table, each address once") {
  BlockingPool pool({});
  Environment environment(pool);
  const uint32_t id = environment.Submit(std::make_unique<LookupJob>("localhost", AF_INET, 0));
  CHECK(environment.Ended(1)[0].result == 1);
  const std::unique_ptr<Job> job = environment.outbox->Take(id);
  REQUIRE(job != nullptr);
  CHECK(static_cast<LookupJob&>(*job).addresses() == std::vector<std::string>{"127.0.0.1"});

  environment.Submit(std::make_unique<LookupJob>("no.number", AF_UNSPEC, AI_NUMERICHOST));
  CHECK(environment.Ended(1)[0].result == -3008);
  environment.Submit(std::make_unique<LookupJob>("::1", AF_INET, AI_NUMERICHOST));
  CHECK(environment.Ended(1)[0].result < -2999);
  CHECK(environment.outbox->size() == 0);
}

TEST_CASE_FIXTURE(Jobs, "an address is looked up, and answered by its number if it has no name") {
  BlockingPool pool({});
  Environment environment(pool);
  const Address address = Must(Address::Parse("127.0.0.1", 65'000));
  const uint32_t id = environment.Submit(std::make_unique<ReverseJob>(address));
  CHECK(environment.Ended(1)[0].result == 0);
  const std::unique_ptr<Job> job = environment.outbox->Take(id);
  REQUIRE(job != nullptr);
  CHECK_FALSE(static_cast<ReverseJob&>(*job).host().empty());
  CHECK(static_cast<ReverseJob&>(*job).service() == "65000");
}

TEST_CASE_FIXTURE(Jobs, "fstat tells what an fd is; of one that is closed it is EBADF") {
  BlockingPool pool({});
  Environment environment(pool);
  const OwnedFd null = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const uint32_t id = environment.Submit(std::make_unique<FstatJob>(null.get()));
  CHECK(environment.Ended(1)[0].result == 0);
  const std::unique_ptr<Job> job = environment.outbox->Take(id);
  REQUIRE(job != nullptr);
  CHECK(S_ISCHR(static_cast<FstatJob&>(*job).status().st_mode));
  environment.Submit(std::make_unique<FstatJob>(-1));
  CHECK(environment.Ended(1)[0].result == -EBADF);
}

}  // namespace
}  // namespace coreactor::testing

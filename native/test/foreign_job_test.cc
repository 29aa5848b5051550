// The data of somebody else's job is disposed of exactly once, whatever becomes of the job.
#include <atomic>
#include <cerrno>
#include <thread>

#include "../core/jobs/foreign.h"
#include "../core/outbox.h"
#include "support.h"

namespace coreactor::testing {
namespace {

struct Probe {
  std::atomic<int> runs{0};
  std::atomic<int> cancels{0};
  std::atomic<int> disposals{0};
  // Runs until then.
  std::atomic<bool> held{false};
  int32_t returns = 5;
};

int32_t RunProbe(void* data) {
  auto* probe = static_cast<Probe*>(data);
  probe->runs++;
  while (probe->held) {
    if (probe->cancels > 0) return -ECANCELED;
    std::this_thread::yield();
  }
  return probe->returns;
}

void CancelProbe(void* data) { static_cast<Probe*>(data)->cancels++; }
void DisposeOfProbe(void* data) { static_cast<Probe*>(data)->disposals++; }

std::unique_ptr<ForeignJob> JobOf(Probe& probe, bool can_be_cancelled = true) {
  return std::make_unique<ForeignJob>(
      ForeignData({&probe, RunProbe, can_be_cancelled ? CancelProbe : nullptr, DisposeOfProbe}),
      Lane::kOrdinary);
}

void Await(const std::atomic<int>& count) {
  while (count == 0) std::this_thread::yield();
}

class Environment : public Fds {
 public:
  uint32_t Submit(std::unique_ptr<Job> job) {
    return Must(outbox->Submit(std::move(job), Token{kFirstSlot, 0}));
  }

  Event Ended() {
    Event event{};
    while (outbox->Collect(&event, 1) == 0) std::this_thread::yield();
    return event;
  }

  BlockingPool pool{BlockingPool::Options{{1, 1, 1}, std::chrono::milliseconds(10)}};
  Poller poller = Must(Poller::Create());
  std::shared_ptr<Outbox> outbox = Outbox::Create(pool, Must(poller.NewWaker()));
};

TEST_CASE_FIXTURE(Environment,
                  "a result is there until it is taken, and disposed of with the job") {
  Probe probe;
  const uint32_t id = Submit(JobOf(probe));
  CHECK(Ended().result == 5);
  CHECK(probe.disposals == 0);
  const std::unique_ptr<Job> job = outbox->Take(id);
  REQUIRE(job != nullptr);
  CHECK(static_cast<ForeignJob&>(*job).data() == &probe);
  outbox->Take(id);
  CHECK(probe.disposals == 0);
  outbox->Close();
}

TEST_CASE_FIXTURE(Environment, "of a failure nothing is left to be taken") {
  Probe probe;
  probe.returns = -EIO;
  const uint32_t id = Submit(JobOf(probe));
  CHECK(Ended().result == -EIO);
  CHECK(probe.disposals == 1);
  CHECK(outbox->Take(id) == nullptr);
  outbox->Close();
}

TEST_CASE_FIXTURE(Environment,
                  "one that is queued is never run, and not told of its cancellation") {
  Probe first;
  first.held = true;
  Probe second;
  Submit(JobOf(first));
  Await(first.runs);
  const uint32_t id = Submit(JobOf(second));
  CHECK(outbox->Cancel(id, false) == Outbox::Cancelled::kYes);
  CHECK(second.runs == 0);
  CHECK(second.cancels == 0);
  CHECK(second.disposals == 1);
  first.held = false;
  Ended();
  outbox->Close();
  CHECK(first.disposals == 1);
}

TEST_CASE_FIXTURE(Environment, "one that runs is told, and reported when it has come back") {
  Probe probe;
  probe.held = true;
  const uint32_t id = Submit(JobOf(probe));
  Await(probe.runs);
  CHECK(outbox->Cancel(id, false) == Outbox::Cancelled::kNo);
  CHECK(probe.cancels == 1);
  CHECK(Ended().result == -ECANCELED);
  CHECK(probe.disposals == 1);
  outbox->Close();
}

TEST_CASE_FIXTURE(Environment, "one that is abandoned is told, too, and disposed of unseen") {
  Probe probe;
  probe.held = true;
  const uint32_t id = Submit(JobOf(probe));
  Await(probe.runs);
  CHECK(outbox->Cancel(id, true) == Outbox::Cancelled::kYes);
  Event event{};
  while (probe.disposals == 0) CHECK(outbox->Collect(&event, 1) == 0);
  CHECK(probe.disposals == 1);
  outbox->Close();
}

TEST_CASE_FIXTURE(Environment, "one that knows no cancellation is waited for") {
  Probe probe;
  probe.held = true;
  const uint32_t id = Submit(JobOf(probe, false));
  Await(probe.runs);
  CHECK(outbox->Cancel(id, false) == Outbox::Cancelled::kNo);
  probe.held = false;
  CHECK(Ended().result == 5);
  outbox->Close();
  CHECK(probe.disposals == 1);
}

TEST_CASE_FIXTURE(Environment, "one whose environment ends is told, and disposed of by the pool") {
  Probe probe;
  probe.held = true;
  Submit(JobOf(probe));
  Await(probe.runs);
  outbox->Close();
  CHECK(probe.cancels == 1);
  Await(probe.disposals);
  CHECK(probe.disposals == 1);
}

TEST_CASE("hazard 55: environments that end at any moment dispose of each of their jobs once") {
  const Fds fds;
  BlockingPool pool(BlockingPool::Options{{4, 4, 4}, std::chrono::milliseconds(10)});
  for (int round = 0; round < 200; round++) {
    std::vector<std::unique_ptr<Probe>> probes;
    Poller poller = Must(Poller::Create());
    const std::shared_ptr<Outbox> outbox = Outbox::Create(pool, Must(poller.NewWaker()));
    for (uint32_t i = 0; i < 16; i++) {
      probes.push_back(std::make_unique<Probe>());
      const uint32_t id = Must(outbox->Submit(JobOf(*probes.back()), Token{kFirstSlot, i}));
      if (i % 3 == 0) outbox->Cancel(id, i % 2 == 0);
    }
    Event events[8];
    for (int i = 0; i < round % 7; i++) outbox->Collect(events, 8);
    outbox->Close();
    for (const std::unique_ptr<Probe>& each : probes) Await(each->disposals);
    for (const std::unique_ptr<Probe>& each : probes) CHECK(each->disposals == 1);
  }
}

}  // namespace
}  // namespace coreactor::testing

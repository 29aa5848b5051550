// What Poller promises, and the facts about epoll that it and its callers are built on.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "backend.h"
#include "support.h"

namespace coreactor::testing {
namespace {

constexpr Interest kBoth{kReadable | kWritable};
constexpr Token kToken{kFirstSlot, 7};

// --- readiness ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds,
                  "an edge-triggered registration reports readiness that was there before Add") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  REQUIRE(poller.Add(pair.near.get(), Interest{kReadable}, Mode::kEdge, kToken).ok());
  CHECK(OneReadiness(poller) == kReadable);
  CHECK(Pending(poller).empty());
  REQUIRE(Send(pair.far.get(), "b", 1) == 1);
  CHECK(OneReadiness(poller) == kReadable);
}

TEST_CASE_FIXTURE(Fds, "only the directions that were asked for are reported") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  REQUIRE(poller.Add(pair.near.get(), Interest{kWritable}, Mode::kEdge, kToken).ok());
  CHECK(OneReadiness(poller) == kWritable);
}

TEST_CASE_FIXTURE(Fds, "urgent data is reported as PRIORITY (not on FreeBSD)") {
  if (OnFreebsd()) return;
  Poller poller = Must(Poller::Create());
  const Pair pair = TcpPair();
  REQUIRE(poller.Add(pair.near.get(), Interest{kPriority}, Mode::kEdge, kToken).ok());
  REQUIRE(send(pair.far.get(), "!", 1, MSG_OOB) == 1);
  CHECK(OneReadiness(poller) == kPriority);
}

TEST_CASE_FIXTURE(Fds, "a closed peer reports READ_CLOSED together with READABLE") {
  Poller poller = Must(Poller::Create());
  Pair pair = TcpPair();
  REQUIRE(poller.Add(pair.near.get(), Interest{kReadable}, Mode::kEdge, kToken).ok());
  pair.far.Close();
  CHECK(OneReadiness(poller) == (kReadable | kReadClosed));
}

TEST_CASE_FIXTURE(Fds, "both ends shut reports WRITE_CLOSED") {
  Poller poller = Must(Poller::Create());
  const Pair pair = TcpPair();
  REQUIRE(Shutdown(pair.near.get(), kShutWrite) == 0);
  REQUIRE(Shutdown(pair.far.get(), kShutWrite) == 0);
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  CHECK(OneReadiness(poller) == (kReadable | kWritable | kReadClosed | kWriteClosed));
}

TEST_CASE_FIXTURE(Fds, "a peer that is gone is reported although no direction was asked for") {
  Poller poller = Must(Poller::Create());
  Pair pair = TcpPair();
  REQUIRE(poller.Add(pair.near.get(), Interest{0}, Mode::kEdge, kToken).ok());
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  CHECK(Pending(poller).empty());
  Reset(std::move(pair.far));
  CHECK((OneReadiness(poller) & (kReadable | kReadClosed)) == (kReadable | kReadClosed));
}

TEST_CASE_FIXTURE(Fds, "a reset reports ERROR with READABLE and WRITABLE") {
  Poller poller = Must(Poller::Create());
  Pair pair = TcpPair();
  REQUIRE(poller.Add(pair.near.get(), Interest{0}, Mode::kEdge, kToken).ok());
  Reset(std::move(pair.far));
  CHECK((OneReadiness(poller) & (kError | kReadable | kWritable)) ==
        (kError | kReadable | kWritable));
}

TEST_CASE_FIXTURE(Fds, "who writes to a pipe learns at once that nobody reads") {
  Poller poller = Must(Poller::Create());
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const OwnedFd writer(ends[1]);
  OwnedFd(ends[0]).Close();
  REQUIRE(poller.Add(writer.get(), Interest{kWritable}, Mode::kEdge, kToken).ok());
  const uint32_t readiness = OneReadiness(poller);
  // An error alone, which wakes both directions (epoll).
  if (OnEpoll()) {
    CHECK(readiness == (kError | kReadable | kWritable));
  }
  if (OnMacos()) {
    CHECK(readiness == (kWritable | kWriteClosed));
  }
  // The filter was refused with EPIPE, and this is in its place.
  if (OnFreebsd()) {
    CHECK(readiness == (kError | kReadable | kWritable | kWriteClosed));
  }
}

TEST_CASE_FIXTURE(Fds, "a token comes back whole, all 64 bits") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  for (const Token token :
       {Token{0xFFFFFFFF, 0x80000001}, Token{0x80000002, 0xFFFFFFFF}, Token{2, 0}}) {
    REQUIRE(poller.Add(pair.near.get(), Interest{kWritable}, Mode::kEdge, token).ok());
    const std::vector<Event> events = WaitFor(poller);
    REQUIRE(events.size() == 1);
    CHECK(events[0].token.slot == token.slot);
    CHECK(events[0].token.generation == token.generation);
    CHECK(events[0].result == 0);
    REQUIRE(poller.Remove(pair.near.get()).ok());
  }
}

TEST_CASE_FIXTURE(Fds, "3000 ready fds all come out over several batches") {
  constexpr size_t kMany = 3000;
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < kMany + 100) {
    REQUIRE(limit.rlim_max >= kMany + 100);
    limit.rlim_cur = kMany + 100;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  Poller poller = Must(Poller::Create());
  std::vector<OwnedFd> fds;
  for (uint32_t i = 0; i < kMany; i++) {
    fds.push_back(MustOpen(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)));
    REQUIRE(poller.Add(fds.back().get(), Interest{kReadable}, Mode::kEdge, Token{kFirstSlot + i, i})
                .ok());
  }
  std::set<uint32_t> seen;
  size_t reported = 0;
  int batches = 0;
  for (std::vector<Event> events; batches < 10 && !(events = Pending(poller)).empty(); batches++) {
    CHECK(events.size() <= kBatchCapacity);
    reported += events.size();
    for (const Event& event : events) seen.insert(event.token.generation);
  }
  CHECK(seen.size() == kMany);
  CHECK(reported == kMany);
  CHECK(batches == 3);
}

TEST_CASE_FIXTURE(Fds, "no more than the capacity is reported at once, and the rest next time") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(poller.Add(pair.near.get(), Interest{kWritable}, Mode::kEdge, Token{2, 0}).ok());
  REQUIRE(poller.Add(pair.far.get(), Interest{kWritable}, Mode::kEdge, Token{3, 0}).ok());
  Event first;
  Event second;
  REQUIRE(Must(poller.Wait(&first, 1, 0)) == 1);
  REQUIRE(Must(poller.Wait(&second, 1, 0)) == 1);
  CHECK(first.token.slot + second.token.slot == 5);
  CHECK(Pending(poller).empty());
}

// --- registrations -----------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds, "Remove of an fd that is not watched is success") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  CHECK(poller.Remove(pair.near.get()).ok());
}

TEST_CASE_FIXTURE(
    Fds, "Remove of a closed fd is EBADF (epoll) or success (kqueue), and nothing happens") {
  Poller poller = Must(Poller::Create());
  Pair pair = UnixPair();
  const int number = pair.near.get();
  REQUIRE(poller.Add(number, kBoth, Mode::kEdge, kToken).ok());
  pair.near.Close();
  CHECK(poller.Remove(number).error() == (OnEpoll() ? EBADF : 0));
  CHECK(poller.Remove(-1).error() == (OnEpoll() ? EBADF : 0));
  CHECK(Pending(poller).empty());
}

TEST_CASE_FIXTURE(Fds, "nothing is reported after Remove, and the fd may be added again") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  REQUIRE(poller.Remove(pair.near.get()).ok());
  CHECK(Pending(poller).empty());
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  CHECK(OneReadiness(poller) == kWritable);
}

TEST_CASE_FIXTURE(Fds, "Add of an fd that is watched already is EEXIST, of a closed one EBADF") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  CHECK(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).error() == EEXIST);
  CHECK(poller.Add(-1, kBoth, Mode::kEdge, kToken).error() == EBADF);
}

TEST_CASE_FIXTURE(Fds, "a regular file and a directory are EPERM") {
  Poller poller = Must(Poller::Create());
  const OwnedFd file = MustOpen(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const OwnedFd directory = MustOpen(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(poller.Add(file.get(), kBoth, Mode::kEdge, kToken).error() == EPERM);
  CHECK(poller.Add(directory.get(), kBoth, Mode::kEdge, kToken).error() == EPERM);
}

TEST_CASE_FIXTURE(
    Fds,
    "a one-shot registration reports once, and again when it has been removed and added again") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  for (uint32_t generation = 1; generation <= 3; generation++) {
    const Token token{kFirstSlot, generation};
    REQUIRE(poller.Add(pair.near.get(), Interest{kReadable}, Mode::kOneShot, token).ok());
    REQUIRE(Send(pair.far.get(), "a", 1) == 1);
    const std::vector<Event> events = WaitFor(poller);
    REQUIRE(events.size() == 1);
    CHECK(events[0].readiness == kReadable);
    CHECK(events[0].token.generation == generation);
    REQUIRE(Send(pair.far.get(), "b", 1) == 1);
    CHECK(Pending(poller).empty());
    REQUIRE(poller.Remove(pair.near.get()).ok());
  }
}

TEST_CASE_FIXTURE(Fds, "what is being watched is EEXIST, and stays as it is") {
  Poller poller = Must(Poller::Create());
  for (const Mode first : {Mode::kEdge, Mode::kOneShot}) {
    const Pair pair = UnixPair();
    REQUIRE(poller.Add(pair.near.get(), Interest{kReadable}, first, kToken).ok());
    for (const Mode second : {Mode::kEdge, Mode::kOneShot}) {
      const Token other{kFirstSlot + 1, 9};
      CHECK(poller.Add(pair.near.get(), kBoth, second, other).error() == EEXIST);
    }
    REQUIRE(Send(pair.far.get(), "a", 1) == 1);
    const std::vector<Event> events = WaitFor(poller);
    REQUIRE(events.size() == 1);
    CHECK(events[0].readiness == kReadable);
    CHECK(events[0].token.slot == kToken.slot);
  }
}

TEST_CASE_FIXTURE(
    Fds, "a poller cannot watch itself (EINVAL), nor another that watches it (ELOOP with epoll)") {
  Poller poller = Must(Poller::Create());
  Poller other = Must(Poller::Create());
  CHECK(poller.Add(poller.fd(), Interest{kReadable}, Mode::kEdge, kToken).error() == EINVAL);
  REQUIRE(other.Add(poller.fd(), Interest{kReadable}, Mode::kEdge, kToken).ok());
  CHECK(poller.Add(other.fd(), Interest{kReadable}, Mode::kEdge, kToken).error() ==
        (OnEpoll() ? ELOOP : EINVAL));
}

TEST_CASE_FIXTURE(Fds, "pollers that watch pollers are refused when they are nested too deep") {
  std::vector<Poller> nest;
  nest.push_back(Must(Poller::Create()));
  Status status;
  while (status.ok() && nest.size() < 20) {
    Poller outer = Must(Poller::Create());
    status = outer.Add(nest.back().fd(), Interest{kReadable}, Mode::kEdge, kToken);
    if (status.ok()) nest.push_back(std::move(outer));
  }
  CHECK(status.error() == (OnEpoll() ? ELOOP : EINVAL));
  // One inside another is what the library needs: Node's loop watches the driver's.
  REQUIRE(nest.size() >= 2);
  // What was not refused works: the innermost wakes the outermost.
  REQUIRE(nest.front().Wake().ok());
  CHECK(OneReadiness(nest.back()) == kReadable);
}

TEST_CASE_FIXTURE(
    Fds,
    "an unconnected TCP socket reports writable and hung up at once (epoll): hence register after "
    "connect; kqueue says nothing") {
  Poller poller = Must(Poller::Create());
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  REQUIRE(poller.Add(socket.get(), kBoth, Mode::kEdge, kToken).ok());
  if (OnEpoll()) {
    CHECK((OneReadiness(poller, 0) & (kWritable | kWriteClosed)) == (kWritable | kWriteClosed));
  } else {
    CHECK(Pending(poller).empty());
  }
}

TEST_CASE_FIXTURE(Fds,
                  "an entry whose description lives on in a dup cannot be removed after close "
                  "(epoll): hence remove before close; kqueue forgets the number") {
  Poller poller = Must(Poller::Create());
  Pair pair = UnixPair();
  OwnedFd copy = MustOpen(fcntl(pair.near.get(), F_DUPFD_CLOEXEC, 0));
  const int number = pair.near.get();
  REQUIRE(poller.Add(number, Interest{kReadable}, Mode::kEdge, kToken).ok());
  pair.near.Close();
  CHECK(poller.Remove(number).error() == (OnEpoll() ? EBADF : 0));
  CHECK(poller.Remove(copy.get()).ok());
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  if (OnEpoll()) {
    CHECK(OneReadiness(poller, 0) == kReadable);
  } else {
    CHECK(Pending(poller).empty());
  }
  copy.Close();
  CHECK(Pending(poller).empty());
}

TEST_CASE_FIXTURE(Fds, "an entry goes with the last fd of its description") {
  Poller poller = Must(Poller::Create());
  Pair pair = UnixPair();
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  pair.near.Close();
  CHECK(Pending(poller).empty());
}

// --- waking and waiting ------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds, "a wake from another thread makes the queue readable (poll on fd())") {
  Poller poller = Must(Poller::Create());
  pollfd watched{poller.fd(), POLLIN, 0};
  REQUIRE(poll(&watched, 1, 0) == 0);
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    poller.Wake();
  });
  CHECK(poll(&watched, 1, kLongMs) == 1);
  waker.join();
  CHECK(watched.revents == POLLIN);
  const std::vector<Event> events = Pending(poller);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token.slot == kWakeSlot);
  CHECK(poll(&watched, 1, 0) == 0);
}

TEST_CASE_FIXTURE(Fds, "wakes from 8 threads at once are not lost") {
  constexpr int kThreads = 8;
  constexpr int kWakes = 500;
  Poller poller = Must(Poller::Create());
  std::atomic<int> posted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) {
    threads.emplace_back([&] {
      for (int n = 0; n < kWakes; n++) {
        posted++;
        poller.Wake();
      }
    });
  }
  // Whoever is woken looks at what was posted. If no event came after the last wake, it would sleep
  // with work left.
  int seen = 0;
  bool woken = true;
  while (seen < kThreads * kWakes && woken) {
    woken = !WaitFor(poller).empty();
    seen = posted;
  }
  CHECK(seen == kThreads * kWakes);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE_FIXTURE(Fds, "a wake is reported again although the eventfd is never read") {
  Poller poller = Must(Poller::Create());
  for (int i = 0; i < 1000; i++) {
    REQUIRE(poller.Wake().ok());
    const std::vector<Event> events = Pending(poller);
    REQUIRE(events.size() == 1);
    REQUIRE(events[0].token.slot == kWakeSlot);
    REQUIRE(Pending(poller).empty());
  }
}

TEST_CASE_FIXTURE(Fds, "Wait waits as long as it is told to when nothing happens") {
  Poller poller = Must(Poller::Create());
  const int64_t before = MonotonicNanoseconds();
  CHECK(WaitFor(poller, 20).empty());
  CHECK(MonotonicNanoseconds() - before >= 20 * kNanosecondsPerMillisecond);
}

TEST_CASE_FIXTURE(Fds, "a poller that was moved from holds nothing") {
  Poller poller = Must(Poller::Create());
  Poller owner = std::move(poller);
  CHECK(poller.fd() == -1);  // NOLINT: that is what is asked
  CHECK(owner.Wake().ok());
  CHECK(Pending(owner).size() == 1);
}

}  // namespace
}  // namespace coreactor::testing

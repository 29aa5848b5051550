// What happens to a socket or a pipe, and what a poller says of it: the situations in which epoll
// and kqueue differ, each under the name of the system whose behaviour it records. The rows are
// those of the table "same situation, both systems" in docs/platforms.md. What is the same for all,
// who waits is woken and the call has the truth, is checked on all; what is not, where it is so.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "backend.h"
#include "support.h"

namespace coreactor::testing {
namespace {

constexpr Interest kBoth{kReadable | kWritable};
constexpr Token kToken{kFirstSlot, 7};

// Everything that is reported of one fd until nothing more comes.
uint32_t Reported(Poller& poller) {
  uint32_t readiness = 0;
  for (std::vector<Event> events = Pending(poller); !events.empty(); events = Pending(poller)) {
    for (const Event& event : events) readiness |= event.readiness;
  }
  return readiness;
}

bool Has(uint32_t readiness, uint32_t bits) { return (readiness & bits) == bits; }

struct Watched {
  Poller poller = Must(Poller::Create());
  Pair pair;
  explicit Watched(Pair given) : pair(std::move(given)) {
    REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kEdge, kToken).ok());
  }
  int near() const { return pair.near.get(); }
  int far() const { return pair.far.get(); }
};

ssize_t ReceiveByte(int fd) {
  char byte;
  return Receive(fd, &byte, 1);
}

Pair PipePair() {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  for (const int end : ends) {
    REQUIRE(fcntl(end, F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(fcntl(end, F_SETFD, FD_CLOEXEC) == 0);
  }
  return {OwnedFd(ends[0]), OwnedFd(ends[1])};
}

}  // namespace

TEST_CASE_FIXTURE(Fds, "readiness: an idle connection is writable, and nothing else (all)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  CHECK(Reported(watched.poller) == 0);
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: a refused connection wakes who waits, and SO_ERROR says why (all)") {
  Poller poller = Must(Poller::Create());
  OwnedFd listener = Listener();
  const Address nowhere = Must(LocalAddress(listener.get()));
  listener.Close();
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  const int connected = Connect(socket.get(), nowhere);
  REQUIRE((connected == -EINPROGRESS || connected == -ECONNREFUSED));
  REQUIRE(poller.Add(socket.get(), kBoth, Mode::kEdge, kToken).ok());
  CHECK(Has(Reported(poller), kReadable | kWritable | kWriteClosed | kError));
  // Asking the queue has not taken it away.
  CHECK(GetOption(socket.get(), SocketOption::kPendingError) == ECONNREFUSED);
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: a peer that has shut down its side wakes the reader, data first, and "
                  "leaves the writer alone (all)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  REQUIRE(Send(watched.far(), "ab", 2) == 2);
  REQUIRE(Shutdown(watched.far(), kShutWrite) == 0);
  const uint32_t readiness = Reported(watched.poller);
  CHECK(Has(readiness, kReadable | kReadClosed));
  CHECK(!Has(readiness, kWriteClosed));
  CHECK(!Has(readiness, kError));
  CHECK(ReceiveByte(watched.near()) == 1);
  CHECK(ReceiveByte(watched.near()) == 1);
  CHECK(ReceiveByte(watched.near()) == 0);
  CHECK(Send(watched.near(), "x", 1) == 1);
}

TEST_CASE_FIXTURE(Fds, "readiness: with both directions shut, both are told (all)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  REQUIRE(Shutdown(watched.near(), kShutWrite) == 0);
  REQUIRE(Shutdown(watched.far(), kShutWrite) == 0);
  CHECK(Has(Reported(watched.poller), kReadable | kReadClosed | kWritable | kWriteClosed));
}

TEST_CASE_FIXTURE(Fds, "readiness: a reset wakes both, and reading says ECONNRESET once (all)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  Reset(std::move(watched.pair.far));
  CHECK(Has(Reported(watched.poller), kReadable | kReadClosed | kWritable | kWriteClosed | kError));
  CHECK(ReceiveByte(watched.near()) == -ECONNRESET);
  CHECK(ReceiveByte(watched.near()) == 0);
}

TEST_CASE_FIXTURE(Fds, "readiness: shutting down one's own reading is an end (all)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  REQUIRE(Shutdown(watched.near(), kShutRead) == 0);
  CHECK(Has(Reported(watched.poller), kReadable | kReadClosed));
  CHECK(ReceiveByte(watched.near()) == 0);
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: after shutting down one's own writing the reader waits on; kqueue "
                  "tells that writing has ended (macOS, FreeBSD), epoll does not (Linux)") {
  Watched watched(TcpPair());
  CHECK(Reported(watched.poller) == kWritable);
  REQUIRE(Shutdown(watched.near(), kShutWrite) == 0);
  const uint32_t readiness = Reported(watched.poller);
  CHECK(!Has(readiness, kReadable));
  CHECK(Has(readiness, kWriteClosed) == OnKqueue());
  REQUIRE(Send(watched.far(), "a", 1) == 1);
  CHECK(Has(Reported(watched.poller), kReadable));
  CHECK(ReceiveByte(watched.near()) == 1);
}

TEST_CASE_FIXTURE(
    Fds,
    "readiness: what ICMP says of a datagram wakes the receiver, and receiving says it "
    "once; it is an ERROR with epoll, and nothing particular with kqueue") {
  Poller poller = Must(Poller::Create());
  const OwnedFd socket = MustOpen(OpenSocket(AF_INET, SOCK_DGRAM, 0));
  OwnedFd other = MustOpen(OpenSocket(AF_INET, SOCK_DGRAM, 0));
  REQUIRE(Bind(other.get(), Must(Address::Parse("127.0.0.1", 0))) == 0);
  REQUIRE(Connect(socket.get(), Must(LocalAddress(other.get()))) == 0);
  other.Close();
  REQUIRE(poller.Add(socket.get(), Interest{kReadable}, Mode::kEdge, kToken).ok());
  CHECK(Reported(poller) == 0);
  REQUIRE(Send(socket.get(), "a", 1) == 1);
  const uint32_t readiness = Reported(poller);
  CHECK(Has(readiness, kReadable));
  CHECK(Has(readiness, kError) == OnEpoll());
  CHECK(!Has(readiness, kReadClosed));
  CHECK(ReceiveByte(socket.get()) == -ECONNREFUSED);
  CHECK(ReceiveByte(socket.get()) == -EAGAIN);
}

TEST_CASE_FIXTURE(
    Fds, "readiness: a listener is readable when somebody comes, and never writable (all)") {
  Poller poller = Must(Poller::Create());
  const OwnedFd listener = Listener();
  REQUIRE(poller.Add(listener.get(), kBoth, Mode::kEdge, kToken).ok());
  CHECK(Reported(poller) == 0);
  const OwnedFd client = MustOpen(OpenStream(AF_INET));
  Connect(client.get(), Must(LocalAddress(listener.get())));
  CHECK(Reported(poller) == kReadable);
  const OwnedFd accepted = MustOpen(Accept(listener.get()));
  CHECK(Accept(listener.get()) == -EAGAIN);
}

TEST_CASE_FIXTURE(
    Fds, "readiness: a pipe whose writer is gone has its data first, and then an end (all)") {
  Poller poller = Must(Poller::Create());
  Pair pipe = PipePair();
  REQUIRE(poller.Add(pipe.near.get(), Interest{kReadable}, Mode::kEdge, kToken).ok());
  CHECK(Reported(poller) == 0);
  REQUIRE(write(pipe.far.get(), "a", 1) == 1);
  pipe.far.Close();
  CHECK(Has(Reported(poller), kReadable | kReadClosed));
  char byte;
  CHECK(read(pipe.near.get(), &byte, 1) == 1);
  CHECK(read(pipe.near.get(), &byte, 1) == 0);
}

TEST_CASE_FIXTURE(Fds, "readiness: a pipe whose reader goes wakes the writer (all)") {
  Poller poller = Must(Poller::Create());
  Pair pipe = PipePair();
  REQUIRE(poller.Add(pipe.far.get(), Interest{kWritable}, Mode::kEdge, kToken).ok());
  CHECK(Reported(poller) == kWritable);
  pipe.near.Close();
  const uint32_t readiness = Reported(poller);
  CHECK(Has(readiness, kWritable));
  CHECK(Has(readiness, kError) == OnEpoll());
  CHECK(Has(readiness, kWriteClosed) == OnKqueue());
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: a pipe whose reader was gone before is ready at once, also where the "
                  "filter is refused with EPIPE (FreeBSD), for one event and for all") {
  Poller poller = Must(Poller::Create());
  Pair pipe = PipePair();
  pipe.near.Close();
  for (const Mode mode : {Mode::kEdge, Mode::kOneShot}) {
    REQUIRE(poller.Add(pipe.far.get(), Interest{kWritable}, mode, kToken).ok());
    pollfd queue{poller.fd(), POLLIN, 0};
    CHECK(poll(&queue, 1, 0) == 1);
    CHECK(Has(Reported(poller), kWritable));
    REQUIRE(poller.Remove(pipe.far.get()).ok());
    CHECK(Reported(poller) == 0);
  }
  // Removed before it was reported, it is not reported.
  REQUIRE(poller.Add(pipe.far.get(), Interest{kWritable}, Mode::kEdge, kToken).ok());
  REQUIRE(poller.Remove(pipe.far.get()).ok());
  CHECK(Reported(poller) == 0);
}

TEST_CASE_FIXTURE(Fds, "readiness: a full pipe is writable again when it has been read (all)") {
  Poller poller = Must(Poller::Create());
  const Pair pipe = PipePair();
  const std::string much(100'000, 'x');
  while (write(pipe.far.get(), much.data(), much.size()) > 0) continue;
  REQUIRE(poller.Add(pipe.far.get(), Interest{kWritable}, Mode::kEdge, kToken).ok());
  CHECK(Reported(poller) == 0);
  std::string into(1'000'000, 0);
  while (read(pipe.near.get(), into.data(), into.size()) > 0) continue;
  CHECK(Reported(poller) == kWritable);
}

TEST_CASE_FIXTURE(
    Fds,
    "readiness: a Unix peer that closed with our data unread wakes both; reading says "
    "ECONNRESET (Linux) or that it is the end") {
  Watched watched(UnixPair());
  CHECK(Reported(watched.poller) == kWritable);
  REQUIRE(Send(watched.near(), "unread", 6) == 6);
  watched.pair.far.Close();
  CHECK(Has(Reported(watched.poller), kReadable | kReadClosed | kWritable | kWriteClosed));
  CHECK(ReceiveByte(watched.near()) <= 0);
}

TEST_CASE_FIXTURE(
    Fds, "readiness: what no queue can tell of is EPERM: files, directories, /dev/null (all)") {
  Poller poller = Must(Poller::Create());
  char path[] = "/tmp/coreactor-XXXXXX";
  const OwnedFd file = MustOpen(mkstemp(path));
  unlink(path);
  const OwnedFd directory = MustOpen(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const OwnedFd null = MustOpen(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {file.get(), directory.get(), null.get()}) {
    for (const Mode mode : {Mode::kEdge, Mode::kOneShot}) {
      CHECK(poller.Add(fd, kBoth, mode, kToken).error() == EPERM);
      CHECK(poller.Add(fd, Interest{kReadable}, mode, kToken).error() == EPERM);
    }
  }
  CHECK(Reported(poller) == 0);
}

TEST_CASE_FIXTURE(
    Fds,
    "readiness: a FIFO that has a name is EPERM on macOS, which does not post its end, "
    "and watched elsewhere") {
  Poller poller = Must(Poller::Create());
  char directory[] = "/tmp/coreactor-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const OwnedFd reader = MustOpen(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  OwnedFd writer = MustOpen(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  unlink(path.c_str());
  rmdir(directory);
  const Status added = poller.Add(reader.get(), Interest{kReadable}, Mode::kEdge, kToken);
  CHECK(added.error() == (OnMacos() ? EPERM : 0));
  writer.Close();
  CHECK(Has(Reported(poller), kReadable | kReadClosed) == !OnMacos());
}

TEST_CASE_FIXTURE(Fds, "readiness: both directions of one fd are one event (all)") {
  Watched watched(UnixPair());
  REQUIRE(Send(watched.far(), "a", 1) == 1);
  const std::vector<Event> events = Pending(watched.poller);
  REQUIRE(events.size() == 1);
  CHECK(events[0].readiness == (kReadable | kWritable));
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: a one-shot registration for both directions reports one event, "
                  "whichever comes first (all)") {
  Poller poller = Must(Poller::Create());
  const Pair pair = UnixPair();
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kOneShot, kToken).ok());
  CHECK(Reported(poller) == kWritable);
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  // Nor is the queue itself readable: the filter for the other direction is gone.
  pollfd queue{poller.fd(), POLLIN, 0};
  CHECK(poll(&queue, 1, 0) == 0);
  CHECK(Reported(poller) == 0);
  REQUIRE(poller.Remove(pair.near.get()).ok());
  REQUIRE(poller.Add(pair.near.get(), kBoth, Mode::kOneShot, kToken).ok());
  CHECK(Reported(poller) == (kReadable | kWritable));
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: new data are reported although the old ones were not read (all)") {
  Watched watched(UnixPair());
  CHECK(Reported(watched.poller) == kWritable);
  for (int i = 0; i < 3; i++) {
    REQUIRE(Send(watched.far(), "a", 1) == 1);
    CHECK(Has(Reported(watched.poller), kReadable));
  }
}

TEST_CASE_FIXTURE(
    Fds,
    "readiness: a number that was closed by somebody else and given again is a new fd, "
    "and nothing of the old one is reported (all)") {
  Poller poller = Must(Poller::Create());
  Pair old = UnixPair();
  const int number = old.near.get();
  REQUIRE(poller.Add(number, kBoth, Mode::kEdge, kToken).ok());
  old.near.Close();
  Pair fresh = UnixPair();
  OwnedFd again = std::move(fresh.near);
  if (again.get() != number) {
    REQUIRE(dup2(again.get(), number) == number);
    again = OwnedFd(number);
  }
  const Token other{kFirstSlot + 1, 1};
  REQUIRE(poller.Add(number, kBoth, Mode::kEdge, other).ok());
  const std::vector<Event> events = Pending(poller);
  REQUIRE(events.size() == 1);
  CHECK(events[0].token.slot == other.slot);
  CHECK(poller.Add(number, kBoth, Mode::kEdge, kToken).error() == EEXIST);
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: asking for an fd that is watched (EEXIST) takes nothing away (all)") {
  Watched watched(UnixPair());
  CHECK(Reported(watched.poller) == kWritable);
  CHECK(watched.poller.Add(watched.near(), kBoth, Mode::kOneShot, Token{99, 1}).error() == EEXIST);
  Reported(watched.poller);
  REQUIRE(Send(watched.far(), "a", 1) == 1);
  const std::vector<Event> events = Pending(watched.poller);
  REQUIRE(events.size() == 1);
  CHECK(Has(events[0].readiness, kReadable));
  CHECK(events[0].token.slot == kToken.slot);
}

TEST_CASE_FIXTURE(Fds,
                  "readiness: who waits for urgent data alone hears of the end (Linux, macOS)") {
  if (OnFreebsd()) return;
  for (const Mode mode : {Mode::kEdge, Mode::kOneShot}) {
    Poller poller = Must(Poller::Create());
    Pair pair = TcpPair();
    REQUIRE(poller.Add(pair.near.get(), Interest{kPriority}, mode, kToken).ok());
    REQUIRE(Send(pair.far.get(), "plain", 5) == 5);
    CHECK(Reported(poller) == 0);
    Reset(std::move(pair.far));
    CHECK(Has(Reported(poller), kReadClosed));
    REQUIRE(poller.Remove(pair.near.get()).ok());
  }
}

TEST_CASE_FIXTURE(Fds, "readiness: urgent data alone cannot be waited for (FreeBSD)") {
  if (!OnFreebsd()) return;
  Poller poller = Must(Poller::Create());
  const Pair pair = TcpPair();
  CHECK(poller.Add(pair.near.get(), Interest{kPriority}, Mode::kEdge, kToken).error() ==
        EOPNOTSUPP);
}

}  // namespace coreactor::testing

// The calls on sockets: what they return, and that no signal stops or kills.
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include <chrono>
#include <string>
#include <thread>

#include "support.h"

namespace coreactor::testing {
namespace {

volatile sig_atomic_t signals = 0;

// Counts a signal for as long as it lives.
class Counting {
 public:
  explicit Counting(int signal) : signal_(signal) {
    signals = 0;
    struct sigaction counting {};
    counting.sa_handler = [](int) { signals = signals + 1; };
    REQUIRE(sigaction(signal_, &counting, &before_) == 0);
  }
  ~Counting() { sigaction(signal_, &before_, nullptr); }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  int signal_;
  struct sigaction before_ {};
};

// SIGALRM every millisecond for as long as it lives, to the threads that do not block it.
class AlarmStorm {
 public:
  AlarmStorm() : counting_(SIGALRM) {
    const itimerval every{{0, 1000}, {0, 1000}};
    REQUIRE(setitimer(ITIMER_REAL, &every, nullptr) == 0);
  }
  ~AlarmStorm() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
  }

 private:
  Counting counting_;
};

// Blocks SIGALRM in this thread and those that it starts.
class NoAlarms {
 public:
  NoAlarms() {
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, &before_);
  }
  ~NoAlarms() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// Does something in another thread in a while, undisturbed.
template <typename F>
std::thread Later(int milliseconds, F action) {
  const NoAlarms blocked;
  return std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    action();
  });
}

short Polled(int fd, short events) {
  pollfd watched{fd, events, 0};
  REQUIRE(poll(&watched, 1, kLongMs) == 1);
  return watched.revents;
}

std::string Pattern(size_t length) {
  std::string text(length, '\0');
  uint32_t state = 1;
  for (char& byte : text) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return text;
}

bool HasFlag(int fd, int get, int flag) { return (fcntl(fd, get) & flag) != 0; }

// --- opening and closing -----------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds, "opened and accepted sockets are non-blocking and close-on-exec") {
  const Pair pair = TcpPair();
  for (const int fd : {pair.near.get(), pair.far.get()}) {
    CHECK(HasFlag(fd, F_GETFL, O_NONBLOCK));
    CHECK(HasFlag(fd, F_GETFD, FD_CLOEXEC));
  }
  CHECK(OpenStream(12345) == -EAFNOSUPPORT);
}

TEST_CASE_FIXTURE(Fds, "accept with nobody waiting is EAGAIN") {
  const OwnedFd listener = Listener();
  CHECK(Accept(listener.get()) == -EAGAIN);
}

TEST_CASE_FIXTURE(Fds, "a port that is taken is EADDRINUSE") {
  const OwnedFd first = Listener();
  const OwnedFd second = MustOpen(OpenStream(AF_INET));
  CHECK(Bind(second.get(), Must(LocalAddress(first.get()))) == -EADDRINUSE);
}

TEST_CASE_FIXTURE(Fds, "a refused connect says so in SocketOption::kPendingError once") {
  OwnedFd listener = Listener();
  const Address nobody = Must(LocalAddress(listener.get()));
  listener.Close();
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  REQUIRE(Connect(socket.get(), nobody) == -EINPROGRESS);
  CHECK((Polled(socket.get(), POLLOUT) & POLLERR) != 0);
  CHECK(GetOption(socket.get(), SocketOption::kPendingError) == ECONNREFUSED);
  CHECK(GetOption(socket.get(), SocketOption::kPendingError) == 0);
}

TEST_CASE_FIXTURE(Fds, "a call on a closed fd is EBADF") {
  char byte = 0;
  const iovec chunk{&byte, 1};
  CHECK(Close(-1) == -EBADF);
  CHECK(Receive(-1, &byte, 1) == -EBADF);
  CHECK(Send(-1, &byte, 1) == -EBADF);
  CHECK(SendVector(-1, &chunk, 1) == -EBADF);
  CHECK(Shutdown(-1, kShutWrite) == -EBADF);
  CHECK(Listen(-1, 1) == -EBADF);
  CHECK(Accept(-1) == -EBADF);
  CHECK(GetOption(-1, SocketOption::kNoDelay) == -EBADF);
  CHECK(SetOption(-1, SocketOption::kLinger, 1) == -EBADF);
}

TEST_CASE_FIXTURE(Fds, "OwnedFd closes once, moves") {
  Pair pair = UnixPair();
  const int number = pair.near.get();
  OwnedFd moved(std::move(pair.near));
  CHECK(moved.get() == number);
  CHECK_FALSE(pair.near.valid());  // NOLINT: that is what is asked
  OwnedFd& alias = moved;
  moved = std::move(alias);
  CHECK(moved.get() == number);
  // What was held before is closed.
  moved = std::move(pair.far);
  CHECK(fcntl(number, F_GETFD) == -1);
  // The number is used again by somebody else, whom a second Close must not hit.
  const int other = moved.get();
  moved.Close();
  const OwnedFd newcomer = MustOpen(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, other));
  REQUIRE(newcomer.get() == other);
  moved.Close();
  CHECK(fcntl(other, F_GETFD) != -1);
  // Released is the caller's.
  OwnedFd lent(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  const int released = lent.Release();
  CHECK_FALSE(lent.valid());
  CHECK(Close(released) == 0);
}

// --- sending and receiving ---------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds, "send to a peer that reset is EPIPE and raises no SIGPIPE") {
  const Counting pipes(SIGPIPE);
  Pair pair = TcpPair();
  Reset(std::move(pair.far));
  Polled(pair.near.get(), POLLIN);
  char byte = 'a';
  const iovec chunk{&byte, 1};
  // The reset itself is told once.
  CHECK(Send(pair.near.get(), &byte, 1) == -ECONNRESET);
  CHECK(Send(pair.near.get(), &byte, 1) == -EPIPE);
  CHECK(SendVector(pair.near.get(), &chunk, 1) == -EPIPE);
  CHECK(signals == 0);
}

TEST_CASE_FIXTURE(
    Fds, "send after shutting the write side is EPIPE and raises no SIGPIPE; the peer reads 0") {
  const Counting pipes(SIGPIPE);
  const Pair pair = UnixPair();
  char byte = 'a';
  REQUIRE(Shutdown(pair.near.get(), kShutWrite) == 0);
  CHECK(Send(pair.near.get(), &byte, 1) == -EPIPE);
  CHECK(Receive(pair.far.get(), &byte, 1) == 0);
  CHECK(signals == 0);
}

TEST_CASE_FIXTURE(Fds, "receive with nothing there is EAGAIN, and what was sent comes in order") {
  const Pair pair = TcpPair();
  char buffer[16];
  CHECK(Receive(pair.near.get(), buffer, sizeof(buffer)) == -EAGAIN);
  char one[] = "one ";
  char two[] = "two";
  const iovec chunks[] = {{one, 4}, {two, 3}};
  REQUIRE(SendVector(pair.far.get(), chunks, 2) == 7);
  CHECK(Receive(pair.near.get(), buffer, 5) == 5);
  CHECK(std::string(buffer, 5) == "one t");
  CHECK(Receive(pair.near.get(), buffer, sizeof(buffer)) == 2);
  CHECK(std::string(buffer, 2) == "wo");
}

TEST_CASE_FIXTURE(Fds, "SendVector with 3000 chunks takes at most kVectorMax") {
  const Pair pair = TcpPair();
  std::string bytes = Pattern(3000);
  std::vector<iovec> chunks;
  for (char& byte : bytes) chunks.push_back(iovec{&byte, 1});
  REQUIRE(SendVector(pair.near.get(), chunks.data(), chunks.size()) ==
          static_cast<ssize_t>(kVectorMax));
  std::string received(bytes.size(), '\0');
  Polled(pair.far.get(), POLLIN);
  REQUIRE(Receive(pair.far.get(), received.data(), received.size()) ==
          static_cast<ssize_t>(kVectorMax));
  received.resize(kVectorMax);
  CHECK(received == bytes.substr(0, kVectorMax));
}

TEST_CASE_FIXTURE(Fds, "partial sends with a small SO_SNDBUF") {
  const Pair pair = UnixPair();
  REQUIRE(SetOption(pair.near.get(), SocketOption::kSendBuffer, 4096) == 0);
  const std::string sent = Pattern(1 << 20);
  std::string received;
  char buffer[10'000];
  size_t offset = 0;
  int partial = 0;
  int full = 0;
  while (received.size() < sent.size()) {
    if (offset < sent.size()) {
      const size_t rest = sent.size() - offset;
      const ssize_t taken = Send(pair.near.get(), sent.data() + offset, rest);
      if (taken > 0) offset += static_cast<size_t>(taken);
      if (taken > 0 && static_cast<size_t>(taken) < rest) partial++;
      if (taken == -EAGAIN) full++;
      REQUIRE((taken > 0 || taken == -EAGAIN));
      if (taken > 0) continue;
    }
    const ssize_t came = Receive(pair.far.get(), buffer, sizeof(buffer));
    REQUIRE(came > 0);
    received.append(buffer, static_cast<size_t>(came));
  }
  CHECK(partial > 0);
  CHECK(full > 0);
  CHECK(received == sent);
}

// --- options -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds, "option round trips incl. linger") {
  const OwnedFd v4 = MustOpen(OpenStream(AF_INET));
  const auto trip = [&](SocketOption option, int value) {
    CHECK(SetOption(v4.get(), option, value) == 0);
    return GetOption(v4.get(), option);
  };
  for (const SocketOption flag : {SocketOption::kReuseAddress, SocketOption::kReusePort,
                                  SocketOption::kNoDelay, SocketOption::kKeepAlive}) {
    CHECK(trip(flag, 1) == 1);
    CHECK(trip(flag, 0) == 0);
  }
  CHECK(trip(SocketOption::kKeepAliveIdle, 61) == 61);
  CHECK(trip(SocketOption::kKeepAliveInterval, 17) == 17);
  CHECK(trip(SocketOption::kKeepAliveCount, 5) == 5);
  // Linux doubles what is asked for, to have room for its own.
  CHECK(trip(SocketOption::kSendBuffer, 32'768) >= 32'768);
  CHECK(trip(SocketOption::kReceiveBuffer, 32'768) >= 32'768);
  CHECK(trip(SocketOption::kLinger, 30) == 30);

  const OwnedFd v6 = MustOpen(OpenStream(AF_INET6));
  CHECK(SetOption(v6.get(), SocketOption::kV6Only, 1) == 0);
  CHECK(GetOption(v6.get(), SocketOption::kV6Only) == 1);
}

TEST_CASE_FIXTURE(Fds, "linger 0 is on with no time, below 0 it is off") {
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  const auto set = [&](int value) {
    REQUIRE(SetOption(socket.get(), SocketOption::kLinger, value) == 0);
    linger setting{};
    socklen_t length = sizeof(setting);
    REQUIRE(getsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &setting, &length) == 0);
    return setting;
  };
  CHECK(set(0).l_onoff == 1);
  CHECK(set(0).l_linger == 0);
  CHECK(set(9).l_linger == 9);
  CHECK(set(-1).l_onoff == 0);
  CHECK(GetOption(socket.get(), SocketOption::kLinger) == 0);
}

TEST_CASE_FIXTURE(Fds, "every option has a name, and what is none is ENOPROTOOPT") {
  for (int option = 0; option < kSocketOptions; option++) {
    CHECK(NameOf(static_cast<SocketOption>(option)).name >= 0);
  }
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  CHECK(SetOption(socket.get(), static_cast<SocketOption>(kSocketOptions), 1) == -ENOPROTOOPT);
  CHECK(GetOption(socket.get(), static_cast<SocketOption>(-1)) == -ENOPROTOOPT);
}

// --- signals -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fds,
                  "Call retries EINTR: recv under a 1 ms itimer storm on a blocking socketpair") {
  const Pair pair = UnixPair(0);
  const int far = pair.far.get();
  const AlarmStorm storm;
  std::thread sender = Later(50, [far] { Send(far, "a", 1); });
  char byte = 0;
  // Receive itself never waits.
  const ssize_t received = Call([&] { return recv(pair.near.get(), &byte, 1, 0); });
  {
    const NoAlarms blocked;
    sender.join();
  }
  CHECK(received == 1);
  CHECK(byte == 'a');
  CHECK(signals >= 10);
}

TEST_CASE_FIXTURE(Fds, "signals neither shorten nor prolong a Wait") {
  Poller poller = Must(Poller::Create());
  const AlarmStorm storm;
  const int64_t before = MonotonicNanoseconds();
  const std::vector<Event> events = WaitFor(poller, 50);
  const int64_t waited = MonotonicNanoseconds() - before;
  CHECK(events.empty());
  CHECK(waited >= 50 * kNanosecondsPerMillisecond);
  CHECK(waited < kLongMs * kNanosecondsPerMillisecond);
}

}  // namespace
}  // namespace coreactor::testing

// The calls on any descriptor: that none of them waits, whatever the kind of file, that the flags
// stay as they were, and that no SIGPIPE is raised.
#include "../core/descriptor.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>

#include <string>

#include "support.h"

namespace coreactor::testing {
namespace {

constexpr Interest kAll{kReadable | kWritable | kPriority};

struct Kind {
  const char* name;
  OwnedFd near;  // Nothing to be read from it yet.
  OwnedFd far;   // Gives it something, and takes what is written to it.
};

OwnedFd MustOpenPath(const std::string& path, int flags) {
  return MustOpen(open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY));
}

// A directory that is gone with the object.
class Scratch {
 public:
  Scratch() { REQUIRE(mkdtemp(path_) != nullptr); }
  ~Scratch() { rmdir(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/coreactor-XXXXXX";
};

Kind Fifo() {
  const Scratch scratch;
  const std::string path = std::string(scratch.path()) + "/fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  // For both, so that opening it waits for nobody.
  OwnedFd far = MustOpenPath(path, O_RDWR);
  OwnedFd near = MustOpenPath(path, O_RDONLY);
  unlink(path.c_str());
  return {"FIFO", std::move(near), std::move(far)};
}

Kind Terminal() {
  OwnedFd master = MustOpen(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(grantpt(master.get()) == 0);
  REQUIRE(unlockpt(master.get()) == 0);
  OwnedFd slave = MustOpenPath(ptsname(master.get()), O_RDWR);
  termios raw{};
  REQUIRE(tcgetattr(slave.get(), &raw) == 0);
  cfmakeraw(&raw);
  REQUIRE(tcsetattr(slave.get(), TCSANOW, &raw) == 0);
  return {"terminal", std::move(slave), std::move(master)};
}

Kind Sockets() {
  Pair pair = UnixPair(0);
  return {"socket", std::move(pair.near), std::move(pair.far)};
}

Kind BlockingPipe() {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  return {"pipe", OwnedFd(ends[0]), OwnedFd(ends[1])};
}

std::vector<Kind> BlockingKinds() {
  std::vector<Kind> kinds;
  kinds.push_back(BlockingPipe());
  kinds.push_back(Fifo());
  kinds.push_back(Terminal());
  kinds.push_back(Sockets());
  return kinds;
}

int Flags(int fd) { return fcntl(fd, F_GETFL); }

// Counts SIGPIPE for as long as it lives.
volatile sig_atomic_t pipe_signals = 0;
class CountingSigpipe {
 public:
  CountingSigpipe() {
    pipe_signals = 0;
    struct sigaction counting {};
    counting.sa_handler = [](int) { pipe_signals = pipe_signals + 1; };
    REQUIRE(sigaction(SIGPIPE, &counting, &before_) == 0);
  }
  ~CountingSigpipe() { sigaction(SIGPIPE, &before_, nullptr); }
  CountingSigpipe(const CountingSigpipe&) = delete;
  CountingSigpipe& operator=(const CountingSigpipe&) = delete;

 private:
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE_FIXTURE(Fds, "a pipe and a socket pair are non-blocking and close-on-exec") {
  const Ends pipe = Must(OpenPipe());
  const Ends pair = Must(OpenSocketPair(SOCK_STREAM));
  for (const int fd : {pipe.first.get(), pipe.second.get(), pair.first.get(), pair.second.get()}) {
    CHECK((Flags(fd) & O_NONBLOCK) != 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  char byte = 0;
  CHECK(Write(pipe.second.get(), "a", 1) == 1);
  CHECK(Read(pipe.first.get(), &byte, 1) == 1);
  CHECK(byte == 'a');
  CHECK(OpenSocketPair(12345).status().error() == EINVAL);
}

TEST_CASE_FIXTURE(Fds, "hazard 46: reading a blocking fd gives what is there, or EAGAIN") {
  for (const Kind& kind : BlockingKinds()) {
    CAPTURE(kind.name);
    const int flags = Flags(kind.near.get());
    REQUIRE((flags & O_NONBLOCK) == 0);
    char into[16];
    CHECK(Read(kind.near.get(), into, sizeof(into)) == -EAGAIN);
    REQUIRE(write(kind.far.get(), "hello", 5) == 5);
    CHECK(Read(kind.near.get(), into, sizeof(into)) == 5);
    CHECK(std::string(into, 5) == "hello");
    CHECK(Read(kind.near.get(), into, sizeof(into)) == -EAGAIN);
    CHECK(Flags(kind.near.get()) == flags);
  }
}

TEST_CASE_FIXTURE(Fds,
                  "hazard 46: writing to a blocking fd takes what there is room for, or EAGAIN") {
  for (const Kind& kind : BlockingKinds()) {
    CAPTURE(kind.name);
    const int flags = Flags(kind.far.get());
    const std::string much(100'000, 'x');
    ssize_t total = 0;
    ssize_t taken = 0;
    while ((taken = Write(kind.far.get(), much.data(), much.size())) > 0) total += taken;
    CHECK(taken == -EAGAIN);
    CHECK(total > 0);
    CHECK(Flags(kind.far.get()) == flags);
    // What a terminal was given reaches its other side in a while.
    char into[4096];
    while (total > 0) {
      pollfd awaited{kind.near.get(), POLLIN, 0};
      REQUIRE(poll(&awaited, 1, kLongMs) == 1);
      taken = Read(kind.near.get(), into, sizeof(into));
      REQUIRE(taken > 0);
      total -= taken;
    }
    CHECK(total == 0);
    CHECK(Read(kind.near.get(), into, sizeof(into)) == -EAGAIN);
  }
}

TEST_CASE_FIXTURE(Fds,
                  "hazard 46: a terminal that nobody reads blocks no writer, newlines and all") {
  for (const size_t line : {1, 2, 7, 100, 300, 5000}) {
    CAPTURE(line);
    const Kind kind = Terminal();
    termios cooked{};
    REQUIRE(tcgetattr(kind.near.get(), &cooked) == 0);
    cooked.c_oflag |= OPOST | ONLCR | XTABS;
    REQUIRE(tcsetattr(kind.near.get(), TCSANOW, &cooked) == 0);
    std::string text;
    while (text.size() < 20'000)
      text += std::string(line - 1, 'x') + (text.size() % 2 ? '\n' : '\t');
    ssize_t total = 0;
    ssize_t taken = 0;
    while ((taken = Write(kind.near.get(), text.data(), text.size())) > 0) total += taken;
    CHECK(taken == -EAGAIN);
    CHECK(total > 0);
  }
}

TEST_CASE_FIXTURE(Fds, "what cannot be asked in one call is polled first: an eventfd, inotify") {
  const OwnedFd counter = MustOpen(eventfd(0, EFD_CLOEXEC));
  uint64_t value = 0;
  CHECK(Read(counter.get(), &value, sizeof(value)) == -EAGAIN);
  value = 7;
  CHECK(Write(counter.get(), &value, sizeof(value)) == 8);
  value = UINT64_MAX - 1 - 7;
  CHECK(Write(counter.get(), &value, sizeof(value)) == 8);
  // Full: one more would have to wait.
  value = 1;
  CHECK(Write(counter.get(), &value, sizeof(value)) == -EAGAIN);
  CHECK(Read(counter.get(), &value, sizeof(value)) == 8);
  CHECK(value == UINT64_MAX - 1);
  const OwnedFd watch = MustOpen(inotify_init1(IN_CLOEXEC));
  char into[512];
  CHECK(Read(watch.get(), into, sizeof(into)) == -EAGAIN);
}

TEST_CASE_FIXTURE(Fds,
                  "a vector is written in order, without empty chunks, and no further than 1024") {
  const Ends pipe = Must(OpenPipe());
  const Kind fifo = Fifo();
  char one[] = "one";
  char two[] = "two";
  const iovec chunks[] = {{one, 0}, {one, 3}, {two, 3}};
  CHECK(WriteVector(pipe.second.get(), chunks, 3) == 6);
  // A FIFO that may block takes the first that is not empty.
  CHECK(WriteVector(fifo.far.get(), chunks, 3) == 3);
  CHECK(WriteVector(fifo.far.get(), chunks, 1) == 0);
  char into[16];
  CHECK(Read(pipe.first.get(), into, sizeof(into)) == 6);
  CHECK(std::string(into, 6) == "onetwo");
  CHECK(Read(fifo.near.get(), into, sizeof(into)) == 3);
  const std::vector<iovec> many(2000, iovec{one, 1});
  CHECK(WriteVector(pipe.second.get(), many.data(), many.size()) == 1024);
}

TEST_CASE_FIXTURE(Fds, "hazard 22: writing where nobody reads is EPIPE and no SIGPIPE") {
  const CountingSigpipe counting;
  Ends pipe = Must(OpenPipe());
  pipe.first.Close();
  CHECK(Write(pipe.second.get(), "a", 1) == -EPIPE);
  Pair sockets = UnixPair(0);
  sockets.far.Close();
  CHECK(Write(sockets.near.get(), "a", 1) == -EPIPE);
  // Opened for writing only, and with no reader left.
  const Scratch scratch;
  const std::string path = std::string(scratch.path()) + "/fifo";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  OwnedFd reader = MustOpenPath(path, O_RDONLY | O_NONBLOCK);
  const OwnedFd writer = MustOpenPath(path, O_WRONLY);
  reader.Close();
  unlink(path.c_str());
  CHECK(Write(writer.get(), "a", 1) == -EPIPE);
  CHECK(pipe_signals == 0);

  // One that was pending before is not taken for ours, and is delivered in the end.
  sigset_t sigpipe;
  sigset_t before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0);
  REQUIRE(pthread_kill(pthread_self(), SIGPIPE) == 0);
  CHECK(Write(writer.get(), "a", 1) == -EPIPE);
  REQUIRE(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  CHECK(pipe_signals == 1);
}

TEST_CASE_FIXTURE(Fds, "poll says what is so now, and what is asked for") {
  Ends pair = Must(OpenSocketPair(SOCK_STREAM));
  const int near = pair.first.get();
  CHECK(PollNow(near, kAll) == static_cast<int>(kWritable));
  CHECK(PollNow(near, Interest{kReadable}) == 0);
  REQUIRE(Send(pair.second.get(), "a", 1) == 1);
  CHECK(PollNow(near, kAll) == static_cast<int>(kReadable | kWritable));
  REQUIRE(Shutdown(pair.second.get(), kShutWrite) == 0);
  CHECK(PollNow(near, kAll) == static_cast<int>(kReadable | kWritable | kReadClosed));
  pair.second.Close();
  CHECK((PollNow(near, Interest{0}) & static_cast<int>(kWriteClosed)) != 0);
  CHECK(PollNow(-1, kAll) == -EBADF);
  CHECK(PollNow(12345, kAll) == -EBADF);
}

TEST_CASE_FIXTURE(Fds, "a call on a closed fd is EBADF") {
  char byte = 0;
  CHECK(Read(-1, &byte, 1) == -EBADF);
  CHECK(Write(-1, &byte, 1) == -EBADF);
  CHECK(Read(12345, &byte, 1) == -EBADF);
}

}  // namespace coreactor::testing

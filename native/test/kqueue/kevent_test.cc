// kqueue(2) itself, without the backend: the facts that poller_kqueue.cc and clock_kqueue.cc are
// built on. They are known from the sources of xnu and FreeBSD and from their manuals; here they
// are asked of the emulation, and on a Mac or on FreeBSD of the system.
#include <fcntl.h>
#include <poll.h>
#include <sys/event.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "../backend.h"
#include "../support.h"

namespace coreactor::testing {
namespace {

constexpr timespec kAtOnce{};

struct kevent Change(uintptr_t ident, int16_t filter, unsigned flags, uint32_t notes = 0,
                     int64_t data = 0, uintptr_t udata = 0) {
  struct kevent change;
  EV_SET(&change, ident, filter, static_cast<uint16_t>(flags), notes,
         static_cast<decltype(change.data)>(data), reinterpret_cast<void*>(udata));
  return change;
}

uintptr_t Ident(const OwnedFd& fd) { return static_cast<uintptr_t>(fd.get()); }

class Kqueue {
 public:
  Kqueue() : fd_(MustOpen(kqueue())) {}
  int fd() const { return fd_.get(); }

  // 0 or the errno.
  int Make(const struct kevent& change) const {
    return kevent(fd(), &change, 1, nullptr, 0, nullptr) < 0 ? errno : 0;
  }
  // All that there is now.
  std::vector<struct kevent> Events() const {
    std::vector<struct kevent> events(16);
    const int count = kevent(fd(), nullptr, 0, events.data(), 16, &kAtOnce);
    REQUIRE(count >= 0);
    events.resize(static_cast<size_t>(count));
    return events;
  }

 private:
  OwnedFd fd_;
};

}  // namespace

TEST_CASE_FIXTURE(Fds,
                  "kevent: EV_ADD of a filter that is there reports again what is still so (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  const struct kevent add = Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, 7);
  REQUIRE(queue.Make(add) == 0);
  CHECK(queue.Events().size() == 1);
  CHECK(queue.Events().empty());
  REQUIRE(queue.Make(add) == 0);
  CHECK(queue.Events().size() == 1);
}

TEST_CASE_FIXTURE(Fds, "kevent: with EV_CLEAR each arrival is reported, not only the first (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR)) == 0);
  for (int i = 0; i < 3; i++) {
    REQUIRE(Send(pair.far.get(), "a", 1) == 1);
    CHECK(queue.Events().size() == 1);
    CHECK(queue.Events().empty());
  }
}

TEST_CASE_FIXTURE(Fds, "kevent: without EV_CLEAR it is reported as long as it is so (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD)) == 0);
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  for (int i = 0; i < 3; i++) CHECK(queue.Events().size() == 1);
  char byte;
  REQUIRE(Receive(pair.near.get(), &byte, 1) == 1);
  CHECK(queue.Events().empty());
}

TEST_CASE_FIXTURE(Fds, "kevent: EV_ONESHOT deletes the filter when it is reported (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_ONESHOT)) == 0);
  CHECK(queue.Events().size() == 1);
  CHECK(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_DELETE)) == ENOENT);
}

TEST_CASE_FIXTURE(Fds, "kevent: EV_DISPATCH disables it, and EV_ENABLE sets its udata anew (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 0, 1)) == 0);
  CHECK(queue.Events().size() == 1);
  CHECK(queue.Events().empty());
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ENABLE, 0, 0, 2)) == 0);
  const std::vector<struct kevent> events = queue.Events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].udata == reinterpret_cast<void*>(2));
}

TEST_CASE_FIXTURE(
    Fds,
    "kevent: EV_RECEIPT answers every change, in order, and no event is waited for or "
    "reported (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  const struct kevent changes[] = {
      Change(Ident(pair.near), EVFILT_WRITE, EV_DELETE | EV_RECEIPT),
      Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR | EV_RECEIPT),
      Change(static_cast<uintptr_t>(-1), EVFILT_READ, EV_ADD | EV_RECEIPT),
  };
  struct kevent answers[8];
  REQUIRE(kevent(queue.fd(), changes, 3, answers, 8, nullptr) == 3);
  const int64_t errors[] = {ENOENT, 0, EBADF};
  for (int i = 0; i < 3; i++) {
    CHECK((answers[i].flags & EV_ERROR) != 0);
    CHECK(answers[i].filter == changes[i].filter);
    CHECK(answers[i].data == errors[i]);
  }
  // It stays in the flags: they are not to be compared as a whole.
  const std::vector<struct kevent> events = queue.Events();
  REQUIRE(events.size() == 1);
  CHECK((events[0].flags & EV_RECEIPT) != 0);
  CHECK((events[0].flags & EV_ERROR) == 0);
}

TEST_CASE_FIXTURE(
    Fds,
    "kevent: a change that fails without room for its answer ends the call; what came "
    "before it stays (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  const struct kevent changes[] = {
      Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR),
      Change(static_cast<uintptr_t>(-1), EVFILT_READ, EV_ADD),
      Change(Ident(pair.far), EVFILT_READ, EV_ADD | EV_CLEAR),
  };
  CHECK(kevent(queue.fd(), changes, 3, nullptr, 0, nullptr) == -1);
  CHECK(errno == EBADF);
  CHECK(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_DELETE)) == 0);
  CHECK(queue.Make(Change(Ident(pair.far), EVFILT_READ, EV_DELETE)) == ENOENT);
}

TEST_CASE_FIXTURE(Fds, "kevent: READ and WRITE of one fd are two events (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR)) == 0);
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_WRITE, EV_ADD | EV_CLEAR)) == 0);
  CHECK(queue.Events().size() == 2);
}

TEST_CASE_FIXTURE(Fds, "kevent: what was so and is not any more is not reported (all)") {
  const Kqueue queue;
  const Pair pair = UnixPair();
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR)) == 0);
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  char byte;
  REQUIRE(Receive(pair.near.get(), &byte, 1) == 1);
  CHECK(queue.Events().empty());
}

TEST_CASE_FIXTURE(
    Fds, "kevent: the error of a socket is in fflags with EV_EOF, and is not taken away (all)") {
  const Kqueue queue;
  Pair pair = TcpPair();
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR)) == 0);
  Reset(std::move(pair.far));
  const std::vector<struct kevent> events = queue.Events();
  REQUIRE(events.size() == 1);
  CHECK((events[0].flags & EV_EOF) != 0);
  CHECK(events[0].fflags == ECONNRESET);
  CHECK(GetOption(pair.near.get(), SocketOption::kPendingError) == ECONNRESET);
}

TEST_CASE_FIXTURE(
    Fds, "kevent: EVFILT_READ with a NOTE_LOWAT beyond all data tells the end only (all)") {
  const Kqueue queue;
  Pair pair = TcpPair();
  REQUIRE(queue.Make(Change(Ident(pair.near), EVFILT_READ, EV_ADD | EV_CLEAR, NOTE_LOWAT,
                            INT32_MAX)) == 0);
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  CHECK(queue.Events().empty());
  pair.far.Close();
  const std::vector<struct kevent> events = queue.Events();
  REQUIRE(events.size() == 1);
  CHECK((events[0].flags & EV_EOF) != 0);
}

TEST_CASE_FIXTURE(
    Fds, "kevent: closing a number drops its filters although the description lives on (all)") {
  const Kqueue queue;
  Pair pair = UnixPair();
  const OwnedFd copy = MustOpen(fcntl(pair.near.get(), F_DUPFD_CLOEXEC, 0));
  const uintptr_t number = Ident(pair.near);
  REQUIRE(queue.Make(Change(number, EVFILT_READ, EV_ADD | EV_CLEAR)) == 0);
  pair.near.Close();
  REQUIRE(Send(pair.far.get(), "a", 1) == 1);
  CHECK(queue.Events().empty());
  // A delete is EBADF (FreeBSD) or ENOENT (macOS).
  CHECK(queue.Make(Change(number, EVFILT_READ, EV_DELETE)) == (OnFreebsd() ? EBADF : ENOENT));
}

TEST_CASE_FIXTURE(
    Fds,
    "kevent: the writing end of a pipe that nobody reads is EPIPE at EV_ADD (FreeBSD), or EV_EOF") {
  const Kqueue queue;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const OwnedFd writer(ends[1]);
  OwnedFd(ends[0]).Close();
  const int added = queue.Make(Change(Ident(writer), EVFILT_WRITE, EV_ADD | EV_CLEAR));
  CHECK(added == (OnFreebsd() ? EPIPE : 0));
  CHECK(queue.Events().size() == (OnFreebsd() ? 0 : 1));
}

TEST_CASE_FIXTURE(Fds,
                  "kevent: EVFILT_USER is triggered from any thread, once for all triggers (all)") {
  const Kqueue queue;
  // Before it is registered there is nothing to trigger.
  CHECK(queue.Make(Change(1, EVFILT_USER, 0, NOTE_TRIGGER)) == ENOENT);
  REQUIRE(queue.Make(Change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, 9)) == 0);
  CHECK(queue.Events().empty());
  std::thread other([&] {
    for (int i = 0; i < 3; i++) queue.Make(Change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, 9));
  });
  struct kevent event;
  CHECK(kevent(queue.fd(), nullptr, 0, &event, 1, nullptr) == 1);
  other.join();
  CHECK(event.udata == reinterpret_cast<void*>(9));
  queue.Events();
  CHECK(queue.Events().empty());
}

TEST_CASE_FIXTURE(Fds, "kevent: EV_CLEAR with a trigger takes it back on FreeBSD") {
  if (!OnFreebsd()) return;
  const Kqueue queue;
  REQUIRE(queue.Make(Change(1, EVFILT_USER, EV_ADD | EV_CLEAR)) == 0);
  REQUIRE(queue.Make(Change(1, EVFILT_USER, EV_CLEAR, NOTE_TRIGGER)) == 0);
  CHECK(queue.Events().empty());
}

TEST_CASE_FIXTURE(
    Fds, "kevent: a queue can be polled, and is readable while it has something to report (all)") {
  const Kqueue queue;
  pollfd watched{queue.fd(), POLLIN, 0};
  CHECK(poll(&watched, 1, 0) == 0);
  REQUIRE(queue.Make(Change(1, EVFILT_USER, EV_ADD | EV_CLEAR)) == 0);
  REQUIRE(queue.Make(Change(1, EVFILT_USER, 0, NOTE_TRIGGER)) == 0);
  CHECK(poll(&watched, 1, 0) == 1);
  queue.Events();
  CHECK(poll(&watched, 1, 0) == 0);
}

TEST_CASE_FIXTURE(Fds,
                  "kevent: a queue inside another is read only, and never inside itself (all)") {
  const Kqueue outer;
  const Kqueue inner;
  const auto self = static_cast<uintptr_t>(outer.fd());
  CHECK(outer.Make(Change(self, EVFILT_READ, EV_ADD | EV_CLEAR)) == EINVAL);
  REQUIRE(outer.Make(Change(static_cast<uintptr_t>(inner.fd()), EVFILT_READ, EV_ADD | EV_CLEAR)) ==
          0);
  REQUIRE(inner.Make(Change(1, EVFILT_USER, EV_ADD | EV_CLEAR)) == 0);
  REQUIRE(inner.Make(Change(1, EVFILT_USER, 0, NOTE_TRIGGER)) == 0);
  CHECK(outer.Events().size() == 1);
}

TEST_CASE_FIXTURE(Fds, "kevent: no room for events means no wait (all)") {
  const Kqueue queue;
  struct kevent none;
  CHECK(kevent(queue.fd(), nullptr, 0, &none, 0, nullptr) == 0);
}

TEST_CASE_FIXTURE(
    Fds, "kevent: a duplicate of a queue is the queue, also when the first is closed (all)") {
  OwnedFd first = MustOpen(kqueue());
  const OwnedFd second = MustOpen(fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
  struct kevent change = Change(1, EVFILT_USER, EV_ADD | EV_CLEAR);
  REQUIRE(kevent(first.get(), &change, 1, nullptr, 0, nullptr) == 0);
  change = Change(1, EVFILT_USER, 0, NOTE_TRIGGER);
  REQUIRE(kevent(second.get(), &change, 1, nullptr, 0, nullptr) == 0);
  struct kevent event;
  CHECK(kevent(first.get(), nullptr, 0, &event, 1, &kAtOnce) == 1);
  first.Close();
  CHECK(kevent(second.get(), &change, 1, nullptr, 0, nullptr) == 0);
}

TEST_CASE_FIXTURE(Fds, "kevent: a timer that was deleted before it was seen has not fired (all)") {
  const Kqueue queue;
  REQUIRE(queue.Make(Change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, 1)) == 0);
  pollfd watched{queue.fd(), POLLIN, 0};
  REQUIRE(poll(&watched, 1, kLongMs) == 1);
  REQUIRE(queue.Make(Change(1, EVFILT_TIMER, EV_DELETE)) == 0);
  CHECK(queue.Events().empty());
  CHECK(queue.Make(Change(1, EVFILT_TIMER, EV_DELETE)) == ENOENT);
}

}  // namespace coreactor::testing

// kqueue(2) on Linux, as far as native/core/poller_kqueue.cc relies on it, so that the backend can
// be tested where there is no Mac: never shipped, and no general replacement. It is made of epoll,
// eventfd and timerfd, and linked with --wrap=close,shutdown,fcntl (see CMakeLists.txt), as a
// kqueue knows when an fd is closed and a direction is shut.
//
// Each rule is marked with where it is known from: [xnu] and [FreeBSD] name a function of the
// kernel's sources (bsd/kern/kern_event.c, uipc_socket.c, sys_pipe.c; sys/kern/kern_event.c,
// uipc_socket.c, sys_pipe.c), [man] kqueue(2).
//
// What is not as there: the order of events is not that of their coming over all filters; WRITE of
// a pipe becomes true with a free page, and not with PIPE_BUF bytes; the errno of a connection that
// has failed is guessed, as Linux forgets it when it is asked; several knotes of one fd may be told
// of a change that concerns one of them; no more than some fifty fds of one file can be watched.
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "emulation.h"

extern "C" {
int __real_close(int fd);
int __real_shutdown(int fd, int how);
int __real_fcntl(int fd, int command, ...);
}

namespace coreactor::testing {

KqueueSystem EmulatedSystem() {
  static const char* const name = std::getenv("COREACTOR_KQUEUE_SYSTEM");
  static const bool freebsd = name != nullptr && std::strcmp(name, "freebsd") == 0;
  return freebsd ? KqueueSystem::kFreebsd : KqueueSystem::kMacos;
}

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;

bool IsFreebsd() { return EmulatedSystem() == KqueueSystem::kFreebsd; }

int64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

// An fd of the emulation's own.
class Inner {
 public:
  explicit Inner(int fd) : fd_(fd) {}
  ~Inner() {
    if (fd_ >= 0) __real_close(fd_);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int SocketInt(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

bool HasPeer(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  return getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
}

bool IsInternet(int fd) {
  const int domain = SocketInt(fd, SO_DOMAIN);
  return domain == AF_INET || domain == AF_INET6;
}

// A FIFO that has a name: pipes are all on one device of their own.
bool IsNamedFifo(const struct stat& about) {
  static const dev_t pipes = [] {
    int ends[2];
    struct stat anonymous {};
    if (pipe(ends) == 0) {
      fstat(ends[0], &anonymous);
      for (const int end : ends) __real_close(end);
    }
    return anonymous.st_dev;
  }();
  return S_ISFIFO(about.st_mode) && about.st_dev != pipes;
}

// What this process has shut of its sockets, by fd.
std::mutex shut_mutex;
std::set<int>& ShutForWriting() {
  static auto* shut = new std::set<int>;
  return *shut;
}
bool IsShutForWriting(int fd) {
  const std::lock_guard<std::mutex> lock(shut_mutex);
  return ShutForWriting().count(fd) > 0;
}

using Key = std::pair<uintptr_t, int16_t>;

struct Knote {
  Key key;
  // As it was attached with. [xnu] kevent_register: EV_ADD of one that exists changes no flags.
  uint16_t flags = 0;
  uint32_t notes = 0;
  intptr_t data = 0;
  void* udata = nullptr;
  bool disabled = false;
  // In the list of those that fire without being asked for by an fd.
  bool active = false;
  // The socket has had a peer.
  bool connected = false;
  // Of EVFILT_TIMER.
  std::unique_ptr<Inner> timer;
  int fd() const { return timer != nullptr ? timer->get() : static_cast<int>(key.first); }
};

// What a filter says: whether it is true, and what it has to say besides.
struct Said {
  bool fires = false;
  uint16_t flags = 0;
  uint32_t notes = 0;
  intptr_t data = 0;
};

class Queue {
 public:
  Queue()
      : set_(epoll_create1(EPOLL_CLOEXEC)),
        reads_(epoll_create1(EPOLL_CLOEXEC)),
        writes_(epoll_create1(EPOLL_CLOEXEC)),
        urgent_(epoll_create1(EPOLL_CLOEXEC)),
        timers_(epoll_create1(EPOLL_CLOEXEC)),
        always_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    // READ and WRITE of one fd are independent of each other: a set for each.
    for (const Inner* inner : {&reads_, &writes_, &urgent_, &timers_, &always_}) {
      epoll_event request{};
      request.events = EPOLLIN;
      epoll_ctl(set_, EPOLL_CTL_ADD, inner->get(), &request);
    }
  }

  int set() const { return set_; }
  bool ok() const { return set_ >= 0 && always_.get() >= 0; }

  int Kevent(const struct kevent* changes, int change_count, struct kevent* events, int room,
             const timespec* timeout) {
    int count = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (int i = 0; i < change_count; i++) {
        // [xnu] kevent_internal, [FreeBSD] kqueue_kevent: in order; what fails is reported while
        // there is room, and ends the call where there is none. The earlier ones stay.
        const int error = Change(changes[i]);
        if (error == 0 && (changes[i].flags & EV_RECEIPT) == 0) continue;
        if (count < room) {
          events[count] = changes[i];
          events[count].flags = static_cast<uint16_t>(changes[i].flags | EV_ERROR);
          events[count++].data = error;
        } else if (error != 0) {
          errno = error;
          return -1;
        } else if (IsFreebsd()) {
          break;  // [man]: without room for a receipt, later changes are not made.
        }
      }
    }
    // [xnu] kevent_internal: `noutputs == 0` is required for a scan.
    if (count > 0 || room <= 0) return count;
    return Scan(events, room, timeout);
  }

  // [xnu] knote_fdclose: the knotes of this number go, also if the description lives on in a dup.
  void Closed(int fd) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const int filter : {EVFILT_READ, EVFILT_WRITE, EVFILT_EXCEPT}) {
      const auto found = knotes_.find(Key(fd, static_cast<int16_t>(filter)));
      if (found != knotes_.end()) Drop(found->second);
    }
  }

  // [xnu] socantsendmore: sowwakeup posts to WRITE.
  void Shut(int fd) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = knotes_.find(Key(fd, EVFILT_WRITE));
    if (found != knotes_.end() && !found->second.disabled) Activate(found->second);
  }

 private:
  int SetOf(int16_t filter) const {
    if (filter == EVFILT_READ) return reads_.get();
    if (filter == EVFILT_WRITE) return writes_.get();
    return filter == EVFILT_EXCEPT ? urgent_.get() : timers_.get();
  }

  static uint32_t Asked(int16_t filter) {
    if (filter == EVFILT_READ) return EPOLLIN | EPOLLRDHUP | EPOLLET;
    if (filter == EVFILT_WRITE) return EPOLLOUT | EPOLLET;
    return filter == EVFILT_EXCEPT ? uint32_t{EPOLLPRI} | EPOLLET : uint32_t{EPOLLIN} | EPOLLET;
  }

  // EPOLL_CTL_MOD reports again what is so now.
  int Ask(const Knote& knote, int how) const {
    epoll_event request{};
    request.events = Asked(knote.key.second);
    request.data.fd = static_cast<int>(knote.key.first);
    return epoll_ctl(SetOf(knote.key.second), how, knote.fd(), &request) < 0 ? errno : 0;
  }

  void Activate(Knote& knote) {
    if (knote.active) return;
    knote.active = true;
    active_.push_back(knote.key);
    const uint64_t one = 1;
    if (write(always_.get(), &one, sizeof(one)) < 0) std::abort();
  }

  void Drop(Knote& knote) {
    if (knote.key.second != EVFILT_USER && !knote.disabled) Ask(knote, EPOLL_CTL_DEL);
    const Key key = knote.key;
    Calm(knote);
    if (knote.timer != nullptr) {
      const itimerspec never{};
      timerfd_settime(knote.timer->get(), 0, &never, nullptr);
      spare_timer_ = std::move(knote.timer);
    }
    knotes_.erase(key);
  }

  // The knote, if its fd is still what it was attached to: an fd that was closed where it could not
  // be seen has lost it.
  Knote* Find(const Key& key) {
    const auto found = knotes_.find(key);
    if (found == knotes_.end()) return nullptr;
    Knote& knote = found->second;
    const bool of_fd = key.second != EVFILT_USER && key.second != EVFILT_TIMER;
    if (!of_fd || knote.disabled || IsFile(knote)) return &knote;
    if (Ask(knote, EPOLL_CTL_MOD) == 0) return &knote;
    Calm(knote);
    knotes_.erase(found);
    return nullptr;
  }

  bool IsFile(const Knote& knote) const {
    struct stat about {};
    return fstat(knote.fd(), &about) == 0 && S_ISREG(about.st_mode);
  }

  int Change(const struct kevent& change) {
    const Key key(change.ident, change.filter);
    const bool of_fd = change.filter != EVFILT_USER && change.filter != EVFILT_TIMER;
    const bool open = !of_fd || __real_fcntl(static_cast<int>(change.ident), F_GETFD) >= 0;
    Knote* knote = Find(key);
    if (change.flags & EV_DELETE) {
      // [FreeBSD] kqueue_register: EBADF for an fd that is closed; [xnu] ENOENT.
      if (!open && IsFreebsd()) return EBADF;
      if (knote == nullptr) return ENOENT;
      Drop(*knote);
      return 0;
    }
    if (!open) return EBADF;
    if (knote == nullptr) return change.flags & EV_ADD ? Attach(change, key) : ENOENT;
    // A change of any kind sets udata, and what the filter is given. [xnu] kevent_register.
    knote->udata = change.udata;
    knote->notes = change.fflags & ~unsigned{NOTE_TRIGGER};
    knote->data = change.data;
    if (change.flags & EV_DISABLE && !knote->disabled) {
      if (of_fd) Ask(*knote, EPOLL_CTL_DEL);
      knote->disabled = true;
    }
    if (change.flags & EV_ENABLE && knote->disabled) {
      knote->disabled = false;
      if (of_fd) return Ask(*knote, EPOLL_CTL_ADD);
    }
    if (change.filter == EVFILT_TIMER && change.flags & EV_ADD) return SetTimer(*knote);
    if (change.filter == EVFILT_USER) {
      if (change.fflags & NOTE_TRIGGER) Activate(*knote);
      // [FreeBSD] filt_usertouch: EV_CLEAR takes the trigger back.
      if (change.flags & EV_CLEAR && IsFreebsd()) Calm(*knote);
    }
    return 0;
  }

  int Attach(const struct kevent& change, const Key& key) {
    Knote fresh;
    fresh.key = key;
    fresh.flags =
        static_cast<uint16_t>(change.flags & ~(EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE));
    fresh.notes = change.fflags & ~unsigned{NOTE_TRIGGER};
    fresh.data = change.data;
    fresh.udata = change.udata;
    if (change.filter == EVFILT_USER) {
      Knote& knote = knotes_[key] = std::move(fresh);
      if (change.fflags & NOTE_TRIGGER) Activate(knote);
      return 0;
    }
    if (change.filter == EVFILT_TIMER) {
      fresh.timer = spare_timer_ != nullptr ? std::move(spare_timer_) : NewTimer();
      // [man]: timers are EV_CLEAR by themselves.
      fresh.flags |= EV_CLEAR;
      const int error = Ask(fresh, EPOLL_CTL_ADD);
      if (error != 0) return error;
      return SetTimer(knotes_[key] = std::move(fresh));
    }
    return AttachFd(std::move(fresh));
  }

  int AttachFd(Knote fresh) {
    const int fd = fresh.fd();
    const int16_t filter = fresh.key.second;
    struct stat about {};
    if (fstat(fd, &about) < 0) return errno;
    // [FreeBSD]: EVFILT_EXCEPT is not known. [xnu]: of sockets and terminals only.
    if (filter == EVFILT_EXCEPT && (IsFreebsd() || !S_ISSOCK(about.st_mode))) return EINVAL;
    if (S_ISDIR(about.st_mode)) return EINVAL;
    // [xnu] filt_specattach: of the devices, terminals.
    if (S_ISCHR(about.st_mode) && isatty(fd) != 1) return EINVAL;
    if (fd == set_) return EINVAL;  // [xnu] kqueue_kqfilter
    if (S_ISREG(about.st_mode)) {
      // [xnu] vn_kqfilter: they are accepted, and true while there is something after the offset.
      Activate(knotes_[fresh.key] = std::move(fresh));
      return 0;
    }
    // [FreeBSD] pipe_kqfilter: EPIPE, and no knote, where the reader is gone.
    if (IsFreebsd() && filter == EVFILT_WRITE && S_ISFIFO(about.st_mode)) {
      pollfd asked{fd, POLLOUT, 0};
      if (poll(&asked, 1, 0) == 1 && (asked.revents & POLLERR) != 0) return EPIPE;
    }
    fresh.connected = S_ISSOCK(about.st_mode) && HasPeer(fd);
    const int error = Ask(fresh, EPOLL_CTL_ADD);
    if (error != 0) return error == EPERM || error == ELOOP ? EINVAL : error;
    knotes_[fresh.key] = std::move(fresh);
    return 0;
  }

  static std::unique_ptr<Inner> NewTimer() {
    return std::make_unique<Inner>(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  }

  int SetTimer(Knote& knote) {
    // Nanoseconds from now on; a negative time is over. [xnu] filt_timervalidate
    if ((knote.notes & NOTE_NSECONDS) == 0) return EINVAL;
    const int64_t delay = std::max<int64_t>(knote.data, 1);
    itimerspec setting{};
    setting.it_value.tv_sec = delay / kNanosecondsPerSecond;
    setting.it_value.tv_nsec = delay % kNanosecondsPerSecond;
    if (!(knote.flags & EV_ONESHOT)) setting.it_interval = setting.it_value;
    if (timerfd_settime(knote.timer->get(), 0, &setting, nullptr) < 0) return errno;
    return Ask(knote, EPOLL_CTL_MOD);
  }

  void Calm(Knote& knote) {
    knote.active = false;
    active_.erase(std::remove(active_.begin(), active_.end(), knote.key), active_.end());
  }

  int Scan(struct kevent* events, int room, const timespec* timeout) {
    const int64_t end = timeout == nullptr
                            ? INT64_MAX
                            : Now() + timeout->tv_sec * kNanosecondsPerSecond + timeout->tv_nsec;
    for (;;) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        const int count = Collect(events, room);
        if (count > 0) return count;
      }
      const int64_t left = end == INT64_MAX ? INT64_MAX : end - Now();
      if (left <= 0) return 0;
      const int64_t most = std::min<int64_t>(left, int64_t{3600} * kNanosecondsPerSecond);
      const int milliseconds =
          static_cast<int>((most + kNanosecondsPerMillisecond - 1) / kNanosecondsPerMillisecond);
      epoll_event some[8];
      if (epoll_wait(set_, some, 8, milliseconds) < 0) return -1;
    }
  }

  int Collect(struct kevent* events, int room) {
    int count = CollectActive(events, room);
    constexpr int16_t kFilters[] = {EVFILT_TIMER, EVFILT_READ, EVFILT_EXCEPT, EVFILT_WRITE};
    for (const int16_t filter : kFilters) {
      std::vector<Key> level;
      while (count < room) {
        epoll_event ready[64];
        const int most = std::min(room - count, 64);
        const int found = epoll_wait(SetOf(filter), ready, most, 0);
        for (int i = 0; i < found; i++) {
          const Key key(static_cast<uintptr_t>(ready[i].data.fd), filter);
          const auto at = knotes_.find(key);
          // Of an fd that was closed where it could not be seen, and lives on in a dup.
          if (at == knotes_.end()) continue;
          if (Deliver(at->second, &events[count])) count++;
          const auto still = knotes_.find(key);
          const bool again = still != knotes_.end() && !still->second.disabled &&
                             (still->second.flags & EV_CLEAR) == 0;
          if (again) level.push_back(key);
        }
        if (found < most) break;
      }
      // Neither EV_CLEAR nor EV_ONESHOT: again as long as it is true. [xnu] knote_process
      for (const Key& key : level) Ask(knotes_.find(key)->second, EPOLL_CTL_MOD);
    }
    return count;
  }

  int CollectActive(struct kevent* events, int room) {
    int count = 0;
    std::deque<Key> level;
    while (count < room && !active_.empty()) {
      const Key key = active_.front();
      active_.pop_front();
      Knote& knote = knotes_.find(key)->second;
      knote.active = false;
      if (knote.disabled || !Deliver(knote, &events[count])) continue;
      count++;
      const auto still = knotes_.find(key);
      const bool endless =
          key.second == EVFILT_USER || (still != knotes_.end() && IsFile(still->second));
      if (endless && still != knotes_.end() && (still->second.flags & EV_CLEAR) == 0) {
        level.push_back(key);
      }
    }
    for (const Key& key : level) {
      knotes_.find(key)->second.active = true;
      active_.push_back(key);
    }
    uint64_t drained;
    if (active_.empty() && read(always_.get(), &drained, sizeof(drained)) < 0 && errno != EAGAIN) {
      std::abort();
    }
    return count;
  }

  // Runs the filter again, as at every retrieval. [xnu] knote_process. False: it is not true any
  // more, and waits for what comes next.
  bool Deliver(Knote& knote, struct kevent* event) {
    const Said said = Ask(knote);
    if (!said.fires) return false;
    // EV_RECEIPT and the rest stay in the flags. [xnu] knote_process
    *event = {knote.key.first, knote.key.second, static_cast<uint16_t>(knote.flags | said.flags),
              said.notes,      said.data,        knote.udata};
    if (knote.flags & EV_ONESHOT) {
      Drop(knote);
    } else if (knote.flags & EV_DISPATCH) {
      Ask(knote, EPOLL_CTL_DEL);
      knote.disabled = true;
    }
    return true;
  }

  Said Ask(Knote& knote) const {
    if (knote.key.second == EVFILT_USER) return {true, 0, knote.notes, 0};
    if (knote.key.second == EVFILT_TIMER) {
      uint64_t expired = 0;
      const ssize_t result = read(knote.fd(), &expired, sizeof(expired));
      return {result > 0, 0, 0, static_cast<intptr_t>(expired)};
    }
    const int fd = knote.fd();
    struct stat about {};
    if (fstat(fd, &about) < 0) return {};
    pollfd polled{fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    if (poll(&polled, 1, 0) < 0) return {};
    const auto is = [&](int events) { return (polled.revents & events) != 0; };
    if (knote.key.second == EVFILT_EXCEPT) return {is(POLLPRI), 0, NOTE_OOB, 0};
    if (S_ISREG(about.st_mode)) {
      const bool more = lseek(fd, 0, SEEK_CUR) < about.st_size;
      return {knote.key.second == EVFILT_WRITE ? IsFreebsd() : more, 0, 0, 0};
    }
    const bool reading = knote.key.second == EVFILT_READ;
    if (!S_ISSOCK(about.st_mode)) {
      // [xnu] fifo_kqfilter: the end of a FIFO that has a name is not posted.
      const bool silent = IsNamedFifo(about) && !IsFreebsd();
      const bool ended = (is(POLLHUP) && !silent) || is(POLLERR);
      // Of a pipe's wrong end only the end is told. [xnu] filt_pipenotsup and the "neutered" filter
      return Answer(knote, fd, reading ? is(POLLIN) : is(POLLOUT), ended, 0);
    }
    if (SocketInt(fd, SO_ACCEPTCONN) > 0) {
      // [xnu] filt_soread: of a listener the length of its queue; filt_sowrite: never.
      return {reading && is(POLLIN), 0, 0, 1};
    }
    const int type = SocketInt(fd, SO_TYPE);
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
      // [xnu] filt_soread: `so_error`, "temporary udp error": true, without EV_EOF and its errno.
      return Answer(knote, fd, (reading ? is(POLLIN) : is(POLLOUT)) || is(POLLERR), false, 0);
    }
    // Never connected: Linux says OUT and HUP; [xnu] socanwrite is false, and there is no end.
    if (is(POLLHUP) && !is(POLLRDHUP)) return {};
    const bool failed = is(POLLERR) && IsInternet(fd);
    // The errno without taking it away: [xnu] fflags = so_error.
    const uint32_t error = failed ? (knote.connected ? ECONNRESET : ECONNREFUSED) : 0;
    if (!is(POLLHUP) && is(POLLOUT)) knote.connected = true;
    if (reading) return Answer(knote, fd, is(POLLIN), is(POLLRDHUP | POLLHUP | POLLERR), error);
    const bool shut = is(POLLHUP | POLLERR) || IsShutForWriting(fd);
    return Answer(knote, fd, is(POLLOUT), shut, error);
  }

  static Said Answer(const Knote& knote, int fd, bool ready, bool ended, uint32_t error) {
    int bytes = 0;
    if (knote.key.second == EVFILT_READ) {
      ioctl(fd, FIONREAD, &bytes);
    } else {
      bytes = std::max(SocketInt(fd, SO_SNDBUF), 0);
    }
    // [xnu] filt_soread: NOTE_LOWAT, but no more than the buffer holds.
    if ((knote.notes & NOTE_LOWAT) && knote.key.second == EVFILT_READ) {
      const int most = std::max(SocketInt(fd, SO_RCVBUF) / 2, 1);
      ready = ready && bytes >= std::min<intptr_t>(knote.data, most);
    }
    const uint16_t flags = ended ? EV_EOF : 0;
    return {ready || ended, flags, ended ? error : 0, bytes};
  }

  // The fd that was handed out; its owner closes it.
  const int set_;
  const Inner reads_;
  const Inner writes_;
  const Inner urgent_;
  const Inner timers_;
  const Inner always_;
  std::mutex mutex_;
  std::map<Key, Knote> knotes_;
  std::deque<Key> active_;
  // A timer of a kqueue needs no fd: one is kept, so that it can be had when there are no more.
  std::unique_ptr<Inner> spare_timer_ = NewTimer();
};

// All queues, by the fds that stand for them: the first and its duplicates.
class Queues {
 public:
  static Queues& All() {
    static auto* all = new Queues;
    return *all;
  }

  void Opened(std::shared_ptr<Queue> queue) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int fd = queue->set();
    queues_[fd] = std::move(queue);
  }

  void Duplicated(int from, int to) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = queues_.find(from);
    if (found != queues_.end()) queues_[to] = found->second;
  }

  std::shared_ptr<Queue> Of(int fd) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = queues_.find(fd);
    return found == queues_.end() ? nullptr : found->second;
  }

  void Closed(int fd) {
    std::shared_ptr<Queue> gone;
    for (const std::shared_ptr<Queue>& queue : Each()) queue->Closed(fd);
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = queues_.find(fd);
    if (found == queues_.end()) return;
    gone = found->second;
    queues_.erase(found);
  }

  void Shut(int fd) {
    for (const std::shared_ptr<Queue>& queue : Each()) queue->Shut(fd);
  }

 private:
  std::set<std::shared_ptr<Queue>> Each() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::set<std::shared_ptr<Queue>> each;
    for (const auto& [fd, queue] : queues_) each.insert(queue);
    return each;
  }

  std::mutex mutex_;
  std::map<int, std::shared_ptr<Queue>> queues_;
};

int Duplicate(int fd, int command, int result) {
  if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
    Queues::All().Duplicated(fd, result);
  }
  return result;
}

}  // namespace
}  // namespace coreactor::testing

using coreactor::testing::Queue;
using coreactor::testing::Queues;

extern "C" {

int kqueue(void) {
  auto queue = std::make_shared<Queue>();
  if (!queue->ok()) {
    const int error = errno;
    if (queue->set() >= 0) __real_close(queue->set());
    errno = error;
    return -1;
  }
  Queues::All().Opened(queue);
  return queue->set();
}

int kevent(int fd, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout) {
  const std::shared_ptr<Queue> queue = Queues::All().Of(fd);
  if (queue == nullptr) {
    errno = EBADF;
    return -1;
  }
  return queue->Kevent(changes, change_count, events, event_count, timeout);
}

int __wrap_close(int fd) {
  Queues::All().Closed(fd);
  {
    const std::lock_guard<std::mutex> lock(coreactor::testing::shut_mutex);
    coreactor::testing::ShutForWriting().erase(fd);
  }
  return __real_close(fd);
}

int __wrap_shutdown(int fd, int how) {
  const int result = __real_shutdown(fd, how);
  if (result < 0 || how == SHUT_RD) return result;
  {
    const std::lock_guard<std::mutex> lock(coreactor::testing::shut_mutex);
    coreactor::testing::ShutForWriting().insert(fd);
  }
  Queues::All().Shut(fd);
  return result;
}

int __wrap_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return coreactor::testing::Duplicate(fd, command, __real_fcntl(fd, command, argument));
}

int __wrap_fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return coreactor::testing::Duplicate(fd, command, __real_fcntl(fd, command, argument));
}

}  // extern "C"

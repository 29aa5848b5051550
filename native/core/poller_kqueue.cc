// Poller over kqueue(2). The facts that it is built on, with their sources, are tests:
// native/test/kqueue_test.cc.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "clock.h"
#include "kqueue.h"
#include "poller.h"

namespace coreactor {
namespace {

// Bits of Watched::filters: what is registered.
constexpr uint32_t kRead = 1 << 0;
constexpr uint32_t kWrite = 1 << 1;
constexpr uint32_t kUrgent = 1 << 2;
// EVFILT_USER, in place of a filter that could not be registered because the other side is gone.
constexpr uint32_t kGone = 1 << 3;
constexpr uint32_t kFilters = kRead | kWrite | kUrgent | kGone;
// How: EVFILT_READ is there for the end only; everything is there for one event.
constexpr uint32_t kEndOnly = 1 << 4;
constexpr uint32_t kOnce = 1 << 5;

// Numbers of EVFILT_USER, which have nothing to do with fds: one to be woken by, and one for each
// fd.
constexpr uintptr_t kWakeIdent = 0;
uintptr_t GoneIdent(int fd) { return static_cast<uintptr_t>(fd) + 1; }
int FdOfGone(uintptr_t ident) { return static_cast<int>(ident - 1); }

static_assert(sizeof(void*) == sizeof(Token), "udata is a token");

void* Pack(Token token) {
  void* packed;
  std::memcpy(&packed, &token, sizeof(packed));
  return packed;
}

Token Unpack(void* packed) {
  Token token;
  std::memcpy(&token, &packed, sizeof(token));
  return token;
}

bool IsSame(Token one, Token other) {
  return one.slot == other.slot && one.generation == other.generation;
}

uint32_t FilterOf(const struct kevent& event) {
  if (event.filter == EVFILT_READ) return kRead;
  if (event.filter == EVFILT_WRITE) return kWrite;
  if (event.filter == EVFILT_USER) return kGone;
  return kUrgent;
}

// Changes to a queue, made together, each with an answer of its own. (EV_RECEIPT: nothing is waited
// for, and no event is reported. It stays in the flags of later events.)
class Changes {
 public:
  void Add(uintptr_t ident, int16_t filter, unsigned flags, uint32_t notes, int64_t data,
           Token token) {
    EV_SET(&changes_[count_++], ident, filter, static_cast<uint16_t>(flags | EV_RECEIPT), notes,
           static_cast<decltype(kevent::data)>(data), Pack(token));
  }

  Status Make(int queue) {
    if (count_ == 0) return Status::Ok();
    // Made again after EINTR they say ENOENT, or are as they were.
    return StatusOf(
        Call([&] { return kevent(queue, changes_, count_, answers_, count_, nullptr); }));
  }

  int count() const { return count_; }
  uint32_t filter(int i) const { return FilterOf(changes_[i]); }
  int error(int i) const { return static_cast<int>(answers_[i].data); }

 private:
  // One for each filter.
  struct kevent changes_[4];
  struct kevent answers_[4];
  int count_ = 0;
};

void AddFilters(Changes* changes, int fd, uint32_t filters, unsigned flags, Token token) {
  const auto ident = static_cast<uintptr_t>(fd);
  if (filters & kEndOnly) {
    // More than there is room for, so that the end and errors are left, and a buffer that is full:
    // that one is passed over, and must not be the one event of a one-shot filter.
    const unsigned kept = flags & EV_ONESHOT ? (flags & ~unsigned{EV_ONESHOT}) | EV_CLEAR : flags;
    changes->Add(ident, EVFILT_READ, kept, NOTE_LOWAT, INT_MAX, token);
  } else if (filters & kRead) {
    changes->Add(ident, EVFILT_READ, flags, 0, 0, token);
  }
  if (filters & kWrite) changes->Add(ident, EVFILT_WRITE, flags, 0, 0, token);
  if (filters & kUrgent) changes->Add(ident, kUrgentFilter, flags, kUrgentNotes, 0, token);
}

void DeleteFilters(int queue, int fd, uint32_t filters) {
  Changes changes;
  AddFilters(&changes, fd, filters, EV_DELETE, Token{});
  if (filters & kGone) changes.Add(GoneIdent(fd), EVFILT_USER, EV_DELETE, 0, 0, Token{});
  // ENOENT: it has been reported, once, or the fd was closed. EBADF: it was closed (FreeBSD). Both
  // are what was wanted.
  changes.Make(queue);
}

uint32_t FiltersFor(Interest interest, Mode mode) {
  uint32_t filters = mode == Mode::kOneShot ? kOnce : 0;
  if (interest.bits & kReadable) filters |= kRead;
  if (interest.bits & kWritable) filters |= kWrite;
  if (interest.bits & kPriority) filters |= kUrgent;
  // Who waits for something else must hear of the end, too, as with epoll.
  if ((filters & (kRead | kWrite)) == 0) filters |= kRead | kEndOnly;
  return filters;
}

// What a refusal means: that no file of this kind can be watched is EPERM, as with epoll.
Status Refused(int error, const struct stat& about) {
  const bool device = S_ISCHR(about.st_mode);
  // Terminals can be watched, and other devices are EINVAL or ENODEV (spec_kqfilter of xnu).
  if (device && (error == EINVAL || error == ENODEV)) return Status::Errno(EPERM);
  if (error == ENOTSUP || error == EOPNOTSUPP || error == ENXIO) return Status::Errno(EPERM);
  return Status::Errno(error);
}

// Whoever waits in a direction that has failed must wake to find out, so READABLE and WRITABLE come
// with an error. The end of one direction says nothing of the other.
uint32_t Translate(const struct kevent& event) {
  if (event.filter == EVFILT_USER) return kReadable | kWritable | kWriteClosed | kError;
  const bool ended = (event.flags & EV_EOF) != 0;
  uint32_t readiness = kPriority;
  if (event.filter == EVFILT_READ) readiness = kReadable | (ended ? kReadClosed : 0);
  if (event.filter == EVFILT_WRITE) readiness = kWritable | (ended ? kWriteClosed : 0);
  // The error of a socket: EV_ERROR is for changes only.
  const bool failed = ended && event.filter != kUrgentFilter && event.fflags != 0;
  return failed ? readiness | kReadable | kWritable | kError : readiness;
}

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;

timespec Until(int64_t deadline) {
  const int64_t left = std::max<int64_t>(deadline - MonotonicNanoseconds(), 0);
  timespec time{};
  time.tv_sec = static_cast<time_t>(left / kNanosecondsPerSecond);
  time.tv_nsec = static_cast<long>(left % kNanosecondsPerSecond);
  return time;
}

Status Trigger(int queue) {
  struct kevent change;
  // Without EV_CLEAR, which takes back what it triggers on FreeBSD (filt_usertouch). The token
  // again, as each change sets it.
  EV_SET(&change, kWakeIdent, EVFILT_USER, 0, NOTE_TRIGGER, 0, Pack(Token{kWakeSlot, 0}));
  return StatusOf(Call([&] { return kevent(queue, &change, 1, nullptr, 0, nullptr); }));
}

}  // namespace

Result<Poller> Poller::Create() {
  Poller poller;
  const int queue = Call([] { return kqueue(); });
  if (queue < 0) return StatusOf(queue);
  poller.queue_ = OwnedFd(queue);
  // No child inherits a queue, but what this process execs itself would.
  const int marked = Call([&] { return fcntl(queue, F_SETFD, FD_CLOEXEC); });
  if (marked < 0) return StatusOf(marked);
  // Registered first and triggered later: both at once has lost events (xnu,
  // kqueue_add_and_trigger).
  Changes changes;
  changes.Add(kWakeIdent, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, Token{kWakeSlot, 0});
  const Status made = changes.Make(queue);
  if (!made.ok()) return made;
  if (changes.error(0) != 0) return Status::Errno(changes.error(0));
  return poller;
}

Status Poller::Add(int fd, Interest interest, Mode mode, Token token) {
  if (fd < 0) return Status::Errno(EBADF);
  struct stat about {};
  const Status looked = StatusOf(Call([&] { return fstat(fd, &about); }));
  if (!looked.ok()) return looked;
  if (!IsWatchable(about)) return Status::Errno(EPERM);
  const auto place = static_cast<size_t>(fd);
  if (place >= watched_.size()) watched_.resize(place + 1);
  Watched& watched = watched_[place];
  if (watched.filters != 0) {
    // EV_ADD would change it, and whoever registered it would hear no more. Whether it is still
    // there, or was closed by somebody else, says a change that changes nothing.
    Changes question;
    AddFilters(&question, fd, watched.filters, EV_ENABLE, watched.token);
    const Status asked = question.Make(queue_.get());
    if (!asked.ok()) return asked;
    for (int i = 0; i < question.count(); i++) {
      if (question.error(i) == 0) return Status::Errno(EEXIST);
    }
  }
  watched = Watched{};
  uint32_t filters = FiltersFor(interest, mode);
  if ((filters & kUrgent) && kUrgentFilter == 0) return Status::Errno(EOPNOTSUPP);
  Changes changes;
  const unsigned flags = EV_ADD | (mode == Mode::kOneShot ? EV_ONESHOT : EV_CLEAR);
  AddFilters(&changes, fd, filters, flags, token);
  const Status made = changes.Make(queue_.get());
  if (!made.ok()) return made;
  int refused = 0;
  for (int i = 0; i < changes.count(); i++) {
    const int error = changes.error(i);
    if (error != 0) filters &= ~changes.filter(i);
    // The other side of the pipe is gone, and the filter is not there: it would have fired at once.
    if (error == EPIPE) filters |= kGone;
    if (error != 0 && error != EPIPE) refused = error;
  }
  if (refused != 0) {
    DeleteFilters(queue_.get(), fd, filters & ~kGone);
    return Refused(refused, about);
  }
  if (filters & kGone) {
    Changes instead;
    instead.Add(GoneIdent(fd), EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 0, token);
    instead.Add(GoneIdent(fd), EVFILT_USER, 0, NOTE_TRIGGER, 0, token);
    const Status posted = instead.Make(queue_.get());
    if (!posted.ok()) return posted;
  }
  watched.token = token;
  watched.filters = filters;
  return Status::Ok();
}

Status Poller::Remove(int fd) {
  const auto place = static_cast<size_t>(fd);
  if (fd < 0 || place >= watched_.size() || watched_[place].filters == 0) return Status::Ok();
  DeleteFilters(queue_.get(), fd, watched_[place].filters);
  watched_[place] = Watched{};
  return Status::Ok();
}

Result<size_t> Poller::Wait(Event* out, size_t capacity, int timeout_ms) {
  struct kevent reported[kBatchCapacity];
  const int most = static_cast<int>(std::min(capacity, kBatchCapacity));
  const int64_t deadline =
      timeout_ms > 0 ? MonotonicNanoseconds() + timeout_ms * kNanosecondsPerMillisecond : 0;
  size_t events = 0;
  for (bool waiting = true; waiting && events == 0;) {
    const int count = Call([&] {
      // Calculated again after a signal: those that keep coming must not prolong it.
      const timespec left = timeout_ms > 0 ? Until(deadline) : timespec{};
      return kevent(queue_.get(), nullptr, 0, reported, most, timeout_ms < 0 ? nullptr : &left);
    });
    if (count < 0) return StatusOf(count);
    batch_++;
    const auto watched_at = [&](const struct kevent& event) -> Watched* {
      const int fd =
          event.filter == EVFILT_USER ? FdOfGone(event.ident) : static_cast<int>(event.ident);
      const auto place = static_cast<size_t>(fd);
      if (place >= watched_.size() || watched_[place].filters == 0) return nullptr;
      return IsSame(watched_[place].token, Unpack(event.udata)) ? &watched_[place] : nullptr;
    };
    for (int i = 0; i < count; i++) {
      const struct kevent& event = reported[i];
      const Token token = Unpack(event.udata);
      if (event.filter == EVFILT_TIMER) {
        out[events++] = Event{token, kClock, 0};
        continue;
      }
      if (event.filter == EVFILT_USER && event.ident == kWakeIdent) {
        out[events++] = Event{token, kReadable, 0};
        continue;
      }
      Watched* watched = watched_at(event);
      if (watched == nullptr) continue;
      const bool end_only = event.filter == EVFILT_READ && (watched->filters & kEndOnly) != 0;
      if (end_only && (event.flags & EV_EOF) == 0) continue;
      if (event.filter == EVFILT_USER || (watched->filters & kOnce && !end_only)) {
        watched->filters &= ~FilterOf(event);
      }
      // Both directions of one fd are two events here, and one there.
      if (watched->batch == batch_) {
        out[watched->index].readiness |= Translate(event);
        continue;
      }
      watched->batch = batch_;
      watched->index = static_cast<uint32_t>(events);
      out[events++] = Event{token, Translate(event), 0};
    }
    // One event has been reported, so the other direction must not be.
    for (int i = 0; i < count; i++) {
      if (reported[i].filter == EVFILT_TIMER) continue;
      Watched* watched = watched_at(reported[i]);
      if (watched == nullptr || watched->batch != batch_) continue;
      if ((watched->filters & kOnce) == 0) continue;
      if (watched->filters & kFilters) {
        DeleteFilters(queue_.get(), static_cast<int>(watched - watched_.data()), watched->filters);
      }
      watched->filters = 0;
    }
    waiting =
        count > 0 && (timeout_ms < 0 || (timeout_ms > 0 && MonotonicNanoseconds() < deadline));
  }
  return events;
}

Status Poller::Wake() { return Trigger(queue_.get()); }

Result<Waker> Poller::NewWaker() const {
  const int copy = Call([&] { return fcntl(queue_.get(), F_DUPFD_CLOEXEC, 0); });
  if (copy < 0) return StatusOf(copy);
  return Waker(OwnedFd(copy));
}

Status Waker::Wake() const { return Trigger(fd_.get()); }

}  // namespace coreactor

// Poller over epoll(7).
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

#include "clock.h"
#include "poller.h"

namespace coreactor {
namespace {

uint64_t Pack(Token token) {
  uint64_t packed;
  static_assert(sizeof(packed) == sizeof(token));
  std::memcpy(&packed, &token, sizeof(packed));
  return packed;
}

Token Unpack(uint64_t packed) {
  Token token;
  std::memcpy(&token, &packed, sizeof(token));
  return token;
}

uint32_t Requested(Interest interest, Mode mode) {
  uint32_t events = mode == Mode::kEdge ? EPOLLET : EPOLLONESHOT;
  // RDHUP is not reported unless it is asked for; HUP and ERR always are (epoll_ctl(2)).
  if (interest.bits & kReadable) events |= EPOLLIN | EPOLLRDHUP;
  if (interest.bits & kWritable) events |= EPOLLOUT;
  if (interest.bits & kPriority) events |= EPOLLPRI;
  return events;
}

// Whoever waits in a direction that has failed or ended must wake to find out, so those bits come
// with READABLE and WRITABLE.
uint32_t Translate(uint32_t events) {
  uint32_t readiness = 0;
  if (events & EPOLLIN) readiness |= kReadable;
  if (events & EPOLLOUT) readiness |= kWritable;
  if (events & EPOLLPRI) readiness |= kPriority;
  if (events & EPOLLRDHUP) readiness |= kReadable | kReadClosed;
  if (events & EPOLLHUP) readiness |= kReadable | kWritable | kReadClosed | kWriteClosed;
  if (events & EPOLLERR) readiness |= kReadable | kWritable | kError;
  return readiness;
}

constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;

// Rounded up: a wait is not cut short.
int MillisecondsUntil(int64_t deadline) {
  const int64_t left = std::max<int64_t>(deadline - MonotonicNanoseconds(), 0);
  return static_cast<int>((left + kNanosecondsPerMillisecond - 1) / kNanosecondsPerMillisecond);
}

Status WakeThrough(int eventfd) {
  // Never read: edge-triggered, an eventfd reports every write (eventfd_write wakes its queue
  // whatever the count was). EAGAIN would need 2^64 - 2 of them.
  const uint64_t one = 1;
  return StatusOf(Call([&] { return write(eventfd, &one, sizeof(one)); }));
}

}  // namespace

Result<Poller> Poller::Create() {
  Poller poller;
  const int queue = Call([] { return epoll_create1(EPOLL_CLOEXEC); });
  if (queue < 0) return StatusOf(queue);
  poller.queue_ = OwnedFd(queue);
  const int wake = Call([] { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); });
  if (wake < 0) return StatusOf(wake);
  poller.wake_ = OwnedFd(wake);
  const Status added = poller.Add(wake, Interest{kReadable}, Mode::kEdge, Token{kWakeSlot, 0});
  if (!added.ok()) return added;
  return poller;
}

Status Poller::Add(int fd, Interest interest, Mode mode, Token token) {
  epoll_event request{};
  request.events = Requested(interest, mode);
  request.data.u64 = Pack(token);
  // EEXIST is not turned into a change (EPOLL_CTL_MOD): the entry may be another's.
  return StatusOf(Call([&] { return epoll_ctl(queue_.get(), EPOLL_CTL_ADD, fd, &request); }));
}

Status Poller::Remove(int fd) {
  const Status status =
      StatusOf(Call([&] { return epoll_ctl(queue_.get(), EPOLL_CTL_DEL, fd, nullptr); }));
  // ENOENT: not watched, which is what the caller wanted.
  return Ignoring(ENOENT, status);
}

Result<size_t> Poller::Wait(Event* out, size_t capacity, int timeout_ms) {
  epoll_event reported[kBatchCapacity];
  const int most = static_cast<int>(std::min(capacity, kBatchCapacity));
  // After a signal only what is left is waited for: signals that keep coming must not prolong it.
  const bool limited = timeout_ms > 0;
  const int64_t deadline =
      limited ? MonotonicNanoseconds() + timeout_ms * kNanosecondsPerMillisecond : 0;
  const int count = Call([&] {
    return epoll_wait(queue_.get(), reported, most,
                      limited ? MillisecondsUntil(deadline) : timeout_ms);
  });
  if (count < 0) return StatusOf(count);
  for (int i = 0; i < count; i++) {
    const Token token = Unpack(reported[i].data.u64);
    const uint32_t readiness = token.slot == kClockSlot ? kClock : Translate(reported[i].events);
    out[i] = Event{token, readiness, 0};
  }
  return static_cast<size_t>(count);
}

Status Poller::Wake() { return WakeThrough(wake_.get()); }

Result<Waker> Poller::NewWaker() const {
  const int copy = Call([&] { return fcntl(wake_.get(), F_DUPFD_CLOEXEC, 0); });
  if (copy < 0) return StatusOf(copy);
  return Waker(OwnedFd(copy));
}

Status Waker::Wake() const { return WakeThrough(fd_.get()); }

}  // namespace coreactor

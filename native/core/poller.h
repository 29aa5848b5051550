// The kernel's readiness queue (epoll, kqueue) behind six verbs. Which one is compiled is decided
// in the build files.
#pragma once

#include <vector>

#include "event.h"
#include "owned_fd.h"
#include "status.h"

namespace coreactor {

// Wakes a poller from any thread, and goes on doing nothing once that is gone.
class Waker {
 public:
  Waker() = default;
  explicit Waker(OwnedFd fd) : fd_(std::move(fd)) {}
  // Makes the poller's Wait report an event of kWakeSlot.
  Status Wake() const;

 private:
  // A duplicate of the poller's own: of its eventfd (epoll), or of the queue itself (kqueue).
  OwnedFd fd_;
};

// A Poller never interprets a Token, and never owns or closes a watched fd.
class Poller {
 public:
  static Result<Poller> Create();

  Poller() = default;

  // Watches `fd`. Ready already: the next Wait says so. EPERM: this kind of file cannot be watched.
  // EEXIST: it is being watched.
  Status Add(int fd, Interest interest, Mode mode, Token token);
  // Forgets `fd`, to be called while it is open. Not being watched is success. EBADF (epoll only):
  // closed by somebody else, which has removed it, unless a dup lives on: then nothing can.
  Status Remove(int fd);
  // Up to `capacity` events, waiting at most `timeout_ms` for the first (-1: for ever). How many.
  Result<size_t> Wait(Event* out, size_t capacity, int timeout_ms);
  // Makes Wait report an event of kWakeSlot. From any thread, while this poller lives.
  Status Wake();
  // The same for a thread that may outlive it.
  Result<Waker> NewWaker() const;
  // Readable whenever Wait(.., 0) could return events, so that another queue can watch this one.
  int fd() const { return queue_.get(); }

 private:
  // What is known of an fd that a kqueue watches, because it cannot be asked. (poller_kqueue.cc)
  struct Watched {
    Token token{};
    // Which filters there are, and how they were asked for; 0 = it is not being watched.
    uint32_t filters = 0;
    // Where its event is, if it is in the batch of this number.
    uint32_t batch = 0;
    uint32_t index = 0;
  };

  OwnedFd queue_;
  // Of epoll: the eventfd that is watched to be woken by.
  OwnedFd wake_;
  // Of kqueue, by fd.
  std::vector<Watched> watched_;
  uint32_t batch_ = 0;
};

}  // namespace coreactor

// A blocking call, on its way from an environment to a thread of the pool and back.
#pragma once

#include <cstdint>
#include <memory>

#include "event.h"

namespace coreactor {

class Outbox;

// Jobs that may hang for long, as looking a name up does, have a lane of their own, which never
// takes all threads.
enum class Lane : uint32_t { kOrdinary = 0, kSlow = 1 };
constexpr int kLanes = 2;

// Owned by one side at a time: by the pool from Submit until its end, then by the outbox. Its
// memory is its own: a thread touches nothing of any environment. Destroying it frees what it has
// found, and closes the fds in it.
class Job {
 public:
  explicit Job(Lane lane = Lane::kOrdinary) : lane_(lane) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Makes the call, in a thread of the pool, where it may block: >= 0, or a negative error.
  virtual int32_t Run() = 0;
  // Whether there is more to it than the number that Run returned: then it is kept until its
  // result is taken.
  virtual bool has_result() const { return false; }

  Lane lane() const { return lane_; }
  // What it is to whoever made it.
  uint32_t kind() const { return kind_; }
  void set_kind(uint32_t kind) { kind_ = kind; }

 private:
  friend class BlockingPool;
  friend class Outbox;

  const Lane lane_;
  uint32_t kind_ = 0;
  // Set by Outbox::Submit.
  uint32_t id_ = 0;
  Token token_{};
  std::shared_ptr<Outbox> outbox_;
  int32_t result_ = 0;
  // The pool's: when it came, and its neighbours while it is queued.
  uint64_t ticket_ = 0;
  Job* previous_ = nullptr;
  Job* next_ = nullptr;
  bool queued_ = false;
};

}  // namespace coreactor

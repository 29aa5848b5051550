// A blocking call, on its way from an environment to a thread of the pool and back.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "event.h"

namespace coreactor {

class Outbox;

// Each lane has a limit of its own for how many of its jobs run at a time, so that no job waits for
// one of another lane: whatever hangs, hangs among its like.
enum class Lane : uint32_t {
  // Ends by itself and waits for no other job: disks, and what others submit.
  kOrdinary = 0,
  // May hang for as long as somebody's servers do: looking a name up.
  kLookup = 1,
  // Waits for what another task or process does, which may need a job for that: opening a FIFO,
  // waiting for a process, reading from a device.
  kWaiting = 2,
};
constexpr size_t kLanes = 3;
using PerLane = std::array<int, kLanes>;
using FdsInUse = std::array<int, 2>;

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
  // The fds that Run makes calls on and that are not its own; -1: none.
  virtual FdsInUse fds() const { return {-1, -1}; }
  // The call and what it is made on, for a report: `open /etc/hosts`. From any thread.
  virtual std::string what() const { return "job"; }
  // Nobody wants it any more although it runs: Run may come back sooner. Called in the thread of
  // its environment, also when Run has just come back; never once that environment is gone.
  virtual void Interrupt() {}

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
  // The pool's, with its mutex held: when it came, and its neighbours while it is queued.
  uint64_t ticket_ = 0;
  Job* previous_ = nullptr;
  Job* next_ = nullptr;
  bool queued_ = false;
  // MonotonicNanoseconds: when it was begun; 0 while it is queued.
  int64_t begun_ = 0;
};

}  // namespace coreactor

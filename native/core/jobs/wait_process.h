// Waiting for a child's end, where no fd says so.
#pragma once

#include "../job.h"
#include "../process.h"

namespace coreactor {

// Its number, or -errno. The child is left for whoever asks then: a job that is abandoned has taken
// nobody's. `pid` 0 is any child.
class WaitProcessJob : public Job {
 public:
  explicit WaitProcessJob(pid_t pid) : Job(Lane::kWaiting), pid_(pid) {}

  int32_t Run() override { return AwaitEnd(pid_); }
  std::string what() const override {
    return pid_ == 0 ? "wait for a child" : "wait for process " + std::to_string(pid_);
  }

 private:
  const pid_t pid_;
};

}  // namespace coreactor

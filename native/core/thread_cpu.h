// How much a thread has computed, and whether it could: asked by another one.
#pragma once

#include <chrono>

namespace coreactor {

// Made in the thread itself, and valid while that lives.
class ThreadCpu {
 public:
  // Of the calling thread. (thread_cpu_linux.cc)
  static ThreadCpu OfThisThread();

  // 0 where the system does not say.
  std::chrono::nanoseconds Used() const;
  // Whether it has been stopped, or would run and has no processor to run on, or runs: as opposed
  // to waiting for something. False where the system does not say.
  bool HasNoProcessor() const;

 private:
  // The numbers of its clock, and of itself; not used where the system is not asked.
  [[maybe_unused]] int clock_ = 0;
  [[maybe_unused]] int thread_ = 0;
};

}  // namespace coreactor

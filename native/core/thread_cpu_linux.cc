#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "owned_fd.h"
#include "status.h"
#include "thread_cpu.h"

namespace coreactor {

ThreadCpu ThreadCpu::OfThisThread() {
  ThreadCpu cpu;
  clockid_t clock = CLOCK_MONOTONIC;
  cpu.clock_ = pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : 0;
  cpu.thread_ = static_cast<int>(syscall(SYS_gettid));
  return cpu;
}

std::chrono::nanoseconds ThreadCpu::Used() const {
  timespec used{};
  // The clock of a thread is a negative number. It has gone with the thread: then this fails.
  if (clock_ >= 0 || clock_gettime(clock_, &used) != 0) return std::chrono::nanoseconds(0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

bool ThreadCpu::HasNoProcessor() const {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread_);
  const OwnedFd file(Call([&] { return open(path, O_RDONLY | O_CLOEXEC); }));
  // Its number, its name of 15 characters in brackets, and a letter.
  char text[64] = {};
  if (!file.valid() || Call([&] { return read(file.get(), text, sizeof(text) - 1); }) <= 0) {
    return false;
  }
  const char* bracket = std::strrchr(text, ')');
  if (bracket == nullptr || bracket[1] != ' ') return false;
  // Running or ready, stopped, traced.
  return std::strchr("RTt", bracket[2]) != nullptr && bracket[2] != '\0';
}

}  // namespace coreactor

// Calls on files, which epoll cannot watch and which may wait for a disk or for a network.
#pragma once

#include <sys/stat.h>

#include "../job.h"

namespace coreactor {

// fstat(2): 0 or -errno.
class FstatJob : public Job {
 public:
  explicit FstatJob(int fd) : fd_(fd) {}

  int32_t Run() override;
  bool has_result() const override { return succeeded_; }
  const struct stat& status() const { return status_; }

 private:
  const int fd_;
  bool succeeded_ = false;
  struct stat status_ {};
};

}  // namespace coreactor

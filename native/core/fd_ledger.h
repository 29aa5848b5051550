// The fds that one environment has opened and not closed yet. When it ends without having closed
// them, as a worker that is terminated does, they are closed here: the process lives on, and would
// keep their sockets open for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace coreactor {

class FdLedger {
 public:
  FdLedger() = default;
  FdLedger(const FdLedger&) = delete;
  FdLedger& operator=(const FdLedger&) = delete;
  // Closes what is left; what a job uses that still runs, when that has ended.
  ~FdLedger();

  void Opened(int fd);
  // Before it is closed, or handed to somebody else: from then on the number may be another's.
  void LetGo(int fd);
  bool Has(int fd) const;

 private:
  // One bit for each fd number, as the system gives out the lowest that is free.
  std::vector<uint64_t> words_;
};

}  // namespace coreactor

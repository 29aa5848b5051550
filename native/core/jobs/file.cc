#include "file.h"

#include "../status.h"

namespace coreactor {

int32_t FstatJob::Run() {
  const int result = Call([this] { return fstat(fd_, &status_); });
  succeeded_ = result == 0;
  return result;
}

}  // namespace coreactor

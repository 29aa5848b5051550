// macOS and FreeBSD: a copy goes through this process, and data are synchronized with the rest.
#include <unistd.h>

#include "../status.h"
#include "file.h"

namespace coreactor {

int32_t CopyJob::Run() { return Copy(); }

int SyncData(int fd) {
  return Call([&] { return fsync(fd); });
}

}  // namespace coreactor

// macOS has no call that opens an fd non-blocking and close-on-exec from the start: it is made so
// right after. A child that another thread starts in between has it, too.
#pragma once

#include "owned_fd.h"

namespace coreactor {

// 0 or -errno. Of a socket also: no SIGPIPE.
int PrepareNew(int fd);
int PrepareNewSocket(int fd);

// The fd if both of that has been done, or -errno, and then it is closed.
int Prepared(int fd);

}  // namespace coreactor

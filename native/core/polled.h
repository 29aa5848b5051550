// Reading and writing where no call can be told not to wait: a description that may block is polled
// first. The race that is left is in descriptor.h.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "event.h"
#include "status.h"

namespace coreactor {

// Both are -EAGAIN if it is not ready. Writing may raise SIGPIPE.
ssize_t ReadIfReady(int fd, void* into, size_t length);
ssize_t WriteIfReady(int fd, const iovec* chunks, size_t count);

// Waits, for a thread that may, until one of the two would not be -EAGAIN. -ENOTSUP: the system
// does not wait for this kind of file (macOS: devices).
Status AwaitReady(int fd, Interest interest);

}  // namespace coreactor

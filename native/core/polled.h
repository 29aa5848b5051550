// Reading and writing where no call can be told not to wait: a description that may block is polled
// first. The race that is left is in descriptor.h.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace coreactor {

// Both are -EAGAIN if it is not ready. Writing may raise SIGPIPE.
ssize_t ReadIfReady(int fd, void* into, size_t length);
ssize_t WriteIfReady(int fd, const iovec* chunks, size_t count);

}  // namespace coreactor

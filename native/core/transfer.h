// Calls that move bytes between two descriptors inside the kernel. Neither waits for a pipe or a
// socket that is non-blocking, and neither raises SIGPIPE.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "descriptor.h"
#include "status.h"

namespace coreactor {

// A pipe for Splice from one socket to another: with room for 1 MiB. -EPERM where the user has too
// many of that size, or they are not allowed (pipe(7), pipe-max-size and pipe-user-pages-soft).
Result<Ends> OpenTransferPipe();

// Moves at most `length` bytes; one of the two is a pipe. 0 = `from` has come to its end; -EAGAIN:
// there is nothing in `from`, or no room in `to`.
ssize_t Splice(int from, int to, size_t length);

// Sends at most `length` bytes of a file, from `offset` on; where the file is now does not change.
// 0 = the file ends there. What is not in the page cache is waited for.
ssize_t SendFile(int to, int file, int64_t offset, size_t length);

// Whether these bytes of a file can be had without waiting for a disk, as far as the page cache
// says at one place in each 64 KiB. True where that is not known.
bool IsCached(int file, int64_t offset, size_t length);

}  // namespace coreactor

// Calls that any descriptor has, whatever its kind and whoever made it: none of them waits, and
// none changes the flags of the description, which may be shared with other processes.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "event.h"
#include "owned_fd.h"
#include "status.h"

namespace coreactor {

struct Ends {
  OwnedFd first;
  OwnedFd second;
};

// Non-blocking and close-on-exec from the start.
Result<Ends> OpenPipe();  // What is written to `second` is read from `first`.
Result<Ends> OpenSocketPair(int type);

// The bits of event.h that are so now, of those that `interest` asks for and those that are
// reported unasked; or -errno.
int PollNow(int fd, Interest interest);

// What is there, or -EAGAIN, although the description may be a blocking one.
//
// Kinds of file that cannot be asked for that in one call (FIFOs, terminals, inotify and other
// devices, on Linux) are polled first, unless they are non-blocking themselves. Then there is a
// race: another process that shares the description, or reads the same FIFO or terminal, may take
// in between what poll has seen, and the read waits for what comes next.
ssize_t Read(int fd, void* into, size_t length);

// What can be taken now, or -EAGAIN. Neither raises SIGPIPE.
//
// Of the kinds that are polled first, a FIFO or a terminal takes PIPE_BUF bytes at most, and what
// lies in one chunk: POSIX promises that a pipe that polls writable has room for so much, and a
// terminal is polled again for each piece of it. The race is the same as for Read, with others who
// write.
ssize_t Write(int fd, const void* from, size_t length);
ssize_t WriteVector(int fd, const iovec* chunks, size_t count);

}  // namespace coreactor

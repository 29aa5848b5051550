// What macOS and FreeBSD do differently about descriptors. (descriptor_macos.cc,
// descriptor_freebsd.cc)
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace coreactor {

// WriteIfReady without a SIGPIPE.
ssize_t WriteQuietly(int fd, const iovec* chunks, size_t count);

// What poll(2) is asked so that it tells the end of the peer's data, if it can.
extern const short kPollEnd;

// poll(2) has called an fd invalid: the answer of those that it does not know, or -EBADF.
int PollOtherwise(int fd, bool for_reading, bool for_writing);

}  // namespace coreactor

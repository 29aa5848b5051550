// Socket options by the system's own numbers, and the numbers by the names that the manual has.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>

namespace coreactor {

struct NamedOption {
  const char* name;
  int level;
  int number;
};

// Those of this system, its levels under their own names (`SOL_SOCKET`), with number -1.
// (socket_options_linux.cc)
extern const NamedOption kNamedOptions[];
extern const size_t kNamedOptionCount;

// The states of a TCP connection by number. (socket_options_linux.cc)
extern const char* const kTcpStates[];
extern const size_t kTcpStateCount;

// One number inside TCP_INFO: where it is, how many bytes it has, and which of their bits it is.
struct TcpInfoField {
  const char* name;
  size_t offset;
  size_t bytes;
  int first_bit;
  int bits;  // 0: all of them.
};

// (tcp_info_linux.cc)
extern const TcpInfoField kTcpInfoFields[];
extern const size_t kTcpInfoFieldCount;

// 0 or -errno.
int SetRawOption(int fd, int level, int number, const void* value, size_t length);
// The bytes of the value, of which there are at most `length`; or -errno.
ssize_t GetRawOption(int fd, int level, int number, void* into, size_t length);

}  // namespace coreactor

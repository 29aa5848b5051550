#include "socket_options.h"

#include "status.h"

namespace coreactor {

int SetRawOption(int fd, int level, int number, const void* value, size_t length) {
  return Call([&] { return setsockopt(fd, level, number, value, static_cast<socklen_t>(length)); });
}

ssize_t GetRawOption(int fd, int level, int number, void* into, size_t length) {
  socklen_t size = static_cast<socklen_t>(length);
  const int result = Call([&] { return getsockopt(fd, level, number, into, &size); });
  return result < 0 ? result : static_cast<ssize_t>(size);
}

}  // namespace coreactor

// What the unit tests share: connected sockets, the events of a poller, and the check that no fd is
// left behind.
#pragma once

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "../core/address.h"
#include "../core/clock.h"
#include "../core/owned_fd.h"
#include "../core/poller.h"
#include "../core/socket.h"

namespace coreactor::testing {

// Longer than anything here takes: a test that waits so long has lost what it waits for.
constexpr int kLongMs = 10'000;

constexpr int64_t kNanosecondsPerMicrosecond = 1'000;
constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;

inline int OpenFds() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.' && std::atoi(entry->d_name) != dirfd(directory)) count++;
  }
  closedir(directory);
  return count;
}

// The base of every test: as many fds are open after it as before.
class Fds {
 public:
  Fds() : before_(OpenFds()) {}
  ~Fds() { CHECK(OpenFds() == before_); }
  Fds(const Fds&) = delete;
  Fds& operator=(const Fds&) = delete;

 private:
  int before_;
};

// The value of a result that has to be there.
template <typename T>
T Must(Result<T> result) {
  REQUIRE(result.status().error() == 0);
  return std::move(result.value());
}

inline OwnedFd MustOpen(int fd) {
  REQUIRE(fd >= 0);
  return OwnedFd(fd);
}

struct Pair {
  OwnedFd near;
  OwnedFd far;
};

// Two ends of a Unix connection.
inline Pair UnixPair(int flags = SOCK_NONBLOCK) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, ends) == 0);
  return {OwnedFd(ends[0]), OwnedFd(ends[1])};
}

// A listener on a port of the system's choice.
inline OwnedFd Listener() {
  OwnedFd listener = MustOpen(OpenStream(AF_INET));
  REQUIRE(Bind(listener.get(), Must(Address::Parse("127.0.0.1", 0))) == 0);
  REQUIRE(Listen(listener.get(), 16) == 0);
  return listener;
}

// Two ends of a TCP connection.
inline Pair TcpPair() {
  const OwnedFd listener = Listener();
  OwnedFd near = MustOpen(OpenStream(AF_INET));
  REQUIRE(Connect(near.get(), Must(LocalAddress(listener.get()))) == -EINPROGRESS);
  // Over loopback the handshake is done when connect comes back.
  return {std::move(near), MustOpen(Accept(listener.get()))};
}

// Closes with a reset.
inline void Reset(OwnedFd fd) { REQUIRE(SetOption(fd.get(), SocketOption::kLinger, 0) == 0); }

// What one Wait reports.
inline std::vector<Event> WaitFor(Poller& poller, int timeout_ms = kLongMs) {
  std::vector<Event> events(kBatchCapacity);
  events.resize(Must(poller.Wait(events.data(), events.size(), timeout_ms)));
  return events;
}

inline std::vector<Event> Pending(Poller& poller) { return WaitFor(poller, 0); }

// The readiness of the one event that there is.
inline uint32_t OneReadiness(Poller& poller, int timeout_ms = kLongMs) {
  const std::vector<Event> events = WaitFor(poller, timeout_ms);
  REQUIRE(events.size() == 1);
  return events[0].readiness;
}

}  // namespace coreactor::testing

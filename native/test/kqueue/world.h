// A poller with sockets and pipes of its own, and their users, who read and write only what they
// were told is ready: one world over epoll and one over kqueue, in one program (world.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace worlds {

struct Step {
  enum class Do : uint32_t { kTcp, kUnix, kPipe, kSend, kRead, kShutdown, kClose, kReset, kFlood };
  Do what;
  // Which of the ends that there are, and how many bytes.
  uint32_t which;
  uint32_t bytes;
};

class World {
 public:
  virtual ~World() = default;
  virtual void Play(const Step& step) = 0;
  // Lets everybody go as far as they can. What they have seen since the beginning, in words; and
  // who sleeps although poll(2) says that he could go on.
  virtual std::string Settle() = 0;
};

std::unique_ptr<World> NewEpollWorld();
std::unique_ptr<World> NewKqueueWorld();

}  // namespace worlds

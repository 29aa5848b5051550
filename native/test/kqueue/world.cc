// Compiled twice, with the sources of either poller: NEW_WORLD is the name of its function, and for
// epoll `coreactor` is another namespace, so that both poller classes are in one program.
#include "world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "../../core/poller.h"

namespace worlds {
namespace {

using namespace coreactor;

void Must(bool so) {
  if (!so) std::abort();
}

struct End {
  int fd = -1;
  bool reads = true;
  bool writes = true;
  // What was told and has not turned out to be used up.
  uint32_t ready = 0;
  uint32_t generation = 0;
  // Bytes that this end would like to get, and to send.
  uint32_t wants = 0;
  uint32_t has = 0;
};

std::string NameOf(ssize_t result, int error) {
  return result >= 0 ? std::to_string(result) : "errno " + std::to_string(error);
}

class PolledWorld : public World {
 public:
  PolledWorld() {
    Result<Poller> poller = Poller::Create();
    Must(poller.ok());
    poller_ = std::move(poller.value());
  }
  ~PolledWorld() override {
    for (size_t i = 0; i < ends_.size(); i++) Close(i);
  }

  void Play(const Step& step) override { Begin(step); }

  std::string Settle() override {
    for (int idle = 0; idle < 2;) idle = Go() ? 0 : idle + 1;
    std::string story;
    for (size_t i = 0; i < logs_.size(); i++) {
      story += "end " + std::to_string(i) + " read " + std::to_string(totals_[i]) + logs_[i] + "\n";
      if (Sleeps(i)) story += "end " + std::to_string(i) + " sleeps although it could go on\n";
    }
    return story;
  }

 private:
  void Begin(const Step& step) {
    using Do = Step::Do;
    if (step.what == Do::kTcp) return OpenTcp();
    if (step.what == Do::kUnix) return OpenUnix();
    if (step.what == Do::kPipe) return OpenPipe();
    if (ends_.empty()) return;
    const size_t i = step.which % ends_.size();
    End& end = ends_[i];
    if (end.fd < 0) return;
    switch (step.what) {
      case Do::kSend:
        if (end.writes) end.has += step.bytes;
        return;
      case Do::kFlood:
        if (end.writes) end.has += 4'000'000;
        return;
      case Do::kRead:
        if (end.reads) end.wants += step.bytes;
        return;
      case Do::kShutdown:
        // Whoever has said that he is done writes no more: that kqueue would wake him, and epoll
        // not, is in readiness_test.cc.
        shutdown(end.fd, SHUT_WR);
        end.has = 0;
        end.writes = false;
        return;
      case Do::kReset: {
        const linger now{1, 0};
        setsockopt(end.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        return Close(i);
      }
      default:
        return Close(i);
    }
  }

  void Say(size_t i, const char* what, const std::string& result) {
    logs_[i] += std::string(", ") + what + " " + result;
  }

  // One look at the poller, and one go at everything that is ready. Whether anything came of it.
  bool Go() {
    Event events[256];
    const Result<size_t> count = poller_.Wait(events, 256, 0);
    Must(count.ok());
    for (size_t i = 0; i < count.value(); i++) {
      const size_t at = events[i].token.slot - kFirstSlot;
      if (at >= ends_.size() || events[i].token.generation != ends_[at].generation) continue;
      ends_[at].ready |= events[i].readiness;
    }
    bool progress = count.value() > 0;
    for (size_t i = 0; i < ends_.size(); i++) {
      if (Read(i)) progress = true;
      if (Write(i)) progress = true;
    }
    return progress;
  }

  bool Read(size_t i) {
    End& end = ends_[i];
    if (end.fd < 0 || end.wants == 0 || !(end.ready & kReadable)) return false;
    std::vector<char> into(end.wants);
    const ssize_t result = read(end.fd, into.data(), into.size());
    if (result < 0 && errno == EAGAIN) {
      end.ready &= ~kReadable;
      return false;
    }
    if (result > 0) totals_[i] += static_cast<uint64_t>(result);
    if (result <= 0) Say(i, "reads", NameOf(result, errno));
    end.wants = result <= 0 ? 0 : end.wants - static_cast<uint32_t>(result);
    return true;
  }

  bool Write(size_t i) {
    End& end = ends_[i];
    if (end.fd < 0 || end.has == 0 || !(end.ready & kWritable)) return false;
    const std::vector<char> from(end.has, 'x');
    const ssize_t result = write(end.fd, from.data(), from.size());
    if (result < 0 && errno == EAGAIN) {
      end.ready &= ~kWritable;
      return false;
    }
    // How much fits at a time is the system's business of the moment, when there is much.
    if (result < 0) Say(i, "writes", NameOf(result, errno));
    end.has = result <= 0 ? 0 : end.has - static_cast<uint32_t>(result);
    return true;
  }

  // Who waits for what poll(2) says is so has lost an event, unless it is on its way.
  bool Sleeps(size_t i) const {
    const End& end = ends_[i];
    if (end.fd < 0) return false;
    pollfd asked{end.fd, 0, 0};
    if (end.wants > 0 && !(end.ready & kReadable)) asked.events |= POLLIN;
    if (end.has > 0 && !(end.ready & kWritable)) asked.events |= POLLOUT;
    return asked.events != 0 && poll(&asked, 1, 0) == 1;
  }

  void Add(int fd, bool reads, bool writes) {
    Must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    End end;
    end.fd = fd;
    end.reads = reads;
    end.writes = writes;
    end.generation = ++generations_;
    const Token token{static_cast<uint32_t>(kFirstSlot + ends_.size()), end.generation};
    const uint32_t interest = (reads ? kReadable : 0) | (writes ? kWritable : 0);
    Must(poller_.Add(fd, Interest{interest}, Mode::kEdge, token).ok());
    ends_.push_back(end);
    totals_.push_back(0);
    logs_.emplace_back();
  }

  void OpenTcp() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* name = reinterpret_cast<sockaddr*>(&address);
    Must(bind(listener, name, length) == 0 && listen(listener, 1) == 0);
    Must(getsockname(listener, name, &length) == 0);
    const int near = socket(AF_INET, SOCK_STREAM, 0);
    Must(connect(near, name, length) == 0);
    const int far = accept(listener, nullptr, nullptr);
    Must(far >= 0);
    close(listener);
    Add(near, true, true);
    Add(far, true, true);
  }

  void OpenUnix() {
    int ends[2];
    Must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    for (const int end : ends) Add(end, true, true);
  }

  void OpenPipe() {
    int ends[2];
    Must(pipe(ends) == 0);
    Add(ends[0], true, false);
    Add(ends[1], false, true);
  }

  void Close(size_t i) {
    End& end = ends_[i];
    if (end.fd < 0) return;
    Must(poller_.Remove(end.fd).ok());
    close(end.fd);
    end = End{};
  }

  Poller poller_;
  std::vector<End> ends_;
  uint32_t generations_ = 0;
  // By end: bytes read, and what else happened to it.
  std::vector<uint64_t> totals_;
  std::vector<std::string> logs_;
};

}  // namespace

std::unique_ptr<World> NEW_WORLD() { return std::make_unique<PolledWorld>(); }

}  // namespace worlds

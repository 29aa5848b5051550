// The same scripts over epoll and over kqueue: the same users are woken, and their calls return the
// same; and in neither does anybody sleep who could go on. Where a script fails, its seed is said.
#include <signal.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../support.h"
#include "world.h"

namespace coreactor::testing {
namespace {

using worlds::Step;

constexpr int kScripts = 150;
constexpr int kSteps = 60;

// Twice as likely to use what there is as to open or to end something.
Step::Do Draw(std::mt19937& random) {
  using Do = Step::Do;
  static constexpr Do kDraws[] = {Do::kTcp,   Do::kUnix,     Do::kPipe,  Do::kSend,
                                  Do::kSend,  Do::kSend,     Do::kRead,  Do::kRead,
                                  Do::kRead,  Do::kRead,     Do::kRead,  Do::kSend,
                                  Do::kFlood, Do::kShutdown, Do::kClose, Do::kReset};
  return kDraws[random() % (sizeof(kDraws) / sizeof(kDraws[0]))];
}

}  // namespace

TEST_CASE_FIXTURE(Fds, "differential: random scripts end the same over epoll and over kqueue") {
  struct sigaction ignored {};
  struct sigaction before {};
  ignored.sa_handler = SIG_IGN;
  REQUIRE(sigaction(SIGPIPE, &ignored, &before) == 0);
  const char* given = std::getenv("COREACTOR_SEED");
  const unsigned first =
      given == nullptr ? std::random_device{}() : static_cast<unsigned>(std::atoll(given));
  const int scripts = given == nullptr ? kScripts : 1;
  for (int i = 0; i < scripts; i++) {
    const unsigned seed = first + static_cast<unsigned>(i);
    CAPTURE(seed);
    std::mt19937 random(seed);
    const std::unique_ptr<worlds::World> epoll = worlds::NewEpollWorld();
    const std::unique_ptr<worlds::World> kqueue = worlds::NewKqueueWorld();
    for (int n = 0; n < kSteps; n++) {
      CAPTURE(n);
      const Step step{n < 3 ? static_cast<Step::Do>(n) : Draw(random),
                      static_cast<uint32_t>(random()), 1 + static_cast<uint32_t>(random() % 3000)};
      CAPTURE(static_cast<uint32_t>(step.what));
      epoll->Play(step);
      kqueue->Play(step);
      std::string there;
      std::string here;
      // Loopback is as fast as the calls, unless the machine is busy: then it takes a moment
      // longer.
      const int64_t patience = MonotonicNanoseconds() + 5'000 * kNanosecondsPerMillisecond;
      do {
        there = epoll->Settle();
        here = kqueue->Settle();
      } while ((there != here || here.find("sleeps") != std::string::npos) &&
               MonotonicNanoseconds() < patience);
      REQUIRE(there == here);
      REQUIRE(here.find("sleeps") == std::string::npos);
    }
  }
  REQUIRE(sigaction(SIGPIPE, &before, nullptr) == 0);
}

}  // namespace coreactor::testing

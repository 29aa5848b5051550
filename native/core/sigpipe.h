// Calls that raise SIGPIPE and have no flag against it, on systems where it is raised in the
// thread that makes them, and that have sigtimedwait(2): Linux and FreeBSD.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include "status.h"

namespace coreactor {

// Makes a call that may raise SIGPIPE in this thread, and takes the signal back. A program need not
// ignore SIGPIPE, although Node begins by doing so.
template <typename F>
ssize_t WithoutSigpipe(F call) {
  sigset_t sigpipe;
  sigset_t pending;
  sigset_t before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  const ssize_t result = call();
  // One that was pending before is somebody else's.
  if (result == -EPIPE && sigismember(&pending, SIGPIPE) == 0) {
    const timespec at_once{};
    Call([&] { return sigtimedwait(&sigpipe, nullptr, &at_once); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace coreactor

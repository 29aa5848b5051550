// Which readiness queue these tests run on: tests of what is so on one system only ask first.
#pragma once

namespace coreactor::testing {

enum class Backend { kEpoll, kMacos, kFreebsd };

// (backend_epoll.cc, backend_emulated.cc, backend_macos.cc, backend_freebsd.cc)
Backend TestedBackend();

inline bool OnEpoll() { return TestedBackend() == Backend::kEpoll; }
inline bool OnKqueue() { return !OnEpoll(); }
inline bool OnMacos() { return TestedBackend() == Backend::kMacos; }
inline bool OnFreebsd() { return TestedBackend() == Backend::kFreebsd; }

}  // namespace coreactor::testing

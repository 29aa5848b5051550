// Which system the emulated kqueue behaves as, where the two differ.
#pragma once

namespace coreactor::testing {

enum class KqueueSystem { kMacos, kFreebsd };

// The environment's COREACTOR_KQUEUE_SYSTEM, `macos` or `freebsd`; macOS without it.
KqueueSystem EmulatedSystem();

}  // namespace coreactor::testing

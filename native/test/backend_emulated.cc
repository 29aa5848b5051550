// kqueue over kqueue_emulation/, as the system that the environment names.
#include "backend.h"
#include "kqueue_emulation/emulation.h"

namespace coreactor::testing {

Backend TestedBackend() {
  return EmulatedSystem() == KqueueSystem::kMacos ? Backend::kMacos : Backend::kFreebsd;
}

}  // namespace coreactor::testing

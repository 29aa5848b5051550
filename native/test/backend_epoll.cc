#include "backend.h"

namespace coreactor::testing {

Backend TestedBackend() { return Backend::kEpoll; }

}  // namespace coreactor::testing

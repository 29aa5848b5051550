#include "backend.h"

namespace coreactor::testing {

Backend TestedBackend() { return Backend::kMacos; }

}  // namespace coreactor::testing

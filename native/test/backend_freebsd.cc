#include "backend.h"

namespace coreactor::testing {

Backend TestedBackend() { return Backend::kFreebsd; }

}  // namespace coreactor::testing

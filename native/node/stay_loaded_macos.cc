// Keeps the addon in memory when the worker that has loaded it ends, as the linker's `nodelete`
// does elsewhere: threads of the pool may still run in it.
#include <dlfcn.h>

namespace {

__attribute__((constructor)) void StayLoaded() {
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&StayLoaded), &self) != 0) {
    dlopen(self.dli_fname, RTLD_LAZY | RTLD_NODELETE);
  }
}

}  // namespace

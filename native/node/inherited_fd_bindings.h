#pragma once

#include <napi.h>

namespace coreactor {

// Adds closeOnExec and setNonBlocking.
void DefineInheritedFdFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

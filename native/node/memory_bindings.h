// The memory of buffers that JavaScript has made, as functions on numbers.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineMemoryFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

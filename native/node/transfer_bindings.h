// The calls that move bytes between two descriptors, as functions on numbers.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineTransferFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

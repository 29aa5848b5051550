// The calls that any descriptor has, as functions on numbers and buffers.
#pragma once

#include <napi.h>

namespace coreactor {

// After DefineSocketFunctions, which makes the ledger.
void DefineDescriptorFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

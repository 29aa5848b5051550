// The calls on sockets, the clock and entropy, as functions on numbers and buffers.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineSocketFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

// Waiting for processes.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineProcessFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

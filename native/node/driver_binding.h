// The class `Driver` that JavaScript sees, and the calls on it that are made for every fd.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineDriver(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

// The class `Driver` that JavaScript sees.
#pragma once

#include <napi.h>

namespace coreactor {

Napi::Function DefineDriver(Napi::Env env);

}  // namespace coreactor

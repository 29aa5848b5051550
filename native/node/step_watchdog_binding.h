// The class `StepWatchdog` that JavaScript sees: the watch on one environment's thread.
#pragma once

#include <napi.h>

namespace coreactor {

Napi::Function DefineStepWatchdog(Napi::Env env);

}  // namespace coreactor

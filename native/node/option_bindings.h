// Socket options by number, and the tables of their names, for lib/kernel/native.ts.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineOptionFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

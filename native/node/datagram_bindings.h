// Datagrams, multicast groups and interfaces, for JavaScript.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineDatagramFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

// Messages with descriptors, the files of Unix sockets, and what an fd is, for
// lib/kernel/native.ts.
#pragma once

#include <napi.h>

namespace coreactor {

void DefineUnixFunctions(Napi::Env env, Napi::Object exports);

}  // namespace coreactor

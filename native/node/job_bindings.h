// Blocking jobs, as JavaScript submits them: each kind has a function that makes the job of its
// arguments, and one that gives what it has found.
#pragma once

#include <napi.h>

#include "../core/outbox.h"

namespace coreactor {

// The numbers stand in lib/kernel/layout.ts, too.
enum class JobKind : uint32_t {
  kFstat = 0,    // (fd); its result goes into a Float64Array of kFstatNumbers
  kLookup = 1,   // (host, family: 0, 4 or 6, flags); an array of addresses
  kReverse = 2,  // (address, port); [host, service]
};
constexpr size_t kJobKinds = 3;

constexpr size_t kFstatNumbers = 13;

// submit(kind, slot, generation, ...arguments): the job's id, or -errno
napi_value SubmitJob(const Napi::CallbackInfo& info, Outbox& outbox);
// cancelJob(id, abandon): 1 if it will not be reported, 0 if it will
napi_value CancelJob(const Napi::CallbackInfo& info, Outbox& outbox);
// takeResult(id, into): what it has found, or undefined
napi_value TakeResult(const Napi::CallbackInfo& info, Outbox& outbox);

}  // namespace coreactor

// Jobs of other addons: the table of include/coreactor.h that they are handed, and the way of what
// they make into the pool.
#pragma once

#include <napi.h>

#include "../core/outbox.h"

namespace coreactor {

// The kind of a job that is none of JobKind.
constexpr uint32_t kNativeJob = 0xffff'ffff;

// nativeApi(): the table, as coreactor_api_from takes it.
// claimJob(token): the job's name. -EINVAL: it is no token. -EALREADY: it has been claimed.
void DefineNativeJobFunctions(Napi::Env env, Napi::Object exports);

// submitNative(driver, token, slot, generation): the job's id, or -errno; the token is used up
// then. -EAGAIN: it is not.
napi_value SubmitNative(const Napi::CallbackInfo& info, Outbox& outbox);
// What a job of kNativeJob gives, in words of JavaScript; null with an exception pending.
napi_value NativeJobResult(napi_env env, Job& job);

}  // namespace coreactor

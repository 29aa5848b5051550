#include "memory_bindings.h"

#include "binding.h"

namespace coreactor {
namespace {

// freeMemory(bytes): the array is of length 0 afterwards. Left alone if it is a part of something
// larger.
napi_value FreeMemory(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  napi_value whole = nullptr;
  if (args.at(0) == nullptr || napi_get_typedarray_info(env, args.at(0), &type, &length, nullptr,
                                                        &whole, nullptr) != napi_ok) {
    return Number(env, -EINVAL);
  }
  void* data = nullptr;
  size_t size = 0;
  // Shared memory is refused here.
  if (napi_get_arraybuffer_info(env, whole, &data, &size) != napi_ok || size != length) {
    return Number(env, -EINVAL);
  }
  return Number(env, napi_detach_arraybuffer(env, whole) == napi_ok ? 0 : -EINVAL);
}

}  // namespace

void DefineMemoryFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "freeMemory", FreeMemory);
}

}  // namespace coreactor

// An addon with the two mistakes that the sanitizers are there to find, made on purpose: run before
// a storm, so that a storm in which nothing is reported has been listened to (scripts/storm.mjs).
#include <node_api.h>

#include <thread>

namespace {

int shared = 0;

napi_value Race(napi_env, napi_callback_info) {
  std::thread other([] { shared++; });
  shared++;
  other.join();
  return nullptr;
}

napi_value UseAfterFree(napi_env env, napi_callback_info) {
  // Read anew each time: compilers see it otherwise.
  int* volatile freed = new int(1);
  delete freed;
  napi_value number = nullptr;
  napi_create_int32(env, *freed, &number);
  return number;
}

napi_value Init(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "race", NAPI_AUTO_LENGTH, Race, nullptr, &function);
  napi_set_named_property(env, exports, "race", function);
  napi_create_function(env, "useAfterFree", NAPI_AUTO_LENGTH, UseAfterFree, nullptr, &function);
  napi_set_named_property(env, exports, "useAfterFree", function);
  return exports;
}

}  // namespace

NAPI_MODULE(sanitizer_probe, Init)

#include "step_watchdog_binding.h"

#include <cmath>
#include <new>

#include "../core/step_watchdog.h"
#include "args.h"

namespace coreactor {
namespace {

constexpr double kNanosecondsPerMillisecond = 1e6;
// A day; more would not fit the watchdog's numbers some day.
constexpr double kLongestMilliseconds = 86'400'000;

// The watch ends with `close`, with this object, or with the environment: whichever comes first.
class StepWatchdogBinding : public Napi::ObjectWrap<StepWatchdogBinding> {
 public:
  // new StepWatchdog(limit in milliseconds, opening). Its `record` is undefined if there is no
  // thread to be had.
  explicit StepWatchdogBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<StepWatchdogBinding>(info), env_(info.Env()) {
    void* memory = nullptr;
    napi_value buffer = nullptr;
    if (!info[1].IsString() ||
        napi_create_arraybuffer(env_, sizeof(StepRecord), &memory, &buffer) != napi_ok ||
        napi_create_reference(env_, buffer, 1, &buffer_) != napi_ok) {
      return;
    }
    watched_ = StepWatchdog::OfProcess().Add(new (memory) StepRecord{},
                                             info[1].As<Napi::String>().Utf8Value(), Limit(info));
    if (watched_ != nullptr) napi_add_env_cleanup_hook(env_, End, this);
  }

  ~StepWatchdogBinding() { Unwatch(); }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "StepWatchdog",
                       {
                           InstanceAccessor<&StepWatchdogBinding::Record>("record"),
                           InstanceMethod<&StepWatchdogBinding::SetLimit>("setLimit"),
                           InstanceMethod<&StepWatchdogBinding::SetName>("setName"),
                           InstanceMethod<&StepWatchdogBinding::TakeReported>("takeReported"),
                           InstanceMethod<&StepWatchdogBinding::Close>("close"),
                       });
  }

 private:
  Napi::Value Record(const Napi::CallbackInfo& info) {
    napi_value buffer = nullptr;
    if (watched_ != nullptr) napi_get_reference_value(env_, buffer_, &buffer);
    return buffer == nullptr ? info.Env().Undefined() : Napi::Value(env_, buffer);
  }

  // setLimit(milliseconds)
  void SetLimit(const Napi::CallbackInfo& info) {
    if (watched_ != nullptr) StepWatchdog::OfProcess().SetLimit(watched_, Limit(info));
  }

  // setName(number, text, origin)
  void SetName(const Napi::CallbackInfo& info) {
    const std::optional<uint16_t> number = Integer<uint16_t>(env_, info[0]);
    if (watched_ == nullptr || !number || !info[1].IsString() || !info[2].IsString()) return;
    StepWatchdog::OfProcess().SetName(watched_, *number, info[1].As<Napi::String>().Utf8Value(),
                                      info[2].As<Napi::String>().Utf8Value());
  }

  // takeReported(): [whose, milliseconds, milliseconds of CPU]
  Napi::Value TakeReported(const Napi::CallbackInfo& info) {
    if (watched_ == nullptr) return info.Env().Undefined();
    const StepWatchdog::Ended ended = StepWatchdog::OfProcess().TakeReported(watched_);
    Napi::Array array = Napi::Array::New(env_, 3);
    array.Set(0u, ended.whose);
    array.Set(1u, static_cast<double>(ended.lasted.count()) / kNanosecondsPerMillisecond);
    array.Set(2u, static_cast<double>(ended.cpu.count()) / kNanosecondsPerMillisecond);
    return array;
  }

  void Close(const Napi::CallbackInfo&) { Unwatch(); }

  static StepWatchdog::Nanoseconds Limit(const Napi::CallbackInfo& info) {
    double limit = 0;
    if (napi_get_value_double(info.Env(), info[0], &limit) != napi_ok || !(limit > 0)) limit = 1;
    limit = std::fmin(limit, kLongestMilliseconds);
    return StepWatchdog::Nanoseconds(static_cast<int64_t>(limit * kNanosecondsPerMillisecond));
  }

  // The environment is being torn down; its memory is still there.
  static void End(void* self) { static_cast<StepWatchdogBinding*>(self)->Unwatch(); }

  void Unwatch() {
    if (watched_ != nullptr) {
      StepWatchdog::OfProcess().Remove(watched_);
      napi_remove_env_cleanup_hook(env_, End, this);
    }
    watched_ = nullptr;
    if (buffer_ != nullptr) napi_delete_reference(env_, buffer_);
    buffer_ = nullptr;
  }

  napi_env env_;
  // Null: nobody watches. Otherwise `buffer_` keeps the record alive.
  StepWatchdog::Watched* watched_ = nullptr;
  napi_ref buffer_ = nullptr;
};

}  // namespace

Napi::Function DefineStepWatchdog(Napi::Env env) { return StepWatchdogBinding::Define(env); }

}  // namespace coreactor

#include "driver_binding.h"

#include "args.h"
#include "driver.h"
#include "job_bindings.h"

namespace coreactor {
namespace {

// Holds a reference on itself while the driver is open: what calls the turn must not be collected.
class DriverBinding : public Napi::ObjectWrap<DriverBinding> {
 public:
  explicit DriverBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DriverBinding>(info) {
    if (info.Length() < 1 || !info[0].IsFunction()) {
      Napi::TypeError::New(info.Env(), "coreactor: a driver needs a function to call")
          .ThrowAsJavaScriptException();
      return;
    }
    driver_ = Driver::Open(info.Env(), info[0]);
    if (driver_ == nullptr) return;
    driver_->set_on_closed([](void* self) { static_cast<DriverBinding*>(self)->Closed(); }, this);
    Ref();
  }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Driver",
                       {
                           InstanceAccessor<&DriverBinding::Buffer>("buffer"),
                           InstanceMethod<&DriverBinding::RequestTurn>("requestTurn"),
                           InstanceMethod<&DriverBinding::KeepAlive>("ref"),
                           InstanceMethod<&DriverBinding::LetGo>("unref"),
                           InstanceMethod<&DriverBinding::Add>("add"),
                           InstanceMethod<&DriverBinding::Remove>("remove"),
                           InstanceMethod<&DriverBinding::OnOutbox<SubmitJob>>("submit"),
                           InstanceMethod<&DriverBinding::OnOutbox<CancelJob>>("cancelJob"),
                           InstanceMethod<&DriverBinding::OnOutbox<TakeResult>>("takeResult"),
                           InstanceMethod<&DriverBinding::Close>("close"),
                       });
  }

 private:
  Napi::Value Buffer(const Napi::CallbackInfo& info) {
    return driver_ == nullptr ? info.Env().Undefined() : Napi::Value(info.Env(), driver_->Buffer());
  }

  void RequestTurn(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->RequestTurn();
  }

  void KeepAlive(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->Ref();
  }

  void LetGo(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->Unref();
  }

  // add(fd, interest, mode, slot, generation)
  Napi::Value Add(const Napi::CallbackInfo& info) {
    const std::optional<uint32_t> interest = Integer<uint32_t>(info.Env(), info[1]);
    const std::optional<uint32_t> mode = Integer<uint32_t>(info.Env(), info[2]);
    const std::optional<uint32_t> slot = Integer<uint32_t>(info.Env(), info[3]);
    const std::optional<uint32_t> generation = Bits(info.Env(), info[4]);
    if (!interest || !mode || !slot || !generation) return Code(info, EINVAL);
    if ((*interest & ~(kReadable | kWritable | kPriority)) != 0) return Code(info, EINVAL);
    if (*mode > static_cast<uint32_t>(Mode::kOneShot)) return Code(info, EINVAL);
    if (*slot < kFirstSlot) return Code(info, EINVAL);
    if (driver_ == nullptr || driver_->closing()) return Code(info, EBADF);
    return Code(info, driver_->poller()
                          .Add(Fd(info.Env(), info[0]), Interest{*interest},
                               static_cast<Mode>(*mode), Token{*slot, *generation})
                          .error());
  }

  Napi::Value Remove(const Napi::CallbackInfo& info) {
    if (driver_ == nullptr || driver_->closing()) return Code(info, 0);
    return Code(info, driver_->poller().Remove(Fd(info.Env(), info[0])).error());
  }

  // A call on the jobs of this environment: see job_bindings.h.
  template <napi_value (*Call)(const Napi::CallbackInfo&, Outbox&)>
  Napi::Value OnOutbox(const Napi::CallbackInfo& info) {
    if (driver_ == nullptr || driver_->closing()) return Code(info, EBADF);
    return Napi::Value(info.Env(), Call(info, driver_->outbox()));
  }

  void Close(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->Close();
  }

  // The driver frees itself; from here on every call finds none.
  void Closed() {
    driver_ = nullptr;
    Unref();
  }

  // 32 bits, which TypeScript reads back from the event as a signed integer.
  static std::optional<uint32_t> Bits(napi_env env, napi_value value) {
    const std::optional<int32_t> with_sign = Integer<int32_t>(env, value);
    if (with_sign) return static_cast<uint32_t>(*with_sign);
    return Integer<uint32_t>(env, value);
  }

  static Napi::Value Code(const Napi::CallbackInfo& info, int error) {
    return Napi::Number::New(info.Env(), -error);
  }

  Driver* driver_ = nullptr;
};

}  // namespace

Napi::Function DefineDriver(Napi::Env env) { return DriverBinding::Define(env); }

}  // namespace coreactor

#include "driver_binding.h"

#include "args.h"
#include "driver.h"

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
    if (driver_ == nullptr) return Code(info, EBADF);
    const uint32_t mode = Uint(info, 2);
    if (mode > static_cast<uint32_t>(Mode::kOneShot)) return Code(info, EINVAL);
    const Token token{Uint(info, 3), Uint(info, 4)};
    if (token.slot < kFirstSlot) return Code(info, EINVAL);
    return Code(info, driver_->poller()
                          .Add(Fd(info), Interest{Uint(info, 1)}, static_cast<Mode>(mode), token)
                          .error());
  }

  Napi::Value Remove(const Napi::CallbackInfo& info) {
    return Code(info, driver_ == nullptr ? 0 : driver_->poller().Remove(Fd(info)).error());
  }

  void Close(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->Close();
  }

  // The driver frees itself; from here on every call finds none.
  void Closed() {
    driver_ = nullptr;
    Unref();
  }

  static int Fd(const Napi::CallbackInfo& info) {
    return info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
  }

  static uint32_t Uint(const Napi::CallbackInfo& info, size_t i) {
    return info[i].IsNumber() ? info[i].As<Napi::Number>().Uint32Value() : UINT32_MAX;
  }

  static Napi::Value Code(const Napi::CallbackInfo& info, int error) {
    return Napi::Number::New(info.Env(), -error);
  }

  Driver* driver_ = nullptr;
};

}  // namespace

Napi::Function DefineDriver(Napi::Env env) { return DriverBinding::Define(env); }

}  // namespace coreactor

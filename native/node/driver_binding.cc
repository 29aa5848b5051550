#include "driver_binding.h"

#include <memory>

#include "args.h"
#include "binding.h"
#include "driver.h"
#include "job_bindings.h"
#include "native_job_bindings.h"

namespace coreactor {
namespace {

// Where the driver is, for calls that are made for every fd or job: null once it has closed.
// JavaScript holds it as an external value, because unwrapping `this` is a look-up in V8 that costs
// as much as the rest of the call.
struct Whereabouts {
  Driver* driver;
};
using Handle = std::shared_ptr<Whereabouts>;

Driver* DriverOf(napi_env env, napi_value value) {
  void* handle = nullptr;
  if (napi_get_value_external(env, value, &handle) != napi_ok || handle == nullptr) return nullptr;
  Driver* const driver = (*static_cast<Handle*>(handle))->driver;
  return driver == nullptr || driver->closing() ? nullptr : driver;
}

// 32 bits, which TypeScript reads back from the event as a signed integer.
std::optional<uint32_t> Bits(napi_env env, napi_value value) {
  const std::optional<int32_t> with_sign = Integer<int32_t>(env, value);
  if (with_sign) return static_cast<uint32_t>(*with_sign);
  return Integer<uint32_t>(env, value);
}

// add(driver, fd, interest, mode, slot, generation)
napi_value AddFd(napi_env env, napi_callback_info info) {
  Args<6> args(env, info);
  const std::optional<uint32_t> interest = args.Integer<uint32_t>(2);
  const std::optional<uint32_t> mode = args.Integer<uint32_t>(3);
  const std::optional<uint32_t> slot = args.Integer<uint32_t>(4);
  const std::optional<uint32_t> generation = Bits(env, args.at(5));
  if (!interest || !mode || !slot || !generation) return Number(env, -EINVAL);
  if ((*interest & ~(kReadable | kWritable | kPriority)) != 0) return Number(env, -EINVAL);
  if (*mode > static_cast<uint32_t>(Mode::kOneShot)) return Number(env, -EINVAL);
  if (*slot < kFirstSlot) return Number(env, -EINVAL);
  Driver* const driver = DriverOf(env, args.at(0));
  if (driver == nullptr) return Number(env, -EBADF);
  const Status added = driver->poller().Add(args.Fd(1), Interest{*interest},
                                            static_cast<Mode>(*mode), Token{*slot, *generation});
  return Number(env, -added.error());
}

// remove(driver, fd)
napi_value RemoveFd(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  Driver* const driver = DriverOf(env, args.at(0));
  return Number(env, driver == nullptr ? 0 : -driver->poller().Remove(args.Fd(1)).error());
}

// call(driver, ...): on the jobs of its environment, see job_bindings.h.
template <napi_value (*Call)(const Napi::CallbackInfo&, Outbox&)>
Napi::Value OnJobs(const Napi::CallbackInfo& info) {
  const napi_env env = info.Env();
  Driver* const driver = DriverOf(env, info[0]);
  return Napi::Value(env, driver == nullptr ? Number(env, -EBADF) : Call(info, driver->outbox()));
}

template <napi_value (*Call)(const Napi::CallbackInfo&, Outbox&)>
void DefineOnJobs(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<OnJobs<Call>>(env, name));
}

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
    where_->driver = driver_;
    driver_->set_on_closed([](void* self) { static_cast<DriverBinding*>(self)->Closed(); }, this);
    Ref();
  }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Driver",
                       {
                           InstanceAccessor<&DriverBinding::Buffer>("buffer"),
                           InstanceAccessor<&DriverBinding::External>("handle"),
                           InstanceMethod<&DriverBinding::RequestTurn>("requestTurn"),
                           InstanceMethod<&DriverBinding::KeepAlive>("ref"),
                           InstanceMethod<&DriverBinding::LetGo>("unref"),
                           InstanceMethod<&DriverBinding::Close>("close"),
                       });
  }

 private:
  Napi::Value Buffer(const Napi::CallbackInfo& info) {
    return driver_ == nullptr ? info.Env().Undefined() : Napi::Value(info.Env(), driver_->Buffer());
  }

  // For the functions that are not methods.
  Napi::Value External(const Napi::CallbackInfo& info) {
    return Napi::External<Handle>::New(info.Env(), new Handle(where_),
                                       [](Napi::Env, Handle* handle) { delete handle; });
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

  void Close(const Napi::CallbackInfo&) {
    if (driver_ != nullptr) driver_->Close();
  }

  // The driver frees itself; from here on every call finds none.
  void Closed() {
    driver_ = nullptr;
    where_->driver = nullptr;
    Unref();
  }

  Driver* driver_ = nullptr;
  const Handle where_ = std::make_shared<Whereabouts>();
};

}  // namespace

void DefineDriver(Napi::Env env, Napi::Object exports) {
  exports.Set("Driver", DriverBinding::Define(env));
  Define(env, exports, "add", AddFd);
  Define(env, exports, "remove", RemoveFd);
  DefineOnJobs<SubmitJob>(env, exports, "submit");
  DefineOnJobs<SubmitNative>(env, exports, "submitNative");
  DefineOnJobs<CancelJob>(env, exports, "cancelJob");
  DefineOnJobs<TakeResult>(env, exports, "takeResult");
  DefineOnJobs<ConfigureJobs>(env, exports, "configureJobs");
  DefineOnJobs<CountJobs>(env, exports, "countJobs");
  DefineOnJobs<ListJobs>(env, exports, "listJobs");
}

}  // namespace coreactor

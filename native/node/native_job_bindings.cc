#include "native_job_bindings.h"

#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../core/jobs/foreign.h"
#include "../include/coreactor.h"
#include "args.h"

namespace coreactor {
namespace {

// Of another value than coreactor_api_tag: what JavaScript has of a job.
constexpr napi_type_tag kTokenTag = {0x1d0c7a94b5e84f23ULL, 0xa87d62f1c3094be5ULL};

constexpr char kApiCode[] = "ERR_COREACTOR_NATIVE_API";
constexpr char kValueCode[] = "ERR_INVALID_ARG_VALUE";

const coreactor_api& Api();

// Behind a token.
struct MadeByAddon {
  // First, and so in every version: two copies of the library may be in one process.
  const coreactor_api* api;
  std::string name;
  Lane lane;
  napi_value (*result)(napi_env env, void* data, int32_t returned);
  bool claimed = false;
  // Taken out when it is submitted.
  std::unique_ptr<ForeignData> data;
};

class NativeJob : public ForeignJob {
 public:
  NativeJob(ForeignData data, const MadeByAddon& made)
      : ForeignJob(std::move(data), made.lane), name_(made.name), result_(made.result) {
    set_kind(kNativeJob);
  }

  std::string what() const override { return name_; }

  napi_value Result(napi_env env) {
    return result_ == nullptr ? Number(env, returned()) : result_(env, data(), returned());
  }

 private:
  const std::string name_;
  decltype(MadeByAddon::result) const result_;
};

// Keeps the library in memory that has this code: Node unloads an addon with the last environment
// that has loaded it, and a thread may still be inside.
void Pin(int32_t (*code)(void*)) {
  static std::mutex* mutex = new std::mutex;
  static auto* pinned = new std::vector<void*>;
  Dl_info library{};
  if (dladdr(reinterpret_cast<void*>(code), &library) == 0 || library.dli_fname == nullptr) return;
  const std::lock_guard<std::mutex> lock(*mutex);
  for (void* base : *pinned) {
    if (base == library.dli_fbase) return;
  }
  // Of the program itself it fails: that stays anyhow. The handle is never given back.
  dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  pinned->push_back(library.dli_fbase);
}

napi_status Refuse(napi_env env, const char* code, const std::string& why) {
  napi_throw_error(env, code, ("coreactor: " + why).c_str());
  return napi_pending_exception;
}

void Forget(napi_env, void* made, void*) { delete static_cast<MadeByAddon*>(made); }

napi_status CreateJob(napi_env env, const coreactor_job* job, napi_value* token) {
  if (job == nullptr || token == nullptr) {
    return Refuse(env, kApiCode,
                  "create_job was called without a job, or without a place for its token");
  }
  if (job->size != sizeof(coreactor_job)) {
    return Refuse(env, kApiCode,
                  "create_job was given a coreactor_job of " + std::to_string(job->size) +
                      " bytes, and this library knows one of " +
                      std::to_string(sizeof(coreactor_job)) +
                      ": set its size to sizeof(coreactor_job), and "
                      "build the addon with the coreactor.h of the library that is installed");
  }
  if (job->run == nullptr) return Refuse(env, kValueCode, "a job needs a function to run");
  if (job->name == nullptr || *job->name == '\0') {
    return Refuse(env, kValueCode, "a job needs a name, for the errors it fails with");
  }
  if (job->lane > COREACTOR_LANE_WAITING) {
    return Refuse(env, kValueCode, "there is no lane " + std::to_string(job->lane) + " for jobs");
  }
  Pin(job->run);
  const Lane lane = job->lane == COREACTOR_LANE_WAITING ? Lane::kWaiting : Lane::kOrdinary;
  // The data is the job's when nothing can fail any more.
  auto made = std::make_unique<MadeByAddon>(
      MadeByAddon{&Api(), job->name, lane, job->result, false, nullptr});
  napi_status status = napi_create_object(env, token);
  if (status == napi_ok) status = napi_type_tag_object(env, *token, &kTokenTag);
  if (status == napi_ok) status = napi_wrap(env, *token, made.get(), Forget, nullptr, nullptr);
  if (status != napi_ok) return Refuse(env, kApiCode, "Node-API refused to make a token");
  made.release()->data =
      std::make_unique<ForeignData>(ForeignCalls{job->data, job->run, job->cancel, job->dispose});
  return napi_ok;
}

const coreactor_api& Api() {
  static const coreactor_api api{sizeof(coreactor_api), COREACTOR_API_VERSION, CreateJob};
  return api;
}

// Null: it is none, or made by another copy of the library.
MadeByAddon* MadeBehind(napi_env env, napi_value token) {
  bool tagged = false;
  void* made = nullptr;
  napi_valuetype type = napi_undefined;
  if (token == nullptr || napi_typeof(env, token, &type) != napi_ok || type != napi_object ||
      napi_check_object_type_tag(env, token, &kTokenTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, token, &made) != napi_ok) {
    return nullptr;
  }
  auto* behind = static_cast<MadeByAddon*>(made);
  return behind->api == &Api() ? behind : nullptr;
}

napi_value NativeApi(napi_env env, napi_callback_info) {
  napi_value table = nullptr;
  // A table is not written to: the cast is Node-API's wish.
  void* memory = const_cast<coreactor_api*>(&Api());
  if (napi_create_external(env, memory, nullptr, nullptr, &table) != napi_ok) return nullptr;
  if (napi_type_tag_object(env, table, &coreactor_api_tag) != napi_ok) return nullptr;
  return table;
}

napi_value ClaimJob(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  MadeByAddon* made = MadeBehind(env, args.at(0));
  if (made == nullptr) return Number(env, -EINVAL);
  if (std::exchange(made->claimed, true)) return Number(env, -EALREADY);
  napi_value name = nullptr;
  napi_create_string_utf8(env, made->name.c_str(), made->name.size(), &name);
  return name;
}

}  // namespace

void DefineNativeJobFunctions(Napi::Env env, Napi::Object exports) {
  const auto define = [&](const char* name, napi_callback call) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
    exports.Set(name, Napi::Value(env, function));
  };
  define("nativeApi", NativeApi);
  define("claimJob", ClaimJob);
}

napi_value SubmitNative(const Napi::CallbackInfo& info, Outbox& outbox) {
  const napi_env env = info.Env();
  MadeByAddon* made = MadeBehind(env, info[1]);
  const std::optional<uint32_t> slot = Integer<uint32_t>(env, info[2]);
  const std::optional<int32_t> generation = Integer<int32_t>(env, info[3]);
  if (made == nullptr || !slot || *slot < kFirstSlot || !generation) return Number(env, -EINVAL);
  if (made->data == nullptr) return Number(env, -EALREADY);
  // What is refused is destroyed. One that there is no room for now is to be submitted again: so it
  // is not handed over before there is.
  if (outbox.full()) return Number(env, -EAGAIN);
  auto job = std::make_unique<NativeJob>(std::move(*made->data), *made);
  made->data.reset();
  const Result<uint32_t> id =
      outbox.Submit(std::move(job), Token{*slot, static_cast<uint32_t>(*generation)});
  return Number(env, id.ok() ? static_cast<int64_t>(id.value()) : id.status().code());
}

napi_value NativeJobResult(napi_env env, Job& job) {
  return static_cast<NativeJob&>(job).Result(env);
}

}  // namespace coreactor

#include "job_bindings.h"

#include <netdb.h>

#include <utility>

#include "../core/jobs/file.h"
#include "../core/jobs/lookup.h"
#include "../core/jobs/reverse.h"
#include "args.h"

namespace coreactor {
namespace {

using MadeJob = Result<std::unique_ptr<Job>>;

// The arguments of a job's own follow its kind, slot and generation.
constexpr size_t kFirst = 3;

MadeJob Invalid() { return Status::Errno(EINVAL); }

// Empty for what is no string, or has a NUL in it: the system would read another text.
std::string Text(const Napi::CallbackInfo& info, size_t i) {
  if (!info[i].IsString()) return {};
  std::string text = info[i].As<Napi::String>().Utf8Value();
  return text.find('\0') == std::string::npos ? text : std::string();
}

// fstat ------------------------------------------------------------------------------------------

MadeJob MakeFstat(const Napi::CallbackInfo& info) {
  return std::unique_ptr<Job>(new FstatJob(Fd(info.Env(), info[kFirst])));
}

double Milliseconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

napi_value FstatResult(const Napi::CallbackInfo& info, Job& job) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* memory = nullptr;
  if (napi_get_typedarray_info(info.Env(), info[1], &type, &length, &memory, nullptr, nullptr) !=
          napi_ok ||
      type != napi_float64_array || length < kFstatNumbers || memory == nullptr) {
    return info.Env().Undefined();
  }
  const struct stat& status = static_cast<FstatJob&>(job).status();
  const double numbers[kFstatNumbers] = {
      static_cast<double>(status.st_dev),     static_cast<double>(status.st_mode),
      static_cast<double>(status.st_nlink),   static_cast<double>(status.st_uid),
      static_cast<double>(status.st_gid),     static_cast<double>(status.st_rdev),
      static_cast<double>(status.st_blksize), static_cast<double>(status.st_ino),
      static_cast<double>(status.st_size),    static_cast<double>(status.st_blocks),
      Milliseconds(status.st_atim),           Milliseconds(status.st_mtim),
      Milliseconds(status.st_ctim),
  };
  std::memcpy(memory, numbers, sizeof(numbers));
  return info[1];
}

// lookup -----------------------------------------------------------------------------------------

MadeJob MakeLookup(const Napi::CallbackInfo& info) {
  std::string host = Text(info, kFirst);
  const std::optional<int32_t> family = Integer<int32_t>(info.Env(), info[kFirst + 1]);
  const std::optional<int32_t> flags = Integer<int32_t>(info.Env(), info[kFirst + 2]);
  if (host.empty() || !flags) return Invalid();
  if (family != 0 && family != 4 && family != 6) return Invalid();
  const int number = *family == 0 ? AF_UNSPEC : *family == 4 ? AF_INET : AF_INET6;
  return std::unique_ptr<Job>(new LookupJob(std::move(host), number, *flags));
}

napi_value LookupResult(const Napi::CallbackInfo& info, Job& job) {
  const std::vector<std::string>& addresses = static_cast<LookupJob&>(job).addresses();
  Napi::Array array = Napi::Array::New(info.Env(), addresses.size());
  for (size_t i = 0; i < addresses.size(); i++) array.Set(static_cast<uint32_t>(i), addresses[i]);
  return array;
}

// reverse ----------------------------------------------------------------------------------------

MadeJob MakeReverse(const Napi::CallbackInfo& info) {
  const std::optional<uint16_t> port = Integer<uint16_t>(info.Env(), info[kFirst + 1]);
  const Result<Address> address = Address::Parse(Text(info, kFirst).c_str(), port.value_or(0));
  if (!port || !address.ok()) return Invalid();
  return std::unique_ptr<Job>(new ReverseJob(address.value()));
}

napi_value ReverseResult(const Napi::CallbackInfo& info, Job& job) {
  const auto& found = static_cast<ReverseJob&>(job);
  Napi::Array array = Napi::Array::New(info.Env(), 2);
  array.Set(0u, found.host());
  array.Set(1u, found.service());
  return array;
}

// ------------------------------------------------------------------------------------------------

struct Kind {
  // EINVAL for arguments that are none.
  MadeJob (*make)(const Napi::CallbackInfo& info);
  napi_value (*result)(const Napi::CallbackInfo& info, Job& job);
};

// Indexed by JobKind.
constexpr Kind kKinds[kJobKinds] = {
    {MakeFstat, FstatResult},
    {MakeLookup, LookupResult},
    {MakeReverse, ReverseResult},
};

const Kind* KindAt(const Napi::CallbackInfo& info) {
  const std::optional<uint32_t> kind = Integer<uint32_t>(info.Env(), info[0]);
  return kind && *kind < kJobKinds ? &kKinds[*kind] : nullptr;
}

}  // namespace

napi_value SubmitJob(const Napi::CallbackInfo& info, Outbox& outbox) {
  const Kind* kind = KindAt(info);
  const std::optional<uint32_t> slot = Integer<uint32_t>(info.Env(), info[1]);
  const std::optional<int32_t> generation = Integer<int32_t>(info.Env(), info[2]);
  if (kind == nullptr || !slot || *slot < kFirstSlot || !generation) {
    return Number(info.Env(), -EINVAL);
  }
  MadeJob made = kind->make(info);
  if (!made.ok()) return Number(info.Env(), made.status().code());
  made.value()->set_kind(*Integer<uint32_t>(info.Env(), info[0]));
  const Result<uint32_t> id =
      outbox.Submit(std::move(made.value()), Token{*slot, static_cast<uint32_t>(*generation)});
  return Number(info.Env(), id.ok() ? static_cast<int64_t>(id.value()) : id.status().code());
}

napi_value CancelJob(const Napi::CallbackInfo& info, Outbox& outbox) {
  const std::optional<uint32_t> id = Integer<uint32_t>(info.Env(), info[0]);
  if (!id) return Number(info.Env(), -EINVAL);
  const bool abandon = info[1].ToBoolean();
  return Number(info.Env(), outbox.Cancel(*id, abandon) == Outbox::Cancelled::kYes ? 1 : 0);
}

napi_value TakeResult(const Napi::CallbackInfo& info, Outbox& outbox) {
  const std::optional<uint32_t> id = Integer<uint32_t>(info.Env(), info[0]);
  const std::unique_ptr<Job> job = id ? outbox.Take(*id) : nullptr;
  if (job == nullptr) return info.Env().Undefined();
  return kKinds[job->kind()].result(info, *job);
}

}  // namespace coreactor

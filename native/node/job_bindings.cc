#include "job_bindings.h"

#include <netdb.h>

#include <iterator>
#include <utility>

#include "../core/jobs/file.h"
#include "../core/jobs/lookup.h"
#include "../core/jobs/reverse.h"
#include "args.h"
#include "file_job_bindings.h"
#include "native_job_bindings.h"

namespace coreactor {
namespace {

constexpr size_t kFirst = kFirstJobArgument;

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

napi_value FstatResult(const Napi::CallbackInfo& info, Job& job) {
  return StatusInto(info, static_cast<FstatJob&>(job).status());
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

// Indexed by JobKind, up to kOpen.
constexpr JobBinding kFirstJobs[] = {
    {MakeFstat, FstatResult},
    {MakeLookup, LookupResult},
    {MakeReverse, ReverseResult},
};
constexpr auto kFirstFileJob = static_cast<uint32_t>(JobKind::kOpen);
static_assert(std::size(kFirstJobs) == kFirstFileJob);
static_assert(std::size(kFileJobs) == kJobKinds - kFirstFileJob);

const JobBinding& BindingOf(uint32_t kind) {
  return kind < kFirstFileJob ? kFirstJobs[kind] : kFileJobs[kind - kFirstFileJob];
}

}  // namespace

napi_value SubmitJob(const Napi::CallbackInfo& info, Outbox& outbox) {
  const std::optional<uint32_t> kind = Integer<uint32_t>(info.Env(), info[1]);
  const std::optional<uint32_t> slot = Integer<uint32_t>(info.Env(), info[2]);
  const std::optional<int32_t> generation = Integer<int32_t>(info.Env(), info[3]);
  if (!kind || *kind >= kJobKinds || !slot || *slot < kFirstSlot || !generation) {
    return Number(info.Env(), -EINVAL);
  }
  MadeJob made = BindingOf(*kind).make(info);
  if (!made.ok()) return Number(info.Env(), made.status().code());
  made.value()->set_kind(*kind);
  const Result<uint32_t> id =
      outbox.Submit(std::move(made.value()), Token{*slot, static_cast<uint32_t>(*generation)});
  return Number(info.Env(), id.ok() ? static_cast<int64_t>(id.value()) : id.status().code());
}

napi_value CancelJob(const Napi::CallbackInfo& info, Outbox& outbox) {
  const std::optional<uint32_t> id = Integer<uint32_t>(info.Env(), info[1]);
  if (!id) return Number(info.Env(), -EINVAL);
  const bool abandon = IsTrue(info.Env(), info[2]);
  return Number(info.Env(), outbox.Cancel(*id, abandon) == Outbox::Cancelled::kYes ? 1 : 0);
}

napi_value TakeResult(const Napi::CallbackInfo& info, Outbox& outbox) {
  const std::optional<uint32_t> id = Integer<uint32_t>(info.Env(), info[1]);
  const std::unique_ptr<Job> job = id ? outbox.Take(*id) : nullptr;
  if (job == nullptr) return info.Env().Undefined();
  if (job->kind() == kNativeJob) return NativeJobResult(info.Env(), *job);
  const JobBinding& binding = BindingOf(job->kind());
  return binding.result == nullptr ? info.Env().Undefined() : binding.result(info, *job);
}

napi_value ConfigureJobs(const Napi::CallbackInfo& info, Outbox& outbox) {
  int32_t given[kLanes + 2];
  for (size_t i = 0; i < std::size(given); i++) {
    const std::optional<int32_t> number = Integer<int32_t>(info.Env(), info[1 + i]);
    // Of none at a time, none would ever be.
    if (!number || (*number == 0 && i != kLanes)) return Number(info.Env(), -EINVAL);
    given[i] = *number;
  }
  BlockingPool::Options options = BlockingPool::OfProcess().options();
  for (size_t lane = 0; lane < kLanes; lane++) {
    if (given[lane] >= 0) options.limits[lane] = given[lane];
  }
  if (given[kLanes] >= 0) options.idle = std::chrono::milliseconds(given[kLanes]);
  BlockingPool::OfProcess().Configure(options);
  if (given[kLanes + 1] >= 0) outbox.set_most_jobs(static_cast<size_t>(given[kLanes + 1]));
  return Number(info.Env(), 0);
}

napi_value CountJobs(const Napi::CallbackInfo& info, Outbox&) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* memory = nullptr;
  if (napi_get_typedarray_info(info.Env(), info[1], &type, &length, &memory, nullptr, nullptr) !=
          napi_ok ||
      type != napi_int32_array || length < kJobCounts || memory == nullptr) {
    return Number(info.Env(), -EINVAL);
  }
  const BlockingPool::Counts counts = BlockingPool::OfProcess().counts();
  const PerLane limits = BlockingPool::OfProcess().options().limits;
  auto* out = static_cast<int32_t*>(memory);
  *out++ = counts.threads;
  *out++ = counts.idle;
  for (size_t lane = 0; lane < kLanes; lane++) {
    *out++ = counts.queued[lane];
    *out++ = counts.running[lane];
    *out++ = limits[lane];
  }
  return Number(info.Env(), 0);
}

napi_value ListJobs(const Napi::CallbackInfo& info, Outbox& outbox) {
  Napi::Array list = Napi::Array::New(info.Env());
  uint32_t index = 0;
  for (const Outbox::Report& report : outbox.Reports()) {
    Napi::Array each = Napi::Array::New(info.Env(), 3);
    const bool queued = report.nanoseconds < 0;
    each.Set(0u, report.what);
    each.Set(1u, queued ? -1 : static_cast<double>(report.nanoseconds) / 1e6);
    each.Set(2u, Napi::Boolean::New(info.Env(), report.abandoned));
    list.Set(index++, each);
  }
  return list;
}

}  // namespace coreactor

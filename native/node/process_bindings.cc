#include "process_bindings.h"

#include "../core/blocking_pool.h"
#include "../core/process.h"
#include "binding.h"

namespace coreactor {
namespace {

// openProcess(pid): an fd
napi_value OpenProcessFd(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const std::optional<int32_t> pid = args.Integer<int32_t>(0);
  if (!pid || *pid <= 0) return Number(env, -EINVAL);
  Result<OwnedFd> opened = OpenProcess(*pid);
  if (!opened.ok()) return Number(env, opened.status().code());
  LedgerOf(env).Opened(opened.value().get());
  return Number(env, opened.value().Release());
}

// hasEnded(pid, reap, into): 1 and [pid, status, killed] in an Int32Array, 0, or -errno
napi_value HasProcessEnded(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<int32_t> pid = args.Integer<int32_t>(0);
  const std::optional<int32_t> reap = args.Integer<int32_t>(1);
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* into = nullptr;
  if (!pid || *pid < 0 || !reap || args.at(2) == nullptr ||
      napi_get_typedarray_info(env, args.at(2), &type, &length, &into, nullptr, nullptr) !=
          napi_ok ||
      type != napi_int32_array || length < 3 || into == nullptr) {
    return Number(env, -EINVAL);
  }
  ProcessEnd end;
  const int result = HasEnded(*pid, *reap != 0, &end);
  const int32_t about[3] = {end.pid, end.status, end.killed ? 1 : 0};
  std::memcpy(into, about, sizeof(about));
  return Number(env, result);
}

// closeAfterJobs(fd): when no job uses it any more
napi_value CloseAfterJobs(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const int fd = args.Fd(0);
  if (fd < 0) return Number(env, -EBADF);
  LedgerOf(env).LetGo(fd);
  return Number(env, BlockingPool::OfProcess().Close(fd).code());
}

}  // namespace

void DefineProcessFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "openProcess", OpenProcessFd);
  Define(env, exports, "hasEnded", HasProcessEnded);
  Define(env, exports, "closeAfterJobs", CloseAfterJobs);
}

}  // namespace coreactor

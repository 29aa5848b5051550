#include "transfer_bindings.h"

#include "../core/transfer.h"
#include "binding.h"

namespace coreactor {
namespace {

// The largest integer that a double, and JavaScript, has for certain.
constexpr double kMaxSafeInteger = 9007199254740991;

std::optional<int64_t> Offset(napi_env env, napi_value value) {
  double number = 0;
  if (value == nullptr || napi_get_value_double(env, value, &number) != napi_ok) return {};
  // Written so that NaN fails it.
  if (!(number >= 0 && number <= kMaxSafeInteger)) return {};
  const auto offset = static_cast<int64_t>(number);
  if (static_cast<double>(offset) != number) return {};
  return offset;
}

napi_value OpenPipeForTransfer(napi_env env, napi_callback_info) {
  return BothEnds(env, OpenTransferPipe());
}

// splice(from, to, length)
napi_value SpliceBytes(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<uint32_t> length = args.Integer<uint32_t>(2);
  // Of no bytes, 0 would say that the end has come.
  if (!length || *length == 0) return Number(env, -EINVAL);
  return Number(env, Splice(args.Fd(0), args.Fd(1), *length));
}

// sendFile(to, file, offset, length)
napi_value SendFromFile(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<int64_t> offset = Offset(env, args.at(2));
  const std::optional<uint32_t> length = args.Integer<uint32_t>(3);
  if (!offset || !length || *length == 0) return Number(env, -EINVAL);
  return Number(env, SendFile(args.Fd(0), args.Fd(1), *offset, *length));
}

// isCached(file, offset, length): 0 = reading would wait for a disk
napi_value IsFileCached(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<int64_t> offset = Offset(env, args.at(1));
  const std::optional<uint32_t> length = args.Integer<uint32_t>(2);
  if (!offset || !length || *length == 0) return Number(env, -EINVAL);
  return Number(env, IsCached(args.Fd(0), *offset, *length) ? 1 : 0);
}

}  // namespace

void DefineTransferFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "transferPipe", OpenPipeForTransfer);
  Define(env, exports, "splice", SpliceBytes);
  Define(env, exports, "sendFile", SendFromFile);
  Define(env, exports, "isCached", IsFileCached);
}

}  // namespace coreactor

#include "descriptor_bindings.h"

#include <sys/socket.h>

#include "../core/descriptor.h"
#include "binding.h"

namespace coreactor {
namespace {

// poll(fd, interest)
napi_value PollFd(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  const std::optional<uint32_t> interest = args.Integer<uint32_t>(1);
  if (!interest || (*interest & ~(kReadable | kWritable | kPriority)) != 0) {
    return Number(env, -EINVAL);
  }
  return Number(env, PollNow(args.Fd(0), Interest{*interest}));
}

napi_value ReadInto(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<Bytes> into = PartOf(env, args);
  // Into no bytes, 0 would say that the end has come.
  if (!into || into->length == 0) return Number(env, -EINVAL);
  return Number(env, Read(args.Fd(0), into->data, into->length));
}

napi_value WriteFrom(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<Bytes> from = PartOf(env, args);
  return Number(env, from ? Write(args.Fd(0), from->data, from->length) : -EINVAL);
}

napi_value OpenPipeEnds(napi_env env, napi_callback_info) { return BothEnds(env, OpenPipe()); }

napi_value OpenStreamPair(napi_env env, napi_callback_info) {
  return BothEnds(env, OpenSocketPair(SOCK_STREAM));
}

napi_value TakeFd(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const int fd = args.Fd(0);
  const int readiness = PollNow(fd, Interest{0});
  if (readiness < 0) return Number(env, readiness);
  LedgerOf(env).Opened(fd);
  return Number(env, 0);
}

}  // namespace

void DefineDescriptorFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "poll", PollFd);
  Define(env, exports, "read", ReadInto);
  Define(env, exports, "write", WriteFrom);
  Define(env, exports, "writeVector", WithChunks<WriteVector>);
  Define(env, exports, "pipe", OpenPipeEnds);
  Define(env, exports, "socketPair", OpenStreamPair);
  Define(env, exports, "takeFd", TakeFd);
}

}  // namespace coreactor

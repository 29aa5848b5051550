// What the files of bindings share: defining a function, the environment's ledger of fds, two fds
// as a result, and an array of chunks as an argument.
#pragma once

#include <napi.h>
#include <sys/uio.h>

#include "../core/descriptor.h"
#include "../core/fd_ledger.h"
#include "../core/socket.h"
#include "args.h"

namespace coreactor {

inline void Define(Napi::Env env, Napi::Object exports, const char* name, napi_callback call) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
  exports.Set(name, Napi::Value(env, function));
}

// The ledger of the environment that loaded the addon, set by DefineSocketFunctions.
inline FdLedger& LedgerOf(napi_env env) {
  void* ledger = nullptr;
  napi_get_instance_data(env, &ledger);
  return *static_cast<FdLedger*>(ledger);
}

// [fd, fd], which the ledger knows of then; or -errno.
inline napi_value BothEnds(napi_env env, Result<Ends> opened) {
  if (!opened.ok()) return Number(env, opened.status().code());
  Ends& ends = opened.value();
  napi_value pair = nullptr;
  napi_create_array_with_length(env, 2, &pair);
  uint32_t index = 0;
  for (OwnedFd* end : {&ends.first, &ends.second}) {
    LedgerOf(env).Opened(end->get());
    napi_set_element(env, pair, index++, Number(env, end->Release()));
  }
  return pair;
}

// The bytes that arguments 1 to 3, (array, offset, length), stand for.
inline std::optional<Bytes> PartOf(napi_env env, const Args<4>& args) {
  return Part(BytesOf(env, args.at(1)), args.Integer<uint32_t>(2), args.Integer<uint32_t>(3));
}

// call(fd, chunks, skip): the first `skip` bytes of the first chunk are left out.
template <ssize_t (*Call)(int, const iovec*, size_t)>
napi_value WithChunks(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<uint32_t> skip = args.Integer<uint32_t>(2);
  uint32_t count = 0;
  if (!skip || args.at(1) == nullptr || napi_get_array_length(env, args.at(1), &count) != napi_ok) {
    return Number(env, -EINVAL);
  }
  if (count > kVectorMax) count = kVectorMax;
  // First all the elements, then where they lie: an element may be a getter, which is JavaScript
  // and may take away the memory of the one before.
  napi_value elements[kVectorMax];
  for (uint32_t i = 0; i < count; i++) {
    if (napi_get_element(env, args.at(1), i, &elements[i]) != napi_ok) return nullptr;
  }
  iovec chunks[kVectorMax];
  for (uint32_t i = 0; i < count; i++) {
    const std::optional<Bytes> bytes = BytesOf(env, elements[i]);
    if (!bytes) return Number(env, -EINVAL);
    chunks[i] = iovec{bytes->data, bytes->length};
  }
  if (*skip > (count == 0 ? 0 : chunks[0].iov_len)) return Number(env, -EINVAL);
  if (count > 0) {
    chunks[0].iov_base = static_cast<uint8_t*>(chunks[0].iov_base) + *skip;
    chunks[0].iov_len -= *skip;
  }
  return Number(env, Call(args.Fd(0), chunks, count));
}

}  // namespace coreactor

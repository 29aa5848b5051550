// Reading the arguments of a call from JavaScript. TypeScript has checked what users pass; here it
// is checked again that nothing can reach outside a buffer. What does not fit reads as a value that
// the system call then refuses.
#pragma once

#include <node_api.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

namespace coreactor {

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

// At most N arguments; those that were not passed are undefined.
template <size_t N>
class Args {
 public:
  Args(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    if (napi_get_cb_info(env, info, &count, values_, nullptr, &data_) != napi_ok) count = 0;
    for (size_t i = count; i < N; i++) values_[i] = nullptr;
  }

  napi_env env() const { return env_; }
  void* data() const { return data_; }
  napi_value at(size_t i) const { return values_[i]; }

  // -1 for what is no number: as an fd that is EBADF.
  int Int(size_t i) const {
    int32_t value = -1;
    if (values_[i] == nullptr || napi_get_value_int32(env_, values_[i], &value) != napi_ok)
      return -1;
    return value;
  }

  uint32_t Uint(size_t i) const {
    uint32_t value = 0;
    if (values_[i] != nullptr) napi_get_value_uint32(env_, values_[i], &value);
    return value;
  }

  // Empty for what is no string.
  std::string Text(size_t i) const {
    char buffer[256];
    size_t length = 0;
    if (values_[i] == nullptr) return {};
    if (napi_get_value_string_utf8(env_, values_[i], buffer, sizeof(buffer), &length) != napi_ok)
      return {};
    return std::string(buffer, length);
  }

 private:
  napi_env env_;
  void* data_ = nullptr;
  napi_value values_[N];
};

// The memory of a Uint8Array, a Buffer included; empty for anything else and for one that was
// detached.
inline Bytes BytesOf(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (value == nullptr) return {};
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok)
    return {};
  if (type != napi_uint8_array || data == nullptr) return {};
  return {static_cast<uint8_t*>(data), length};
}

// The part [offset, offset + length) of it, cut to what is there.
inline Bytes Part(Bytes bytes, uint32_t offset, uint32_t length) {
  if (offset >= bytes.length) return {bytes.data, 0};
  const size_t there = bytes.length - offset;
  return {bytes.data + offset, length < there ? length : there};
}

inline napi_value Number(napi_env env, int64_t value) {
  napi_value number = nullptr;
  // A system call on a socket moves less than 2^31 bytes, and int32 is the cheaper of the two.
  if (value >= INT32_MIN && value <= INT32_MAX)
    napi_create_int32(env, static_cast<int32_t>(value), &number);
  else
    napi_create_int64(env, value, &number);
  return number;
}

}  // namespace coreactor

// Reading the arguments of a call from JavaScript. TypeScript has checked what users pass; here it
// is checked again that nothing is taken for a number that is none, and that nothing reaches
// outside a buffer. What does not fit is answered with -EINVAL; as an fd, with -EBADF.
#pragma once

#include <node_api.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

namespace coreactor {

// An integer that T holds exactly. None for anything else: fractions, NaN and strings of digits
// included. Node-API's own conversions take NaN for 0, which is somebody's fd, and 2^32 + 3 for 3.
template <typename T>
std::optional<T> Integer(napi_env env, napi_value value) {
  static_assert(sizeof(T) <= 4, "a double holds every value of T");
  double number = 0;
  if (value == nullptr || napi_get_value_double(env, value, &number) != napi_ok) return {};
  // Written so that NaN fails it.
  const bool holds =
      number >= std::numeric_limits<T>::min() && number <= std::numeric_limits<T>::max();
  if (!holds || static_cast<T>(number) != number) return {};
  return static_cast<T>(number);
}

// -1, which every system call answers with EBADF, for what is not an fd.
inline int Fd(napi_env env, napi_value value) { return Integer<int32_t>(env, value).value_or(-1); }

// At most N arguments; those that were not passed are undefined.
template <size_t N>
class Args {
 public:
  Args(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    if (napi_get_cb_info(env, info, &count, values_, nullptr, nullptr) == napi_ok) return;
    for (napi_value& value : values_) value = nullptr;
  }

  napi_value at(size_t i) const { return values_[i]; }
  int Fd(size_t i) const { return coreactor::Fd(env_, values_[i]); }

  template <typename T>
  std::optional<T> Integer(size_t i) const {
    return coreactor::Integer<T>(env_, values_[i]);
  }

  // Empty for what is no string, is longer than any address, or has a NUL in it: the system would
  // read another text than JavaScript.
  std::string Text(size_t i) const {
    char text[256];
    size_t length = 0;
    if (values_[i] == nullptr) return {};
    const napi_status read =
        napi_get_value_string_utf8(env_, values_[i], text, sizeof(text), &length);
    if (read != napi_ok || length == sizeof(text) - 1 || std::strlen(text) != length) return {};
    return std::string(text, length);
  }

 private:
  napi_env env_;
  napi_value values_[N];
};

struct Bytes {
  uint8_t* data;
  size_t length;
};

// The memory of a Uint8Array, a Buffer included; of no length if it was detached. None for anything
// else. Valid until JavaScript runs again.
inline std::optional<Bytes> BytesOf(napi_env env, napi_value value) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (value == nullptr) return {};
  // Not napi_get_buffer_info: it costs the same, and aborts the process for what is no view.
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    return {};
  }
  if (type != napi_uint8_array || (data == nullptr && length > 0)) return {};
  return Bytes{static_cast<uint8_t*>(data), length};
}

// The part [offset, offset + length) of it; none if it reaches outside.
inline std::optional<Bytes> Part(std::optional<Bytes> bytes, std::optional<uint32_t> offset,
                                 std::optional<uint32_t> length) {
  if (!bytes || !offset || !length) return {};
  if (*offset > bytes->length || *length > bytes->length - *offset) return {};
  return Bytes{bytes->data + *offset, *length};
}

// False for anything but true. Not coerced: in a worker that is being terminated that fails, and
// node-addon-api aborts the process for the value that there is not.
inline bool IsTrue(napi_env env, napi_value value) {
  bool is_true = false;
  return value != nullptr && napi_get_value_bool(env, value, &is_true) == napi_ok && is_true;
}

inline bool IsUndefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return value == nullptr || napi_typeof(env, value, &type) != napi_ok || type == napi_undefined;
}

inline napi_value Number(napi_env env, int64_t value) {
  napi_value number = nullptr;
  // A system call on a socket moves less than 2^31 bytes, and int32 is the cheaper of the two.
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, static_cast<int32_t>(value), &number);
  } else {
    napi_create_int64(env, value, &number);
  }
  return number;
}

}  // namespace coreactor

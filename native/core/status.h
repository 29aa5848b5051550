// The result of a system call: a value, or an errno. Expected answers are values; nobody throws.
#pragma once

#include <cerrno>
#include <utility>

namespace coreactor {

// Success, or an errno.
class Status {
 public:
  constexpr Status() = default;
  static constexpr Status Ok() { return Status(); }
  static constexpr Status Errno(int error) { return Status(error); }

  constexpr bool ok() const { return error_ == 0; }
  constexpr int error() const { return error_; }
  // What crosses into TypeScript: 0 or -errno.
  constexpr int code() const { return -error_; }

 private:
  explicit constexpr Status(int error) : error_(error) {}
  int error_ = 0;
};

// A value of type T, or an errno. T needs a default value for the second case.
template <typename T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}        // NOLINT: a value is a result
  Result(Status failure) : error_(failure.error()) {}  // NOLINT: so is a failure

  bool ok() const { return error_ == 0; }
  Status status() const { return ok() ? Status::Ok() : Status::Errno(error_); }
  T& value() { return value_; }
  const T& value() const { return value_; }

 private:
  T value_{};
  int error_ = 0;
};

// Makes a system call until no signal interrupts it: >= 0, or -errno. Not for close and connect,
// which are never made twice: the fd is gone, the connection goes on by itself.
template <typename F>
auto Call(F call) -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return static_cast<decltype(call())>(-errno);
  }
}

// A Status of what Call returned.
template <typename T>
constexpr Status StatusOf(T result) {
  return result < 0 ? Status::Errno(static_cast<int>(-result)) : Status::Ok();
}

// Takes one error for success, because it says that what was wanted is so already.
constexpr Status Ignoring(int error, Status status) {
  return status.error() == error ? Status::Ok() : status;
}

}  // namespace coreactor

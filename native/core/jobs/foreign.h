// A blocking call of somebody else's addon: functions in C, and memory that only they know.
#pragma once

#include <utility>

#include "../job.h"

namespace coreactor {

// What a job calls; each may be null but `run`. `dispose` frees `data`, and is called once.
struct ForeignCalls {
  void* data = nullptr;
  int32_t (*run)(void* data) = nullptr;
  void (*cancel)(void* data) = nullptr;
  void (*dispose)(void* data) = nullptr;
};

// The duty to dispose of it. Move-only.
class ForeignData {
 public:
  ForeignData() = default;
  explicit ForeignData(const ForeignCalls& calls) : calls_(calls) {}
  ForeignData(ForeignData&& other) noexcept : calls_(std::exchange(other.calls_, {})) {}
  ForeignData& operator=(ForeignData&& other) noexcept {
    if (this != &other) {
      Dispose();
      calls_ = std::exchange(other.calls_, {});
    }
    return *this;
  }
  ForeignData(const ForeignData&) = delete;
  ForeignData& operator=(const ForeignData&) = delete;
  ~ForeignData() { Dispose(); }

  const ForeignCalls& calls() const { return calls_; }

 private:
  void Dispose() {
    const ForeignCalls calls = std::exchange(calls_, {});
    if (calls.dispose != nullptr) calls.dispose(calls.data);
  }

  ForeignCalls calls_;
};

class ForeignJob : public Job {
 public:
  ForeignJob(ForeignData data, Lane lane) : Job(lane), data_(std::move(data)) {}

  int32_t Run() override { return returned_ = data_.calls().run(data_.calls().data); }
  void Interrupt() override {
    if (data_.calls().cancel != nullptr) data_.calls().cancel(data_.calls().data);
  }
  // A failure is told by its number.
  bool has_result() const override { return returned_ >= 0; }

  void* data() const { return data_.calls().data; }
  int32_t returned() const { return returned_; }

 private:
  ForeignData data_;
  int32_t returned_ = -1;
};

}  // namespace coreactor

#include "driver.h"

#include <cmath>
#include <string>
#include <utility>

namespace coreactor {
namespace {

constexpr size_t kBatchBytes = kControlInts * sizeof(int32_t) + kBatchCapacity * sizeof(Event);

// Turns in a row, while tasks are ready or microtasks ask for one, before the host loop has its
// share again. Each pass of the host loop costs as much as a turn of its own; with 8, a task-switch
// costs a fifth less (bench/tasks).
constexpr int kMostRounds = 8;
// And only while they are short: with long ones the host loop's pass is small change, and its
// sockets are waiting. Without this, a flood on our side left node:net one round trip in a quarter
// second.
constexpr int64_t kRoundsNanoseconds = 200'000;

constexpr double kNanosecondsPerMillisecond = 1e6;
// Later deadlines are not worth arming for: 100 years of 365 days.
constexpr double kFarAwayMilliseconds = 100.0 * 365 * 24 * 3600 * 1000;

void Throw(napi_env env, const char* what, Status status) {
  // Not a user's mistake and not worth an errno's name: the process is out of fds, or the sandbox
  // forbids epoll.
  std::string message =
      std::string("coreactor: ") + what + " failed with errno " + std::to_string(status.error());
  napi_throw_error(env, "ERR_COREACTOR_DRIVER", message.c_str());
}

}  // namespace

Driver* Driver::Open(napi_env env, napi_value turn) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    napi_throw_error(env, "ERR_COREACTOR_DRIVER", "coreactor: this runtime has no libuv loop");
    return nullptr;
  }
  auto* driver = new Driver(env);
  const Status started = driver->Start(loop);
  if (!started.ok()) {
    Throw(env, "opening the poller", started);
    driver->closing_ = true;
    driver->CloseHandles();
    return nullptr;
  }

  napi_value buffer = nullptr;
  napi_value name = nullptr;
  void* memory = nullptr;
  const bool made =
      napi_create_arraybuffer(env, kBatchBytes, &memory, &buffer) == napi_ok &&
      napi_create_reference(env, buffer, 1, &driver->buffer_) == napi_ok &&
      napi_create_reference(env, turn, 1, &driver->turn_) == napi_ok &&
      napi_create_string_utf8(env, "coreactor", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_async_init(env, nullptr, name, &driver->async_context_) == napi_ok &&
      napi_add_async_cleanup_hook(env, OnEnvironmentExit, driver, &driver->exit_hook_) == napi_ok;
  if (!made) {
    napi_throw_error(env, "ERR_COREACTOR_DRIVER", "coreactor: Node-API refused an allocation");
    driver->Close();
    return nullptr;
  }
  driver->control_ = static_cast<int32_t*>(memory);
  driver->events_ = reinterpret_cast<Event*>(driver->control_ + kControlInts);
  return driver;
}

Status Driver::Start(uv_loop_t* loop) {
  Result<Poller> poller = Poller::Create();
  if (!poller.ok()) return poller.status();
  poller_ = std::move(poller.value());
  Result<Clock> clock = Clock::Create(poller_);
  if (!clock.ok()) return clock.status();
  clock_ = std::move(clock.value());

  const int watched = uv_poll_init(loop, &readable_, poller_.fd());
  if (watched < 0) return Status::Errno(-watched);
  readable_.data = this;
  open_handles_++;
  uv_idle_init(loop, &wanted_);
  wanted_.data = this;
  open_handles_++;
  const int started = uv_poll_start(&readable_, UV_READABLE, OnReadable);
  // Nothing to stay alive for yet: see Kernel.ref.
  uv_unref(reinterpret_cast<uv_handle_t*>(&readable_));
  return started < 0 ? Status::Errno(-started) : Status::Ok();
}

napi_value Driver::Buffer() const {
  napi_value buffer = nullptr;
  if (buffer_ != nullptr) napi_get_reference_value(env_, buffer_, &buffer);
  return buffer;
}

void Driver::RequestTurn() {
  if (!closing_) uv_idle_start(&wanted_, OnIdle);
}

void Driver::Ref() {
  if (!closing_) uv_ref(reinterpret_cast<uv_handle_t*>(&readable_));
}

void Driver::Unref() {
  if (!closing_) uv_unref(reinterpret_cast<uv_handle_t*>(&readable_));
}

void Driver::set_on_closed(void (*on_closed)(void*), void* data) {
  on_closed_ = on_closed;
  on_closed_data_ = data;
}

void Driver::Close() {
  if (closing_) return;
  closing_ = true;
  // Inside a turn the references are still in use: Dispatch releases them when it has come back.
  if (!dispatching_) ReleaseReferences();
  CloseHandles();
}

void Driver::CloseHandles() {
  if (open_handles_ == 0) {
    delete this;
    return;
  }
  // The poller's fd must outlive the handle that watches it: it is closed by the destructor, after
  // OnHandleClosed.
  uv_close(reinterpret_cast<uv_handle_t*>(&readable_), OnHandleClosed);
  if (open_handles_ > 1) uv_close(reinterpret_cast<uv_handle_t*>(&wanted_), OnHandleClosed);
}

void Driver::ReleaseReferences() {
  if (on_closed_ != nullptr) on_closed_(on_closed_data_);
  on_closed_ = nullptr;
  if (async_context_ != nullptr) napi_async_destroy(env_, async_context_);
  if (turn_ != nullptr) napi_delete_reference(env_, turn_);
  if (buffer_ != nullptr) napi_delete_reference(env_, buffer_);
  async_context_ = nullptr;
  turn_ = nullptr;
  buffer_ = nullptr;
}

void Driver::OnHandleClosed(uv_handle_t* handle) {
  auto* driver = static_cast<Driver*>(handle->data);
  if (--driver->open_handles_ > 0) return;
  // Lets the environment go on with its own clean-up, if that is what waits.
  if (driver->exit_hook_ != nullptr) napi_remove_async_cleanup_hook(driver->exit_hook_);
  delete driver;
}

void Driver::OnEnvironmentExit(napi_async_cleanup_hook_handle, void* data) {
  // The hook is removed by OnHandleClosed; until then the environment waits. Closing already: it
  // does, too.
  static_cast<Driver*>(data)->Close();
}

void Driver::OnReadable(uv_poll_t* handle, int, int) {
  static_cast<Driver*>(handle->data)->Dispatch();
}

void Driver::OnIdle(uv_idle_t* handle) { static_cast<Driver*>(handle->data)->Dispatch(); }

void Driver::Dispatch() {
  // A turn that runs the host loop from inside (a debugger, a synchronous addon) does not begin
  // another one.
  if (dispatching_ || closing_) return;
  dispatching_ = true;
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env_, &scope);

  double when = 0;
  bool alive = true;
  int32_t* const control = control_;
  control[kControlRequested] = 0;
  const int64_t start = MonotonicNanoseconds();
  for (int round = 0; round < kMostRounds; round++) {
    // A turn that was only asked for, by the microtasks of the one before, is not worth asking the
    // kernel again.
    const bool asked_for = control[kControlRequested] != 0;
    // What fails this time is reported again: libuv's poll is level-triggered.
    const Result<size_t> waited =
        asked_for ? Result<size_t>(0) : poller_.Wait(events_, kBatchCapacity, 0);
    control[kControlRequested] = 0;
    control[kControlDispatching] = 1;
    alive = CallTurn(waited.ok() ? waited.value() : 0, &when);
    control[kControlDispatching] = 0;
    if (!alive || closing_ || (when > 0 && control[kControlRequested] == 0)) break;
    // What was written by the microtasks is flushed in any case: waiting for the host would hold it
    // back for no gain.
    if (control[kControlRequested] == 0 && MonotonicNanoseconds() - start > kRoundsNanoseconds)
      break;
  }
  dispatching_ = false;

  if (closing_) {
    ReleaseReferences();
  } else if (alive) {
    if (when <= 0 || control[kControlRequested] != 0) {
      uv_idle_start(&wanted_, OnIdle);
    } else {
      uv_idle_stop(&wanted_);
      if (when < kFarAwayMilliseconds) ArmFor(when);
    }
  }
  napi_close_handle_scope(env_, scope);
}

bool Driver::CallTurn(size_t count, double* when) {
  napi_value turn = nullptr;
  napi_value receiver = nullptr;
  napi_value argument = nullptr;
  napi_value result = nullptr;
  if (napi_get_reference_value(env_, turn_, &turn) != napi_ok ||
      napi_get_global(env_, &receiver) != napi_ok ||
      napi_create_uint32(env_, static_cast<uint32_t>(count), &argument) != napi_ok) {
    return false;
  }
  // Runs the microtasks, and process.nextTick's, before it comes back: once a turn.
  if (napi_make_callback(env_, async_context_, receiver, turn, 1, &argument, &result) == napi_ok) {
    // NaN and what is no number: look again soon, rather than never.
    if (napi_get_value_double(env_, result, when) != napi_ok || std::isnan(*when)) *when = 0;
    return true;
  }
  // A turn throws only by a defect of the library. Whoever listens to uncaughtException decides
  // what becomes of it; if that is to go on, the next turn comes soon.
  bool thrown = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env_, &thrown) != napi_ok || !thrown) return false;
  if (napi_get_and_clear_last_exception(env_, &error) != napi_ok) return false;
  if (napi_fatal_exception(env_, error) != napi_ok) return false;
  *when = 0;
  return true;
}

void Driver::ArmFor(double when) {
  // Rounded up: never early.
  const auto deadline = static_cast<int64_t>(std::ceil(when * kNanosecondsPerMillisecond));
  const int64_t now = MonotonicNanoseconds();
  // A deadline that has moved away costs one turn for nothing, which is cheaper than moving the
  // clock each time.
  if (armed_ > now && armed_ <= deadline) return;
  if (clock_.Arm(deadline).ok()) armed_ = deadline;
}

}  // namespace coreactor

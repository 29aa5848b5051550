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

void Throw(napi_env env, const std::string& what) {
  // Not a user's mistake: the process is out of fds or of memory, or the sandbox forbids epoll.
  napi_throw_error(env, "ERR_COREACTOR_DRIVER", ("coreactor: " + what).c_str());
}

}  // namespace

Driver* Driver::Open(napi_env env, napi_value turn) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    Throw(env, "this runtime has no libuv loop");
    return nullptr;
  }
  auto* driver = new Driver(env);
  // The hook comes first: an environment that is terminated half-way through the rest, when
  // Node-API begins to refuse, has to wait for the handles all the same.
  napi_add_async_cleanup_hook(env, OnEnvironmentExit, driver, &driver->exit_hook_);
  const Status started = driver->Start(loop);
  if (!started.ok()) {
    Throw(env, "opening the poller failed with errno " + std::to_string(started.error()));
  } else if (!driver->TakeReferences(turn)) {
    Throw(env, "Node-API refused an allocation");
  } else {
    return driver;
  }
  driver->Close();
  return nullptr;
}

Status Driver::Start(uv_loop_t* loop) {
  Result<Poller> poller = Poller::Create();
  if (!poller.ok()) return poller.status();
  poller_ = std::move(poller.value());
  Result<Clock> clock = Clock::Create(poller_);
  if (!clock.ok()) return clock.status();
  clock_ = std::move(clock.value());
  Result<Waker> waker = poller_.NewWaker();
  if (!waker.ok()) return waker.status();
  outbox_ = Outbox::Create(BlockingPool::OfProcess(), std::move(waker.value()));

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

bool Driver::TakeReferences(napi_value turn) {
  napi_value buffer = nullptr;
  napi_value name = nullptr;
  void* memory = nullptr;
  if (napi_create_arraybuffer(env_, kBatchBytes, &memory, &buffer) != napi_ok) return false;
  control_ = static_cast<int32_t*>(memory);
  events_ = reinterpret_cast<Event*>(control_ + kControlInts);
  return napi_create_reference(env_, buffer, 1, &buffer_) == napi_ok &&
         napi_create_reference(env_, turn, 1, &turn_) == napi_ok &&
         napi_create_string_utf8(env_, "coreactor", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_async_init(env_, nullptr, name, &async_context_) == napi_ok;
}

napi_value Driver::Buffer() const {
  napi_value buffer = nullptr;
  if (buffer_ != nullptr) napi_get_reference_value(env_, buffer_, &buffer);
  return buffer;
}

void Driver::RequestTurn() {
  if (dispatching_) {
    // The end of Dispatch decides about the idle handle.
    requested_ = true;
  } else if (!closing_) {
    uv_idle_start(&wanted_, OnIdle);
  }
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
  // Jobs that are queued are not begun any more, and those that run end for nobody.
  if (outbox_ != nullptr) outbox_->Close();
  // Inside a turn the references are still in use: Dispatch releases them when it has come back.
  if (!dispatching_) ReleaseReferences();
  CloseHandles();
}

void Driver::CloseHandles() {
  if (open_handles_ == 0) return Free();
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
  // Inside a turn that runs the host loop: Dispatch is not done with it.
  if (--driver->open_handles_ == 0 && !driver->dispatching_) driver->Free();
}

void Driver::Free() {
  // Lets the environment go on with its own clean-up, if that is what waits.
  if (exit_hook_ != nullptr) napi_remove_async_cleanup_hook(exit_hook_);
  delete this;
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
  const napi_env env = env_;
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env, &scope);
  dispatching_ = true;
  // A turn may close it, and with it its outbox.
  const std::shared_ptr<Outbox> outbox = outbox_;
  outbox->Attend();
  TakeTurns();
  outbox->Rest();
  dispatching_ = false;
  if (closing_) ReleaseReferences();
  napi_close_handle_scope(env, scope);
  if (closing_ && open_handles_ == 0) Free();
}

void Driver::TakeTurns() {
  if (!HasBatch()) return Fail();
  const int64_t start = MonotonicNanoseconds();
  double when = 0;
  bool asked_for = false;
  bool job_ended = false;
  for (int round = 0; round < kMostRounds; round++) {
    // A turn that was only asked for, by the microtasks of the one before, or by a job that has
    // ended, is not worth asking the kernel again.
    const size_t count = asked_for   ? 0
                         : job_ended ? outbox_->Collect(events_, kBatchCapacity)
                                     : FillBatch();
    requested_ = false;
    control_[kControlRequested] = 0;
    control_[kControlDispatching] = 1;
    const bool alive = CallTurn(count, &when);
    if (!HasBatch()) return Fail();
    control_[kControlDispatching] = 0;
    if (closing_) return;
    if (!alive) return Stop();
    asked_for = requested_ || control_[kControlRequested] != 0;
    job_ended = when > 0 && !asked_for && round < kMostRounds - 1 && outbox_->HasMore();
    if (when > 0 && !asked_for && !job_ended) break;
    // What was written by the microtasks is flushed in any case: waiting for the host would hold it
    // back for no gain.
    if (!asked_for && MonotonicNanoseconds() - start > kRoundsNanoseconds) break;
  }
  if (when <= 0 || asked_for) {
    uv_idle_start(&wanted_, OnIdle);
  } else {
    uv_idle_stop(&wanted_);
    if (when < kFarAwayMilliseconds) ArmFor(when);
  }
}

size_t Driver::FillBatch() {
  // What fails this time is reported again: libuv's poll is level-triggered.
  const Result<size_t> waited = poller_.Wait(events_, kBatchCapacity, 0);
  const size_t ready = waited.ok() ? waited.value() : 0;
  return ready + outbox_->Collect(events_ + ready, kBatchCapacity - ready);
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
  *when = 0;
  return ReportException();
}

bool Driver::ReportException() {
  bool thrown = false;
  napi_value error = nullptr;
  return napi_is_exception_pending(env_, &thrown) == napi_ok && thrown &&
         napi_get_and_clear_last_exception(env_, &error) == napi_ok &&
         napi_fatal_exception(env_, error) == napi_ok;
}

bool Driver::HasBatch() const {
  void* memory = nullptr;
  size_t length = 0;
  napi_value buffer = Buffer();
  return buffer != nullptr &&
         napi_get_arraybuffer_info(env_, buffer, &memory, &length) == napi_ok &&
         memory == control_ && length == kBatchBytes;
}

void Driver::Fail() {
  Close();
  Throw(env_, "the memory of a driver's events was transferred to somebody else");
  ReportException();
}

void Driver::Stop() {
  uv_idle_stop(&wanted_);
  uv_poll_stop(&readable_);
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

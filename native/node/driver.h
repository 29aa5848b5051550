// The library as a guest of Node's loop: one per runtime. It owns the poller and the clock, watches
// the poller's fd with libuv, and calls the turn. Nothing else includes uv.h.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <cstdint>
#include <memory>

#include "../core/clock.h"
#include "../core/outbox.h"
#include "../core/poller.h"

namespace coreactor {

// Integers before the event records of the shared batch. See CONTROL_* in lib/kernel/layout.ts.
constexpr size_t kControlInts = 4;
constexpr size_t kControlDispatching = 0;
constexpr size_t kControlRequested = 1;

// Lives until both libuv handles are closed and no Dispatch is on the stack: after Close, or after
// the environment's clean-up has closed it. It frees itself then.
class Driver {
 public:
  // Null, with an exception pending, if the system refuses.
  static Driver* Open(napi_env env, napi_value turn);

  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Poller& poller() { return poller_; }
  Outbox& outbox() { return *outbox_; }
  // Invariant: once true, JavaScript is not called any more.
  bool closing() const { return closing_; }
  napi_value Buffer() const;

  // A turn in the loop's next pass.
  void RequestTurn();
  void Ref();
  void Unref();
  // Safe inside a turn. Idempotent.
  void Close();
  // Called once the object that JavaScript holds is gone or has let go: nobody asks for anything
  // any more.
  void set_on_closed(void (*on_closed)(void*), void* data);

 private:
  explicit Driver(napi_env env) : env_(env) {}
  ~Driver() = default;

  Status Start(uv_loop_t* loop);
  // False if Node-API refuses: it is out of memory, or the environment is being terminated.
  bool TakeReferences(napi_value turn);
  void CloseHandles();
  void ReleaseReferences();
  void Free();

  void Dispatch();
  // Asks the kernel and the outbox what has happened. How many events there are.
  size_t FillBatch();
  // One turn, and those that follow it at once: tasks are ready, or the microtasks asked for one.
  void TakeTurns();
  // False when JavaScript cannot be called any more.
  bool CallTurn(size_t count, double* when);
  // Hands what was thrown to uncaughtException. False when JavaScript cannot be called any more.
  bool ReportException();
  void ArmFor(double when);
  // Whether the memory of the batch is still there: JavaScript can transfer any ArrayBuffer away.
  bool HasBatch() const;
  // Ends the driver of a batch that is gone.
  void Fail();
  // The environment is being terminated: no more turns. Its clean-up closes the rest.
  void Stop();

  static void OnReadable(uv_poll_t* handle, int status, int events);
  static void OnIdle(uv_idle_t* handle);
  static void OnHandleClosed(uv_handle_t* handle);
  static void OnEnvironmentExit(napi_async_cleanup_hook_handle handle, void* data);

  napi_env env_;
  Poller poller_;
  Clock clock_;
  // Null until it has been started. Threads that run its jobs hold it, too.
  std::shared_ptr<Outbox> outbox_;
  // What the clock is armed for, in MonotonicNanoseconds; a time in the past means that it is not.
  int64_t armed_ = 0;
  uv_poll_t readable_{};
  // Active exactly while a turn is wanted although no event is due.
  uv_idle_t wanted_{};
  int open_handles_ = 0;
  // Invariant: true exactly while Dispatch is on the stack.
  bool dispatching_ = false;
  // RequestTurn was called while Dispatch is on the stack.
  bool requested_ = false;
  bool closing_ = false;
  napi_ref turn_ = nullptr;
  napi_ref buffer_ = nullptr;
  napi_async_context async_context_ = nullptr;
  napi_async_cleanup_hook_handle exit_hook_ = nullptr;
  // Both inside the shared batch, which `buffer_` keeps alive.
  int32_t* control_ = nullptr;
  Event* events_ = nullptr;
  void (*on_closed_)(void*) = nullptr;
  void* on_closed_data_ = nullptr;
};

}  // namespace coreactor

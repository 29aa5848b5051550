// The addon: what lib/kernel/native.ts loads.
#include <napi.h>

#include "../core/datagram.h"
#include "../core/event.h"
#include "../core/jobs/file.h"
#include "../core/jobs/path.h"
#include "../core/socket.h"
#include "../core/step_watchdog.h"
#include "../core/unix_message.h"
#include "datagram_bindings.h"
#include "descriptor_bindings.h"
#include "driver.h"
#include "driver_binding.h"
#include "inherited_fd_bindings.h"
#include "job_bindings.h"
#include "memory_bindings.h"
#include "native_job_bindings.h"
#include "option_bindings.h"
#include "process_bindings.h"
#include "socket_bindings.h"
#include "step_watchdog_binding.h"
#include "transfer_bindings.h"
#include "unix_bindings.h"

namespace coreactor {
namespace {

template <typename T>
constexpr size_t IntsBefore(size_t bytes) {
  return bytes / sizeof(T);
}

// Compared with LAYOUT of lib/kernel/layout.ts when the addon is loaded.
Napi::Object Layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  const auto set = [&](const char* name, auto value) {
    layout.Set(name, static_cast<double>(value));
  };
  set("READABLE", kReadable);
  set("WRITABLE", kWritable);
  set("PRIORITY", kPriority);
  set("READ_CLOSED", kReadClosed);
  set("WRITE_CLOSED", kWriteClosed);
  set("ERROR", kError);
  set("CLOCK", kClock);
  set("COMPLETED", kCompleted);
  const auto job = [&](const char* name, JobKind kind) { set(name, static_cast<uint32_t>(kind)); };
  job("JOB_FSTAT", JobKind::kFstat);
  job("JOB_LOOKUP", JobKind::kLookup);
  job("JOB_REVERSE", JobKind::kReverse);
  job("JOB_OPEN", JobKind::kOpen);
  job("JOB_CLOSE", JobKind::kClose);
  job("JOB_READ", JobKind::kRead);
  job("JOB_WRITE", JobKind::kWrite);
  job("JOB_STAT", JobKind::kStat);
  job("JOB_SYNC", JobKind::kSync);
  job("JOB_TRUNCATE", JobKind::kTruncate);
  job("JOB_TRUNCATE_PATH", JobKind::kTruncatePath);
  job("JOB_RENAME", JobKind::kRename);
  job("JOB_REMOVE", JobKind::kRemove);
  job("JOB_MAKE_DIRECTORY", JobKind::kMakeDirectory);
  job("JOB_READ_DIRECTORY", JobKind::kReadDirectory);
  job("JOB_LOCK", JobKind::kLock);
  job("JOB_COPY", JobKind::kCopy);
  job("JOB_READ_FILE", JobKind::kReadFile);
  job("JOB_WRITE_FILE", JobKind::kWriteFile);
  job("JOB_WAIT_PROCESS", JobKind::kWaitProcess);
  set("JOB_MAY_WAIT", kMayWait);
  set("JOB_MOST_BYTES", kMostBytes);
  set("JOB_LANES", kLanes);
  set("JOB_COUNTS", kJobCounts);
  set("LOCK_SHARED", static_cast<uint32_t>(LockJob::How::kShared));
  set("LOCK_EXCLUSIVE", static_cast<uint32_t>(LockJob::How::kExclusive));
  set("LOCK_UNLOCK", static_cast<uint32_t>(LockJob::How::kUnlock));
  set("FSTAT_NUMBERS", kFstatNumbers);
  set("EDGE", static_cast<uint32_t>(Mode::kEdge));
  set("ONE_SHOT", static_cast<uint32_t>(Mode::kOneShot));
  set("CLOCK_SLOT", kClockSlot);
  set("WAKE_SLOT", kWakeSlot);
  set("FIRST_SLOT", kFirstSlot);
  set("EVENT_INTS", IntsBefore<int32_t>(sizeof(Event)));
  set("EVENT_SLOT", IntsBefore<int32_t>(offsetof(Event, token) + offsetof(Token, slot)));
  set("EVENT_GENERATION",
      IntsBefore<int32_t>(offsetof(Event, token) + offsetof(Token, generation)));
  set("EVENT_READINESS", IntsBefore<int32_t>(offsetof(Event, readiness)));
  set("EVENT_RESULT", IntsBefore<int32_t>(offsetof(Event, result)));
  set("BATCH_CAPACITY", kBatchCapacity);
  set("CONTROL_INTS", kControlInts);
  set("CONTROL_DISPATCHING", kControlDispatching);
  set("CONTROL_REQUESTED", kControlRequested);
  set("SHUT_READ", kShutRead);
  set("SHUT_WRITE", kShutWrite);
  set("MESSAGE_TRUNCATED", kMessageTruncated);
  set("MESSAGE_FDS_LOST", kMessageFdsLost);
  set("MESSAGE_STAMPED", kMessageStamped);
  set("ABOUT_FLAGS", kAboutFlags);
  set("ABOUT_ADDRESS", kAboutAddress);
  set("ABOUT_FD_COUNT", kAboutFdCount);
  set("ABOUT_FDS", kAboutFds);
  set("MAX_FDS_OF_MESSAGE", kMaxFdsOfMessage);
  const auto option = [&](const char* name, SocketOption value) {
    set(name, static_cast<int>(value));
  };
  option("OPTION_REUSE_ADDRESS", SocketOption::kReuseAddress);
  option("OPTION_REUSE_PORT", SocketOption::kReusePort);
  option("OPTION_V6_ONLY", SocketOption::kV6Only);
  option("OPTION_NO_DELAY", SocketOption::kNoDelay);
  option("OPTION_KEEP_ALIVE", SocketOption::kKeepAlive);
  option("OPTION_KEEP_ALIVE_IDLE", SocketOption::kKeepAliveIdle);
  option("OPTION_KEEP_ALIVE_INTERVAL", SocketOption::kKeepAliveInterval);
  option("OPTION_KEEP_ALIVE_COUNT", SocketOption::kKeepAliveCount);
  option("OPTION_SEND_BUFFER", SocketOption::kSendBuffer);
  option("OPTION_RECEIVE_BUFFER", SocketOption::kReceiveBuffer);
  option("OPTION_LINGER", SocketOption::kLinger);
  option("OPTION_ERROR", SocketOption::kPendingError);
  option("OPTION_FAST_OPEN_CONNECT", SocketOption::kFastOpenConnect);
  option("OPTION_BIND_ADDRESS_NO_PORT", SocketOption::kBindAddressNoPort);
  option("OPTION_ACCEPTS_CONNECTIONS", SocketOption::kAcceptsConnections);
  const auto datagram_option = [&](const char* name, DatagramOption value) {
    set(name, static_cast<int>(value));
  };
  datagram_option("DATAGRAM_BROADCAST", DatagramOption::kBroadcast);
  datagram_option("DATAGRAM_INFO", DatagramOption::kInfo);
  datagram_option("DATAGRAM_COALESCE", DatagramOption::kCoalesce);
  datagram_option("DATAGRAM_MULTICAST_HOPS", DatagramOption::kMulticastHops);
  datagram_option("DATAGRAM_MULTICAST_LOOP", DatagramOption::kMulticastLoop);
  datagram_option("DATAGRAM_MULTICAST_INTERFACE", DatagramOption::kMulticastInterface);
  datagram_option("DATAGRAM_HOPS", DatagramOption::kHops);
  datagram_option("DATAGRAM_ERRORS", DatagramOption::kErrors);
  datagram_option("DATAGRAM_MULTICAST_ALL", DatagramOption::kMulticastAll);
  set("DATAGRAMS_MAX", kDatagramsMax);
  set("DATAGRAM_TRUNCATED", kDatagramTruncated);
  set("DATAGRAM_WITH_TOS", kDatagramWithTos);
  set("RECORD_INTS", IntsBefore<int32_t>(sizeof(DatagramRecord)));
  set("RECORD_LENGTH", IntsBefore<int32_t>(offsetof(DatagramRecord, length)));
  set("RECORD_ADDRESS_LENGTH", IntsBefore<int32_t>(offsetof(DatagramRecord, address_length)));
  set("RECORD_FLAGS", IntsBefore<int32_t>(offsetof(DatagramRecord, flags)));
  set("RECORD_SEGMENT", IntsBefore<int32_t>(offsetof(DatagramRecord, segment)));
  set("RECORD_TOS", IntsBefore<int32_t>(offsetof(DatagramRecord, tos)));
  set("RECORD_INTERFACE", IntsBefore<int32_t>(offsetof(DatagramRecord, interface)));
  set("RECORD_DROPPED", IntsBefore<int32_t>(offsetof(DatagramRecord, dropped)));
  set("RECORD_SECONDS", IntsBefore<int32_t>(offsetof(DatagramRecord, seconds)));
  set("RECORD_NANOSECONDS", IntsBefore<int32_t>(offsetof(DatagramRecord, nanoseconds)));
  set("RECORD_LOCAL_LENGTH", IntsBefore<int32_t>(offsetof(DatagramRecord, local_length)));
  set("RECORD_RESULT", IntsBefore<int32_t>(offsetof(DatagramRecord, result)));
  set("RECORD_ERROR", IntsBefore<int32_t>(offsetof(DatagramRecord, error)));
  set("RECORD_ERROR_ORIGIN", IntsBefore<int32_t>(offsetof(DatagramRecord, error_origin)));
  set("RECORD_ERROR_TYPE", IntsBefore<int32_t>(offsetof(DatagramRecord, error_type)));
  set("RECORD_ERROR_CODE", IntsBefore<int32_t>(offsetof(DatagramRecord, error_code)));
  set("RECORD_ERROR_INFO", IntsBefore<int32_t>(offsetof(DatagramRecord, error_info)));
  set("RECORD_ADDRESS", offsetof(DatagramRecord, address));
  set("RECORD_LOCAL", offsetof(DatagramRecord, local));
  set("STEP_WHOSE", IntsBefore<double>(offsetof(StepRecord, whose)));
  set("STEP_NUMBER", IntsBefore<double>(offsetof(StepRecord, step)));
  set("STEP_REPORTED", IntsBefore<double>(offsetof(StepRecord, reported)));
  set("STEP_DEBUGGED", IntsBefore<double>(offsetof(StepRecord, debugged)));
  set("STEP_NAME_FACTOR", kNameFactor);
  return layout;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("layout", Layout(env));
  DefineDriver(env, exports);
  exports.Set("StepWatchdog", DefineStepWatchdog(env));
  DefineSocketFunctions(env, exports);
  DefineDescriptorFunctions(env, exports);
  DefineUnixFunctions(env, exports);
  DefineOptionFunctions(env, exports);
  DefineMemoryFunctions(env, exports);
  DefineTransferFunctions(env, exports);
  DefineInheritedFdFunctions(env, exports);
  DefineDatagramFunctions(env, exports);
  DefineProcessFunctions(env, exports);
  DefineNativeJobFunctions(env, exports);
  return exports;
}

}  // namespace
}  // namespace coreactor

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) {
  return coreactor::Init(env, exports);
}

NODE_API_MODULE(coreactor, InitModule)

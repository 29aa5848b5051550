// Blocking jobs, as JavaScript submits them: each kind has a function that makes the job of its
// arguments, and one that gives what it has found.
#pragma once

#include <napi.h>

#include "../core/outbox.h"

namespace coreactor {

// The numbers stand in lib/kernel/layout.ts, too.
enum class JobKind : uint32_t {
  kFstat = 0,    // (fd); its result goes into a Float64Array of kFstatNumbers
  kLookup = 1,   // (host, family: 0, 4 or 6, flags); an array of addresses
  kReverse = 2,  // (address, port); [host, service]
  // See file_job_bindings.cc.
  kOpen = 3,
  kClose = 4,
  kRead = 5,
  kWrite = 6,
  kStat = 7,
  kSync = 8,
  kTruncate = 9,
  kTruncatePath = 10,
  kRename = 11,
  kRemove = 12,
  kMakeDirectory = 13,
  kReadDirectory = 14,
  kLock = 15,
  kCopy = 16,
  kReadFile = 17,
  kWriteFile = 18,
  kWaitProcess = 19,
};
constexpr size_t kJobKinds = 20;

constexpr size_t kFstatNumbers = 13;

using MadeJob = Result<std::unique_ptr<Job>>;

struct JobBinding {
  // EINVAL for arguments that are none.
  MadeJob (*make)(const Napi::CallbackInfo& info);
  // Null for a job that finds nothing but its number.
  napi_value (*result)(const Napi::CallbackInfo& info, Job& job);
};

// The arguments of a job's own follow the driver, its kind, slot and generation.
constexpr size_t kFirstJobArgument = 4;

// submit(driver, kind, slot, generation, ...arguments): the job's id, or -errno
napi_value SubmitJob(const Napi::CallbackInfo& info, Outbox& outbox);
// cancelJob(driver, id, abandon): 1 if it will not be reported, 0 if it will
napi_value CancelJob(const Napi::CallbackInfo& info, Outbox& outbox);
// takeResult(driver, id, into): what it has found, or undefined
napi_value TakeResult(const Napi::CallbackInfo& info, Outbox& outbox);
// configureJobs(driver, ordinary, lookup, waiting, idle, most): what is below zero stays as it is.
// The first four are the process's, `most` is this environment's.
napi_value ConfigureJobs(const Napi::CallbackInfo& info, Outbox& outbox);
// countJobs(driver, into): an Int32Array of kJobCounts, for the process
napi_value CountJobs(const Napi::CallbackInfo& info, Outbox& outbox);
// listJobs(driver): [what, milliseconds or -1 while it is queued, abandoned] of each of this
// environment's
napi_value ListJobs(const Napi::CallbackInfo& info, Outbox& outbox);

// Threads, idle ones; then queued, running and at most running of each lane.
constexpr size_t kJobCounts = 2 + 3 * kLanes;

}  // namespace coreactor

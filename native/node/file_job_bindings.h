// Jobs on files and processes, in the order of JobKind from kOpen on.
#pragma once

#include <sys/stat.h>

#include "job_bindings.h"

namespace coreactor {

// Of JobKind::kOpen + i is the i-th.
extern const JobBinding kFileJobs[17];

// The numbers of a file's status, in the order of `FileStatus` in TypeScript, into info[1].
napi_value StatusInto(const Napi::CallbackInfo& info, const struct stat& status);

}  // namespace coreactor

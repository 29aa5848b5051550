// No fd stands for a process that is no child of pdfork(2).
#include "process.h"

namespace coreactor {

Result<OwnedFd> OpenProcess(pid_t) { return Status::Errno(ENOSYS); }

}  // namespace coreactor

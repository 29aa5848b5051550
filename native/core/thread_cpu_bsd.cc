// macOS and FreeBSD: not asked. A step that is reported there says nothing of how much it computed.
#include "thread_cpu.h"

namespace coreactor {

ThreadCpu ThreadCpu::OfThisThread() { return {}; }

std::chrono::nanoseconds ThreadCpu::Used() const { return std::chrono::nanoseconds(0); }

bool ThreadCpu::HasNoProcessor() const { return false; }

}  // namespace coreactor

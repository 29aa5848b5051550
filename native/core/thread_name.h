// What a thread is called in a debugger, in `top -H` and in /proc.
#pragma once

namespace coreactor {

// Calls the calling thread coreactor-<number>. (thread_name_linux.cc)
void NameThread(int number);

}  // namespace coreactor

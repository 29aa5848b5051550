#include <pthread.h>

#include <cstdio>

#include "thread_name.h"

namespace coreactor {

void NameThread(int number) {
  // 15 characters at most; a longer one would be refused, and so is cut off here.
  char name[16];
  std::snprintf(name, sizeof(name), "coreactor-%u", static_cast<unsigned>(number) % 100'000);
  pthread_setname_np(pthread_self(), name);
}

}  // namespace coreactor

#include <pthread.h>

#include <cstdio>

#include "thread_name.h"

namespace coreactor {

void NameThread(int number) {
  char name[24];
  std::snprintf(name, sizeof(name), "coreactor-%d", number);
  pthread_setname_np(name);
}

}  // namespace coreactor

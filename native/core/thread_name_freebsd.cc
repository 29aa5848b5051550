#include <pthread.h>
#include <pthread_np.h>

#include <cstdio>

#include "thread_name.h"

namespace coreactor {

void NameThread(int number) {
  // Longer ones are cut off (MAXCOMLEN).
  char name[24];
  std::snprintf(name, sizeof(name), "coreactor-%d", number);
  pthread_set_name_np(pthread_self(), name);
}

}  // namespace coreactor

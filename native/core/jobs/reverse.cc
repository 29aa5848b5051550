#include "reverse.h"

#include <netdb.h>

#include "lookup.h"

namespace coreactor {

int32_t ReverseJob::Run() {
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  const int error = getnameinfo(address_.get(), address_.length(), host, sizeof(host), service,
                                sizeof(service), 0);
  if (error != 0) return ResolverError(error);
  host_ = host;
  service_ = service;
  return 0;
}

}  // namespace coreactor

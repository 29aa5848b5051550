#include "lookup.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../address.h"

namespace coreactor {

int32_t ResolverError(int error) {
  switch (error) {
    case 0:
      return 0;
    case EAI_SYSTEM:
      return errno > 0 ? -errno : -3004;
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
      return -3000;
#endif
    case EAI_AGAIN:
      return -3001;
    case EAI_BADFLAGS:
      return -3002;
    case EAI_FAMILY:
      return -3005;
    case EAI_MEMORY:
      return -3006;
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
      return -3007;
#endif
    case EAI_NONAME:
      return -3008;
    case EAI_OVERFLOW:
      return -3009;
    case EAI_SERVICE:
      return -3010;
    case EAI_SOCKTYPE:
      return -3011;
    default:
      return -3004;  // EAI_FAIL
  }
}

int32_t LookupJob::Run() {
  addrinfo hints{};
  hints.ai_family = family_;
  // Of one type: without it every address comes once for each.
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags_;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host_.c_str(), nullptr, &hints, &found);
  if (error != 0) return ResolverError(error);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Address address;
    if (each->ai_addrlen > *address.length()) continue;
    std::memcpy(address.out(), each->ai_addr, each->ai_addrlen);
    *address.length() = each->ai_addrlen;
    std::string text = address.text();
    if (text.empty()) continue;
    const bool known = std::find(addresses_.begin(), addresses_.end(), text) != addresses_.end();
    if (!known) addresses_.push_back(std::move(text));
  }
  freeaddrinfo(found);
  // Of other families only: there is no address of the kind that was asked for.
  return addresses_.empty() ? ResolverError(EAI_NONAME) : static_cast<int32_t>(addresses_.size());
}

}  // namespace coreactor

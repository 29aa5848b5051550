// What is particular to macOS and FreeBSD about addresses.
#include "address.h"

namespace coreactor {

const bool kAbstractNames = false;

void SetLengthInside(sockaddr* address, socklen_t length) {
  address->sa_len = static_cast<decltype(address->sa_len)>(length);
}

}  // namespace coreactor

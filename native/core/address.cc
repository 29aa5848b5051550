#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cstdlib>
#include <cstring>

namespace coreactor {
namespace {

// The number of a zone that is given by the name of an interface or by number; 0 if there is no
// such interface.
uint32_t ZoneNumber(const char* zone) {
  const uint32_t number = if_nametoindex(zone);
  if (number != 0) return number;
  // strtoull takes leading spaces and a sign as well, and negative numbers modulo 2^64.
  if (*zone < '0' || *zone > '9') return 0;
  char* end = nullptr;
  const unsigned long long parsed = std::strtoull(zone, &end, 10);
  return *end != '\0' || parsed > UINT32_MAX ? 0 : static_cast<uint32_t>(parsed);
}

}  // namespace

Result<Address> Address::Parse(const char* text, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length_ = sizeof(*v4);
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  std::string plain(text);
  const size_t percent = plain.find('%');
  if (percent != std::string::npos) {
    v6->sin6_scope_id = ZoneNumber(text + percent + 1);
    if (v6->sin6_scope_id == 0) return Status::Errno(EINVAL);
    plain.resize(percent);
  }
  if (inet_pton(AF_INET6, plain.c_str(), &v6->sin6_addr) != 1) return Status::Errno(EINVAL);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  address.length_ = sizeof(*v6);
  return address;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN];
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_);
    const char* text = inet_ntop(AF_INET, &v4->sin_addr, buffer, sizeof(buffer));
    return text == nullptr ? "" : text;
  }
  if (family() != AF_INET6) return "";
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
  const char* text = inet_ntop(AF_INET6, &v6->sin6_addr, buffer, sizeof(buffer));
  if (text == nullptr) return "";
  if (v6->sin6_scope_id == 0) return text;
  char name[IF_NAMESIZE];
  const char* zone = if_indextoname(v6->sin6_scope_id, name);
  return std::string(text) + '%' +
         (zone == nullptr ? std::to_string(v6->sin6_scope_id) : std::string(zone));
}

}  // namespace coreactor

#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cstddef>
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
    SetLengthInside(address.out(), address.length_);
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
  SetLengthInside(address.out(), address.length_);
  return address;
}

Result<Address> Address::Unix(const char* path, size_t length) {
  Address address;
  auto* name = reinterpret_cast<sockaddr_un*>(&address.storage_);
  const bool abstract = length > 0 && path[0] == '\0';
  if (length == 0 || (abstract && !kAbstractNames)) return Status::Errno(EINVAL);
  if (!abstract && std::memchr(path, '\0', length) != nullptr) return Status::Errno(EINVAL);
  // With its NUL at the end: some systems do without, but what they hand back then has to be read
  // with care by everybody.
  const size_t size = abstract ? length : length + 1;
  if (size > sizeof(name->sun_path)) return Status::Errno(ENAMETOOLONG);
  name->sun_family = AF_UNIX;
  std::memcpy(name->sun_path, path, length);
  address.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  SetLengthInside(address.out(), address.length_);
  return address;
}

Result<Address> Address::FromBytes(const void* bytes, size_t length) {
  Address address;
  if (length < kLeast || length > sizeof(address.storage_)) {
    return Status::Errno(EINVAL);
  }
  std::memcpy(&address.storage_, bytes, length);
  address.length_ = static_cast<socklen_t>(length);
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

std::string Address::path() const {
  constexpr size_t kStart = offsetof(sockaddr_un, sun_path);
  if (family() != AF_UNIX || length_ <= kStart) return "";
  const char* path = reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;
  // The system counts the NUL of a path in the length, or leaves it out; in an abstract name every
  // byte counts.
  const size_t most = std::min<size_t>(length_ - kStart, sizeof(storage_) - kStart);
  return std::string(path, kAbstractNames && path[0] == '\0' ? most : strnlen(path, most));
}

}  // namespace coreactor

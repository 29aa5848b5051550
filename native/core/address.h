// Numeric IPv4 and IPv6 socket addresses: text to sockaddr and back. Names are not resolved here.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "status.h"

namespace coreactor {

class Address {
 public:
  // EINVAL: not a numeric address of either family. An IPv6 address may have a zone, by name or
  // number: fe80::1%eth0.
  static Result<Address> Parse(const char* text, uint16_t port);

  Address() = default;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  // For the system to write into: give `length()` the size it reports.
  sockaddr* out() { return reinterpret_cast<sockaddr*>(&storage_); }
  socklen_t* length() { return &length_; }
  socklen_t length() const { return length_; }

  // AF_INET, AF_INET6, or something else that the rest cannot say anything about.
  int family() const { return length_ < sizeof(sa_family_t) ? AF_UNSPEC : storage_.ss_family; }
  uint16_t port() const;
  // Empty for another family.
  std::string text() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = sizeof(storage_);
};

}  // namespace coreactor

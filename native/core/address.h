// Socket addresses: numeric IPv4 and IPv6 as text, and Unix paths, to sockaddr and back. Names are
// not resolved here.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>

#include "status.h"

namespace coreactor {

class Address {
 public:
  // EINVAL: not a numeric address of either family. An IPv6 address may have a zone, by name or
  // number: fe80::1%eth0.
  static Result<Address> Parse(const char* text, uint16_t port);

  // A path, or a name that begins with a NUL where the system has such (Linux: abstract, exactly
  // these bytes). EINVAL: empty, with a NUL inside a path, or such names are not known here.
  // ENAMETOOLONG: does not fit, and nothing is ever cut off.
  static Result<Address> Unix(const char* path, size_t length);
  // What `get` and `length` have given, of any family. EINVAL: too short or too long for any.
  static Result<Address> FromBytes(const void* bytes, size_t length);

  Address() = default;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  // For the system to write into: give `length()` the size it reports.
  sockaddr* out() { return reinterpret_cast<sockaddr*>(&storage_); }
  socklen_t* length() { return &length_; }
  socklen_t length() const { return length_; }

  // AF_INET, AF_INET6, AF_UNIX, or something else that the rest cannot say anything about.
  int family() const { return length_ < kLeast ? AF_UNSPEC : storage_.ss_family; }
  uint16_t port() const;
  // Empty for another family.
  std::string text() const;
  // Of AF_UNIX, as Unix takes it; empty for a socket that has no name, and for another family.
  std::string path() const;

 private:
  // The family is in it.
  static constexpr size_t kLeast = offsetof(sockaddr, sa_data);

  sockaddr_storage storage_{};
  socklen_t length_ = sizeof(storage_);
};

// Whether a Unix name may begin with a NUL and be none of the file system. (socket_linux.cc)
extern const bool kAbstractNames;

// Writes the length into the address itself, on systems where it has a place for it; with some
// calls only addresses that say it right are taken. (socket_linux.cc)
void SetLengthInside(sockaddr* address, socklen_t length);

}  // namespace coreactor

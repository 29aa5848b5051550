// The name of an address, and of a port: getnameinfo(3).
#pragma once

#include <string>

#include "../address.h"
#include "../job.h"

namespace coreactor {

// Returns 0 or a ResolverError. An address or a port without a name is answered by its number.
class ReverseJob : public Job {
 public:
  explicit ReverseJob(const Address& address) : Job(Lane::kLookup), address_(address) {}

  int32_t Run() override;
  std::string what() const override { return "reverse " + address_.text(); }
  bool has_result() const override { return !host_.empty(); }
  const std::string& host() const { return host_; }
  const std::string& service() const { return service_; }

 private:
  const Address address_;
  std::string host_;
  std::string service_;
};

}  // namespace coreactor

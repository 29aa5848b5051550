// The addresses of a name, by the system's resolver: getaddrinfo(3), which may take as long as its
// servers do.
#pragma once

#include <string>
#include <vector>

#include "../job.h"

namespace coreactor {

// What a resolver's own error is called here: libuv's numbers for EAI_*, which lie beyond every
// errno and are the same on all systems. EAI_SYSTEM is the errno that it stands for.
int32_t ResolverError(int error);

// Returns how many addresses there are, or a ResolverError.
class LookupJob : public Job {
 public:
  // `family` is AF_INET, AF_INET6 or AF_UNSPEC; `flags` are those of getaddrinfo.
  LookupJob(std::string host, int family, int flags)
      : Job(Lane::kLookup), host_(std::move(host)), family_(family), flags_(flags) {}

  int32_t Run() override;
  std::string what() const override { return "lookup " + host_; }
  bool has_result() const override { return !addresses_.empty(); }
  // Numeric, in the resolver's order, none twice.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  const std::string host_;
  const int family_;
  const int flags_;
  std::vector<std::string> addresses_;
};

}  // namespace coreactor

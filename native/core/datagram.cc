#include "datagram.h"

#include <cstring>

namespace coreactor {

int SetMembership(int fd, bool member, const Address& group, uint32_t interface,
                  const Address* source) {
  const int level = group.family() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (source == nullptr) {
    group_req request{};
    request.gr_interface = interface;
    std::memcpy(&request.gr_group, group.get(), group.length());
    const int name = member ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP;
    return Call([&] { return setsockopt(fd, level, name, &request, sizeof(request)); });
  }
  group_source_req request{};
  request.gsr_interface = interface;
  std::memcpy(&request.gsr_group, group.get(), group.length());
  std::memcpy(&request.gsr_source, source->get(), source->length());
  const int name = member ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP;
  return Call([&] { return setsockopt(fd, level, name, &request, sizeof(request)); });
}

}  // namespace coreactor

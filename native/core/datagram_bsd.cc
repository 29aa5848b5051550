// Batches of datagrams on macOS and FreeBSD: one recvmsg(2) or sendmsg(2) each, and the control
// data that they have.
#define __APPLE_USE_RFC_3542  // Without it macOS hides the names of IPv6's control data.
#include <sys/types.h>
// The next needs it.
#include <net/if_dl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "datagram.h"
#include "socket.h"

namespace coreactor {
namespace {

// Everything that kInfo asks for, of either family.
constexpr size_t kControlIn = CMSG_SPACE(sizeof(in_addr)) + CMSG_SPACE(sizeof(sockaddr_dl)) +
                              CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(timeval)) +
                              2 * CMSG_SPACE(sizeof(int));
constexpr size_t kControlOut = CMSG_SPACE(sizeof(int));

template <typename T>
T Content(const cmsghdr* control) {
  T content{};
  std::memcpy(&content, CMSG_DATA(control),
              std::min<size_t>(sizeof(content), control->cmsg_len - CMSG_LEN(0)));
  return content;
}

template <typename T>
void SetLocal(DatagramRecord& record, T& address) {
  SetLengthInside(reinterpret_cast<sockaddr*>(&address), sizeof(address));
  std::memcpy(record.local, &address, sizeof(address));
  record.local_length = sizeof(address);
}

void ReadControl(DatagramRecord& record, const cmsghdr* control) {
  const auto is = [&](int level, int type) {
    return control->cmsg_level == level && control->cmsg_type == type;
  };
  if (is(SOL_SOCKET, SCM_TIMESTAMP)) {
    const timeval time = Content<timeval>(control);
    record.seconds = static_cast<uint32_t>(time.tv_sec);
    record.nanoseconds = static_cast<uint32_t>(time.tv_usec) * 1000;
  } else if (is(IPPROTO_IP, IP_RECVTOS)) {
    record.tos = Content<uint8_t>(control);
  } else if (is(IPPROTO_IPV6, IPV6_TCLASS)) {
    record.tos = Content<int>(control);
  } else if (is(IPPROTO_IP, IP_RECVIF)) {
    record.interface = Content<sockaddr_dl>(control).sdl_index;
  } else if (is(IPPROTO_IP, IP_RECVDSTADDR)) {
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr = Content<in_addr>(control);
    SetLocal(record, local);
  } else if (is(IPPROTO_IPV6, IPV6_PKTINFO)) {
    const in6_pktinfo info = Content<in6_pktinfo>(control);
    sockaddr_in6 local{};
    local.sin6_family = AF_INET6;
    local.sin6_addr = info.ipi6_addr;
    record.interface = static_cast<int32_t>(info.ipi6_ifindex);
    SetLocal(record, local);
  }
}

void Read(DatagramRecord& record, msghdr& header, size_t length, size_t size) {
  std::memset(static_cast<void*>(&record), 0, offsetof(DatagramRecord, address));
  record.length = static_cast<int32_t>(std::min(length, size));
  record.address_length =
      static_cast<int32_t>(std::min<size_t>(header.msg_namelen, sizeof(record.address)));
  record.flags = (header.msg_flags & MSG_TRUNC) != 0 ? kDatagramTruncated : 0;
  record.tos = -1;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    ReadControl(record, control);
  }
}

int FamilyOf(int fd) {
  const Result<Address> local = LocalAddress(fd);
  return local.ok() ? local.value().family() : local.status().code();
}

int Set(int fd, int level, int name, int value) {
  return Call([&] { return setsockopt(fd, level, name, &value, sizeof(value)); });
}

// A socket of IPv6 has no options of IPv4 there.
int SetOfFamily(int fd, int name4, int name6, int value) {
  const int family = FamilyOf(fd);
  if (family < 0) return family;
  if (family == AF_INET) return Set(fd, IPPROTO_IP, name4, value);
  return family == AF_INET6 ? Set(fd, IPPROTO_IPV6, name6, value) : -EOPNOTSUPP;
}

int SetMulticastInterface(int fd, int index) {
  if (FamilyOf(fd) == AF_INET6) return Set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
  ip_mreqn request{};
  request.imr_ifindex = index;
  return Call(
      [&] { return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)); });
}

int SetInfo(int fd, int value) {
  const int family = FamilyOf(fd);
  if (family < 0) return family;
  const int stamped = Set(fd, SOL_SOCKET, SO_TIMESTAMP, value);
  if (stamped < 0) return stamped;
  if (family == AF_INET) {
    for (const int name : {IP_RECVDSTADDR, IP_RECVIF, IP_RECVTOS}) {
      const int result = Set(fd, IPPROTO_IP, name, value);
      if (result < 0) return result;
    }
    return 0;
  }
  if (family != AF_INET6) return -EOPNOTSUPP;
  const int result = Set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, value);
  return result < 0 ? result : Set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, value);
}

}  // namespace

int ReceiveDatagrams(int fd, const DatagramBatch& batch) {
  const uint32_t count = std::min(batch.count, kDatagramsMax);
  alignas(cmsghdr) uint8_t control[kControlIn];
  for (uint32_t i = 0; i < count; i++) {
    iovec part{batch.data + i * batch.size, batch.size};
    msghdr header{};
    const ssize_t length = Call([&] {
      header = msghdr{};
      header.msg_name = batch.records[i].address;
      header.msg_namelen = sizeof(batch.records[i].address);
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      header.msg_control = control;
      header.msg_controllen = sizeof(control);
      return recvmsg(fd, &header, kReceiveFlags);
    });
    if (length < 0) return i > 0 ? static_cast<int>(i) : static_cast<int>(length);
    Read(batch.records[i], header, static_cast<size_t>(length), batch.size);
  }
  return static_cast<int>(count);
}

int ReceiveDatagramError(int, const DatagramBatch&) { return -EOPNOTSUPP; }

int SendDatagrams(int fd, const DatagramBatch& batch) {
  const uint32_t count = std::min(batch.count, kDatagramsMax);
  int family = AF_UNSPEC;
  for (uint32_t i = 0; i < count; i++) {
    DatagramRecord& record = batch.records[i];
    const size_t length = static_cast<size_t>(std::max(record.length, 0));
    const size_t name = static_cast<size_t>(std::max(record.address_length, 0));
    // Written by JavaScript.
    if (length > batch.size || name > sizeof(record.address))
      return i > 0 ? static_cast<int>(i) : -EINVAL;
    // Nothing cuts data into datagrams here.
    const bool segmented = record.segment > 0 && length > static_cast<size_t>(record.segment);
    if (segmented) return i > 0 ? static_cast<int>(i) : -EOPNOTSUPP;
    iovec part{batch.data + i * batch.size, length};
    msghdr header{};
    header.msg_name = name == 0 ? nullptr : record.address;
    header.msg_namelen = static_cast<socklen_t>(name);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) uint8_t control[kControlOut]{};
    if (record.flags & kDatagramWithTos) {
      if (family == AF_UNSPEC) family = FamilyOf(fd);
      header.msg_control = control;
      header.msg_controllen = sizeof(control);
      cmsghdr* tos = CMSG_FIRSTHDR(&header);
      const bool v6 = family == AF_INET6;
      tos->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
      tos->cmsg_type = v6 ? IPV6_TCLASS : IP_TOS;
      // IPv4 takes one byte (ip_findmoptions of xnu, udp_v4mapped_pktinfo of FreeBSD).
      const auto low = static_cast<uint8_t>(record.tos);
      const size_t size = v6 ? sizeof(int) : sizeof(low);
      tos->cmsg_len = static_cast<decltype(tos->cmsg_len)>(CMSG_LEN(size));
      header.msg_controllen = static_cast<decltype(header.msg_controllen)>(CMSG_SPACE(size));
      std::memcpy(CMSG_DATA(tos), v6 ? static_cast<const void*>(&record.tos) : &low, size);
    }
    const ssize_t sent = SendResult(Call([&] { return sendmsg(fd, &header, kSendFlags); }));
    if (sent < 0) return i > 0 ? static_cast<int>(i) : static_cast<int>(sent);
  }
  return static_cast<int>(count);
}

int SetDatagramOption(int fd, DatagramOption option, int value) {
  switch (option) {
    case DatagramOption::kBroadcast:
      return Set(fd, SOL_SOCKET, SO_BROADCAST, value);
    case DatagramOption::kInfo:
      return SetInfo(fd, value);
    case DatagramOption::kCoalesce:
    case DatagramOption::kErrors:
      return -ENOPROTOOPT;
    case DatagramOption::kMulticastHops:
      return SetOfFamily(fd, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, value);
    case DatagramOption::kMulticastLoop:
      return SetOfFamily(fd, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, value);
    case DatagramOption::kMulticastInterface:
      return SetMulticastInterface(fd, value);
    case DatagramOption::kHops:
      return SetOfFamily(fd, IP_TTL, IPV6_UNICAST_HOPS, value);
    case DatagramOption::kMulticastAll:
      // No socket does here.
      return value == 0 ? 0 : -ENOPROTOOPT;
  }
  return -EINVAL;
}

}  // namespace coreactor

// Batches of datagrams by recvmmsg(2) and sendmmsg(2), the control data that Linux has, and its
// queue of errors (ip(7), IP_RECVERR).
#include <time.h>
// The next needs it.
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "datagram.h"
#include "socket.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// Since Linux 4.20; the headers of some systems are older.
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

namespace coreactor {
namespace {

// Everything that kInfo and kCoalesce ask for, of either family.
constexpr size_t kControlIn = CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo)) +
                              CMSG_SPACE(sizeof(timespec)) + 4 * CMSG_SPACE(sizeof(int));
// An error, and who has said so.
constexpr size_t kErrorSize = sizeof(sock_extended_err) + sizeof(sockaddr_in6);
// TOS for either family, and the size of a segment.
constexpr size_t kControlOut = 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t));

template <typename T>
T Content(const cmsghdr* control) {
  T content{};
  std::memcpy(&content, CMSG_DATA(control),
              std::min<size_t>(sizeof(content), control->cmsg_len - CMSG_LEN(0)));
  return content;
}

void ReadError(DatagramRecord& record, const cmsghdr* control) {
  const auto error = Content<sock_extended_err>(control);
  record.error = static_cast<int32_t>(error.ee_errno);
  record.error_origin = error.ee_origin;
  record.error_type = error.ee_type;
  record.error_code = error.ee_code;
  record.error_info = static_cast<int32_t>(error.ee_info);
  // The address follows it; AF_UNSPEC: nobody in particular.
  const sockaddr* reporter = SO_EE_OFFENDER(
      reinterpret_cast<sock_extended_err*>(const_cast<unsigned char*>(CMSG_DATA(control))));
  const size_t there = control->cmsg_len - CMSG_LEN(sizeof(error));
  sa_family_t family = AF_UNSPEC;
  if (there >= sizeof(family)) std::memcpy(&family, reporter, sizeof(family));
  const size_t size = family == AF_INET    ? sizeof(sockaddr_in)
                      : family == AF_INET6 ? sizeof(sockaddr_in6)
                                           : 0;
  if (there < size) return;
  std::memcpy(record.local, reporter, size);
  record.local_length = static_cast<int32_t>(size);
}

template <typename T>
void SetLocal(DatagramRecord& record, const T& address) {
  std::memcpy(record.local, &address, sizeof(address));
  record.local_length = sizeof(address);
}

void ReadControl(DatagramRecord& record, const cmsghdr* control) {
  if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_TIMESTAMPNS) {
    const timespec time = Content<timespec>(control);
    record.seconds = static_cast<uint32_t>(time.tv_sec);
    record.nanoseconds = static_cast<uint32_t>(time.tv_nsec);
  } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
    record.dropped = Content<uint32_t>(control);
  } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
    record.segment = Content<int>(control);
  } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
    record.tos = Content<uint8_t>(control);
  } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
    record.tos = Content<int>(control);
  } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
    const in_pktinfo info = Content<in_pktinfo>(control);
    sockaddr_in local{};
    local.sin_family = AF_INET;
    local.sin_addr = info.ipi_addr;
    record.interface = info.ipi_ifindex;
    SetLocal(record, local);
  } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
    const in6_pktinfo info = Content<in6_pktinfo>(control);
    sockaddr_in6 local{};
    local.sin6_family = AF_INET6;
    local.sin6_addr = info.ipi6_addr;
    record.interface = static_cast<int32_t>(info.ipi6_ifindex);
    SetLocal(record, local);
  }
}

void Read(DatagramRecord& record, msghdr& header, uint32_t length, size_t size) {
  std::memset(static_cast<void*>(&record), 0, offsetof(DatagramRecord, address));
  record.length = static_cast<int32_t>(std::min<size_t>(length, size));
  record.address_length =
      static_cast<int32_t>(std::min<size_t>(header.msg_namelen, sizeof(record.address)));
  record.flags = (header.msg_flags & MSG_TRUNC) != 0 ? kDatagramTruncated : 0;
  record.tos = -1;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    ReadControl(record, control);
  }
}

// What is added to a message piece by piece.
class Control {
 public:
  Control(msghdr& header, uint8_t* room) : header_(header) {
    header.msg_control = room;
    header.msg_controllen = 0;
  }

  template <typename T>
  void Add(int level, int type, T content) {
    auto* control = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(header_.msg_control) +
                                               header_.msg_controllen);
    // The padding goes to the system, too.
    std::memset(static_cast<void*>(control), 0, CMSG_SPACE(sizeof(content)));
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(sizeof(content));
    std::memcpy(CMSG_DATA(control), &content, sizeof(content));
    header_.msg_controllen += CMSG_SPACE(sizeof(content));
  }

 private:
  msghdr& header_;
};

int Set(int fd, int level, int name, int value) {
  return Call([&] { return setsockopt(fd, level, name, &value, sizeof(value)); });
}

// Sets an option of IPv4, of IPv6, or of both: a socket of IPv6 may speak IPv4, too.
int SetOfFamily(int fd, int name4, int name6, int value) {
  int family = AF_UNSPEC;
  socklen_t length = sizeof(family);
  const int asked = Call([&] { return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length); });
  if (asked < 0) return asked;
  if (family == AF_INET) return Set(fd, IPPROTO_IP, name4, value);
  if (family != AF_INET6) return -EOPNOTSUPP;
  const int result = Set(fd, IPPROTO_IPV6, name6, value);
  // Refused where it speaks IPv6 only.
  if (result >= 0) Set(fd, IPPROTO_IP, name4, value);
  return result;
}

int SetMulticastInterface(int fd, int index) {
  ip_mreqn request{};
  request.imr_ifindex = index;
  const auto set4 = [&] {
    return Call(
        [&] { return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)); });
  };
  const int result = Set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
  if (result == -ENOPROTOOPT || result == -EOPNOTSUPP) return set4();
  if (result >= 0) set4();
  return result;
}

int SetInfo(int fd, int value) {
  for (const int name : {SO_TIMESTAMPNS, SO_RXQ_OVFL}) {
    const int result = Set(fd, SOL_SOCKET, name, value);
    if (result < 0) return result;
  }
  const int result = SetOfFamily(fd, IP_PKTINFO, IPV6_RECVPKTINFO, value);
  return result < 0 ? result : SetOfFamily(fd, IP_RECVTOS, IPV6_RECVTCLASS, value);
}

}  // namespace

int ReceiveDatagrams(int fd, const DatagramBatch& batch) {
  mmsghdr headers[kDatagramsMax];
  iovec parts[kDatagramsMax];
  alignas(cmsghdr) uint8_t control[kDatagramsMax][kControlIn];
  const uint32_t count = std::min(batch.count, kDatagramsMax);
  for (uint32_t i = 0; i < count; i++) {
    parts[i] = iovec{batch.data + i * batch.size, batch.size};
    msghdr& header = headers[i].msg_hdr;
    header = msghdr{};
    header.msg_name = batch.records[i].address;
    header.msg_namelen = sizeof(batch.records[i].address);
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    header.msg_control = control[i];
    header.msg_controllen = sizeof(control[i]);
  }
  // MSG_DONTWAIT: a description that came from somebody else may be a blocking one.
  const int received = Call([&] { return recvmmsg(fd, headers, count, MSG_DONTWAIT, nullptr); });
  for (int i = 0; i < received; i++) {
    Read(batch.records[i], headers[i].msg_hdr, headers[i].msg_len, batch.size);
  }
  return received;
}

int ReceiveDatagramError(int fd, const DatagramBatch& batch) {
  iovec part{batch.data, batch.size};
  // What kInfo asks for comes here, too, and of it nothing is wanted.
  alignas(cmsghdr) uint8_t control[kControlIn + CMSG_SPACE(kErrorSize)];
  DatagramRecord& record = batch.records[0];
  msghdr header{};
  const ssize_t length = Call([&] {
    header = msghdr{};
    header.msg_name = record.address;
    header.msg_namelen = sizeof(record.address);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    return recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
  });
  if (length < 0) return static_cast<int>(length);
  Read(record, header, static_cast<uint32_t>(length), batch.size);
  record.local_length = 0;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    const bool v4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR;
    const bool v6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR;
    if (v4 || v6) ReadError(record, each);
  }
  return 1;
}

int SendDatagrams(int fd, const DatagramBatch& batch) {
  mmsghdr headers[kDatagramsMax];
  iovec parts[kDatagramsMax];
  alignas(cmsghdr) uint8_t control[kDatagramsMax][kControlOut];
  const uint32_t count = std::min(batch.count, kDatagramsMax);
  for (uint32_t i = 0; i < count; i++) {
    DatagramRecord& record = batch.records[i];
    const size_t length = static_cast<size_t>(std::max(record.length, 0));
    const size_t name = static_cast<size_t>(std::max(record.address_length, 0));
    // Written by JavaScript.
    if (length > batch.size || name > sizeof(record.address)) return -EINVAL;
    parts[i] = iovec{batch.data + i * batch.size, length};
    msghdr& header = headers[i].msg_hdr;
    header = msghdr{};
    header.msg_name = name == 0 ? nullptr : record.address;
    header.msg_namelen = static_cast<socklen_t>(name);
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    const bool segmented = record.segment > 0 && length > static_cast<size_t>(record.segment);
    const bool marked = (record.flags & kDatagramWithTos) != 0;
    if (!segmented && !marked) continue;
    Control added(header, control[i]);
    if (segmented) added.Add(IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(record.segment));
    if (marked) {
      // Each family passes over what is the other's.
      added.Add(IPPROTO_IP, IP_TOS, static_cast<int>(record.tos));
      added.Add(IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(record.tos));
    }
  }
  return Call([&] { return sendmmsg(fd, headers, count, kSendFlags | MSG_DONTWAIT); });
}

int SetDatagramOption(int fd, DatagramOption option, int value) {
  switch (option) {
    case DatagramOption::kBroadcast:
      return Set(fd, SOL_SOCKET, SO_BROADCAST, value);
    case DatagramOption::kInfo:
      return SetInfo(fd, value);
    case DatagramOption::kCoalesce:
      return Set(fd, IPPROTO_UDP, UDP_GRO, value);
    case DatagramOption::kMulticastHops:
      return SetOfFamily(fd, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, value);
    case DatagramOption::kMulticastLoop:
      return SetOfFamily(fd, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, value);
    case DatagramOption::kMulticastInterface:
      return SetMulticastInterface(fd, value);
    case DatagramOption::kHops:
      return SetOfFamily(fd, IP_TTL, IPV6_UNICAST_HOPS, value);
    case DatagramOption::kErrors:
      return SetOfFamily(fd, IP_RECVERR, IPV6_RECVERR, value);
    case DatagramOption::kMulticastAll:
      return SetOfFamily(fd, IP_MULTICAST_ALL, IPV6_MULTICAST_ALL, value);
  }
  return -EINVAL;
}

}  // namespace coreactor

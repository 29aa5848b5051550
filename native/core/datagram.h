// Datagrams, in batches of one or more: each has a record that lies in the caller's memory, where
// TypeScript reads and writes it. Nothing is allocated here, and no packet is looked into.
#pragma once

#include <cstddef>
#include <cstdint>

#include "address.h"

namespace coreactor {

// The most datagrams of one call: what its arrays on the stack are made for.
constexpr uint32_t kDatagramsMax = 256;

// The numbers, the layout of the record and its flags stand in lib/kernel/layout.ts, too.
enum class DatagramOption : int {
  kBroadcast = 0,
  // Control data with each datagram: local address, interface, time, TOS, drops.
  kInfo = 1,
  // Datagrams of one sender are handed out in one piece, cut every `segment` bytes.
  kCoalesce = 2,
  kMulticastHops = 3,
  kMulticastLoop = 4,
  // The index of an interface.
  kMulticastInterface = 5,
  kHops = 6,
  // What the network says of datagrams that were sent is kept for ReceiveDatagramError.
  kErrors = 7,
  // Whether it gets what is sent to groups that others on this machine have joined.
  kMulticastAll = 8,
};
constexpr int kDatagramOptions = 9;

// There was more than fitted.
constexpr int32_t kDatagramTruncated = 1 << 0;
// For sending: `tos` is to be used. Receiving leaves it out.
constexpr int32_t kDatagramWithTos = 1 << 1;

struct DatagramRecord {
  // Bytes of data.
  int32_t length;
  // 0: from a socket without a name; for sending: to the connected peer.
  int32_t address_length;
  int32_t flags;
  // More than 0: the data are several datagrams of so many bytes each, the last one of what is
  // left.
  int32_t segment;
  // -1: not known.
  int32_t tos;
  // 0: not known.
  int32_t interface;
  // Datagrams that this socket had no room for, ever.
  uint32_t dropped;
  // When it came, since 1970; 0: not known.
  uint32_t seconds;
  uint32_t nanoseconds;
  // 0: not known.
  int32_t local_length;
  // For who sends: what has become of it.
  int32_t result;
  // The rest is of what ReceiveDatagramError has received: an errno; who has said so, one of
  // SO_EE_ORIGIN_*; type and code of the message of ICMP; and what goes with them.
  int32_t error;
  int32_t error_origin;
  int32_t error_type;
  int32_t error_code;
  int32_t error_info;
  uint8_t address[128];
  // More than the system writes here: a kernel in memory writes text.
  uint8_t local[96];
};
static_assert(sizeof(DatagramRecord) == 288, "lib/kernel/layout.ts counts on it");
static_assert(sizeof(sockaddr_storage) <= 128 && sizeof(sockaddr_in6) <= 96, "addresses fit");

// Where `count` datagrams are, at most kDatagramsMax: the data of the i-th at `data + i * size`.
struct DatagramBatch {
  DatagramRecord* records;
  uint8_t* data;
  size_t size;
  uint32_t count;
};

// How many have come, at least one; -EAGAIN: none. An error after the first is told by the next
// call. (datagram_linux.cc)
int ReceiveDatagrams(int fd, const DatagramBatch& batch);

// How many of the first ones have been taken, at least one; or what the first one has failed with.
// (datagram_linux.cc)
int SendDatagrams(int fd, const DatagramBatch& batch);

// What the network has said of a datagram that was sent, with `kErrors`: 1, or -EAGAIN. The first
// record of the batch gets where it was to go as its address, who has said so as its local one, and
// as its data what came back of the datagram. -EOPNOTSUPP where the system keeps no such thing.
// (datagram_linux.cc)
int ReceiveDatagramError(int fd, const DatagramBatch& batch);

// 0, or -errno. (datagram_linux.cc)
int SetDatagramOption(int fd, DatagramOption option, int value);

// Takes part in a multicast group, or no more; on the system's choice of interface if it is 0, and
// with a source only in what comes from there.
int SetMembership(int fd, bool member, const Address& group, uint32_t interface,
                  const Address* source);

}  // namespace coreactor

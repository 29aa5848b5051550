// Datagrams: what a batch gives and takes, what its records say, and where it stops.
#include "../core/datagram.h"

#include <net/if.h>

#include <cstring>
#include <string>

#include "support.h"

namespace coreactor::testing {
namespace {

constexpr uint32_t kPackets = 8;

// Records, and the data beside them.
class Slab {
 public:
  explicit Slab(size_t size = 64) : size_(size), data_(kPackets * size) {}

  DatagramBatch Batch(uint32_t count = kPackets, uint32_t first = 0) {
    return {records_ + first, data_.data() + first * size_, size_, count};
  }
  DatagramRecord& operator[](size_t i) { return records_[i]; }

  std::string Text(size_t i) const {
    return std::string(reinterpret_cast<const char*>(data_.data()) + i * size_,
                       static_cast<size_t>(records_[i].length));
  }
  Address Sender(size_t i) const {
    return Must(
        Address::FromBytes(records_[i].address, static_cast<size_t>(records_[i].address_length)));
  }
  void Set(size_t i, const std::string& text, const Address& to) {
    Set(i, text);
    records_[i].address_length = static_cast<int32_t>(to.length());
    std::memcpy(records_[i].address, to.get(), to.length());
  }
  void Set(size_t i, const std::string& text) {
    records_[i] = DatagramRecord{};
    records_[i].length = static_cast<int32_t>(text.size());
    std::memcpy(data_.data() + i * size_, text.data(), text.size());
  }

 private:
  size_t size_;
  DatagramRecord records_[kPackets] = {};
  std::vector<uint8_t> data_;
};

OwnedFd Bound(const char* host = "127.0.0.1") {
  const Address address = Must(Address::Parse(host, 0));
  OwnedFd socket = MustOpen(OpenSocket(address.family(), SOCK_DGRAM, 0));
  REQUIRE(Bind(socket.get(), address) == 0);
  return socket;
}

Address AddressOf(const OwnedFd& socket) { return Must(LocalAddress(socket.get())); }

TEST_CASE_FIXTURE(Fds, "a batch goes out in one call and comes in in one") {
  const OwnedFd here = Bound();
  const OwnedFd there = Bound();
  Slab out;
  for (size_t i = 0; i < kPackets; i++) out.Set(i, std::string(i, 'x'), AddressOf(there));
  REQUIRE(SendDatagrams(here.get(), out.Batch()) == kPackets);
  Slab in;
  REQUIRE(ReceiveDatagrams(there.get(), in.Batch()) == kPackets);
  for (size_t i = 0; i < kPackets; i++) {
    CHECK(in.Text(i) == std::string(i, 'x'));
    CHECK(in.Sender(i).port() == AddressOf(here).port());
    CHECK(in[i].flags == 0);
    CHECK(in[i].tos == -1);
    CHECK(in[i].local_length == 0);
  }
  CHECK(ReceiveDatagrams(there.get(), in.Batch()) == -EAGAIN);
  // And back, as it came.
  REQUIRE(SendDatagrams(there.get(), in.Batch(3)) == 3);
  CHECK(ReceiveDatagrams(here.get(), in.Batch()) == 3);
}

TEST_CASE_FIXTURE(Fds, "a batch is received from a place on, and what was there before stays") {
  const OwnedFd here = Bound();
  Slab slab;
  slab.Set(0, "first", AddressOf(here));
  REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  CHECK(ReceiveDatagrams(here.get(), slab.Batch(2, 3)) == 1);
  CHECK(slab.Text(3) == "first");
  CHECK(slab.Text(0) == "first");
}

TEST_CASE_FIXTURE(Fds, "what does not fit is cut, and says so") {
  const OwnedFd here = Bound();
  Slab slab;
  slab.Set(0, std::string(64, 'y'), AddressOf(here));
  REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  Slab small(16);
  REQUIRE(ReceiveDatagrams(here.get(), small.Batch()) == 1);
  CHECK(small.Text(0) == std::string(16, 'y'));
  CHECK(small[0].flags == kDatagramTruncated);
}

TEST_CASE_FIXTURE(Fds, "sending stops at the packet that fails, and begins with its error") {
  const OwnedFd here = Bound();
  Slab slab;
  for (size_t i = 0; i < 3; i++) slab.Set(i, "x", AddressOf(here));
  // Nobody's port.
  slab.Set(1, "x", Must(Address::Parse("127.0.0.1", 0)));
  REQUIRE(SendDatagrams(here.get(), slab.Batch(3)) == 1);
  CHECK(SendDatagrams(here.get(), slab.Batch(2, 1)) == -EINVAL);
  CHECK(SendDatagrams(here.get(), slab.Batch(1, 2)) == 1);
}

TEST_CASE_FIXTURE(Fds, "a record that reaches outside its place is refused") {
  const OwnedFd here = Bound();
  Slab slab;
  slab.Set(0, "x", AddressOf(here));
  slab[0].length = 65;
  CHECK(SendDatagrams(here.get(), slab.Batch(1)) == -EINVAL);
  slab[0].length = 1;
  slab[0].address_length = 129;
  CHECK(SendDatagrams(here.get(), slab.Batch(1)) == -EINVAL);
}

TEST_CASE_FIXTURE(Fds, "the information that was asked for comes with each datagram") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    CAPTURE(host);
    const OwnedFd here = Bound(host);
    REQUIRE(SetDatagramOption(here.get(), DatagramOption::kInfo, 1) == 0);
    Slab slab;
    slab.Set(0, "x", AddressOf(here));
    slab[0].flags = kDatagramWithTos;
    slab[0].tos = 0x28;
    REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
    Slab in;
    REQUIRE(ReceiveDatagrams(here.get(), in.Batch()) == 1);
    CHECK(in[0].tos == 0x28);
    CHECK(in[0].interface == static_cast<int32_t>(if_nametoindex("lo")));
    CHECK(in[0].seconds > 1'000'000'000);
    CHECK(in[0].dropped == 0);
    const Address local =
        Must(Address::FromBytes(in[0].local, static_cast<size_t>(in[0].local_length)));
    CHECK(local.text() == host);
  }
}

TEST_CASE_FIXTURE(Fds, "datagrams that found no room are counted") {
  const OwnedFd here = Bound();
  REQUIRE(SetDatagramOption(here.get(), DatagramOption::kInfo, 1) == 0);
  REQUIRE(SetOption(here.get(), SocketOption::kReceiveBuffer, 1) == 0);
  Slab slab;
  slab.Set(0, "x", AddressOf(here));
  for (int i = 0; i < 100; i++) REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  while (ReceiveDatagrams(here.get(), slab.Batch()) > 0) continue;
  slab.Set(0, "x", AddressOf(here));
  REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  Slab in;
  REQUIRE(ReceiveDatagrams(here.get(), in.Batch()) == 1);
  CHECK(in[0].dropped > 0);
}

TEST_CASE_FIXTURE(Fds, "one piece goes out as several datagrams, and may come in as one") {
  const OwnedFd here = Bound();
  const OwnedFd there = Bound();
  Slab slab;
  slab.Set(0, "aaaabbbbcc", AddressOf(there));
  slab[0].segment = 4;
  REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  Slab in;
  REQUIRE(ReceiveDatagrams(there.get(), in.Batch()) == 3);
  CHECK(in.Text(0) == "aaaa");
  CHECK(in.Text(2) == "cc");
  REQUIRE(SetDatagramOption(there.get(), DatagramOption::kCoalesce, 1) == 0);
  REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
  REQUIRE(ReceiveDatagrams(there.get(), in.Batch()) == 1);
  CHECK(in.Text(0) == "aaaabbbbcc");
  CHECK(in[0].segment == 4);
}

TEST_CASE_FIXTURE(Fds, "what met nobody is told with where it was to go, and who says so") {
  for (const char* host : {"127.0.0.1", "::1"}) {
    CAPTURE(host);
    Address nobody;
    {
      const OwnedFd gone = Bound(host);
      nobody = AddressOf(gone);
    }
    const OwnedFd here = Bound(host);
    REQUIRE(SetDatagramOption(here.get(), DatagramOption::kErrors, 1) == 0);
    REQUIRE(SetDatagramOption(here.get(), DatagramOption::kInfo, 1) == 0);
    Slab slab;
    CHECK(ReceiveDatagramError(here.get(), slab.Batch(1)) == -EAGAIN);
    slab.Set(0, "x", nobody);
    REQUIRE(SendDatagrams(here.get(), slab.Batch(1)) == 1);
    Slab told;
    REQUIRE(ReceiveDatagramError(here.get(), told.Batch(1)) == 1);
    CHECK(told.Text(0) == "x");
    CHECK(told[0].error == ECONNREFUSED);
    CHECK(told.Sender(0).port() == nobody.port());
    const Address reporter =
        Must(Address::FromBytes(told[0].local, static_cast<size_t>(told[0].local_length)));
    CHECK(reporter.text() == host);
    CHECK(ReceiveDatagramError(here.get(), told.Batch(1)) == -EAGAIN);
  }
}

TEST_CASE_FIXTURE(Fds, "what is sent to a group comes to its members") {
  const uint32_t lo = if_nametoindex("lo");
  const OwnedFd member = Bound("0.0.0.0");
  const OwnedFd sender = Bound();
  const Address group = Must(Address::Parse("239.1.2.3", AddressOf(member).port()));
  REQUIRE(SetDatagramOption(sender.get(), DatagramOption::kMulticastInterface,
                            static_cast<int>(lo)) == 0);
  Slab slab;
  slab.Set(0, "x", group);
  CHECK(SetMembership(member.get(), true, group, lo, nullptr) == 0);
  REQUIRE(SendDatagrams(sender.get(), slab.Batch(1)) == 1);
  CHECK(ReceiveDatagrams(member.get(), slab.Batch()) == 1);
  CHECK(SetMembership(member.get(), false, group, lo, nullptr) == 0);
  CHECK(SetMembership(member.get(), false, group, lo, nullptr) == -EADDRNOTAVAIL);
  const Address other = Must(Address::Parse("127.0.0.2", 0));
  CHECK(SetMembership(member.get(), true, group, lo, &other) == 0);
  slab.Set(0, "x", group);
  REQUIRE(SendDatagrams(sender.get(), slab.Batch(1)) == 1);
  CHECK(ReceiveDatagrams(member.get(), slab.Batch()) == -EAGAIN);
}

}  // namespace
}  // namespace coreactor::testing

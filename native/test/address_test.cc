// Numeric addresses: text to sockaddr and back.
#include <net/if.h>

#include <cstring>
#include <string>

#include "support.h"

namespace coreactor::testing {
namespace {

TEST_CASE_FIXTURE(Fds, "IPv4 literals parse and format back") {
  for (const char* text : {"127.0.0.1", "0.0.0.0", "255.255.255.255", "10.1.2.3"}) {
    const Address address = Must(Address::Parse(text, 54321));
    CHECK(address.family() == AF_INET);
    CHECK(address.text() == text);
    CHECK(address.port() == 54321);
    CHECK(address.length() == sizeof(sockaddr_in));
  }
}

TEST_CASE_FIXTURE(Fds, "IPv6 literals parse and format back") {
  for (const char* text :
       {"::", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1", "1:2:3:4:5:6:7:8", "ff02::fb"}) {
    const Address address = Must(Address::Parse(text, 1));
    CHECK(address.family() == AF_INET6);
    CHECK(address.text() == text);
    CHECK(address.port() == 1);
    CHECK(address.length() == sizeof(sockaddr_in6));
  }
  CHECK(Must(Address::Parse("2001:0DB8:0:0::0001", 0)).text() == "2001:db8::1");
}

TEST_CASE_FIXTURE(Fds, "zone ids by name (lo) and number") {
  const uint32_t lo = if_nametoindex("lo");
  REQUIRE(lo != 0);
  const auto zone = [](const std::string& text) {
    const Address address = Must(Address::Parse(text.c_str(), 80));
    return reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_scope_id;
  };
  CHECK(zone("fe80::1%lo") == lo);
  CHECK(zone("fe80::1%" + std::to_string(lo)) == lo);
  CHECK(Must(Address::Parse("fe80::1%lo", 80)).text() == "fe80::1%lo");
  CHECK(Must(Address::Parse(("fe80::1%" + std::to_string(lo)).c_str(), 80)).text() == "fe80::1%lo");
  // An interface that is not there (yet) keeps its number.
  CHECK(Must(Address::Parse("fe80::1%4000000000", 80)).text() == "fe80::1%4000000000");
}

TEST_CASE_FIXTURE(Fds, "names, empty text and out-of-range addresses are EINVAL") {
  for (const char* text : {"", " ", "localhost", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4 ",
                           "0x7f.1", "::g", ":::", "1:2:3:4:5:6:7:8:9", "10000::", "[::1]", "*"}) {
    CAPTURE(text);
    CHECK(Address::Parse(text, 80).status().error() == EINVAL);
  }
}

TEST_CASE_FIXTURE(
    Fds, "a zone that is no interface and no number, or stands where none may, is EINVAL") {
  for (const char* text :
       {"%lo", "fe80::1%", "fe80::1%nosuch0", "fe80::1%0", "fe80::1%4294967296", "fe80::1%-1",
        "fe80::1%+1", "fe80::1% 1", "fe80::1%-18446744073709551615", "fe80::1%1x",
        "fe80::1%99999999999999999999999", "fe80::1%lo%lo", "1.2.3.4%lo"}) {
    CAPTURE(text);
    CHECK(Address::Parse(text, 80).status().error() == EINVAL);
  }
}

TEST_CASE_FIXTURE(Fds, "an address of another family has neither text nor port") {
  const Pair pair = UnixPair();
  const Address address = Must(LocalAddress(pair.near.get()));
  CHECK(address.family() == AF_UNIX);
  CHECK(address.text().empty());
  CHECK(address.port() == 0);
}

TEST_CASE_FIXTURE(Fds, "both ends of a connection know each other's address") {
  const Pair pair = TcpPair();
  const Address near = Must(LocalAddress(pair.near.get()));
  const Address far = Must(RemoteAddress(pair.far.get()));
  CHECK(near.text() == "127.0.0.1");
  CHECK(near.text() == far.text());
  CHECK(near.port() == far.port());
  CHECK(near.port() != 0);
}

TEST_CASE_FIXTURE(Fds, "an unconnected socket has no remote address (ENOTCONN)") {
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  CHECK(RemoteAddress(socket.get()).status().error() == ENOTCONN);
  CHECK(RemoteAddress(-1).status().error() == EBADF);
  CHECK(LocalAddress(-1).status().error() == EBADF);
}

}  // namespace
}  // namespace coreactor::testing

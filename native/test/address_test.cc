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

TEST_CASE_FIXTURE(Fds, "a Unix path is taken up to its last byte with the NUL, and never cut off") {
  const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'x');
  const Address address = Must(Address::Unix(longest.data(), longest.size()));
  CHECK(address.family() == AF_UNIX);
  CHECK(address.path() == longest);
  CHECK(address.text().empty());
  CHECK(address.port() == 0);
  const std::string longer = longest + 'x';
  CHECK(Address::Unix(longer.data(), longer.size()).status().error() == ENAMETOOLONG);
  CHECK(Address::Unix("", 0).status().error() == EINVAL);
  CHECK(Address::Unix("a\0b", 3).status().error() == EINVAL);
}

TEST_CASE_FIXTURE(
    Fds, "the system gives a path back as it was bound, and an abstract name with its NULs") {
  const std::string name("\0coreactor\0test", 15);
  const OwnedFd socket = MustOpen(OpenSocket(AF_UNIX, SOCK_STREAM, 0));
  CHECK(Must(LocalAddress(socket.get())).path().empty());
  REQUIRE(Bind(socket.get(), Must(Address::Unix(name.data(), name.size()))) == 0);
  const Address bound = Must(LocalAddress(socket.get()));
  CHECK(bound.family() == AF_UNIX);
  CHECK(bound.path() == name);
}

TEST_CASE_FIXTURE(Fds, "the bytes of an address make the same address again") {
  const Address address = Must(Address::Parse("::1", 8080));
  const Address again = Must(Address::FromBytes(address.get(), address.length()));
  CHECK(again.text() == "::1");
  CHECK(again.port() == 8080);
  CHECK(Address::FromBytes("", 0).status().error() == EINVAL);
  const char long_bytes[sizeof(sockaddr_storage) + 1] = {};
  CHECK(Address::FromBytes(long_bytes, sizeof(long_bytes)).status().error() == EINVAL);
}

}  // namespace
}  // namespace coreactor::testing

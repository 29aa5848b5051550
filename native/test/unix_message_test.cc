// Messages over Unix sockets: fds, truncation, stamps, credentials.
#include "../core/unix_message.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <string>

#include "support.h"

namespace coreactor::testing {
namespace {

Pair PacketPair() {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  return {OwnedFd(ends[0]), OwnedFd(ends[1])};
}

ssize_t SendFds(int fd, size_t count, const char* text = "x") {
  const OwnedFd file = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> fds(count, file.get());
  return SendMessage(fd, text, std::string(text).size(), fds.data(), count, nullptr);
}

ssize_t Take(int fd, bool want_fds, Message* message) {
  char into[16];
  return ReceiveMessage(fd, into, sizeof(into), want_fds, message);
}

void CloseAll(const Message& message) {
  for (size_t i = 0; i < message.fd_count; i++) close(message.fds[i]);
}

TEST_CASE_FIXTURE(Fds, "as many fds as a message can carry arrive, close-on-exec") {
  const Pair pair = UnixPair();
  for (const size_t count : {size_t{1}, size_t{2}, kMaxFdsOfMessage}) {
    CHECK(SendFds(pair.near.get(), count) == 1);
    Message message;
    CHECK(Take(pair.far.get(), true, &message) == 1);
    CHECK(message.flags == 0);
    CHECK(message.fd_count == count);
    for (size_t i = 0; i < message.fd_count; i++) {
      CHECK((fcntl(message.fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    CloseAll(message);
  }
  CHECK(SendFds(pair.near.get(), kMaxFdsOfMessage + 1) == -EINVAL);
  const int none = 12345;
  CHECK(SendMessage(pair.near.get(), "x", 1, &none, 1, nullptr) == -EBADF);
}

TEST_CASE_FIXTURE(Fds, "fds that nobody wants are closed, and said to be lost") {
  for (const Pair& pair : {UnixPair(), PacketPair()}) {
    for (const size_t count : {size_t{1}, size_t{8}, kMaxFdsOfMessage}) {
      CHECK(SendFds(pair.near.get(), count) == 1);
      const int before = OpenFds();
      Message message;
      CHECK(Take(pair.far.get(), false, &message) == 1);
      CHECK(message.flags == kMessageFdsLost);
      CHECK(message.fd_count == 0);
      CHECK(OpenFds() == before);
    }
  }
}

TEST_CASE_FIXTURE(
    Fds, "where no more fds are to be had, those that came are given, and the rest is lost") {
  const Pair pair = UnixPair();
  CHECK(SendFds(pair.near.get(), 64) == 1);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  // Here the numbers have no gaps below the highest.
  const OwnedFd highest = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC));
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(highest.get()) + 11;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  Message message;
  CHECK(Take(pair.far.get(), true, &message) == 1);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(message.flags == kMessageFdsLost);
  CHECK(message.fd_count < 64);
  CloseAll(message);
}

TEST_CASE_FIXTURE(Fds, "an empty message has a stamp, and the end of the connection has none") {
  Pair pair = PacketPair();
  REQUIRE(MarkMessages(pair.far.get()) == 0);
  CHECK(SendMessage(pair.near.get(), "", 0, nullptr, 0, nullptr) == 0);
  CHECK(SendFds(pair.near.get(), 3, "") == 0);
  pair.near.Close();
  Message message;
  CHECK(Take(pair.far.get(), false, &message) == 0);
  CHECK(message.flags == kMessageStamped);
  CHECK(Take(pair.far.get(), true, &message) == 0);
  CHECK(message.flags == kMessageStamped);
  CHECK(message.fd_count == 3);
  CloseAll(message);
  CHECK(Take(pair.far.get(), true, &message) == 0);
  CHECK(message.flags == 0);
}

TEST_CASE_FIXTURE(Fds, "a message that does not fit says so") {
  const Pair pair = PacketPair();
  CHECK(SendMessage(pair.near.get(), "twenty bytes of text", 20, nullptr, 0, nullptr) == 20);
  Message message;
  CHECK(Take(pair.far.get(), false, &message) == 16);
  CHECK(message.flags == kMessageTruncated);
  CHECK(Take(pair.far.get(), false, &message) == -EAGAIN);
}

TEST_CASE_FIXTURE(Fds, "nothing waits on a socket that blocks, as a received one may") {
  const Pair pair = UnixPair(0);
  char into[4];
  Message message;
  CHECK(Receive(pair.near.get(), into, sizeof(into)) == -EAGAIN);
  CHECK(ReceiveMessage(pair.near.get(), into, sizeof(into), true, &message) == -EAGAIN);
  const std::string much(65536, 'x');
  ssize_t taken = 0;
  while (taken >= 0) taken = Send(pair.near.get(), much.data(), much.size());
  CHECK(taken == -EAGAIN);
  CHECK(SendFds(pair.near.get(), 1) == -EAGAIN);
  const iovec chunk{const_cast<char*>(much.data()), much.size()};
  CHECK(SendVector(pair.near.get(), &chunk, 1) == -EAGAIN);
}

TEST_CASE_FIXTURE(Fds, "the peer's credentials are those of this process; a TCP socket has none") {
  const Pair pair = UnixPair();
  const Credentials peer = Must(PeerCredentials(pair.near.get()));
  CHECK(peer.pid == getpid());
  CHECK(peer.uid == geteuid());
  CHECK(peer.gid == getegid());
  const OwnedFd alone = MustOpen(OpenStream(AF_UNIX));
  CHECK(PeerCredentials(alone.get()).status().error() == ENOTCONN);
}

}  // namespace
}  // namespace coreactor::testing

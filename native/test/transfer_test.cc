// Moving bytes between two descriptors: what is told of the end, of no room and of a peer that is
// gone, and that no SIGPIPE is raised.
#include "../core/transfer.h"

#include <signal.h>

#include <cstdio>
#include <string>
#include <vector>

#include "../core/descriptor.h"
#include "support.h"

namespace coreactor::testing {
namespace {

std::string ReadText(int fd) {
  char into[64];
  const ssize_t count = Read(fd, into, sizeof(into));
  return count < 0 ? "errno" + std::to_string(-count) : std::string(into, into + count);
}

// SIGPIPE as a program has it that does not ignore it: the end of the process.
class DefaultSigpipe {
 public:
  DefaultSigpipe() : before_(signal(SIGPIPE, SIG_DFL)) {}
  ~DefaultSigpipe() { signal(SIGPIPE, before_); }
  DefaultSigpipe(const DefaultSigpipe&) = delete;
  DefaultSigpipe& operator=(const DefaultSigpipe&) = delete;

 private:
  void (*before_)(int);
};

}  // namespace

TEST_CASE_FIXTURE(Fds,
                  "splice moves what is there from socket to pipe to socket, and tells the end") {
  const Ends pipe = Must(OpenPipe());
  Pair source = TcpPair();
  const Pair target = TcpPair();
  CHECK(Splice(source.near.get(), pipe.second.get(), 100) == -EAGAIN);
  REQUIRE(Send(source.far.get(), "hello", 5) == 5);
  CHECK(Splice(source.near.get(), pipe.second.get(), 4) == 4);
  CHECK(Splice(pipe.first.get(), target.near.get(), 100) == 4);
  CHECK(Splice(pipe.first.get(), target.near.get(), 100) == -EAGAIN);
  CHECK(ReadText(target.far.get()) == "hell");
  CHECK(Splice(source.near.get(), pipe.second.get(), 100) == 1);
  source.far.Close();
  CHECK(Splice(source.near.get(), pipe.second.get(), 100) == 0);
  CHECK(ReadText(pipe.first.get()) == "o");
}

TEST_CASE_FIXTURE(Fds, "splice without a pipe is EINVAL, on a closed fd EBADF") {
  const Pair source = UnixPair();
  const Pair target = UnixPair();
  CHECK(Splice(source.near.get(), target.near.get(), 1) == -EINVAL);
  CHECK(Splice(-1, target.near.get(), 1) == -EBADF);
}

TEST_CASE_FIXTURE(
    Fds, "hazard 22: splice and sendfile to a peer that is gone are EPIPE and no SIGPIPE") {
  const DefaultSigpipe fatal;
  const Ends pipe = Must(OpenPipe());
  Pair target = UnixPair();
  target.far.Close();
  REQUIRE(Write(pipe.second.get(), "abc", 3) == 3);
  CHECK(Splice(pipe.first.get(), target.near.get(), 3) == -EPIPE);
  CHECK(ReadText(pipe.first.get()) == "abc");
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  REQUIRE(pwrite(fileno(file), "abc", 3, 0) == 3);
  CHECK(SendFile(target.near.get(), fileno(file), 0, 3) == -EPIPE);
  std::fclose(file);
}

TEST_CASE_FIXTURE(Fds,
                  "sendfile sends a part of a file, whatever its place, and 0 behind its end") {
  const Pair target = TcpPair();
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int fd = fileno(file);
  REQUIRE(write(fd, "0123456789", 10) == 10);
  CHECK(SendFile(target.near.get(), fd, 2, 3) == 3);
  CHECK(ReadText(target.far.get()) == "234");
  CHECK(SendFile(target.near.get(), fd, 8, 100) == 2);
  CHECK(ReadText(target.far.get()) == "89");
  CHECK(SendFile(target.near.get(), fd, 10, 100) == 0);
  CHECK(lseek(fd, 0, SEEK_CUR) == 10);
  CHECK(SendFile(target.near.get(), -1, 0, 1) == -EBADF);
  std::fclose(file);
}

TEST_CASE_FIXTURE(Fds, "what was read of a file is at hand; what it does not have, too") {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int fd = fileno(file);
  std::vector<uint8_t> bytes(300'000);
  REQUIRE(write(fd, bytes.data(), bytes.size()) == 300'000);
  CHECK(IsCached(fd, 0, bytes.size()));
  REQUIRE(pread(fd, bytes.data(), bytes.size(), 0) == 300'000);
  CHECK(IsCached(fd, 0, bytes.size()));
  CHECK(IsCached(fd, 299'999, 100'000));
  CHECK(IsCached(-1, 0, 1));
  std::fclose(file);
}

}  // namespace coreactor::testing

// The files of Unix sockets, what an fd is, and options by number.
#include "../core/socket_file.h"

#include <sys/stat.h>

#include "../core/fd_kind.h"
#include "../core/inherited_fd.h"
#include "../core/socket_options.h"
#include "support.h"

namespace coreactor::testing {
namespace {

// A directory of its own, with a socket in it.
class Place : public Fds {
 public:
  Place() {
    REQUIRE(mkdtemp(directory_) != nullptr);
    path_ = std::string(directory_) + "/socket";
  }
  ~Place() {
    unlink(path_.c_str());
    rmdir(directory_);
  }

 protected:
  OwnedFd Bound(mode_t mode) {
    OwnedFd socket = MustOpen(OpenStream(AF_UNIX));
    REQUIRE(SetModeBeforeBind(socket.get(), mode) == 0);
    REQUIRE(Bind(socket.get(), Must(Address::Unix(path_.data(), path_.size()))) == 0);
    return socket;
  }
  const char* path() const { return path_.c_str(); }
  const char* directory() const { return directory_; }

 private:
  char directory_[32] = "/tmp/coreactor-XXXXXX";
  std::string path_;
};

TEST_CASE_FIXTURE(Place, "the file is made with the mode of the socket, less the umask") {
  const mode_t before = umask(022);
  const OwnedFd socket = Bound(0660);
  umask(before);
  const SocketFile file = Must(LookAt(path()));
  CHECK(file.mode == 0640);
  CHECK(file.is_socket);
  CHECK(file.is_own);
  CHECK(SetModeOf(path(), file.identity, 0666) == 0);
  CHECK(Must(LookAt(path())).mode == 0666);
}

TEST_CASE_FIXTURE(Place, "a mode is changed of no other file than the one that was seen") {
  const OwnedFd socket = Bound(0600);
  CHECK(SetModeOf(path(), "0:0", 0666) == -ENOENT);
  const std::string link = std::string(path()) + "2";
  REQUIRE(symlink(path(), link.c_str()) == 0);
  CHECK(SetModeOf(link.c_str(), Must(LookAt(path())).identity, 0666) == -ENOENT);
  CHECK_FALSE(Must(LookAt(link.c_str())).is_socket);
  CHECK(Unlink(link.c_str()) == 0);
  CHECK(Must(LookAt(path())).mode == 0600);
}

TEST_CASE_FIXTURE(Place, "a directory is locked by one at a time, until the fd is closed") {
  OwnedFd first = MustOpen(LockDirectory(directory()));
  CHECK(LockDirectory(directory()) == -EAGAIN);
  first.Close();
  const OwnedFd second = MustOpen(LockDirectory(directory()));
  CHECK(LockDirectory(path()) == -ENOENT);
}

TEST_CASE_FIXTURE(Fds, "what an fd is") {
  const auto kind_of = [](int fd) {
    FdKind kind;
    CHECK(KindOf(fd, &kind) == 0);
    return kind;
  };
  const OwnedFd listener = Listener();
  const FdKind accepting = kind_of(listener.get());
  CHECK(accepting.is == FdKind::Is::kSocket);
  CHECK(accepting.family == AF_INET);
  CHECK(accepting.type == SOCK_STREAM);
  CHECK(accepting.accepts);
  CHECK_FALSE(accepting.connected);
  const Pair pair = UnixPair(0);
  const FdKind end = kind_of(pair.near.get());
  CHECK(end.family == AF_UNIX);
  CHECK(end.connected);
  CHECK_FALSE(end.accepts);
  const OwnedFd device = MustOpen(open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(kind_of(device.get()).is == FdKind::Is::kCharacterDevice);
  FdKind none;
  CHECK(KindOf(-1, &none) == -EBADF);

  CHECK(SetNonBlocking(pair.near.get()) == 0);
  CHECK((fcntl(pair.near.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK(SetNonBlocking(-1) == -EBADF);
}

TEST_CASE_FIXTURE(Fds, "options by number") {
  const OwnedFd socket = MustOpen(OpenStream(AF_INET));
  const int size = 50'000;
  CHECK(SetRawOption(socket.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
  int kept = 0;
  CHECK(GetRawOption(socket.get(), SOL_SOCKET, SO_RCVBUF, &kept, sizeof(kept)) == sizeof(kept));
  CHECK(kept == 2 * size);
  CHECK(GetRawOption(socket.get(), SOL_SOCKET, 9999, &kept, sizeof(kept)) == -ENOPROTOOPT);
  CHECK(GetRawOption(-1, SOL_SOCKET, SO_RCVBUF, &kept, sizeof(kept)) == -EBADF);
}

TEST_CASE("the fields of TCP_INFO follow one another") {
  size_t end = 0;
  for (size_t i = 0; i < kTcpInfoFieldCount; i++) {
    const TcpInfoField& field = kTcpInfoFields[i];
    INFO(field.name);
    CHECK(field.offset + field.bytes >= end);
    end = field.offset + field.bytes;
  }
}

}  // namespace
}  // namespace coreactor::testing

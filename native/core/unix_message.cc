#include "unix_message.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "socket.h"

namespace coreactor {
namespace {

// A sender may put in more than we would, on systems other than Linux (512 on macOS).
constexpr size_t kFdsOfOthers = 512;
constexpr size_t kFdsSpace = CMSG_SPACE(sizeof(int) * kFdsOfOthers);
constexpr size_t kStampSpace = CMSG_SPACE(sizeof(timeval));

// Takes the fds of one control message; there may be several of them. What does not fit is closed.
// `end` is where the control data end: the length of a message that was cut off says more (macOS).
void TakeFds(const cmsghdr* control, const unsigned char* end, Message* message) {
  const size_t said = control->cmsg_len - CMSG_LEN(0);
  const size_t there = static_cast<size_t>(end - CMSG_DATA(control));
  const size_t count = std::min<size_t>(said, there) / sizeof(int);
  for (size_t i = 0; i < count; i++) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
    PrepareReceived(fd);
    if (message->fd_count < kMaxFdsOfMessage) {
      message->fds[message->fd_count++] = fd;
    } else {
      close(fd);
      message->flags |= kMessageFdsLost;
    }
  }
}

}  // namespace

ssize_t SendMessage(int fd, const void* from, size_t length, const int* fds, size_t fd_count,
                    const Address* to) {
  if (fd_count > kMaxFdsOfMessage) return -EINVAL;
  iovec chunk{const_cast<void*>(from), length};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int) * kMaxFdsOfMessage)]{};
  msghdr header{};
  header.msg_iov = &chunk;
  header.msg_iovlen = 1;
  if (to != nullptr) {
    header.msg_name = const_cast<sockaddr*>(to->get());
    header.msg_namelen = to->length();
  }
  if (fd_count > 0) {
    const size_t size = sizeof(int) * fd_count;
    header.msg_control = control;
    header.msg_controllen = static_cast<decltype(header.msg_controllen)>(CMSG_SPACE(size));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = static_cast<decltype(rights->cmsg_len)>(CMSG_LEN(size));
    std::memcpy(CMSG_DATA(rights), fds, size);
  }
  return Call([&] { return sendmsg(fd, &header, kSendFlags); });
}

ssize_t ReceiveMessage(int fd, void* into, size_t length, bool want_fds, Message* message) {
  iovec chunk{into, length};
  alignas(cmsghdr) unsigned char control[kStampSpace + kFdsSpace];
  msghdr header{};
  header.msg_iov = &chunk;
  header.msg_iovlen = 1;
  header.msg_name = message->from.out();
  header.msg_control = control;
  // The stamp comes first (unix_dgram_recvmsg) and takes its space; a socket without stamps may put
  // a few unwanted fds there, which are closed below.
  const size_t room = kStampSpace + (want_fds || kMakesRoomForFds ? kFdsSpace : 0);
  const ssize_t result = Call([&] {
    header.msg_namelen = sizeof(sockaddr_storage);
    header.msg_controllen = static_cast<decltype(header.msg_controllen)>(room);
    return recvmsg(fd, &header, kReceiveMessageFlags);
  });
  if (result < 0) return result;
  *message->from.length() = header.msg_namelen;
  message->flags = 0;
  message->fd_count = 0;
  if (result == 0 && HasNoEnd(fd)) message->flags |= kMessageStamped;
  if (header.msg_flags & MSG_TRUNC) message->flags |= kMessageTruncated;
  if (header.msg_flags & MSG_CTRUNC) message->flags |= kMessageFdsLost;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET) continue;
    if (each->cmsg_type == SCM_TIMESTAMP) message->flags |= kMessageStamped;
    if (each->cmsg_type == SCM_RIGHTS) TakeFds(each, control + header.msg_controllen, message);
  }
  if (want_fds || message->fd_count == 0) return result;
  // Nobody wants these.
  while (message->fd_count > 0) close(message->fds[--message->fd_count]);
  message->flags |= kMessageFdsLost;
  return result;
}

}  // namespace coreactor

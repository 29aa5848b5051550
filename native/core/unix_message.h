// Messages over Unix sockets, with file descriptors beside their bytes, and who the peer is.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "address.h"
#include "status.h"

namespace coreactor {

// The most fds of one message: SCM_MAX_FD of Linux.
constexpr size_t kMaxFdsOfMessage = 253;

// What a message was like besides its bytes. The numbers stand in lib/kernel/layout.ts, too.
constexpr int kMessageTruncated = 1 << 0;  // It was longer than the room for it: the rest is lost.
constexpr int kMessageFdsLost = 1 << 1;    // Fds came with it that could not be taken.
constexpr int kMessageStamped = 1 << 2;    // There was a message: see MarkMessages.

// Where TypeScript reads what a message was like: integers of an array, the fds from the last on.
constexpr size_t kAboutFlags = 0;
constexpr size_t kAboutAddress = 1;
constexpr size_t kAboutFdCount = 2;
constexpr size_t kAboutFds = 3;

// Sends `length` bytes and the fds, to `to` or to the peer: bytes taken, or -errno. The fds stay
// the caller's. On a stream they travel with the first byte, of which there must be one.
ssize_t SendMessage(int fd, const void* from, size_t length, const int* fds, size_t fd_count,
                    const Address* to);

struct Message {
  int flags = 0;
  // Close-on-exec from the start, and the caller's to close.
  size_t fd_count = 0;
  int fds[kMaxFdsOfMessage];
  // Of no family if the sender has no name, or the kind of socket has none.
  Address from;
};

// Bytes received, or -errno. Fds are only taken if they are wanted: the system closes them
// otherwise, and says kMessageFdsLost. With that, what could be taken is in `message` all the same.
ssize_t ReceiveMessage(int fd, void* into, size_t length, bool want_fds, Message* message);

// Has every message reported with kMessageStamped, so that an empty one can be told from the end of
// a seqpacket connection: both are 0 bytes. (unix_message_linux.cc)
int MarkMessages(int fd);

// Whether no bytes at all are an empty message for sure, where messages cannot be marked.
// (unix_message_linux.cc)
bool HasNoEnd(int fd);

struct Credentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// Who called connect, or listen, on the other side; as it was then. (unix_message_linux.cc)
Result<Credentials> PeerCredentials(int fd);

// What receiving takes besides, so that fds are close-on-exec from the start.
// (unix_message_linux.cc)
extern const int kReceiveMessageFlags;

// Whether fds that come with a message must be taken also if nobody wants them, because the system
// does not close them. (unix_message_linux.cc)
extern const bool kMakesRoomForFds;

// Makes an fd that has come close-on-exec, where kReceiveMessageFlags cannot: 0 or -errno.
// (unix_message_linux.cc)
int PrepareReceived(int fd);

}  // namespace coreactor

// What an fd stands for, whoever has opened it.
#pragma once

namespace coreactor {

// Of a socket also its family and type, whether it accepts connections, and whether it has a peer.
struct FdKind {
  enum class Is : int { kFile, kDirectory, kPipe, kCharacterDevice, kBlockDevice, kSocket, kOther };
  Is is = Is::kOther;
  int family = 0;
  int type = 0;
  bool accepts = false;
  bool connected = false;
};

// 0 or -errno.
int KindOf(int fd, FdKind* kind);

}  // namespace coreactor

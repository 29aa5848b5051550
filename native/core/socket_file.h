// The files that Unix sockets are found by: looking at one, its mode, and removing it.
#pragma once

#include <sys/types.h>

#include <string>

#include "status.h"

namespace coreactor {

struct SocketFile {
  // Device and inode: as long as the file is there, no other has the same.
  std::string identity;
  mode_t mode = 0;
  bool is_socket = false;
  // Of the user that this process acts for.
  bool is_own = false;
};

// Of the path itself; a symbolic link is not followed.
Result<SocketFile> LookAt(const char* path);

// The mode of the file that bind will make, as far as the umask allows. (socket_file_linux.cc)
int SetModeBeforeBind(int fd, mode_t mode);

// The mode of the file that LookAt has seen as `identity`; -ENOENT if it is another by now.
// (socket_file_linux.cc)
int SetModeOf(const char* path, const std::string& identity, mode_t mode);

// An fd that holds an exclusive lock on a directory until it is closed; -EAGAIN while another holds
// one. Only those who ask for it take notice.
int LockDirectory(const char* path);

int Unlink(const char* path);

}  // namespace coreactor

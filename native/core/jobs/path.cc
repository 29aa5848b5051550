#include "path.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "../status.h"

namespace coreactor {
namespace {

// Of what is not there, opening says so; or makes a file, which waits for nobody.
bool MayWait(const std::string& path, int flags, Lane lane) {
  if (lane != Lane::kOrdinary || (flags & O_NONBLOCK) != 0) return false;
  struct stat about {};
  if (Call([&] { return stat(path.c_str(), &about); }) < 0) return false;
  return !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

int Open(const std::string& path, int flags, mode_t mode) {
  return Call([&] { return open(path.c_str(), flags | O_CLOEXEC, mode); });
}

int MakeDirectory(const std::string& path, mode_t mode) {
  return Call([&] { return mkdir(path.c_str(), mode); });
}

bool IsDirectory(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

// DT_* is S_IFMT without its zeros, on every system that has it.
mode_t KindOf(int directory, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return static_cast<mode_t>(entry.d_type << 12);
  struct stat about {};
  if (fstatat(directory, entry.d_name, &about, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  return about.st_mode & S_IFMT;
}

bool IsDots(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

}  // namespace

int32_t OpenJob::Run() {
  if (MayWait(path_, flags_, lane())) return kMayWait;
  const int fd = Open(path_, flags_, mode_);
  if (fd < 0) return fd;
  fd_ = OwnedFd(fd);
  return 0;
}

int32_t StatJob::Run() {
  const int result = Call(
      [this] { return follow_ ? stat(path_.c_str(), &status_) : lstat(path_.c_str(), &status_); });
  succeeded_ = result == 0;
  return result;
}

int32_t RenameJob::Run() {
  return Call([this] { return rename(path_.c_str(), to_.c_str()); });
}

int32_t RemoveJob::Run() {
  return Call([this] { return directory_ ? rmdir(path_.c_str()) : unlink(path_.c_str()); });
}

int32_t TruncatePathJob::Run() {
  return Call([this] { return truncate(path_.c_str(), length_); });
}

int32_t MakeDirectoryJob::Run() {
  const int made = MakeDirectory(path_, mode_);
  if (!parents_ || made == 0) return made;
  if (made == -EEXIST) return IsDirectory(path_) ? 0 : made;
  if (made != -ENOENT) return made;
  for (size_t end = path_.find('/', 1); end != std::string::npos; end = path_.find('/', end + 1)) {
    const std::string parent = path_.substr(0, end);
    const int result = MakeDirectory(parent, mode_);
    // Not only EEXIST: what is there may lie where nothing can be made (EROFS, EACCES).
    if (result < 0 && !IsDirectory(parent)) return result == -EEXIST ? -ENOTDIR : result;
  }
  const int last = MakeDirectory(path_, mode_);
  return last < 0 && IsDirectory(path_) ? 0 : last;
}

int32_t ReadDirectoryJob::Run() {
  const int fd = Open(path_, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  DIR* directory = fdopendir(fd);
  if (directory == nullptr) {
    const int error = errno;
    close(fd);
    return -error;
  }
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory);
    if (entry == nullptr) break;
    if (!IsDots(entry->d_name)) entries_.push_back({entry->d_name, KindOf(fd, *entry)});
  }
  const int error = errno;
  closedir(directory);
  if (error == 0) return static_cast<int32_t>(entries_.size());
  entries_.clear();
  return -error;
}

int32_t ReadFileJob::Run() {
  if (MayWait(path_, flags_, lane())) return kMayWait;
  const int opened = Open(path_, flags_, 0);
  if (opened < 0) return opened;
  fd_ = OwnedFd(opened);
  struct stat about {};
  const int looked = Call([&] { return fstat(opened, &about); });
  failed_ = FileCall::kStat;
  if (looked < 0) return fd_.Close(), looked;
  failed_ = FileCall::kRead;
  // One more than there are, so that one read finds the end, too. Files of /proc say 0.
  const auto size = static_cast<size_t>(std::max<off_t>(about.st_size, 0));
  return ReadAll(S_ISREG(about.st_mode) && size > 0 ? size + 1 : 4096);
}

int32_t ReadFileJob::ReadAll(size_t expected) {
  size_t have = 0;
  bytes_.resize(std::min(expected, most_));
  while (have < most_) {
    if (have == bytes_.size()) bytes_.resize(std::min(have * 2, most_));
    const ssize_t count =
        Call([&] { return read(fd_.get(), &bytes_[have], bytes_.size() - have); });
    if (count <= 0) {
      fd_.Close();
      bytes_.resize(count == 0 ? have : 0);
      return static_cast<int32_t>(count == 0 ? static_cast<ssize_t>(have) : count);
    }
    have += static_cast<size_t>(count);
  }
  return static_cast<int32_t>(have);
}

int32_t WriteFileJob::Run() {
  if (MayWait(path_, flags_, lane())) return kMayWait;
  const int opened = Open(path_, flags_, mode_);
  if (opened < 0) return opened;
  OwnedFd fd(opened);
  failed_ = FileCall::kWrite;
  for (size_t done = 0; done < bytes_.size();) {
    const ssize_t taken =
        Call([&] { return write(fd.get(), &bytes_[done], bytes_.size() - done); });
    if (taken < 0) return static_cast<int32_t>(taken);
    done += static_cast<size_t>(taken);
  }
  failed_ = FileCall::kClose;
  // Not Call: the fd is gone, whatever close says.
  return close(fd.Release()) == 0 || errno == EINTR ? 0 : -errno;
}

}  // namespace coreactor

// Calls on paths.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "../job.h"
#include "../owned_fd.h"

namespace coreactor {

class PathJob : public Job {
 public:
  explicit PathJob(std::string path, Lane lane = Lane::kOrdinary)
      : Job(lane), path_(std::move(path)) {}

 protected:
  std::string Named(const char* call) const { return call + (" " + path_); }

  const std::string path_;
};

// What OpenJob, ReadFileJob and WriteFileJob return instead of opening what is no file in the
// ordinary lane: opening a FIFO or a device may wait for whoever is at the other end.
constexpr int32_t kMayWait = 1 << 30;

// open(2): 0, kMayWait or -errno. The fd is close-on-exec.
class OpenJob : public PathJob {
 public:
  OpenJob(std::string path, int flags, mode_t mode, Lane lane)
      : PathJob(std::move(path), lane), flags_(flags), mode_(mode) {}

  int32_t Run() override;
  bool has_result() const override { return fd_.valid(); }
  std::string what() const override { return Named("open"); }
  OwnedFd& fd() { return fd_; }

 private:
  const int flags_;
  const mode_t mode_;
  OwnedFd fd_;
};

// stat(2) or lstat(2): 0 or -errno.
class StatJob : public PathJob {
 public:
  StatJob(std::string path, bool follow) : PathJob(std::move(path)), follow_(follow) {}

  int32_t Run() override;
  bool has_result() const override { return succeeded_; }
  std::string what() const override { return Named(follow_ ? "stat" : "lstat"); }
  const struct stat& status() const { return status_; }

 private:
  const bool follow_;
  bool succeeded_ = false;
  struct stat status_ {};
};

// rename(2).
class RenameJob : public PathJob {
 public:
  RenameJob(std::string path, std::string to) : PathJob(std::move(path)), to_(std::move(to)) {}

  int32_t Run() override;
  std::string what() const override { return Named("rename"); }

 private:
  const std::string to_;
};

// unlink(2) or rmdir(2).
class RemoveJob : public PathJob {
 public:
  RemoveJob(std::string path, bool directory) : PathJob(std::move(path)), directory_(directory) {}

  int32_t Run() override;
  std::string what() const override { return Named(directory_ ? "rmdir" : "unlink"); }

 private:
  const bool directory_;
};

// truncate(2).
class TruncatePathJob : public PathJob {
 public:
  TruncatePathJob(std::string path, int64_t length) : PathJob(std::move(path)), length_(length) {}

  int32_t Run() override;
  std::string what() const override { return Named("truncate"); }

 private:
  const int64_t length_;
};

// mkdir(2). With `parents` also what is missing on the way, and a directory that is there already
// is success.
class MakeDirectoryJob : public PathJob {
 public:
  MakeDirectoryJob(std::string path, mode_t mode, bool parents)
      : PathJob(std::move(path)), mode_(mode), parents_(parents) {}

  int32_t Run() override;
  std::string what() const override { return Named("mkdir"); }

 private:
  const mode_t mode_;
  const bool parents_;
};

// readdir(3): how many entries, without "." and "..", or -errno.
class ReadDirectoryJob : public PathJob {
 public:
  struct Entry {
    std::string name;
    // The bits of S_IFMT; 0 if the entry was gone before that was known.
    mode_t kind;
  };

  explicit ReadDirectoryJob(std::string path) : PathJob(std::move(path)) {}

  int32_t Run() override;
  bool has_result() const override { return !entries_.empty(); }
  std::string what() const override { return Named("readdir"); }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

// Which of several calls has failed.
enum class FileCall : uint32_t { kOpen = 0, kStat = 1, kRead = 2, kWrite = 3, kClose = 4 };

// Opens a file and reads it: how many bytes, kMayWait or -errno. If there is more than `most` of
// it, the fd is kept for the rest. It has a result in any case: what has failed.
class ReadFileJob : public PathJob {
 public:
  ReadFileJob(std::string path, int flags, size_t most, Lane lane)
      : PathJob(std::move(path), lane), flags_(flags), most_(most) {}

  int32_t Run() override;
  bool has_result() const override { return true; }
  std::string what() const override { return Named("read"); }
  FileCall failed() const { return failed_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  // Valid exactly if there is more.
  OwnedFd& fd() { return fd_; }

 private:
  int32_t ReadAll(size_t expected);

  const int flags_;
  const size_t most_;
  FileCall failed_ = FileCall::kOpen;
  std::vector<uint8_t> bytes_;
  OwnedFd fd_;
};

// Opens a file, writes all of it and closes it: 0, kMayWait or -errno. It has a result in any case:
// what has failed.
class WriteFileJob : public PathJob {
 public:
  WriteFileJob(std::string path, int flags, mode_t mode, std::vector<uint8_t> bytes, Lane lane)
      : PathJob(std::move(path), lane), flags_(flags), mode_(mode), bytes_(std::move(bytes)) {}

  int32_t Run() override;
  bool has_result() const override { return true; }
  std::string what() const override { return Named("write"); }
  FileCall failed() const { return failed_; }

 private:
  const int flags_;
  const mode_t mode_;
  const std::vector<uint8_t> bytes_;
  FileCall failed_ = FileCall::kOpen;
};

}  // namespace coreactor

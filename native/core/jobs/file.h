// Calls on files that are open, which epoll cannot watch and which may wait for a disk or for a
// network.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../job.h"

namespace coreactor {

// A job on one open file that finds out nothing but a number.
class FdJob : public Job {
 public:
  explicit FdJob(int fd, Lane lane = Lane::kOrdinary) : Job(lane), fd_(fd) {}
  FdsInUse fds() const override { return {fd_, -1}; }

 protected:
  std::string Named(const char* call) const { return call + (" fd " + std::to_string(fd_)); }

  const int fd_;
};

// fstat(2): 0 or -errno.
class FstatJob : public FdJob {
 public:
  explicit FstatJob(int fd) : FdJob(fd) {}

  int32_t Run() override;
  bool has_result() const override { return succeeded_; }
  std::string what() const override { return Named("fstat"); }
  const struct stat& status() const { return status_; }

 private:
  bool succeeded_ = false;
  struct stat status_ {};
};

// Where a file is read from and written to if it is not said: at its own place, which moves.
constexpr int64_t kOwnPlace = -1;

// The most bytes of one job: they are copied by the environment's own thread.
constexpr size_t kMostBytes = 1024 * 1024;

// read(2) or pread(2), once: how many bytes, or -errno. EAGAIN only in another lane than kWaiting.
class ReadJob : public FdJob {
 public:
  ReadJob(int fd, size_t length, int64_t position, Lane lane)
      : FdJob(fd, lane), length_(length), position_(position) {}

  int32_t Run() override;
  bool has_result() const override { return count_ > 0; }
  std::string what() const override { return Named("read"); }
  const uint8_t* bytes() const { return bytes_.get(); }
  size_t count() const { return count_; }

 private:
  const size_t length_;
  const int64_t position_;
  std::unique_ptr<uint8_t[]> bytes_;
  size_t count_ = 0;
};

// write(2) or pwrite(2), once: how many bytes, or -errno. EAGAIN as of ReadJob.
class WriteJob : public FdJob {
 public:
  WriteJob(int fd, std::vector<uint8_t> bytes, int64_t position, Lane lane)
      : FdJob(fd, lane), bytes_(std::move(bytes)), position_(position) {}

  int32_t Run() override;
  std::string what() const override { return Named("write"); }

 private:
  const std::vector<uint8_t> bytes_;
  const int64_t position_;
};

// fsync(2), or fdatasync(2), which leaves out the times.
class SyncJob : public FdJob {
 public:
  SyncJob(int fd, bool data_only) : FdJob(fd), data_only_(data_only) {}

  int32_t Run() override;
  std::string what() const override { return Named(data_only_ ? "fdatasync" : "fsync"); }

 private:
  const bool data_only_;
};

// ftruncate(2).
class TruncateJob : public FdJob {
 public:
  TruncateJob(int fd, int64_t length) : FdJob(fd), length_(length) {}

  int32_t Run() override;
  std::string what() const override { return Named("ftruncate"); }

 private:
  const int64_t length_;
};

// flock(2), which does not wait: -EWOULDBLOCK while another has the lock. Waiting for it would hold
// a thread that nothing but the lock itself gets free again.
class LockJob : public FdJob {
 public:
  enum class How : uint32_t { kShared = 0, kExclusive = 1, kUnlock = 2 };

  LockJob(int fd, How how) : FdJob(fd), how_(how) {}

  int32_t Run() override;
  std::string what() const override { return Named("flock"); }

 private:
  const How how_;
};

// close(2), which may wait for a network: when the last other job that runs and uses the fd has
// ended. The fd is this job's own: if it never runs it is closed when it is destroyed.
class CloseJob : public Job {
 public:
  explicit CloseJob(int fd) : fd_(fd) {}
  ~CloseJob() override;

  int32_t Run() override;
  std::string what() const override { return "close"; }

 private:
  int fd_;
};

// Moves at most `length` bytes from where one file is to where the other is, in the kernel where
// that can be done: how many, 0 = the end, or -errno. (jobs/copy_linux.cc, copy_bsd.cc)
class CopyJob : public Job {
 public:
  CopyJob(int from, int to, size_t length) : from_(from), to_(to), length_(length) {}

  int32_t Run() override;
  FdsInUse fds() const override { return {from_, to_}; }
  std::string what() const override { return "copy fd " + std::to_string(from_); }

 private:
  // Through this process.
  int32_t Copy() const;

  const int from_;
  const int to_;
  const size_t length_;
};

// What data there is of a file to its disk, without its times where the system knows the
// difference. (jobs/copy_linux.cc, copy_bsd.cc)
int SyncData(int fd);

}  // namespace coreactor

#include "file.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "../blocking_pool.h"
#include "../polled.h"
#include "../status.h"

namespace coreactor {

namespace {

// A call on a description that may be a non-blocking one: then a thread of those that may wait does
// it in its place.
template <typename F>
ssize_t Waiting(int fd, Interest interest, Lane lane, F call) {
  for (;;) {
    const ssize_t result = Call(call);
    if (result != -EAGAIN || lane != Lane::kWaiting) return result;
    const Status ready = AwaitReady(fd, interest);
    if (!ready.ok()) return ready.code();
  }
}

}  // namespace

int32_t FstatJob::Run() {
  const int result = Call([this] { return fstat(fd_, &status_); });
  succeeded_ = result == 0;
  return result;
}

int32_t ReadJob::Run() {
  // Not value-initialized: what is not read is never touched.
  bytes_.reset(new (std::nothrow) uint8_t[length_]);
  if (bytes_ == nullptr) return -ENOMEM;
  const ssize_t count = Waiting(fd_, Interest{kReadable}, lane(), [this] {
    return position_ == kOwnPlace ? read(fd_, bytes_.get(), length_)
                                  : pread(fd_, bytes_.get(), length_, position_);
  });
  if (count > 0) count_ = static_cast<size_t>(count);
  return static_cast<int32_t>(count);
}

int32_t WriteJob::Run() {
  // SIGPIPE is blocked in this thread, as every signal is.
  return static_cast<int32_t>(Waiting(fd_, Interest{kWritable}, lane(), [this] {
    return position_ == kOwnPlace ? write(fd_, bytes_.data(), bytes_.size())
                                  : pwrite(fd_, bytes_.data(), bytes_.size(), position_);
  }));
}

int32_t SyncJob::Run() {
  return data_only_ ? SyncData(fd_) : Call([this] { return fsync(fd_); });
}

int32_t TruncateJob::Run() {
  return Call([this] { return ftruncate(fd_, length_); });
}

int32_t LockJob::Run() {
  const int how = how_ == How::kShared ? LOCK_SH : how_ == How::kExclusive ? LOCK_EX : LOCK_UN;
  return Call([&] { return flock(fd_, how | LOCK_NB); });
}

CloseJob::~CloseJob() {
  if (fd_ >= 0) BlockingPool::OfProcess().Close(fd_);
}

int32_t CloseJob::Run() { return BlockingPool::OfProcess().Close(std::exchange(fd_, -1)).code(); }

int32_t CopyJob::Copy() const {
  constexpr size_t kPiece = 128 * 1024;
  std::unique_ptr<uint8_t[]> piece(new (std::nothrow) uint8_t[kPiece]);
  if (piece == nullptr) return -ENOMEM;
  const ssize_t count = Call([&] { return read(from_, piece.get(), std::min(kPiece, length_)); });
  for (ssize_t done = 0; done < count;) {
    const ssize_t taken =
        Call([&] { return write(to_, piece.get() + done, static_cast<size_t>(count - done)); });
    if (taken < 0) return static_cast<int32_t>(taken);
    done += taken;
  }
  return static_cast<int32_t>(count);
}

}  // namespace coreactor

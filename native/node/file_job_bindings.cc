#include "file_job_bindings.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "../core/jobs/file.h"
#include "../core/jobs/path.h"
#include "../core/jobs/wait_process.h"
#include "binding.h"

namespace coreactor {
namespace {

constexpr size_t kFirst = kFirstJobArgument;

MadeJob Invalid() { return Status::Errno(EINVAL); }

template <typename T, typename... A>
MadeJob Made(A&&... arguments) {
  return std::unique_ptr<Job>(new T(std::forward<A>(arguments)...));
}

// The largest integer that a double, and JavaScript, has for certain.
constexpr double kMaxSafeInteger = 9007199254740991;

// None for what is no integer. -1 is kOwnPlace.
std::optional<int64_t> Place(const Napi::CallbackInfo& info, size_t i) {
  double number = 0;
  // Written so that NaN fails it.
  if (napi_get_value_double(info.Env(), info[i], &number) != napi_ok) return {};
  if (!(number >= -1 && number <= kMaxSafeInteger) || std::trunc(number) != number) return {};
  return static_cast<int64_t>(number);
}

std::optional<uint32_t> Unsigned(const Napi::CallbackInfo& info, size_t i) {
  return Integer<uint32_t>(info.Env(), info[i]);
}

// A string or bytes. Empty for what is neither, or has a NUL in it: the system would read another
// path.
std::string Path(const Napi::CallbackInfo& info, size_t i) {
  std::string path;
  if (info[i].IsString()) {
    path = info[i].As<Napi::String>().Utf8Value();
  } else if (const std::optional<Bytes> bytes = BytesOf(info.Env(), info[i])) {
    path.assign(reinterpret_cast<const char*>(bytes->data), bytes->length);
  }
  return path.find('\0') == std::string::npos ? path : std::string();
}

Lane LaneAt(const Napi::CallbackInfo& info, size_t i) {
  return IsTrue(info.Env(), info[i]) ? Lane::kWaiting : Lane::kOrdinary;
}

// A copy of all the bytes in an array of Uint8Arrays: a thread touches no memory of JavaScript's.
std::optional<std::vector<uint8_t>> Gathered(const Napi::CallbackInfo& info, size_t i) {
  const napi_env env = info.Env();
  uint32_t count = 0;
  if (napi_get_array_length(env, info[i], &count) != napi_ok) return {};
  std::vector<uint8_t> bytes;
  for (uint32_t index = 0; index < count; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, info[i], index, &element) != napi_ok) return {};
    const std::optional<Bytes> chunk = BytesOf(env, element);
    if (!chunk) return {};
    if (index == 0 && count == 1) bytes.reserve(chunk->length);
    bytes.insert(bytes.end(), chunk->data, chunk->data + chunk->length);
  }
  return bytes;
}

// An fd that a job has opened, from here on this environment's.
napi_value Kept(const Napi::CallbackInfo& info, OwnedFd& fd) {
  if (!fd.valid()) return Number(info.Env(), -1);
  LedgerOf(info.Env()).Opened(fd.get());
  return Number(info.Env(), fd.Release());
}

napi_value BufferOf(napi_env env, const uint8_t* bytes, size_t length) {
  napi_value buffer = nullptr;
  void* copy = nullptr;
  if (napi_create_buffer_copy(env, length, bytes, &copy, &buffer) != napi_ok) return nullptr;
  return buffer;
}

// open(path, flags, mode, waits): its fd ---------------------------------------------------------

MadeJob MakeOpen(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  const std::optional<int32_t> flags = Integer<int32_t>(info.Env(), info[kFirst + 1]);
  const std::optional<uint32_t> mode = Unsigned(info, kFirst + 2);
  if (path.empty() || !flags || !mode) return Invalid();
  return Made<OpenJob>(std::move(path), *flags, static_cast<mode_t>(*mode),
                       LaneAt(info, kFirst + 3));
}

napi_value OpenResult(const Napi::CallbackInfo& info, Job& job) {
  return Kept(info, static_cast<OpenJob&>(job).fd());
}

// close(fd), which is this environment's
// -----------------------------------------------------------

MadeJob MakeClose(const Napi::CallbackInfo& info) {
  const int fd = Fd(info.Env(), info[kFirst]);
  if (fd < 0) return Invalid();
  LedgerOf(info.Env()).LetGo(fd);
  return Made<CloseJob>(fd);
}

// read(fd, length, position, waits): into an array of Uint8Arrays, one after the other
// --------------

MadeJob MakeRead(const Napi::CallbackInfo& info) {
  const std::optional<uint32_t> length = Unsigned(info, kFirst + 1);
  const std::optional<int64_t> position = Place(info, kFirst + 2);
  if (!length || *length == 0 || *length > kMostBytes || !position) return Invalid();
  return Made<ReadJob>(Fd(info.Env(), info[kFirst]), *length, *position, LaneAt(info, kFirst + 3));
}

// takeResult(driver, id, into): how many of the bytes had room; takeResult(driver, id): all of
// them, in a buffer.
napi_value ReadResult(const Napi::CallbackInfo& info, Job& job) {
  const napi_env env = info.Env();
  const auto& read = static_cast<ReadJob&>(job);
  uint32_t count = 0;
  if (napi_get_array_length(env, info[2], &count) != napi_ok) {
    return BufferOf(env, read.bytes(), read.count());
  }
  size_t done = 0;
  for (uint32_t index = 0; index < count && done < read.count(); index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, info[2], index, &element) != napi_ok) return nullptr;
    const std::optional<Bytes> into = BytesOf(env, element);
    if (!into) break;
    const size_t part = std::min(into->length, read.count() - done);
    if (part > 0) std::memcpy(into->data, read.bytes() + done, part);
    done += part;
  }
  return Number(env, static_cast<int64_t>(done));
}

// write(fd, chunks, position, waits)
// ---------------------------------------------------------------

MadeJob MakeWrite(const Napi::CallbackInfo& info) {
  std::optional<std::vector<uint8_t>> bytes = Gathered(info, kFirst + 1);
  const std::optional<int64_t> position = Place(info, kFirst + 2);
  if (!bytes || !position) return Invalid();
  return Made<WriteJob>(Fd(info.Env(), info[kFirst]), std::move(*bytes), *position,
                        LaneAt(info, kFirst + 3));
}

// stat(path, follow): as fstat
// ---------------------------------------------------------------------

MadeJob MakeStat(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  if (path.empty()) return Invalid();
  return Made<StatJob>(std::move(path), IsTrue(info.Env(), info[kFirst + 1]));
}

napi_value StatResult(const Napi::CallbackInfo& info, Job& job) {
  return StatusInto(info, static_cast<StatJob&>(job).status());
}

// sync(fd, dataOnly), truncate(fd, length), truncatePath(path, length)
// -----------------------------

MadeJob MakeSync(const Napi::CallbackInfo& info) {
  return Made<SyncJob>(Fd(info.Env(), info[kFirst]), IsTrue(info.Env(), info[kFirst + 1]));
}

MadeJob MakeTruncate(const Napi::CallbackInfo& info) {
  const std::optional<int64_t> length = Place(info, kFirst + 1);
  if (!length) return Invalid();
  return Made<TruncateJob>(Fd(info.Env(), info[kFirst]), *length);
}

MadeJob MakeTruncatePath(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  const std::optional<int64_t> length = Place(info, kFirst + 1);
  if (path.empty() || !length) return Invalid();
  return Made<TruncatePathJob>(std::move(path), *length);
}

// rename(path, to), remove(path, directory), makeDirectory(path, mode, parents)
// --------------------

MadeJob MakeRename(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  std::string to = Path(info, kFirst + 1);
  if (path.empty() || to.empty()) return Invalid();
  return Made<RenameJob>(std::move(path), std::move(to));
}

MadeJob MakeRemove(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  if (path.empty()) return Invalid();
  return Made<RemoveJob>(std::move(path), IsTrue(info.Env(), info[kFirst + 1]));
}

MadeJob MakeMakeDirectory(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  const std::optional<uint32_t> mode = Unsigned(info, kFirst + 1);
  if (path.empty() || !mode) return Invalid();
  return Made<MakeDirectoryJob>(std::move(path), static_cast<mode_t>(*mode),
                                IsTrue(info.Env(), info[kFirst + 2]));
}

// readDirectory(path): a name and a kind in turn
// ---------------------------------------------------

MadeJob MakeReadDirectory(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  if (path.empty()) return Invalid();
  return Made<ReadDirectoryJob>(std::move(path));
}

napi_value ReadDirectoryResult(const Napi::CallbackInfo& info, Job& job) {
  const auto& entries = static_cast<ReadDirectoryJob&>(job).entries();
  Napi::Array list = Napi::Array::New(info.Env(), entries.size() * 2);
  uint32_t index = 0;
  for (const ReadDirectoryJob::Entry& entry : entries) {
    list.Set(index++, entry.name);
    list.Set(index++, static_cast<double>(entry.kind));
  }
  return list;
}

// lock(fd, how), copy(from, to, length)
// ------------------------------------------------------------

MadeJob MakeLock(const Napi::CallbackInfo& info) {
  const std::optional<uint32_t> how = Unsigned(info, kFirst + 1);
  if (!how || *how > static_cast<uint32_t>(LockJob::How::kUnlock)) return Invalid();
  return Made<LockJob>(Fd(info.Env(), info[kFirst]), static_cast<LockJob::How>(*how));
}

MadeJob MakeCopy(const Napi::CallbackInfo& info) {
  const std::optional<int32_t> length = Integer<int32_t>(info.Env(), info[kFirst + 2]);
  if (!length || *length <= 0) return Invalid();
  return Made<CopyJob>(Fd(info.Env(), info[kFirst]), Fd(info.Env(), info[kFirst + 1]),
                       static_cast<size_t>(*length));
}

// readFile(path, flags, most, waits): [call, buffer, fd or -1]
// -------------------------------------

MadeJob MakeReadFile(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  const std::optional<int32_t> flags = Integer<int32_t>(info.Env(), info[kFirst + 1]);
  const std::optional<uint32_t> most = Unsigned(info, kFirst + 2);
  if (path.empty() || !flags || !most || *most == 0 || *most > kMostBytes) return Invalid();
  return Made<ReadFileJob>(std::move(path), *flags, *most, LaneAt(info, kFirst + 3));
}

napi_value ReadFileResult(const Napi::CallbackInfo& info, Job& job) {
  auto& read = static_cast<ReadFileJob&>(job);
  Napi::Array found = Napi::Array::New(info.Env(), 3);
  found.Set(0u, static_cast<double>(read.failed()));
  found.Set(
      1u, Napi::Value(info.Env(), BufferOf(info.Env(), read.bytes().data(), read.bytes().size())));
  found.Set(2u, Napi::Value(info.Env(), Kept(info, read.fd())));
  return found;
}

// writeFile(path, flags, mode, chunks, waits): [call]
// ----------------------------------------------

MadeJob MakeWriteFile(const Napi::CallbackInfo& info) {
  std::string path = Path(info, kFirst);
  const std::optional<int32_t> flags = Integer<int32_t>(info.Env(), info[kFirst + 1]);
  const std::optional<uint32_t> mode = Unsigned(info, kFirst + 2);
  std::optional<std::vector<uint8_t>> bytes = Gathered(info, kFirst + 3);
  if (path.empty() || !flags || !mode || !bytes) return Invalid();
  return Made<WriteFileJob>(std::move(path), *flags, static_cast<mode_t>(*mode), std::move(*bytes),
                            LaneAt(info, kFirst + 4));
}

napi_value WriteFileResult(const Napi::CallbackInfo& info, Job& job) {
  Napi::Array found = Napi::Array::New(info.Env(), 1);
  found.Set(0u, static_cast<double>(static_cast<WriteFileJob&>(job).failed()));
  return found;
}

// waitProcess(pid), 0 = any child
// ------------------------------------------------------------------

MadeJob MakeWaitProcess(const Napi::CallbackInfo& info) {
  const std::optional<int32_t> pid = Integer<int32_t>(info.Env(), info[kFirst]);
  if (!pid || *pid < 0) return Invalid();
  return Made<WaitProcessJob>(*pid);
}

double Milliseconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

}  // namespace

napi_value StatusInto(const Napi::CallbackInfo& info, const struct stat& status) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* memory = nullptr;
  if (napi_get_typedarray_info(info.Env(), info[2], &type, &length, &memory, nullptr, nullptr) !=
          napi_ok ||
      type != napi_float64_array || length < kFstatNumbers || memory == nullptr) {
    return info.Env().Undefined();
  }
  const double numbers[kFstatNumbers] = {
      static_cast<double>(status.st_dev),     static_cast<double>(status.st_mode),
      static_cast<double>(status.st_nlink),   static_cast<double>(status.st_uid),
      static_cast<double>(status.st_gid),     static_cast<double>(status.st_rdev),
      static_cast<double>(status.st_blksize), static_cast<double>(status.st_ino),
      static_cast<double>(status.st_size),    static_cast<double>(status.st_blocks),
      Milliseconds(status.st_atim),           Milliseconds(status.st_mtim),
      Milliseconds(status.st_ctim),
  };
  std::memcpy(memory, numbers, sizeof(numbers));
  return info[2];
}

const JobBinding kFileJobs[17] = {
    {MakeOpen, OpenResult},
    {MakeClose, nullptr},
    {MakeRead, ReadResult},
    {MakeWrite, nullptr},
    {MakeStat, StatResult},
    {MakeSync, nullptr},
    {MakeTruncate, nullptr},
    {MakeTruncatePath, nullptr},
    {MakeRename, nullptr},
    {MakeRemove, nullptr},
    {MakeMakeDirectory, nullptr},
    {MakeReadDirectory, ReadDirectoryResult},
    {MakeLock, nullptr},
    {MakeCopy, nullptr},
    {MakeReadFile, ReadFileResult},
    {MakeWriteFile, WriteFileResult},
    {MakeWaitProcess, nullptr},
};

}  // namespace coreactor

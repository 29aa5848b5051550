#include "unix_bindings.h"

#include "../core/fd_kind.h"
#include "../core/inherited_fd.h"
#include "../core/socket_file.h"
#include "../core/unix_message.h"
#include "binding.h"

namespace coreactor {
namespace {

struct Ints {
  int32_t* data;
  size_t length;
};

// The memory of an Int32Array. None for anything else. Valid until JavaScript runs again.
std::optional<Ints> IntsOf(napi_env env, napi_value value) {
  napi_typedarray_type type = napi_uint8_array;
  size_t length = 0;
  void* data = nullptr;
  if (value == nullptr) return {};
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    return {};
  }
  if (type != napi_int32_array || (data == nullptr && length > 0)) return {};
  return Ints{static_cast<int32_t*>(data), length};
}

template <size_t N>
std::optional<Bytes> PartAt(napi_env env, const Args<N>& args) {
  return Part(BytesOf(env, args.at(1)), args.template Integer<uint32_t>(2),
              args.template Integer<uint32_t>(3));
}

// sendMessage(fd, from, offset, length, fds, to): an Int32Array, and the bytes of an address or
// undefined
napi_value SendOne(napi_env env, napi_callback_info info) {
  Args<6> args(env, info);
  const std::optional<Bytes> from = PartAt(env, args);
  const std::optional<Ints> fds = IntsOf(env, args.at(4));
  if (!from || !fds) return Number(env, -EINVAL);
  if (IsUndefined(env, args.at(5))) {
    return Number(
        env, SendMessage(args.Fd(0), from->data, from->length, fds->data, fds->length, nullptr));
  }
  const std::optional<Bytes> to = BytesOf(env, args.at(5));
  if (!to) return Number(env, -EINVAL);
  const Result<Address> address = Address::FromBytes(to->data, to->length);
  if (!address.ok()) return Number(env, address.status().code());
  return Number(env, SendMessage(args.Fd(0), from->data, from->length, fds->data, fds->length,
                                 &address.value()));
}

// receiveMessage(fd, into, offset, length, about, from): see Kernel.receiveMessage
napi_value ReceiveOne(napi_env env, napi_callback_info info) {
  Args<6> args(env, info);
  const std::optional<Bytes> into = PartAt(env, args);
  const std::optional<Ints> about = IntsOf(env, args.at(4));
  const std::optional<Bytes> from = BytesOf(env, args.at(5));
  if (!into || !about || !from || about->length < kAboutFds) return Number(env, -EINVAL);
  const bool want_fds = about->length > kAboutFds;
  if (want_fds && about->length < kAboutFds + kMaxFdsOfMessage) return Number(env, -EINVAL);
  Message message;
  const ssize_t received = ReceiveMessage(args.Fd(0), into->data, into->length, want_fds, &message);
  if (received < 0) return Number(env, received);
  const Address& sender = message.from;
  const size_t length = sender.length() <= from->length ? sender.length() : 0;
  if (length > 0) std::memcpy(from->data, sender.get(), length);
  about->data[kAboutFlags] = message.flags;
  about->data[kAboutAddress] = static_cast<int32_t>(length);
  about->data[kAboutFdCount] = static_cast<int32_t>(message.fd_count);
  for (size_t i = 0; i < message.fd_count; i++) {
    LedgerOf(env).Opened(message.fds[i]);
    about->data[kAboutFds + i] = message.fds[i];
  }
  return Number(env, received);
}

template <int (*Apply)(int)>
napi_value WithFd(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  return Number(env, Apply(args.Fd(0)));
}

// { pid, uid, gid }, or -errno
napi_value CredentialsOf(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const Result<Credentials> peer = PeerCredentials(args.Fd(0));
  if (!peer.ok()) return Number(env, peer.status().code());
  Napi::Object object = Napi::Object::New(env);
  object.Set("pid", static_cast<double>(peer.value().pid));
  object.Set("uid", static_cast<double>(peer.value().uid));
  object.Set("gid", static_cast<double>(peer.value().gid));
  return object;
}

const char* NameOf(FdKind::Is is) {
  switch (is) {
    case FdKind::Is::kFile:
      return "file";
    case FdKind::Is::kDirectory:
      return "directory";
    case FdKind::Is::kPipe:
      return "pipe";
    case FdKind::Is::kCharacterDevice:
      return "character device";
    case FdKind::Is::kBlockDevice:
      return "block device";
    case FdKind::Is::kSocket:
      return "socket";
    case FdKind::Is::kOther:
      return "other";
  }
  return "other";
}

Napi::Value FamilyName(napi_env env, int family) {
  if (family == AF_INET) return Napi::String::New(env, "IPv4");
  if (family == AF_INET6) return Napi::String::New(env, "IPv6");
  if (family == AF_UNIX) return Napi::String::New(env, "Unix");
  return Napi::Number::New(env, family);
}

Napi::Value TypeName(napi_env env, int type) {
  if (type == SOCK_STREAM) return Napi::String::New(env, "stream");
  if (type == SOCK_DGRAM) return Napi::String::New(env, "datagram");
  if (type == SOCK_SEQPACKET) return Napi::String::New(env, "seqpacket");
  if (type == SOCK_RAW) return Napi::String::New(env, "raw");
  return Napi::Number::New(env, type);
}

// { is }, of a socket { is, family, type, accepts, connected }, or -errno
napi_value Describe(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  FdKind kind;
  const int result = KindOf(args.Fd(0), &kind);
  if (result < 0) return Number(env, result);
  Napi::Object object = Napi::Object::New(env);
  object.Set("is", NameOf(kind.is));
  if (kind.is != FdKind::Is::kSocket) return object;
  object.Set("family", FamilyName(env, kind.family));
  object.Set("type", TypeName(env, kind.type));
  object.Set("accepts", kind.accepts);
  object.Set("connected", kind.connected);
  return object;
}

// setMode(fd, mode)
napi_value SetModeOfFd(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  const std::optional<uint32_t> mode = args.Integer<uint32_t>(1);
  return Number(env, mode ? SetModeBeforeBind(args.Fd(0), static_cast<mode_t>(*mode)) : -EINVAL);
}

// socketFile(path): { identity, mode, isSocket, isOwn }, or -errno
napi_value LookAtFile(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const Result<SocketFile> looked = LookAt(args.Text(0).c_str());
  if (!looked.ok()) return Number(env, looked.status().code());
  const SocketFile& file = looked.value();
  Napi::Object object = Napi::Object::New(env);
  object.Set("identity", file.identity);
  object.Set("mode", static_cast<uint32_t>(file.mode));
  object.Set("isSocket", file.is_socket);
  object.Set("isOwn", file.is_own);
  return object;
}

// setFileMode(path, identity, mode)
napi_value SetModeOfFile(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<uint32_t> mode = args.Integer<uint32_t>(2);
  if (!mode) return Number(env, -EINVAL);
  return Number(env, SetModeOf(args.Text(0).c_str(), args.Text(1), static_cast<mode_t>(*mode)));
}

napi_value Lock(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const int fd = LockDirectory(args.Text(0).c_str());
  if (fd >= 0) LedgerOf(env).Opened(fd);
  return Number(env, fd);
}

napi_value UnlinkFile(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  return Number(env, Unlink(args.Text(0).c_str()));
}

// From here on the fd is the caller's, and outlives this environment.
napi_value LetGo(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  LedgerOf(env).LetGo(args.Fd(0));
  return Number(env, 0);
}

}  // namespace

void DefineUnixFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "sendMessage", SendOne);
  Define(env, exports, "receiveMessage", ReceiveOne);
  Define(env, exports, "markMessages", WithFd<MarkMessages>);
  Define(env, exports, "peerCredentials", CredentialsOf);
  Define(env, exports, "describeFd", Describe);
  Define(env, exports, "setNonBlocking", WithFd<SetNonBlocking>);
  Define(env, exports, "letGo", LetGo);
  Define(env, exports, "setMode", SetModeOfFd);
  Define(env, exports, "socketFile", LookAtFile);
  Define(env, exports, "setFileMode", SetModeOfFile);
  Define(env, exports, "lockDirectory", Lock);
  Define(env, exports, "unlink", UnlinkFile);
}

}  // namespace coreactor

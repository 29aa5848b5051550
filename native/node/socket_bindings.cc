// Plain Node-API: these are the calls of every read and write, and a CallbackInfo object costs half
// as much again.
#include "socket_bindings.h"

#include <sys/random.h>
#include <unistd.h>

#include "../core/clock.h"
#include "../core/socket.h"
#include "binding.h"

namespace coreactor {
namespace {

napi_value Now(napi_env env, napi_callback_info) {
  napi_value now = nullptr;
  napi_create_double(env, static_cast<double>(MonotonicNanoseconds()) / 1e6, &now);
  return now;
}

napi_value Entropy(napi_env env, napi_callback_info) {
  uint32_t drawn = 0;
  // Fails only for more than 256 bytes.
  if (getentropy(&drawn, sizeof(drawn)) != 0) drawn = 0;
  napi_value value = nullptr;
  napi_create_uint32(env, drawn, &value);
  return value;
}

// An fd that was opened, or -errno.
napi_value Opened(napi_env env, int fd) {
  if (fd >= 0) LedgerOf(env).Opened(fd);
  return Number(env, fd);
}

struct Named {
  const char* name;
  int number;
};

// The number of a name, or the number itself; -1 for neither.
template <size_t N>
int NumberOf(const Args<3>& args, size_t i, const Named (&table)[N]) {
  const std::string name = args.Text(i);
  for (const Named& each : table) {
    if (name == each.name) return each.number;
  }
  return args.Integer<int32_t>(i).value_or(-1);
}

// socket(family, type, protocol): names, or numbers of this system.
napi_value OpenAnySocket(napi_env env, napi_callback_info info) {
  constexpr Named kFamilies[] = {{"IPv4", AF_INET}, {"IPv6", AF_INET6}, {"Unix", AF_UNIX}};
  constexpr Named kTypes[] = {{"stream", SOCK_STREAM},
                              {"datagram", SOCK_DGRAM},
                              {"seqpacket", SOCK_SEQPACKET},
                              {"raw", SOCK_RAW}};
  Args<3> args(env, info);
  const int family = NumberOf(args, 0, kFamilies);
  if (family < 0) return Number(env, -EAFNOSUPPORT);
  const int type = IsUndefined(env, args.at(1)) ? SOCK_STREAM : NumberOf(args, 1, kTypes);
  // Types are small numbers; the flags that may stand above them are not the caller's to choose.
  if (type < 0 || type > 0xf) return Number(env, -EINVAL);
  return Opened(env, OpenSocket(family, type, args.Integer<int32_t>(2).value_or(0)));
}

// The bytes of a socket address as its argument 1, or a numeric address and the port as 1 and 2.
Result<Address> AddressAt(napi_env env, const Args<3>& args) {
  const std::optional<Bytes> bytes = BytesOf(env, args.at(1));
  if (bytes) return Address::FromBytes(bytes->data, bytes->length);
  const std::optional<uint16_t> port = args.Integer<uint16_t>(2);
  if (!port) return Status::Errno(EINVAL);
  return Address::Parse(args.Text(1).c_str(), *port);
}

// bind and connect
template <int (*Apply)(int, const Address&)>
napi_value WithAddress(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const Result<Address> address = AddressAt(env, args);
  return Number(env, address.ok() ? Apply(args.Fd(0), address.value()) : address.status().code());
}

// { family, address, port }, { family: 'Unix', path }, or -errno
napi_value Described(napi_env env, const Result<Address>& asked) {
  if (!asked.ok()) return Number(env, asked.status().code());
  const Address& address = asked.value();
  const int family = address.family();
  Napi::Object object = Napi::Object::New(env);
  if (family == AF_INET || family == AF_INET6) {
    object.Set("family", family == AF_INET ? "IPv4" : "IPv6");
    object.Set("address", address.text());
    object.Set("port", static_cast<uint32_t>(address.port()));
  } else if (family == AF_UNIX) {
    object.Set("family", "Unix");
    object.Set("path", address.path());
  } else {
    return Number(env, -EAFNOSUPPORT);
  }
  return object;
}

template <Result<Address> (*Ask)(int)>
napi_value AddressOf(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  return Described(env, Ask(args.Fd(0)));
}

// encodeAddress(path bytes) or (address, port): the bytes of the socket address, or -errno
napi_value EncodeAddress(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<Bytes> path = BytesOf(env, args.at(0));
  const std::optional<uint16_t> port = args.Integer<uint16_t>(1);
  Result<Address> address = Status::Errno(EINVAL);
  if (path) {
    address = Address::Unix(reinterpret_cast<const char*>(path->data), path->length);
  } else if (port) {
    address = Address::Parse(args.Text(0).c_str(), *port);
  }
  if (!address.ok()) return Number(env, address.status().code());
  const Address& encoded = address.value();
  return Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t*>(encoded.get()),
                                     encoded.length());
}

// decodeAddress(bytes, offset, length)
napi_value DecodeAddress(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<Bytes> bytes =
      Part(BytesOf(env, args.at(0)), args.Integer<uint32_t>(1), args.Integer<uint32_t>(2));
  if (!bytes) return Number(env, -EINVAL);
  return Described(env, Address::FromBytes(bytes->data, bytes->length));
}

napi_value ListenOn(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  const std::optional<int32_t> backlog = args.Integer<int32_t>(1);
  return Number(env, backlog ? Listen(args.Fd(0), *backlog) : -EINVAL);
}

napi_value AcceptFrom(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  return Opened(env, Accept(args.Fd(0)));
}

// The option of that number; none if there is no such option.
std::optional<SocketOption> OptionAt(std::optional<int32_t> number) {
  if (!number || *number < 0 || *number >= kSocketOptions) return {};
  return static_cast<SocketOption>(*number);
}

napi_value SetSocketOption(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<SocketOption> option = OptionAt(args.Integer<int32_t>(1));
  const std::optional<int32_t> value = args.Integer<int32_t>(2);
  if (!option || !value) return Number(env, -EINVAL);
  return Number(env, SetOption(args.Fd(0), *option, *value));
}

napi_value GetSocketOption(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  const std::optional<SocketOption> option = OptionAt(args.Integer<int32_t>(1));
  return Number(env, option ? GetOption(args.Fd(0), *option) : -EINVAL);
}

napi_value ReceiveInto(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<Bytes> into = PartOf(env, args);
  // Into no bytes, 0 would say that the peer has finished.
  if (!into || into->length == 0) return Number(env, -EINVAL);
  return Number(env, Receive(args.Fd(0), into->data, into->length));
}

napi_value SendFrom(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<Bytes> from = PartOf(env, args);
  return Number(env, from ? Send(args.Fd(0), from->data, from->length) : -EINVAL);
}

napi_value ShutdownSocket(napi_env env, napi_callback_info info) {
  Args<2> args(env, info);
  const int32_t how = args.Integer<int32_t>(1).value_or(-1);
  if (how != kShutRead && how != kShutWrite) return Number(env, -EINVAL);
  return Number(env, Shutdown(args.Fd(0), how));
}

napi_value CloseFd(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const int fd = args.Fd(0);
  LedgerOf(env).LetGo(fd);
  return Number(env, Close(fd));
}

}  // namespace

void DefineSocketFunctions(Napi::Env env, Napi::Object exports) {
  const napi_finalize close_all = [](napi_env, void* ledger, void*) {
    delete static_cast<FdLedger*>(ledger);
  };
  napi_set_instance_data(env, new FdLedger, close_all, nullptr);
  Define(env, exports, "now", Now);
  Define(env, exports, "entropy", Entropy);
  Define(env, exports, "socket", OpenAnySocket);
  Define(env, exports, "bind", WithAddress<Bind>);
  Define(env, exports, "listen", ListenOn);
  Define(env, exports, "connect", WithAddress<Connect>);
  Define(env, exports, "accept", AcceptFrom);
  Define(env, exports, "encodeAddress", EncodeAddress);
  Define(env, exports, "decodeAddress", DecodeAddress);
  Define(env, exports, "localAddress", AddressOf<LocalAddress>);
  Define(env, exports, "remoteAddress", AddressOf<RemoteAddress>);
  Define(env, exports, "setOption", SetSocketOption);
  Define(env, exports, "getOption", GetSocketOption);
  Define(env, exports, "receive", ReceiveInto);
  Define(env, exports, "send", SendFrom);
  Define(env, exports, "sendVector", WithChunks<SendVector>);
  Define(env, exports, "shutdown", ShutdownSocket);
  Define(env, exports, "closeFd", CloseFd);
}

}  // namespace coreactor

#include "datagram_bindings.h"

#include <net/if.h>

#include "../core/datagram.h"
#include "binding.h"

namespace coreactor {
namespace {

// call(fd, records, data, size, first, count): the records [first, first + count) and their data.
template <int (*Call)(int, const DatagramBatch&)>
napi_value WithBatch(napi_env env, napi_callback_info info) {
  Args<6> args(env, info);
  const std::optional<Bytes> records = BytesOf(env, args.at(1));
  const std::optional<Bytes> data = BytesOf(env, args.at(2));
  const std::optional<uint32_t> size = args.Integer<uint32_t>(3);
  const std::optional<uint32_t> first = args.Integer<uint32_t>(4);
  const std::optional<uint32_t> count = args.Integer<uint32_t>(5);
  if (!records || !data || !size || !first || !count || *count == 0) return Number(env, -EINVAL);
  if (reinterpret_cast<uintptr_t>(records->data) % alignof(DatagramRecord) != 0) {
    return Number(env, -EINVAL);
  }
  const uint64_t end = uint64_t{*first} + *count;
  if (end > records->length / sizeof(DatagramRecord) || end * *size > data->length) {
    return Number(env, -EINVAL);
  }
  const DatagramBatch batch{reinterpret_cast<DatagramRecord*>(records->data) + *first,
                            data->data + size_t{*first} * *size, *size, *count};
  return Number(env, Call(args.Fd(0), batch));
}

napi_value SetAnyDatagramOption(napi_env env, napi_callback_info info) {
  Args<3> args(env, info);
  const std::optional<int32_t> option = args.Integer<int32_t>(1);
  const std::optional<int32_t> value = args.Integer<int32_t>(2);
  if (!option || *option < 0 || *option >= kDatagramOptions || !value) return Number(env, -EINVAL);
  return Number(env, SetDatagramOption(args.Fd(0), static_cast<DatagramOption>(*option), *value));
}

// setMembership(fd, member, group, interface, source)
napi_value SetGroupMembership(napi_env env, napi_callback_info info) {
  Args<5> args(env, info);
  const std::optional<uint32_t> member = args.Integer<uint32_t>(1);
  const std::optional<Bytes> group = BytesOf(env, args.at(2));
  const std::optional<uint32_t> interface = args.Integer<uint32_t>(3);
  const std::optional<Bytes> source = BytesOf(env, args.at(4));
  if (!member || !group || !interface || (!source && !IsUndefined(env, args.at(4)))) {
    return Number(env, -EINVAL);
  }
  const Result<Address> where = Address::FromBytes(group->data, group->length);
  if (!where.ok()) return Number(env, where.status().code());
  Result<Address> from = Status::Errno(EINVAL);
  if (source) {
    from = Address::FromBytes(source->data, source->length);
    if (!from.ok()) return Number(env, from.status().code());
  }
  return Number(env, SetMembership(args.Fd(0), *member != 0, where.value(), *interface,
                                   source ? &from.value() : nullptr));
}

// interfaceIndex(name)
napi_value InterfaceIndex(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  const uint32_t index = if_nametoindex(args.Text(0).c_str());
  return Number(env, index == 0 ? -ENODEV : static_cast<int64_t>(index));
}

}  // namespace

void DefineDatagramFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "receiveDatagrams", WithBatch<ReceiveDatagrams>);
  Define(env, exports, "receiveDatagramError", WithBatch<ReceiveDatagramError>);
  Define(env, exports, "sendDatagrams", WithBatch<SendDatagrams>);
  Define(env, exports, "setDatagramOption", SetAnyDatagramOption);
  Define(env, exports, "setMembership", SetGroupMembership);
  Define(env, exports, "interfaceIndex", InterfaceIndex);
}

}  // namespace coreactor

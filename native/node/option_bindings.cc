#include "option_bindings.h"

#include "../core/socket_options.h"
#include "binding.h"

namespace coreactor {
namespace {

// setRawOption(fd, level, number, bytes)
napi_value SetRaw(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<int32_t> level = args.Integer<int32_t>(1);
  const std::optional<int32_t> number = args.Integer<int32_t>(2);
  const std::optional<Bytes> value = BytesOf(env, args.at(3));
  if (!level || !number || !value) return Number(env, -EINVAL);
  return Number(env, SetRawOption(args.Fd(0), *level, *number, value->data, value->length));
}

// getRawOption(fd, level, number, into): how many bytes it has
napi_value GetRaw(napi_env env, napi_callback_info info) {
  Args<4> args(env, info);
  const std::optional<int32_t> level = args.Integer<int32_t>(1);
  const std::optional<int32_t> number = args.Integer<int32_t>(2);
  const std::optional<Bytes> into = BytesOf(env, args.at(3));
  if (!level || !number || !into) return Number(env, -EINVAL);
  return Number(env, GetRawOption(args.Fd(0), *level, *number, into->data, into->length));
}

// { SO_RCVBUF: { level, name } … }
Napi::Object NamedOptions(Napi::Env env) {
  Napi::Object table = Napi::Object::New(env);
  for (size_t i = 0; i < kNamedOptionCount; i++) {
    const NamedOption& option = kNamedOptions[i];
    Napi::Object numbers = Napi::Object::New(env);
    numbers.Set("level", option.level);
    numbers.Set("name", option.number);
    table.Set(option.name, numbers);
  }
  return table;
}

Napi::Array TcpStates(Napi::Env env) {
  Napi::Array states = Napi::Array::New(env, kTcpStateCount);
  for (size_t i = 0; i < kTcpStateCount; i++) states.Set(static_cast<uint32_t>(i), kTcpStates[i]);
  return states;
}

// [{ name, offset, bytes, firstBit, bits } …]
Napi::Array TcpInfoFields(Napi::Env env) {
  Napi::Array fields = Napi::Array::New(env, kTcpInfoFieldCount);
  for (size_t i = 0; i < kTcpInfoFieldCount; i++) {
    const TcpInfoField& each = kTcpInfoFields[i];
    Napi::Object field = Napi::Object::New(env);
    field.Set("name", each.name);
    field.Set("offset", static_cast<double>(each.offset));
    field.Set("bytes", static_cast<double>(each.bytes));
    field.Set("firstBit", each.first_bit);
    field.Set("bits", each.bits);
    fields.Set(static_cast<uint32_t>(i), field);
  }
  return fields;
}

// optionTables(): asked for once, by whoever is the first to name an option
napi_value Tables(napi_env env, napi_callback_info) {
  Napi::Object tables = Napi::Object::New(env);
  tables.Set("options", NamedOptions(env));
  tables.Set("tcpStates", TcpStates(env));
  tables.Set("tcpInfo", TcpInfoFields(env));
  return tables;
}

}  // namespace

void DefineOptionFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "setRawOption", SetRaw);
  Define(env, exports, "getRawOption", GetRaw);
  Define(env, exports, "optionTables", Tables);
}

}  // namespace coreactor

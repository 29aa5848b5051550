#include "inherited_fd_bindings.h"

#include "../core/inherited_fd.h"
#include "binding.h"

namespace coreactor {
namespace {

napi_value CloseOnExec(napi_env env, napi_callback_info info) {
  Args<1> args(env, info);
  return Number(env, SetCloseOnExec(args.Fd(0)));
}

}  // namespace

void DefineInheritedFdFunctions(Napi::Env env, Napi::Object exports) {
  Define(env, exports, "closeOnExec", CloseOnExec);
}

}  // namespace coreactor

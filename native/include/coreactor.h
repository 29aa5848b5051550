/*
 * coreactor.h: the way into coreactor for native addons of others. Plain C (C99, C++17 as well), no
 * library to link: an addon is handed a table of functions at run time.
 *
 *   A blocking call of yours becomes an operation of coreactor's: it is made by a thread of
 * coreactor's pool, a coroutine waits for its result, and it can be cancelled, timed out and
 * limited like any other.
 *
 *     1. In JavaScript:  addon.start(nativeApi())            import { blocking, nativeApi } from
 * 'coreactor'
 *     2. In your addon:  api = coreactor_api_from(env, argument), kept in a static variable or in
 * instance data. The table is the same for all threads of the process, and is there for as long as
 * that.
 *     3. In your addon:  api->create_job(env, &job, &token), from a function that gives the token
 * to JavaScript.
 *     4. In JavaScript:  const result = yield* blocking.native(token)
 *
 *   A descriptor of yours that poll(2) can wait for needs nothing of this: give its number to
 * JavaScript, and there `yield* fd(number).readable()`, `.read(into)` and so on wait for it. With
 * `fd(number, { own: true })` coreactor closes it, also when the worker ends that it was given in.
 * It should be close-on-exec and non-blocking.
 *
 * Which thread calls what
 *
 *   create_job, result   the thread of `env`.
 *   cancel               the thread of the environment that the operation runs in, while `run` may
 * be running. run                  a thread of the pool, which has a stack of 512 KiB and all
 * signals blocked. Neither Node-API nor the memory of JavaScript is to be touched there: an
 * ArrayBuffer may be transferred or freed at any moment, so copy what you need in create_job's
 * caller. dispose              any thread. Node-API is not to be used.
 *
 *   `run` may outlive its environment: a worker can be terminated while it runs. Nobody is told of
 * its result then, and `dispose` is called in the pool's thread. coreactor keeps your addon's code
 * in memory from the first job on, although Node unloads an addon with the last environment that
 * has loaded it.
 *
 * Who owns what
 *
 *   `data` is the job's from a create_job that has succeeded until `dispose`, which is called
 * exactly once, whatever happens: when `result` has been called, when `run` has failed, when the
 * job was cancelled before it was begun (`run` is not called then), when whoever waited has let go
 * of it, when the token is garbage that nobody has driven, when the worker ends. An fd or memory
 * that `run` has put into `data`, and `result` has not handed on, is freed there.
 */
#ifndef COREACTOR_H_
#define COREACTOR_H_

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when something here changes its meaning. What is only added makes the structures longer:
 * see their `size`. */
#define COREACTOR_API_VERSION 1u

/* For coreactor_job.lane: each has a limit of its own for how many of its jobs run at a time. */
enum {
  /* Ends by itself: it computes, or waits for a disk. */
  COREACTOR_LANE_ORDINARY = 0,
  /* May hang for as long as others do: a network, a device, another process. It does not keep the
     first kind waiting. */
  COREACTOR_LANE_WAITING = 1
};

/* What a job is. Copied by create_job; only `data` and the functions stay yours to keep. */
typedef struct coreactor_job {
  /* sizeof(coreactor_job) */
  size_t size;
  /* What it is called in errors, as their `syscall`. UTF-8; copied. */
  const char* name;
  /* Given to each of the functions. */
  void* data;
  /*
   * The blocking call. >= 0, or a negative errno: the operation fails with a system error then.
   * -ECANCELED, after `cancel`: it fails with what cancellation fails with.
   */
  int32_t (*run)(void* data);
  /*
   * What the operation gives, when `run` has returned >= 0. NULL with an exception pending: it
   * fails with that. May be a null pointer: then the operation gives the number that `run` has
   * returned.
   */
  napi_value (*result)(napi_env env, void* data, int32_t returned);
  /*
   * The operation was cancelled while `run` is running, or its environment ends. For `run` to come
   * back soon, by a flag or a descriptor that it looks at; it is waited for in any case, unless
   * JavaScript has said `{ abandon: true }`. May be called more than once, and when `run` has just
   * returned. May be a null pointer.
   */
  void (*cancel)(void* data);
  /* Frees `data`. May be a null pointer. */
  void (*dispose)(void* data);
  /* COREACTOR_LANE_... */
  uint32_t lane;
} coreactor_job;

/* What an addon is handed. Never changes, and is never freed. */
typedef struct coreactor_api {
  /* How long the library's own table is: what lies behind that, it does not have. */
  size_t size;
  /* The library's COREACTOR_API_VERSION. */
  uint32_t version;
  /*
   * Makes a job, and what stands for it in JavaScript: an object to give to `blocking.native`,
   * once. Not begun until that operation is driven. napi_ok; or anything else, with an exception
   * pending, and `data` is still yours: ERR_COREACTOR_NATIVE_API for a structure of another size
   * than the library knows, ERR_INVALID_ARG_VALUE for one without `run`, without a name, or with a
   * lane that there is not.
   */
  napi_status (*create_job)(napi_env env, const coreactor_job* job, napi_value* token);
} coreactor_api;

/* Says that a value is a table, whichever version. */
static const napi_type_tag coreactor_api_tag = {0x6f2c1e0d6a8b4c57ULL, 0x9b3f5d7e21a4c680ULL};

/*
 * The table that `nativeApi()` has given. NULL, with an exception pending,
 * ERR_COREACTOR_NATIVE_API: the value is none, or of a library that this header does not fit.
 */
static inline const coreactor_api* coreactor_api_from(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  bool tagged = false;
  void* table = NULL;
  const coreactor_api* api;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external ||
      napi_check_object_type_tag(env, value, &coreactor_api_tag, &tagged) != napi_ok || !tagged ||
      napi_get_value_external(env, value, &table) != napi_ok || table == NULL) {
    napi_throw_type_error(env, "ERR_COREACTOR_NATIVE_API",
                          "this is not what nativeApi() of coreactor gives");
    return NULL;
  }
  api = (const coreactor_api*)table;
  if (api->version != COREACTOR_API_VERSION || api->size < sizeof(coreactor_api)) {
    napi_throw_error(
        env, "ERR_COREACTOR_NATIVE_API",
        api->version == COREACTOR_API_VERSION
            ? "this addon needs a newer coreactor: the table of functions is shorter than that of "
              "its coreactor.h"
            : "this addon was built for another version of coreactor's native interface: build it "
              "with the coreactor.h of the library that is installed");
    return NULL;
  }
  return api;
}

#ifdef __cplusplus
}
#endif

#endif /* COREACTOR_H_ */

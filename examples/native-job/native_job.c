/*
 * An addon with a blocking call of its own, which threads of coreactor make, and with a descriptor of its own, for which a
 * coroutine waits. See ../native-job.ts for the other half.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <coreactor.h>

/* The same for every thread of the process. */
static const coreactor_api* api;

static napi_value start(napi_env env, napi_callback_info info) {
  napi_value argument = NULL;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  api = coreactor_api_from(env, argument);
  return NULL;
}

/* fingerprint(bytes, rounds): a job; its result is 16 hexadecimal digits --------------------------------------------- */

struct fingerprint {
  uint8_t* bytes;
  size_t length;
  uint32_t rounds;
  uint64_t hash;
  atomic_bool cancelled;
};

/* FNV-1a. In a thread of the pool. */
static int32_t run_fingerprint(void* data) {
  struct fingerprint* job = data;
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint32_t round = 0; round < job->rounds; round++) {
    if (atomic_load(&job->cancelled)) return -ECANCELED;
    for (size_t i = 0; i < job->length; i++) hash = (hash ^ job->bytes[i]) * 0x100000001b3u;
  }
  job->hash = hash;
  return 0;
}

static void cancel_fingerprint(void* data) {
  struct fingerprint* job = data;
  atomic_store(&job->cancelled, true);
}

/* In the thread that waits. */
static napi_value result_of_fingerprint(napi_env env, void* data, int32_t returned) {
  const struct fingerprint* job = data;
  char digits[16];
  napi_value text = NULL;
  (void)returned;
  for (int i = 0; i < 16; i++) digits[i] = "0123456789abcdef"[(job->hash >> (60 - 4 * i)) & 15];
  napi_create_string_latin1(env, digits, sizeof(digits), &text);
  return text;
}

static void dispose_fingerprint(void* data) {
  struct fingerprint* job = data;
  free(job->bytes);
  free(job);
}

static napi_value fingerprint(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  napi_value token = NULL;
  size_t count = 2;
  void* bytes = NULL;
  size_t length = 0;
  struct fingerprint* data;
  coreactor_job job = {sizeof(coreactor_job),  "fingerprint",      NULL,
                       run_fingerprint,        result_of_fingerprint, cancel_fingerprint,
                       dispose_fingerprint,    COREACTOR_LANE_ORDINARY};

  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  data = calloc(1, sizeof(*data));
  if (api == NULL || data == NULL || napi_get_value_uint32(env, arguments[1], &data->rounds) != napi_ok ||
      napi_get_buffer_info(env, arguments[0], &bytes, &length) != napi_ok) {
    free(data);
    napi_throw_type_error(env, NULL, "fingerprint(bytes, rounds), after start(nativeApi())");
    return NULL;
  }
  /* A copy: JavaScript may transfer the memory away while the thread reads it. */
  data->bytes = malloc(length == 0 ? 1 : length);
  if (data->bytes != NULL) memcpy(data->bytes, bytes, length);
  data->length = data->bytes == NULL ? 0 : length;
  job.data = data;
  /* An exception is pending if it fails, and the data is still ours. */
  if (api->create_job(env, &job, &token) != napi_ok) dispose_fingerprint(data);
  return token;
}

/* ticker(milliseconds, count): a descriptor on which a byte comes so many times, and then the end ---------------------- */

struct ticker {
  int fd;
  uint32_t milliseconds;
  uint32_t count;
};

static void* tick(void* data) {
  struct ticker* ticker = data;
  const struct timespec pause = {ticker->milliseconds / 1000, (long)(ticker->milliseconds % 1000) * 1000000};
  for (uint32_t i = 0; i < ticker->count; i++) {
    nanosleep(&pause, NULL);
    if (write(ticker->fd, ".", 1) != 1) break;
  }
  close(ticker->fd);
  free(ticker);
  return NULL;
}

static napi_value ticker(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  napi_value fd = NULL;
  size_t count = 2;
  int ends[2] = {-1, -1};
  pthread_t thread;
  sigset_t all, before;
  int started;
  struct ticker* data = calloc(1, sizeof(*data));

  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  if (data == NULL || napi_get_value_uint32(env, arguments[0], &data->milliseconds) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &data->count) != napi_ok || pipe(ends) != 0) {
    free(data);
    napi_throw_error(env, NULL, "ticker(milliseconds, count)");
    return NULL;
  }
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  data->fd = ends[1];
  /* Signals are Node's business; and whoever stops listening makes a write fail, no more. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  started = pthread_create(&thread, NULL, tick, data);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started != 0) {
    close(ends[0]);
    close(ends[1]);
    free(data);
    napi_throw_error(env, NULL, "there is no thread to be had");
    return NULL;
  }
  pthread_detach(thread);
  napi_create_int32(env, ends[0], &fd);
  return fd;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"start", NULL, start, NULL, NULL, NULL, napi_default, NULL},
      {"fingerprint", NULL, fingerprint, NULL, NULL, NULL, napi_default, NULL},
      {"ticker", NULL, ticker, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
  return exports;
}

// kqueue(2) for Linux, as far as native/core/poller_kqueue.cc needs it: for tests only, see
// ../kqueue.cc. Names, numbers and layout are those of macOS (bsd/sys/event.h of xnu); those of
// FreeBSD are checked by the cross compiler.
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)
#define EVFILT_USER (-10)
#define EVFILT_EXCEPT (-15)

#pragma pack(4)
struct kevent {
  uintptr_t ident;
  int16_t filter;
  uint16_t flags;
  uint32_t fflags;
  intptr_t data;
  void* udata;
};
#pragma pack()
static_assert(sizeof(struct kevent) == 32, "as in kqueue_macos.cc");

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define NOTE_TRIGGER 0x01000000
#define NOTE_LOWAT 0x00000001
#define NOTE_OOB 0x00000002
#define NOTE_NSECONDS 0x00000004
#define NOTE_CRITICAL 0x00000020

#define EV_SET(where, a, b, c, d, e, f) \
  do {                                  \
    struct kevent* set_ = (where);      \
    set_->ident = (a);                  \
    set_->filter = (b);                 \
    set_->flags = (c);                  \
    set_->fflags = (d);                 \
    set_->data = (e);                   \
    set_->udata = (f);                  \
  } while (0)

extern "C" {
int kqueue(void);
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout);
}

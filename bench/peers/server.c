/* The C peer: what a hand-written epoll server costs. `server echo` sends back what it receives; `server ping` answers
 * each complete RESP command in a buffer with +PONG, all answers of one read with one send; `server close` closes what it
 * accepts, `server first` when the first byte has come; `server udp` sends back each datagram that it receives, by recvmmsg
 * and sendmmsg.
 *
 * Edge-triggered, registered once, a short read spares the call that would say EAGAIN: the cheapest of the plain designs
 * (level-triggered measured the same: both make two calls a message). Prints its port, answers "cpu" on stdin with its
 * getrusage, ends when stdin does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS 1024
#define BUFFER 65536
#define BATCH 32
#define PLACE 2048

/* What is left of a command that has not arrived whole. */
struct connection {
  int fd;
  size_t held;
  char partial[512];
};

static int queue, listener, ping_mode, close_mode, first_mode;
static char input[BUFFER], output[BUFFER];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) continue; /* The load never has more in flight than a socket buffer holds. */
    if (sent < 0) return;
    bytes += sent;
    length -= (size_t)sent;
  }
}

/* The length of the command at the front, 0 if it is not whole, -1 if it is none. */
static long command_length(const char *at, size_t length) {
  if (length < 4) return 0;
  if (at[0] != '*') return -1;
  const char *end = at + length;
  char *next;
  long count = strtol(at + 1, &next, 10);
  const char *p = next + 2;
  for (long i = 0; i < count; i++) {
    if (p + 1 >= end) return 0;
    if (*p != '$') return -1;
    long size = strtol(p + 1, &next, 10);
    p = next + 2 + size + 2;
    if (p > end) return 0;
  }
  return p - at;
}

static size_t answer(const char *at, size_t length, size_t *used) {
  size_t out = 0;
  *used = 0;
  for (;;) {
    long size = command_length(at + *used, length - *used);
    if (size <= 0) return out;
    *used += (size_t)size;
    memcpy(output + out, "+PONG\r\n", 7);
    out += 7;
  }
}

static void on_readable(struct connection *c) {
  for (;;) {
    size_t room = sizeof(input) - c->held;
    if (c->held > 0) memcpy(input, c->partial, c->held);
    ssize_t got = recv(c->fd, input + c->held, room, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || first_mode) {
      close(c->fd);
      free(c);
      return;
    }
    size_t length = c->held + (size_t)got;
    if (ping_mode) {
      size_t used;
      size_t out = answer(input, length, &used);
      c->held = length - used;
      if (c->held > sizeof(c->partial)) exit(2);
      memcpy(c->partial, input + used, c->held);
      send_all(c->fd, output, out);
    } else {
      send_all(c->fd, input, length);
    }
    if ((size_t)got < room) return;
  }
}

static void on_connection(void) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (close_mode) {
      close(fd);
      continue;
    }
    struct connection *c = calloc(1, sizeof(*c));
    c->fd = fd;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
  }
}

static void on_datagrams(void) {
  static struct mmsghdr headers[BATCH];
  static struct iovec parts[BATCH];
  static struct sockaddr_storage names[BATCH];
  static char places[BATCH][PLACE];
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      parts[i] = (struct iovec){places[i], PLACE};
      headers[i].msg_hdr =
          (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof(names[i]), .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(listener, headers, BATCH, 0, NULL);
    if (got <= 0) return;
    for (int i = 0; i < got; i++) parts[i].iov_len = headers[i].msg_len;
    for (int sent = 0; sent < got;) {
      int result = sendmmsg(listener, headers + sent, (unsigned)(got - sent), 0);
      if (result < 0 && errno != EAGAIN) die("sendmmsg");
      if (result > 0) sent += result;
    }
    if (got < BATCH) return;
  }
}

static void on_control(void) {
  char line[64];
  ssize_t got = read(0, line, sizeof(line));
  if (got <= 0) exit(0);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"user\":%ld,\"system\":%ld}\n", usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec,
         usage.ru_stime.tv_sec * 1000000L + usage.ru_stime.tv_usec);
  fflush(stdout);
}

int main(int argc, char **argv) {
  ping_mode = argc > 1 && strcmp(argv[1], "ping") == 0;
  close_mode = argc > 1 && strcmp(argv[1], "close") == 0;
  first_mode = argc > 1 && strcmp(argv[1], "first") == 0;
  const int udp_mode = argc > 1 && strcmp(argv[1], "udp") == 0;
  listener = socket(AF_INET, (udp_mode ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* Inherited by what is accepted. */
  int room = 1 << 20; /* As much as may be: the default loses some of 256 small datagrams. */
  if (udp_mode) setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  if (bind(listener, (struct sockaddr *)&address, length) < 0) die("bind");
  if (!udp_mode && listen(listener, 4096) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);

  queue = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = udp_mode ? EPOLLIN | EPOLLET : EPOLLIN, .data.ptr = &listener};
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
  event.data.ptr = &queue;
  epoll_ctl(queue, EPOLL_CTL_ADD, 0, &event);
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(queue, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == &listener) udp_mode ? on_datagrams() : on_connection();
      else if (events[i].data.ptr == &queue) on_control();
      else on_readable(events[i].data.ptr);
    }
  }
}

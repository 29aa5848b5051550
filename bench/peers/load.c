/* The load: `load MODE PORT CONNECTIONS MESSAGES`. Closed loop, checks every byte of every answer, prints JSON.
 *
 *   echo     64 bytes out, the same 64 back, one message in flight on each connection
 *   ping     16 RESP PINGs out, 16 +PONG back
 *   http     a GET on a connection that stays, and the answer "hello"
 *   udp      64 bytes out, the same 64 back, CONNECTIONS datagrams in flight on one socket
 *   connect  connects, is accepted, resets (no TIME_WAIT), and again
 *   first    the same with so many at once, each of which sends a byte and waits for the end
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
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define DEPTH 16
#define BATCH 64
#define PING "*1\r\n$4\r\nPING\r\n"
#define PONG "+PONG\r\n"
#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HELLO "hello"

struct connection {
  int fd;
  size_t got;
  char request[DEPTH * sizeof(PING)];
  char answer[DEPTH * sizeof(PING)];
};

static long wanted, begun, done;
static size_t request_length, answer_length, per_round;
static struct sockaddr_in address;
static unsigned sequence;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connected(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

static void reset(int fd) {
  struct linger hard = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  close(fd);
}

static void send_round(struct connection *c, int echo) {
  if (begun >= wanted) return;
  begun += (long)per_round;
  c->got = 0;
  if (echo) {
    /* Differs each time, so that an answer that belongs elsewhere is seen. */
    unsigned number = ++sequence;
    for (size_t i = 0; i < SIZE; i += sizeof(number)) memcpy(c->request + i, &number, sizeof(number));
    memcpy(c->answer, c->request, SIZE);
  }
  if (send(c->fd, c->request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
}

/* A connection that has sent its one byte. */
static void send_first(int queue) {
  int fd = connected();
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  begun++;
  if (send(fd, "x", 1, MSG_NOSIGNAL) != 1) die("send");
  epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
}

/* Asks once, to learn how long an answer is; what it says is compared with this one's, but for the time in it. */
static void ask(char *answer, size_t room) {
  int fd = connected();
  if (send(fd, GET, strlen(GET), MSG_NOSIGNAL) != (ssize_t)strlen(GET)) die("send");
  for (size_t got = 0;;) {
    ssize_t more = recv(fd, answer + got, room - got, 0);
    if (more <= 0) exit(fprintf(stderr, "no answer\n"));
    got += (size_t)more;
    if (got < strlen(HELLO) || memcmp(answer + got - strlen(HELLO), HELLO, strlen(HELLO)) != 0) continue;
    answer_length = got;
    break;
  }
  reset(fd);
}

/* Whether it is the answer that is expected; a date differs from second to second, and is of one length. */
static int same(const char *got, const char *expected, size_t length, int http) {
  if (!http) return memcmp(got, expected, length) == 0;
  for (size_t i = 0, wrong = 0; i < length; i++) {
    if (got[i] != expected[i] && ++wrong > 24) return 0;
  }
  return 1;
}

/* Every datagram has its number all over; on loopback they come back in order. */
static void udp(long window) {
  static struct mmsghdr headers[BATCH];
  static struct iovec parts[BATCH];
  static unsigned places[BATCH][SIZE / sizeof(unsigned)];
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
  struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) die("connect");
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){places[i], SIZE};
    headers[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  while (done < wanted) {
    while (begun < wanted && begun - done < window) {
      int count = 0;
      for (; count < BATCH && begun + count < wanted && begun + count - done < window; count++) {
        for (size_t k = 0; k < SIZE / sizeof(unsigned); k++) places[count][k] = (unsigned)(begun + count);
      }
      int sent = sendmmsg(fd, headers, (unsigned)count, 0);
      if (sent < 0) die("sendmmsg");
      begun += sent;
    }
    int got = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
    if (got < 0) die("recvmmsg");
    for (int i = 0; i < got; i++, done++) {
      for (size_t k = 0; k < SIZE / sizeof(unsigned); k++) {
        if (headers[i].msg_len != SIZE || places[i][k] != (unsigned)done) exit(fprintf(stderr, "wrong answer\n"));
      }
    }
  }
  close(fd);
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "load MODE PORT CONNECTIONS MESSAGES\n"), 2;
  const int echo = strcmp(argv[1], "echo") == 0, churn = strcmp(argv[1], "connect") == 0;
  const int first = strcmp(argv[1], "first") == 0, http = strcmp(argv[1], "http") == 0;
  const int connections = atoi(argv[3]);
  wanted = atol(argv[4]);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((unsigned short)atoi(argv[2]));
  request_length = echo ? SIZE : DEPTH * strlen(PING);
  answer_length = echo ? SIZE : DEPTH * strlen(PONG);
  per_round = echo || http ? 1 : DEPTH;

  const double begin = now();
  if (strcmp(argv[1], "udp") == 0) {
    udp(connections);
  } else if (churn) {
    for (; done < wanted; done++) {
      int fd = connected();
      char byte;
      /* The server closes at once: its end is the sign that it has accepted. */
      if (recv(fd, &byte, 1, 0) > 0) return fprintf(stderr, "unexpected data\n"), 1;
      reset(fd);
    }
  } else if (first) {
    int queue = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < connections; i++) send_first(queue);
    while (done < wanted) {
      struct epoll_event events[1024];
      int count = epoll_wait(queue, events, 1024, 10000);
      if (count == 0) return fprintf(stderr, "no end for ten seconds\n"), 1;
      for (int i = 0; i < count; i++) {
        char byte;
        if (recv(events[i].data.fd, &byte, 1, 0) > 0) return fprintf(stderr, "unexpected data\n"), 1;
        reset(events[i].data.fd);
        done++;
        if (begun < wanted) send_first(queue);
      }
    }
  } else {
    int queue = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc((size_t)connections, sizeof(*all));
    char expected[sizeof(all->answer)];
    if (http) {
      request_length = strlen(GET);
      ask(expected, sizeof(expected));
    }
    for (int i = 0; i < connections; i++) {
      struct connection *c = &all[i];
      c->fd = connected();
      if (http) {
        memcpy(c->request, GET, strlen(GET));
        memcpy(c->answer, expected, sizeof(expected));
      }
      for (int k = 0; k < DEPTH && !echo && !http; k++) {
        memcpy(c->request + (size_t)k * strlen(PING), PING, strlen(PING));
        memcpy(c->answer + (size_t)k * strlen(PONG), PONG, strlen(PONG));
      }
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
      epoll_ctl(queue, EPOLL_CTL_ADD, c->fd, &event);
      send_round(c, echo);
    }
    while (done < wanted) {
      struct epoll_event events[1024];
      int count = epoll_wait(queue, events, 1024, 10000);
      if (count == 0) return fprintf(stderr, "no answer for ten seconds\n"), 1;
      for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        char buffer[DEPTH * sizeof(PING)];
        ssize_t got = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) return fprintf(stderr, "connection lost\n"), 1;
        if (c->got + (size_t)got > answer_length || !same(buffer, c->answer + c->got, (size_t)got, http))
          return fprintf(stderr, "wrong answer\n"), 1;
        c->got += (size_t)got;
        if (c->got < answer_length) continue;
        done += (long)per_round;
        send_round(c, echo);
      }
    }
    for (int i = 0; i < connections; i++) reset(all[i].fd);
  }
  const double seconds = now() - begin;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"messages\":%ld,\"seconds\":%.4f,\"cpu\":%.4f}\n", done, seconds,
         (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
  return 0;
}

// floor: what TLS, the kernel and HTTP's framing cost by themselves. One epoll loop,
// OpenSSL, a constant patch; the only thing that it reads of a review is its uid.
//
//     floor PORT FOLDER       with tls.crt and tls.key in the folder
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROOM = 1 << 20, EVENTS = 64 };

typedef struct {
  int fd, shaken;
  size_t used;
  SSL *ssl;
  char data[ROOM];
} conn;

static const char PATCH[] =
    "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvY29udGFpbmVycy8wL2VudkZyb20iLCJ2YWx1ZSI6W3si"
    "c2VjcmV0UmVmIjp7Im5hbWUiOiJ4In19XX1d";

// The bytes of the first request, or 0 while it is not whole.
static size_t whole(conn *c) {
  char *end = memmem(c->data, c->used, "\r\n\r\n", 4);
  if (!end) return 0;
  *end = 0;
  char *length = strcasestr(c->data, "content-length:");
  size_t size = end + 4 - c->data + (length ? strtoul(length + 15, NULL, 10) : 0);
  *end = '\r';
  return size <= c->used ? size : 0;
}

static int answer(conn *c, size_t size) {
  static const char mark[] = "\"uid\":\"";
  char body[600], text[800], uid[64] = "";
  char *at = memmem(c->data, size, mark, sizeof mark - 1);
  if (at) snprintf(uid, sizeof uid, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
  int n = snprintf(body, sizeof body,
                   "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                   "\"response\":{\"uid\":\"%s\",\"allowed\":true,\"patchType\":"
                   "\"JSONPatch\",\"patch\":\"%s\"}}",
                   uid, PATCH);
  n = snprintf(text, sizeof text,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
               "Content-Length: %d\r\n\r\n%s",
               n, body);
  return SSL_write(c->ssl, text, n) == n;
}

// Returns whether the connection goes on.
static int serve(conn *c) {
  int n;
  if (!c->shaken) {
    n = SSL_accept(c->ssl);
    if (n != 1) return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
    c->shaken = 1;
  }
  while ((n = SSL_read(c->ssl, c->data + c->used, ROOM - c->used)) > 0) {
    c->used += n;
    size_t size = whole(c);
    if (!size) continue;
    if (!answer(c, size)) return 0;
    memmove(c->data, c->data + size, c->used -= size);
  }
  return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_num_tickets(ctx, 0);
  if (chdir(argv[2]) || SSL_CTX_use_certificate_chain_file(ctx, "tls.crt") != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, "tls.key", SSL_FILETYPE_PEM) != 1)
    return 1;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 512))
    return 1;
  int poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      conn *c = events[i].data.ptr;
      if (c) {
        if (serve(c)) continue;
        SSL_free(c->ssl);
        close(c->fd);
        free(c);
        continue;
      }
      int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (fd < 0) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      c = calloc(1, sizeof *c);
      c->fd = fd;
      c->ssl = SSL_new(ctx);
      SSL_set_fd(c->ssl, fd);
      event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
      epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
  }
}

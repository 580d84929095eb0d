/* listener: a listening socket, TCP or Unix. Belongs to the thread of its loop. */
#ifndef SLUICE_NET_LISTENER_H
#define SLUICE_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/net/address.h"
#include "sluice/net/loop.h"

struct event;
struct listener;

/* A new connection: fd is non-blocking and the callee's to close. */
typedef void listener_accepted(struct listener *listener, int fd, const struct address *from);

struct listener {
    struct loop *loop;
    struct event *event;
    struct timer retry; /* out of file descriptors: accept again then */
    listener_accepted *accepted;
    void *owner;
    char *unix_path; /* removed on close; NULL for TCP and for abstract sockets */
    int fd;
    unsigned burst; /* accepts tried in one turn */
};

/* Opens a listening TCP socket for a numeric address. Returns the fd, or -1 with errno. */
int listener_open_tcp(const struct address *address, int backlog, bool reuse_port,
                      int defer_accept_s);

/* Opens a listening Unix socket; '@' at the start means an abstract one. A socket file that nobody
 * listens on is replaced. group < 0 leaves the group alone. Returns the fd, or -1 with errno. */
int listener_open_unix(const char *path, unsigned mode, int group, int backlog);

/* Serves fd (which it owns from now on). unix_path is copied. */
void listener_init(struct listener *listener, struct loop *loop, int fd, const char *unix_path,
                   listener_accepted *accepted, void *owner);

/* Stops accepting; listener_resume() goes on. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

void listener_fini(struct listener *listener);

#endif

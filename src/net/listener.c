#include "sluice/net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluice/base/ensure.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"

/* How many connections one wake-up takes, so that a storm of them does not stop all else. */
#define ACCEPTS_PER_TURN 64
#define RETRY_US (200 * US_PER_MS)

static int close_failed(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

int listener_open_tcp(const struct address *address, int backlog, bool reuse_port,
                      int defer_accept_s)
{
    int on = 1;
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (address->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (defer_accept_s > 0)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_accept_s, sizeof(defer_accept_s));
    if (bind(fd, (const struct sockaddr *)address, address_size(address)) < 0 ||
        listen(fd, backlog) < 0)
        return close_failed(fd);
    return fd;
}

/* True when some process answers on the socket. */
static bool unix_in_use(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool in_use;

    if (fd < 0)
        return false;
    in_use = connect(fd, (const struct sockaddr *)address, size) == 0;
    close(fd);
    return in_use;
}

int listener_open_unix(const char *path, unsigned mode, int group, int backlog)
{
    struct sockaddr_un address;
    socklen_t size = address_unix(path, &address);
    bool abstract = path[0] == '@';
    int fd;

    if (size == 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (unix_in_use(&address, size)) {
        errno = EADDRINUSE;
        return -1;
    }
    if (!abstract)
        unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, size) < 0)
        return close_failed(fd);
    if (!abstract &&
        ((group >= 0 && chown(path, (uid_t)-1, (gid_t)group) < 0) || chmod(path, (mode_t)mode) < 0))
        return close_failed(fd);
    if (listen(fd, backlog) < 0)
        return close_failed(fd);
    return fd;
}

static void listener_accept(evutil_socket_t listening, short what, void *argument)
{
    struct listener *listener = argument;

    /* One try more than there are connections costs a system call, so how many are tried follows
     * how many came last. */
    for (unsigned i = 0; i < listener->burst; i++) {
        struct sockaddr_storage peer = {.ss_family = AF_UNIX};
        socklen_t size = sizeof(peer);
        struct address from;
        int fd = accept4(listening, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno == EAGAIN) {
                listener->burst = 1;
                return;
            }
            log_warning("accept failed: %s", strerror(errno));
            /* Out of descriptors: the connection would be announced again and again. */
            listener_pause(listener);
            timer_set(listener->loop, &listener->retry, loop_now_us(listener->loop) + RETRY_US);
            return;
        }
        from = address_from((const struct sockaddr *)&peer);
        listener->accepted(listener, fd, &from);
    }
    if (listener->burst < ACCEPTS_PER_TURN)
        listener->burst *= 2;
}

static void listener_retry(struct timer *timer)
{
    listener_resume(container_of(timer, struct listener, retry));
}

void listener_init(struct listener *listener, struct loop *loop, int fd, const char *unix_path,
                   listener_accepted *accepted, void *owner)
{
    listener->loop = loop;
    listener->burst = 1;
    listener->retry.expired = listener_retry;
    listener->fd = fd;
    listener->accepted = accepted;
    listener->owner = owner;
    listener->unix_path =
        unix_path && unix_path[0] != '@' ? memory_text(unix_path, strlen(unix_path)) : NULL;
    listener->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, listener_accept, listener);
    ensure(listener->event);
    listener_resume(listener);
}

void listener_pause(struct listener *listener)
{
    event_del(listener->event);
}

void listener_resume(struct listener *listener)
{
    event_add(listener->event, NULL);
}

void listener_fini(struct listener *listener)
{
    timer_cancel(listener->loop, &listener->retry);
    event_free(listener->event);
    close(listener->fd);
    if (listener->unix_path)
        unlink(listener->unix_path);
    free(listener->unix_path);
}

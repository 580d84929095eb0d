#include "sluice/net/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sluice/base/ensure.h"
#include "sluice/conf/conf.h"
#include "stream_tls.h"
#include "turn.h"

struct stream_options stream_options_of(const struct conf *conf)
{
    return (struct stream_options){
        .keepalive = conf->tcp_keepalive,
        .keepalive_count = (int)conf->tcp_keepcnt,
        .keepalive_idle_s = (int)(conf->tcp_keepidle_us / US_PER_S),
        .keepalive_interval_s = (int)(conf->tcp_keepintvl_us / US_PER_S),
        .user_timeout_ms = (int)(conf->tcp_user_timeout_us / US_PER_MS),
        .socket_buffer_bytes = (int)conf->tcp_socket_buffer_bytes,
    };
}

static void option_set(int fd, int level, int option, int value)
{
    if (value > 0)
        setsockopt(fd, level, option, &value, sizeof(value));
}

void stream_tune(int fd, const struct stream_options *options)
{
    int domain = 0;
    socklen_t size = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain == AF_UNIX)
        return;
    option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    option_set(fd, SOL_SOCKET, SO_RCVBUF, options->socket_buffer_bytes);
    option_set(fd, SOL_SOCKET, SO_SNDBUF, options->socket_buffer_bytes);
    option_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
    if (!options->keepalive)
        return;
    option_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    option_set(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_count);
    option_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepalive_idle_s);
    option_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepalive_interval_s);
}

static void stream_read_event(evutil_socket_t fd, short what, void *argument)
{
    struct stream *stream = argument;

    stream->readable = true;
    if (what & EV_CLOSED)
        stream->peer_closed = true;
    if (stream->ahead)
        stream->ahead->more = true;
    if (!stream->loop->turn || !turn_add_reader(stream->loop->turn, stream))
        stream->ready(stream, STREAM_READABLE);
}

static void stream_watch_reads(struct stream *stream)
{
    stream->read_event =
        event_new(stream->loop->base, stream->fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST,
                  stream_read_event, stream);
    ensure(stream->read_event);
    ensure(event_add(stream->read_event, NULL) == 0);
}

static void stream_connect_end(struct stream *stream)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    stream->connecting = false;
    stream->error = error;
    event_del(stream->write_event);
    if (error == 0)
        stream_watch_reads(stream);
    stream->ready(stream, STREAM_CONNECTED);
}

static void stream_write_event(evutil_socket_t fd, short what, void *argument)
{
    struct stream *stream = argument;

    if (stream->connecting) {
        stream_connect_end(stream);
        return;
    }
    stream->blocked = false;
    stream_flush_now(stream);
    if (stream->blocked || stream->error)
        return;
    event_del(stream->write_event);
    stream->ready(stream, STREAM_DRAINED);
}

static void stream_watch_writes(struct stream *stream)
{
    if (!stream->write_event) {
        stream->write_event = event_new(stream->loop->base, stream->fd,
                                        EV_WRITE | EV_ET | EV_PERSIST, stream_write_event, stream);
        ensure(stream->write_event);
    }
    ensure(event_add(stream->write_event, NULL) == 0);
}

static void stream_run_again(struct task *task)
{
    struct stream *stream = container_of(task, struct stream, again);
    bool connected_now = stream->connected_now;

    stream->connected_now = false;
    stream->ready(stream, connected_now ? STREAM_CONNECTED : STREAM_READABLE);
}

static void stream_init(struct stream *stream, struct loop *loop, int fd,
                        void (*ready)(struct stream *stream, unsigned what))
{
    memset(stream, 0, sizeof(*stream));
    stream->loop = loop;
    stream->fd = fd;
    stream->ready = ready;
    stream->again.run = stream_run_again;
}

void stream_open(struct stream *stream, struct loop *loop, int fd,
                 void (*ready)(struct stream *stream, unsigned what))
{
    stream_init(stream, loop, fd, ready);
    stream_watch_reads(stream);
}

void stream_connect(struct stream *stream, struct loop *loop, const struct sockaddr *address,
                    unsigned address_size, const struct stream_options *options,
                    void (*ready)(struct stream *stream, unsigned what))
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    stream_init(stream, loop, fd, ready);
    if (fd >= 0) {
        stream_tune(fd, options);
        if (connect(fd, address, address_size) == 0) {
            stream_watch_reads(stream);
        } else if (errno == EINPROGRESS) {
            stream->connecting = true;
            stream_watch_writes(stream);
            return;
        } else {
            stream->error = errno;
        }
    } else {
        stream->error = errno;
        stream->fd = 0;
    }
    stream->connected_now = true;
    loop_defer(loop, &stream->again);
}

static void stream_drop_ahead(struct stream *stream)
{
    if (stream->ahead && stream->ahead->kept)
        free(stream->ahead);
    stream->ahead = NULL;
}

/* Off the loop: what was written goes first. */
static void stream_leave_turn(struct stream *stream)
{
    struct turn *turn = stream->loop->turn;

    if (stream->writer)
        stream_flush_now(stream);
    if (turn)
        turn_drop_reader(turn, stream);
}

static void stream_unwatch(struct stream *stream)
{
    if (stream->read_event)
        event_free(stream->read_event);
    if (stream->write_event)
        event_free(stream->write_event);
    stream->read_event = stream->write_event = NULL;
    loop_undefer(stream->loop, &stream->again);
}

void stream_close(struct stream *stream)
{
    if (!stream->loop)
        return;
    if (stream->tls)
        stream_tls_close(stream);
    stream_drop_ahead(stream);
    stream_leave_turn(stream);
    stream_unwatch(stream);
    buffer_clear(&stream->out, &stream->loop->buffers);
    if (stream->fd > 0)
        close(stream->fd);
    stream->fd = 0;
    stream->loop = NULL;
    stream->readable = stream->blocked = stream->connecting = false;
}

/* Nothing is left: what comes later is announced by a new edge. */
static void stream_emptied(struct stream *stream)
{
    if (!stream->peer_closed && !stream->error)
        stream->readable = false;
}

void stream_received(struct stream *stream, struct stream_ahead *ahead, ssize_t result,
                     size_t wanted)
{
    if (result == -EAGAIN) {
        stream_emptied(stream);
        return;
    }
    /* Its owner may have read it empty since it was announced. No edge tells of what has been
     * taken from the socket. */
    stream->readable = true;
    if (result > 0) {
        ahead->at = 0;
        ahead->length = (uint32_t)result;
        ahead->kept = false;
        ahead->more = (size_t)result == wanted;
        stream->ahead = ahead;
    } else if (result < 0 && result != -EINTR && !stream->error) {
        stream->error = (int)-result;
    }
}

static size_t stream_read_ahead(struct stream *stream, uint8_t *bytes, size_t size)
{
    struct stream_ahead *ahead = stream->ahead;
    size_t left = ahead->length - ahead->at, took = size < left ? size : left;
    bool more = ahead->more;

    memcpy(bytes, ahead->bytes + ahead->at, took);
    ahead->at += (uint32_t)took;
    if (took == left) {
        stream_drop_ahead(stream);
        if (!more)
            stream_emptied(stream);
    }
    return took;
}

void stream_take_ahead(struct stream *stream, struct buffer *buffer)
{
    if (!stream->ahead)
        return;
    buffer_append(buffer, &stream->loop->buffers, stream->ahead->bytes + stream->ahead->at,
                  stream->ahead->length - stream->ahead->at);
    stream_drop_ahead(stream);
}

ssize_t stream_read(struct stream *stream, uint8_t *bytes, size_t size)
{
    ssize_t got;

    if (!stream->readable)
        return 0;
    if (stream->tls)
        return stream_tls_read(stream, bytes, size);
    if (stream->ahead)
        return (ssize_t)stream_read_ahead(stream, bytes, size);
    do {
        got = recv(stream->fd, bytes, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        if ((size_t)got < size)
            stream_emptied(stream);
        return got;
    }
    if (got == 0)
        return -1;
    if (errno == EAGAIN && !stream->error) {
        stream->readable = false;
        return 0;
    }
    if (!stream->error)
        stream->error = errno;
    return -1;
}

ssize_t stream_read_behind(struct stream *stream, const struct buffer *kept, size_t size,
                           size_t *length)
{
    uint8_t *scratch = stream->loop->scratch;
    ssize_t got = 0;

    *length = buffer_length(kept);
    ensure(*length <= size && size <= LOOP_SCRATCH_BYTES);
    if (*length > 0)
        memcpy(scratch, buffer_bytes(kept), *length);
    if (*length < size)
        got = stream_read(stream, scratch + *length, size - *length);
    if (got > 0)
        *length += (size_t)got;
    return got;
}

void stream_queue(struct stream *stream, const void *bytes, size_t length)
{
    if (stream->error)
        return;
    if (stream->tls)
        stream_tls_queue(stream, bytes, length);
    else
        buffer_append(&stream->out, &stream->loop->buffers, bytes, length);
}

void stream_unqueue(struct stream *stream)
{
    if (stream->tls) {
        stream_tls_unqueue(stream);
        return;
    }
    ensure(!stream->blocked && !stream->writer);
    buffer_clear(&stream->out, &stream->loop->buffers);
}

/* What is left in `out` is known not to have been sent, which its owner may want to know; but much
 * of it would make an owner wait for the peer to take it. */
void stream_break(struct stream *stream, int error)
{
    stream->error = error;
    stream->blocked = false;
    if (buffer_length(&stream->out) > STREAM_TOGETHER_BYTES)
        buffer_clear(&stream->out, &stream->loop->buffers);
    stream->readable = true;
    stream_again(stream);
}

/* One system call for what is kept and what is new; send() is the cheaper one. */
static ssize_t stream_transmit(struct stream *stream, const void *bytes, size_t length)
{
    size_t kept = buffer_length(&stream->out);
    struct iovec pieces[2];
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

    if (kept == 0)
        return send(stream->fd, bytes, length, MSG_NOSIGNAL);
    if (length == 0)
        return send(stream->fd, buffer_bytes(&stream->out), kept, MSG_NOSIGNAL);
    pieces[0] = (struct iovec){buffer_bytes(&stream->out), kept};
    pieces[1] = (struct iovec){(void *)(uintptr_t)bytes, length};
    return sendmsg(stream->fd, &message, MSG_NOSIGNAL);
}

static void stream_block(struct stream *stream)
{
    stream->blocked = true;
    stream_watch_writes(stream);
}

void stream_sent(struct stream *stream, ssize_t result)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        stream_break(stream, (int)-result);
        return;
    }
    if (result > 0)
        buffer_consume(&stream->out, &stream->loop->buffers, (size_t)result);
    if (buffer_length(&stream->out) > 0)
        stream_block(stream);
}

static void stream_send_now(struct stream *stream, const void *bytes, size_t length)
{
    size_t kept = buffer_length(&stream->out), from_kept;
    ssize_t sent;

    if (stream->writer)
        turn_drop_writer(stream->loop->turn, stream);
    do {
        sent = stream_transmit(stream, bytes, length);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno != EAGAIN) {
            stream_break(stream, errno);
            return;
        }
        sent = 0;
    }
    from_kept = (size_t)sent < kept ? (size_t)sent : kept;
    if (from_kept > 0)
        buffer_consume(&stream->out, &stream->loop->buffers, from_kept);
    sent -= (ssize_t)from_kept;
    buffer_append(&stream->out, &stream->loop->buffers, (const uint8_t *)bytes + sent,
                  length - (size_t)sent);
    if (buffer_length(&stream->out) > 0)
        stream_block(stream);
}

void stream_send(struct stream *stream, const void *bytes, size_t length)
{
    size_t kept = buffer_length(&stream->out);
    struct turn *turn = stream->loop->turn;

    if (stream->error || kept + length == 0)
        return;
    if (stream->blocked || stream->connecting ||
        (turn && turn_add_writer(turn, stream, kept + length)))
        buffer_append(&stream->out, &stream->loop->buffers, bytes, length);
    else
        stream_send_now(stream, bytes, length);
}

void stream_flush_now(struct stream *stream)
{
    stream_flush(stream);
    if (stream->writer && !stream->blocked)
        stream_send_now(stream, NULL, 0);
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
    if (stream->tls && !stream->error)
        stream_tls_write(stream, bytes, length);
    else
        stream_send(stream, bytes, length);
}

void stream_again(struct stream *stream)
{
    loop_defer(stream->loop, &stream->again);
}

void stream_detach(struct stream *stream)
{
    ensure(!stream->connecting);
    stream_leave_turn(stream);
    stream_unwatch(stream);
    stream->loop = NULL;
}

void stream_attach(struct stream *stream, struct loop *loop)
{
    stream->loop = loop;
    stream_watch_reads(stream);
    if (buffer_length(&stream->out) > 0) {
        stream->blocked = true;
        stream_watch_writes(stream);
    }
    if (stream->readable || stream->peer_closed)
        stream_again(stream);
}

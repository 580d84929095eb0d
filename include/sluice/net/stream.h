/* stream: the bytes of one connection, ours to a client or to a server. It only moves bytes and
 * says that there is something to do; its owner then reads and writes in one place ("push
 * readiness, pull messages"). Embedded in its owner; belongs to the thread of its loop.
 *
 * Readiness is edge-triggered: `readable` stays set until a read finds nothing more, so an owner
 * that cannot take bytes now just does not read, which costs no system call, and reads later. What
 * the peer does not take at once is kept in `out`, which has memory only while it holds bytes.
 *
 * Within a turn of a loop that shares system calls (loop_share_calls()) small writes wait for its
 * end, and what several sockets have announced is read before any of their owners is told.
 *
 * TLS is hidden inside: once begun, the same calls read and write what it protects. The handshake
 * goes on inside them; until it is over nothing can be read, and what is written waits.
 *
 * Errors come by one way only: stream_read() returns -1. A failed write makes the stream readable
 * so that the owner finds what the peer said last, and then the error. */
#ifndef SLUICE_NET_STREAM_H
#define SLUICE_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sluice/base/buffer.h"
#include "sluice/net/loop.h"

struct conf;
struct event;
struct sockaddr;
struct ssl_st;
struct stream_ahead;
struct stream_tls;
struct tls;

enum stream_ready {
    STREAM_READABLE = 1 << 0,  /* there are bytes, or the end */
    STREAM_DRAINED = 1 << 1,   /* all that was kept in `out` has been taken */
    STREAM_CONNECTED = 1 << 2, /* stream_connect() ended; stream->error says how */
};

struct stream {
    struct loop *loop;
    /* Called from the loop, never from inside a stream_ call; may close the stream. */
    void (*ready)(struct stream *stream, unsigned what);
    struct event *read_event;
    struct event *write_event;  /* made when first needed */
    struct stream_tls *tls;     /* NULL: plain */
    struct stream_ahead *ahead; /* read already, for stream_read(); NULL: nothing */
    struct task again;
    struct buffer out;
    int fd;
    int error;        /* errno of what failed; 0 while well, and at a clean end */
    bool readable;    /* a read may find something */
    bool peer_closed; /* the end has been seen coming behind what can be read */
    bool connecting;
    bool blocked;       /* waits for the peer to take what is in `out` */
    bool connected_now; /* STREAM_CONNECTED is still to be said */
    uint8_t reader;     /* its place among those that the turn reads, from 1; 0: none */
    uint8_t writer;     /* the same among those it writes */
};

/* Socket options that the settings give; 0 = the system's default. */
struct stream_options {
    bool keepalive;
    int keepalive_count, keepalive_idle_s, keepalive_interval_s;
    int user_timeout_ms;
    int socket_buffer_bytes;
};

/* What the settings say. */
struct stream_options stream_options_of(const struct conf *conf);

/* Applies them to a TCP socket, with TCP_NODELAY; does nothing to a Unix socket. */
void stream_tune(int fd, const struct stream_options *options);

/* Takes over a connected, non-blocking socket. */
void stream_open(struct stream *stream, struct loop *loop, int fd,
                 void (*ready)(struct stream *stream, unsigned what));

/* Starts to connect; ends in STREAM_CONNECTED, never inside this call. */
void stream_connect(struct stream *stream, struct loop *loop, const struct sockaddr *address,
                    unsigned address_size, const struct stream_options *options,
                    void (*ready)(struct stream *stream, unsigned what));

/* Closes the socket. What waits for the end of the turn is sent first, as far as the peer takes it
 * at once; the rest is dropped. Safe for a zeroed or closed stream. */
void stream_close(struct stream *stream);

static inline bool stream_is_open(const struct stream *stream)
{
    return stream->fd > 0;
}

/* Reads at most size bytes. Returns how many (> 0), 0 when there is nothing now, -1 at the end of
 * the stream (error == 0) or when it broke (error != 0). */
ssize_t stream_read(struct stream *stream, uint8_t *bytes, size_t size);

/* Reads behind what its owner has kept of the last read: at the start of loop->scratch lie then
 * `length` bytes, those kept and those new; `kept` itself is left as it is. Returns as
 * stream_read(). No more than `size` bytes in all, at most LOOP_SCRATCH_BYTES. */
ssize_t stream_read_behind(struct stream *stream, const struct buffer *kept, size_t size,
                           size_t *length);

/* Has the next read ask the socket although it seemed empty. When data and a reset arrive together,
 * the reset is not announced again: an owner that has read half of something, and so will not write
 * before the rest has come, would wait for ever. */
static inline void stream_recheck(struct stream *stream)
{
    stream->readable = true;
}

/* Keeps bytes for the next stream_write() or stream_flush(); if one waits for the end of the turn
 * already, they go with it. */
void stream_queue(struct stream *stream, const void *bytes, size_t length);

/* Forgets what was queued since the stream was last idle; nothing may be half sent. */
void stream_unqueue(struct stream *stream);

/* Sends what is kept and then these bytes, in one system call as far as the peer takes them, at
 * once or at the end of the turn; keeps the rest. */
void stream_write(struct stream *stream, const void *bytes, size_t length);

static inline void stream_flush(struct stream *stream)
{
    stream_write(stream, NULL, 0);
}

/* Sends what is kept without waiting for the end of the turn: for an owner that looks at
 * stream_pending() to see whether the peer takes what it is sent. */
void stream_flush_now(struct stream *stream);

size_t stream_tls_pending(const struct stream_tls *tls);

/* Bytes that the peer has not taken yet, or that wait for the end of the turn: those are few, at
 * most STREAM_TOGETHER_BYTES. */
#define STREAM_TOGETHER_BYTES 8192u

static inline size_t stream_pending(const struct stream *stream)
{
    return buffer_length(&stream->out) + (stream->tls ? stream_tls_pending(stream->tls) : 0);
}

/* Has ready(STREAM_READABLE) called at the end of this turn or in the next one: for an owner that
 * stops reading although it could go on, so that others get their turn. */
void stream_again(struct stream *stream);

/* What broke it, in words: the socket's error or what was wrong with TLS; NULL at a clean end.
 * Valid until the stream is closed. */
const char *stream_why(const struct stream *stream);

/* Begins TLS, behind what has been written plainly; the peer speaks first. early: what it has sent
 * of it already, when it did so without asking; then its ALPN must name our protocol. */
void stream_accept_tls(struct stream *stream, const struct tls *tls, const void *early,
                       size_t length);

/* The same where we speak first. host: its name or address as the settings have it, to be found in
 * its certificate when the mode is verify-full. */
void stream_connect_tls(struct stream *stream, const struct tls *tls, const char *host);

/* Goes on with TLS that somebody else began, and who frees `ssl` after the stream is closed. */
void stream_adopt_tls(struct stream *stream, struct ssl_st *ssl);

/* The handshake is over, and the peer is who it has to be. */
bool stream_tls_established(const struct stream *stream);

/* "TLSv1.3/TLS_AES_256_GCM_SHA384", with "/kernel" behind when the kernel encrypts what is sent, or
 * "" without TLS. */
#define STREAM_TLS_BYTES 96
const char *stream_tls_text(const struct stream *stream, char text[STREAM_TLS_BYTES]);

/* The channel binding tls-server-end-point (RFC 5929): the hash of the certificate of the side that
 * answered. Returns its bytes; 0 without TLS, or when the certificate has none. */
size_t stream_tls_binding(const struct stream *stream, uint8_t *hash, size_t size);

/* The common name in the peer's certificate, if that has been verified; else false. */
bool stream_tls_common_name(const struct stream *stream, char *name, size_t size);

/* Takes the stream off its loop, so that its owner may be sent to another thread by mailbox, and
 * puts it on that thread's loop. */
void stream_detach(struct stream *stream);
void stream_attach(struct stream *stream, struct loop *loop);

#endif

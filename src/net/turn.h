/* turn: what the streams of one loop read and write in one turn of it, together in one system call
 * each. A turn begins before the loop waits for its sockets. A stream that is announced as readable
 * is added to the readers; when all are known they are read, a little each, and only then their
 * owners are told, who find the bytes by stream_read(). What owners write is kept in `out`, and the
 * stream added to the writers, until the end of the turn. Owned by its loop; same thread. */
#ifndef SLUICE_NET_TURN_H
#define SLUICE_NET_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sluice/net/stream.h"

/* Bytes that were read for a stream before its owner asked. They lie in the turn's own memory while
 * the owners are told; what an owner leaves is copied, and is then `kept`. */
struct stream_ahead {
    uint32_t at, length;
    bool kept;
    bool more; /* the socket may hold more */
    uint8_t bytes[];
};

struct turn;

/* NULL, with errno, when the kernel cannot or may not. */
struct turn *turn_new(void);
void turn_free(struct turn *turn);

void turn_begin(struct turn *turn);
/* Reads for the readers and tells their owners. */
void turn_read(struct turn *turn);
/* Sends what the writers have kept. */
void turn_end(struct turn *turn);

/* False: the stream is to be told at once. */
bool turn_add_reader(struct turn *turn, struct stream *stream);
/* False: the stream is to write at once: so many bytes, or no turn is under way. */
bool turn_add_writer(struct turn *turn, struct stream *stream, size_t length);

void turn_drop_writer(struct turn *turn, struct stream *stream);
/* What was read for it and its owner has not asked for yet stays with the stream. */
void turn_drop_reader(struct turn *turn, struct stream *stream);

/* stream.c: what a send() of what is kept gave, and a recv(): bytes, or -errno. */
void stream_sent(struct stream *stream, ssize_t result);
void stream_received(struct stream *stream, struct stream_ahead *ahead, ssize_t result,
                     size_t wanted);

#endif

#include "turn.h"

#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

#define AHEAD_BYTES 4096u

struct turn {
    struct ring *ring;
    bool under_way;
    unsigned reader_count, writer_count;
    struct stream *readers[RING_TRANSFERS_MAX]; /* NULL: dropped */
    struct stream *writers[RING_TRANSFERS_MAX];
    struct transfer transfers[RING_TRANSFERS_MAX];
    uint8_t *ahead; /* RING_TRANSFERS_MAX times struct stream_ahead with AHEAD_BYTES */
};

static struct stream_ahead *turn_ahead(const struct turn *turn, unsigned index)
{
    return (void *)(turn->ahead + index * (sizeof(struct stream_ahead) + AHEAD_BYTES));
}

struct turn *turn_new(void)
{
    struct ring *ring = ring_new();
    struct turn *turn;

    if (!ring)
        return NULL;
    turn = memory_new(sizeof(*turn));
    turn->ring = ring;
    turn->ahead = memory_new(RING_TRANSFERS_MAX * (sizeof(struct stream_ahead) + AHEAD_BYTES));
    return turn;
}

void turn_free(struct turn *turn)
{
    if (!turn)
        return;
    ring_free(turn->ring);
    free(turn->ahead);
    free(turn);
}

void turn_begin(struct turn *turn)
{
    turn->under_way = true;
}

/* --- reading --- */

bool turn_add_reader(struct turn *turn, struct stream *stream)
{
    if (!turn->under_way || stream->tls || stream->ahead)
        return false;
    if (stream->reader)
        return true;
    turn->readers[turn->reader_count++] = stream;
    stream->reader = (uint8_t)turn->reader_count;
    /* Not before it is added: those who are told may close it. */
    if (turn->reader_count == RING_TRANSFERS_MAX)
        turn_read(turn);
    return true;
}

/* What its owner has left goes to memory of its own: it does not read now. */
static void ahead_keep(struct stream *stream)
{
    const struct stream_ahead *ahead = stream->ahead;
    size_t left;
    struct stream_ahead *kept;

    if (!ahead || ahead->kept)
        return;
    left = ahead->length - ahead->at;
    kept = memory_new(sizeof(*kept) + left);
    kept->length = (uint32_t)left;
    kept->kept = true;
    kept->more = ahead->more;
    memcpy(kept->bytes, ahead->bytes + ahead->at, left);
    stream->ahead = kept;
}

void turn_drop_reader(struct turn *turn, struct stream *stream)
{
    if (!stream->reader)
        return;
    turn->readers[stream->reader - 1] = NULL;
    stream->reader = 0;
    ahead_keep(stream);
}

/* TLS, if begun since, asks the socket itself. */
static bool turn_reads(const struct turn *turn, unsigned index)
{
    return turn->readers[index] && !turn->readers[index]->tls;
}

static void turn_receive(struct turn *turn)
{
    unsigned count = 0;

    for (unsigned i = 0; i < turn->reader_count; i++) {
        if (turn_reads(turn, i))
            turn->transfers[count++] = (struct transfer){
                .fd = turn->readers[i]->fd,
                .bytes = turn_ahead(turn, i)->bytes,
                .length = AHEAD_BYTES,
            };
    }
    if (count < 2)
        return; /* its owner reads as well as we do */
    ring_transfer(turn->ring, turn->transfers, count);
    count = 0;
    for (unsigned i = 0; i < turn->reader_count; i++) {
        if (turn_reads(turn, i))
            stream_received(turn->readers[i], turn_ahead(turn, i), turn->transfers[count++].result,
                            AHEAD_BYTES);
    }
}

void turn_read(struct turn *turn)
{
    turn_receive(turn);
    for (unsigned i = 0; i < turn->reader_count; i++) {
        struct stream *stream = turn->readers[i];

        /* An owner may close, read or move other streams than its own. */
        if (stream && stream->readable)
            stream->ready(stream, STREAM_READABLE);
        if (turn->readers[i])
            turn_drop_reader(turn, turn->readers[i]);
    }
    turn->reader_count = 0;
}

/* --- writing --- */

static void turn_write(struct turn *turn)
{
    unsigned count = 0;

    for (unsigned i = 0; i < turn->writer_count; i++) {
        struct stream *stream = turn->writers[i];

        if (!stream)
            continue;
        stream->writer = 0;
        if (buffer_length(&stream->out) == 0 || stream->error)
            continue;
        turn->writers[count] = stream;
        turn->transfers[count++] = (struct transfer){
            .fd = stream->fd,
            .sends = true,
            .bytes = buffer_bytes(&stream->out),
            .length = buffer_length(&stream->out),
        };
    }
    turn->writer_count = 0;
    if (count == 0)
        return;
    ring_transfer(turn->ring, turn->transfers, count);
    for (unsigned i = 0; i < count; i++)
        stream_sent(turn->writers[i], turn->transfers[i].result);
}

void turn_end(struct turn *turn)
{
    turn_write(turn);
    turn->under_way = false;
}

bool turn_add_writer(struct turn *turn, struct stream *stream, size_t length)
{
    if (!turn->under_way || length > STREAM_TOGETHER_BYTES)
        return false;
    if (stream->writer)
        return true;
    if (turn->writer_count == RING_TRANSFERS_MAX)
        turn_write(turn);
    turn->writers[turn->writer_count++] = stream;
    stream->writer = (uint8_t)turn->writer_count;
    return true;
}

void turn_drop_writer(struct turn *turn, struct stream *stream)
{
    if (!stream->writer)
        return;
    turn->writers[stream->writer - 1] = NULL;
    stream->writer = 0;
}

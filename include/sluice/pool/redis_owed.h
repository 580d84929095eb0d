/* redis_owed: the replies that a connection still owes, in the order in which they will come. A
 * ring that grows to the most that it ever held, so that a command allocates nothing. Part of a
 * server or of a part's shared connections; same thread. */
#ifndef SLUICE_POOL_REDIS_OWED_H
#define SLUICE_POOL_REDIS_OWED_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/base/ensure.h"

struct redis_client;
struct redis_command;

/* What is done with a reply. */
enum redis_action {
    REDIS_PASS,    /* to the client */
    REDIS_DROP,    /* nothing: CLIENT REPLY, or the client has had an error instead */
    REDIS_REFUSE,  /* the client gets our refusal of the command instead */
    REDIS_SESSION, /* to the client; it may change what the client is (redis_session.c) */
    REDIS_INQUIRE, /* ours: CLIENT INFO, asked for the client */
};

struct redis_owed {
    struct redis_client *client; /* NULL: it has gone */
    const struct redis_command *command;
    uint64_t since_us;
    uint32_t bytes; /* of the command; where several are one question the last has them all */
    uint8_t action;
    uint8_t batch;  /* unsent: how it may be asked with others (enum redis_batch) */
    bool bound;     /* unsent, it goes with the one before it or not at all: a transaction */
    uint16_t same;  /* so many behind it get the same reply */
    uint16_t keys;  /* it is the first of a question of so many keys; 0: one reply, as it is */
    uint16_t asked; /* first of a key: bytes of its request in the server's `asked` */
};

struct redis_owed_ring {
    struct redis_owed *entries;
    uint32_t size, head, length; /* size is a power of two, or 0 */
};

static inline struct redis_owed *redis_owed_at(const struct redis_owed_ring *ring, uint32_t index)
{
    ensure(index < ring->length);
    return &ring->entries[(ring->head + index) & (ring->size - 1)];
}

void redis_owed_grow(struct redis_owed_ring *ring);

/* Room for one more, behind the last; the caller fills it. */
static inline struct redis_owed *redis_owed_push(struct redis_owed_ring *ring)
{
    if (ring->length == ring->size)
        redis_owed_grow(ring);
    return &ring->entries[(ring->head + ring->length++) & (ring->size - 1)];
}

static inline void redis_owed_pop(struct redis_owed_ring *ring)
{
    ensure(ring->length > 0);
    ring->head++;
    ring->length--;
}

/* Moves all of `from` behind what is in `to`. */
void redis_owed_move(struct redis_owed_ring *to, struct redis_owed_ring *from);

/* The client has gone: its replies, `count` of them, are nobody's. Returns how many it found. */
uint32_t redis_owed_forget(struct redis_owed_ring *ring, const struct redis_client *client,
                           uint32_t count);

void redis_owed_fini(struct redis_owed_ring *ring);

#endif

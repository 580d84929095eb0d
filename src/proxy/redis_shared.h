/* redis_shared: what a part of a Redis pool has for the commands that go on shared connections.
 * Belongs to the part's worker. */
#ifndef SLUICE_PROXY_REDIS_SHARED_H
#define SLUICE_PROXY_REDIS_SHARED_H

#include "redis_client.h"

struct redis_batcher;

struct redis_shared {
    struct pool *pool;
    struct redis_server *server; /* takes commands now; NULL: none does */
    struct waiter waiter;        /* for the next one */
    struct timer timer;          /* the wait has a limit; a pause ends */
    struct timer delay;          /* what is unsent has waited for more */
    uint32_t last_sent;          /* commands in the last write */
    struct task flush;
    struct buffer unsent; /* commands gathered in this turn, or while there is no connection */
    struct redis_owed_ring unsent_owed;
    struct list stalled; /* clients that wait for room */
    bool limited;        /* its servers want a login first: they take small requests only */
    uint32_t epoch;      /* grows when `server` becomes another one */
    uint32_t joinable;   /* of what is unsent, reads that might be asked together */
    struct redis_batcher *batcher;                    /* NULL until there are some */
    uint64_t alone_until_us[REDIS_BATCH_ZMSCORE + 1]; /* kinds that the server has refused */
};

static inline struct pools *redis_shared_pools(const struct redis_shared *shared)
{
    return shared->pool->pools;
}

static inline struct loop *redis_shared_loop(const struct redis_shared *shared)
{
    return shared->pool->pools->loop;
}

/* Sets up pool->shared. */
void redis_shared_new(struct pool *pool);

/* Takes the request for the next write. */
enum redis_verdict redis_shared_push(struct redis_client *client, struct redis_input *input);

/* The same for `count` requests that must not be parted, `length` bytes together, of which input is
 * the first; input->request.bytes then is their length. */
enum redis_verdict redis_shared_push_block(struct redis_client *client, struct redis_input *input,
                                           uint32_t count, size_t length);

/* WAIT: on the connection that carried the client's last write, which then takes nothing more. */
enum redis_verdict redis_shared_push_wait(struct redis_client *client, struct redis_input *input);

/* The client is going: its replies are nobody's, and it does not wait for room. */
void redis_shared_forget(struct redis_client *client);

/* Lets clients go on that waited for room, if there is some. */
void redis_shared_resume_stalled(struct redis_shared *shared);

/* The present server takes no new commands. */
void redis_shared_detach(struct redis_shared *shared);

/* When the pools of this name (NULL: all) have no clients left: nobody waits for anything, and what
 * shared servers still owe is nobody's. */
void redis_shared_abandon(struct pools *pools, const char *name);

/* A server that owes nothing: idle from now on. */
void redis_shared_end(struct redis_server *redis);

/* Nobody is there any more for a WAIT, which may wait for ever: the connection is of no use. True
 * when it was closed. */
bool redis_shared_wait_abandoned(struct redis_server *redis);

/* redis_replies.c: what a shared server calls. */
void redis_replies_ready(struct server *server, unsigned what);
void redis_replies_overdue(struct server *server);

/* A client has taken what was kept of a large reply, or has gone. */
void redis_replies_taken(struct redis_client *client);

/* Answers the first `count` of a ring with an error. */
void redis_replies_fail(struct redis_owed_ring *ring, uint32_t count, const uint8_t *text,
                        size_t length);

/* The client has one reply less to wait for. */
void redis_replies_count(struct redis_client *client);

/* Sends it bytes of a reply, after that was counted. They are sent at once when they are the last
 * that are due, else kept for the end of this read. May close a client that reads nothing. */
void redis_replies_send(struct redis_client *client, const uint8_t *bytes, size_t length);

/* Sends what is kept for clients that got replies in this turn. */
void redis_replies_flush(struct worker *worker);

#endif

#include "pool_share.h"

#include "sluice/pool/sharing.h"

/* How much longer somebody must wait elsewhere before a server leaves those who wait here. */
#define CLEARLY_LONGER_US (5 * US_PER_MS)

static void server_delivered(struct mail *mail, void *receiver)
{
    struct server *server = container_of(mail, struct server, mail);
    struct pool_totals *totals = server->moving_to;
    struct pools *pools = server->moving_pools;
    struct pool *pool =
        pools_get(pools, server->kind, totals->database, totals->user, totals->variant);

    server->pool = pool;
    list_push_back(&pool->servers[SERVER_MOVING], &server->node);
    stream_attach(&server->stream, pools->loop);
    server->kind->arrive(server);
    server_ready(server);
}

static void pool_lend(struct pool *pool, struct server *server, unsigned worker)
{
    struct pools *there = pool->pools->registry->workers[worker];

    server_move(server, SERVER_MOVING);
    list_remove(&pool->servers[SERVER_MOVING], &server->node);
    timer_cancel(pool->pools->loop, &server->timer);
    stream_detach(&server->stream);
    server->kind->leave(server);
    server->pool = NULL;
    server->moving_to = pool->totals;
    server->moving_pools = there;
    server->mail.deliver = server_delivered;
    mailbox_send(there->mailbox, &server->mail);
}

/* The part, other than this one, whose first waiter waits longest; false when nobody waits. */
static bool longest_elsewhere(const struct pool *pool, unsigned *worker, uint64_t *since_us)
{
    struct pool_totals *totals = pool->totals;
    bool found = false;

    for (unsigned i = 0; i < totals->part_count; i++) {
        unsigned other = (totals->first_worker + i) % pool->pools->registry->worker_count;
        uint64_t since;

        if (other == pool->pools->worker)
            continue;
        since = atomic_load(&totals->sights[other].waiting_since_us);
        if (since && (!found || since < *since_us)) {
            *worker = other;
            *since_us = since;
            found = true;
        }
    }
    return found;
}

/* Claims the waiter seen elsewhere, so that only one part lends for it. */
static bool claim(struct pool *pool, unsigned worker, uint64_t since_us)
{
    return atomic_compare_exchange_strong(&pool->totals->sights[worker].waiting_since_us, &since_us,
                                          0);
}

bool pool_longer_elsewhere(const struct pool *pool)
{
    const struct waiter *first = pool_first_waiter(pool);
    unsigned worker;
    uint64_t since_us;

    return pool->totals->part_count > 1 && longest_elsewhere(pool, &worker, &since_us) &&
           since_us + CLEARLY_LONGER_US <
               (first ? first->since_us : loop_now_us(pool->pools->loop));
}

bool pool_lend_longer(struct pool *pool, const struct waiter *first)
{
    unsigned worker;
    uint64_t since_us;
    struct server *server;

    if (pool->totals->part_count == 1 || !first || !longest_elsewhere(pool, &worker, &since_us) ||
        since_us + CLEARLY_LONGER_US >= first->since_us)
        return false;
    server = pool_fresh_idle(pool);
    if (!server || !claim(pool, worker, since_us))
        return false;
    pool_lend(pool, server, worker);
    pool_stir(pool); /* other idle ones are for those who wait here */
    return true;
}

static void ask_answered(struct mail *mail, void *receiver)
{
    struct pool *pool = container_of(mail, struct pool, ask);

    pool->asking = false;
    pool_stir(pool);
}

/* On the sibling's thread. Of the asking part only what does not change while it asks is touched.
 */
static void ask_delivered(struct mail *mail, void *receiver)
{
    struct pool *asker = container_of(mail, struct pool, ask);
    struct pool *here = atomic_load(&asker->totals->parts[asker->asked_worker]);

    /* What others see of this part may be old: servers are lent to its own clients without a word.
     * It has to be put right, or the asker asks again and again, and nobody else. */
    if (here && !here->paused && !here->pools->paused)
        pool_share(here);
    else
        atomic_store(&asker->totals->sights[asker->asked_worker].idle, 0);
    mail->deliver = ask_answered;
    mailbox_send(asker->pools->mailbox, mail);
}

static void pool_ask(struct pool *pool)
{
    struct pool_totals *totals = pool->totals;

    for (unsigned i = 0; i < totals->part_count && !pool->asking; i++) {
        unsigned other = (totals->first_worker + i) % pool->pools->registry->worker_count;

        if (other == pool->pools->worker || atomic_load(&totals->sights[other].idle) == 0)
            continue;
        pool->asking = true;
        pool->asked_worker = other;
        pool->ask.deliver = ask_delivered;
        mailbox_send(pool->pools->registry->workers[other]->mailbox, &pool->ask);
    }
}

void pool_share(struct pool *pool)
{
    struct waiter *first = pool_first_waiter(pool);
    struct pool_sight *sight = &pool->totals->sights[pool->pools->worker];
    unsigned worker;
    uint64_t since_us;

    if (pool->totals->part_count == 1)
        return;
    /* Publish, then look: of two parts that do so at once, at least one sees the other. */
    atomic_store(&sight->waiting_since_us, first ? first->since_us : 0);
    atomic_store(&sight->idle, (uint32_t)pool->servers[SERVER_IDLE].length);
    if (first) {
        pool_ask(pool);
        return;
    }
    while (longest_elsewhere(pool, &worker, &since_us)) {
        struct server *server = pool_fresh_idle(pool);

        if (!server)
            break;
        if (claim(pool, worker, since_us))
            pool_lend(pool, server, worker);
    }
    atomic_store(&sight->idle, (uint32_t)pool->servers[SERVER_IDLE].length);
}

#include "pg_multiplex.h"

#include <stdlib.h>
#include <string.h>

#include "pg_loss.h"
#include "pg_share.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pools_orders.h"
#include "sluice/pool/sharing.h"
#include "sluice/wire/pg.h"

/* Of those who wait, so many are looked at for one whose session parameters are the server's. */
#define LOOKS_MAX 8

static void multiplex_free(struct pool *pool)
{
    struct pg_multiplex *multiplex = pool->multiplex;

    ensure(!list_contains_any(&multiplex->shares));
    multiplex_forget_all(multiplex);
    LIST_EACH_SAFE (&multiplex->spare_shares, node, following)
        free(container_of(node, struct pg_share, node));
    LIST_EACH_SAFE (&multiplex->spare_flights, node, following)
        free(container_of(node, struct pg_flight, node));
    params_drop(&multiplex->worker->pools.params, multiplex->none);
    params_drop(&multiplex->worker->pools.params, multiplex->params);
    free(multiplex);
    pool->multiplex = NULL;
}

static struct pg_multiplex *multiplex_need(struct pg_client *client)
{
    struct pool *pool = client->pool;
    struct pg_multiplex *multiplex = pool->multiplex;

    if (multiplex)
        return multiplex;
    multiplex = pool->multiplex = memory_new(sizeof(*multiplex));
    pool->multiplex_free = multiplex_free;
    multiplex->pool = pool;
    multiplex->worker = client->worker;
    multiplex->none = params_empty(&client->worker->pools.params);
    list_init(&multiplex->shares);
    list_init(&multiplex->spare_shares);
    list_init(&multiplex->spare_flights);
    list_init(&multiplex->by_use);
    return multiplex;
}

/* --- which requests --- */

/* True when the statement of the client may be sent among others; else the reason is counted. */
static bool multiplex_may(struct pg_multiplex *multiplex, struct pg_client *client,
                          struct share_request *request)
{
    struct counters *counters = &client->pool->counters;
    const struct pg_known *known;

    if (stream_pending(&client->stream) > 0) {
        counter_add(&counters->multiplex_not_client, 1);
        return false;
    }
    multiplex_know(multiplex, client, request);
    known = request->known;
    if (!known) {
        counter_add(&counters->multiplex_not_known, 1);
        return false;
    }
    if (known->verdict != SHARE_READ && known->verdict != SHARE_LAST) {
        counter_add(&counters->multiplex_not_statement, 1);
        return false;
    }
    if (known->alone_until_us > 0 && loop_now_us(&client->worker->loop) < known->alone_until_us) {
        counter_add(&counters->multiplex_not_long, 1);
        return false;
    }
    return true;
}

/* --- which server --- */

/* *lease: an idle server has to be leased to prepare the statement. */
static struct pg_share *multiplex_find(struct pg_multiplex *multiplex, struct pg_client *client,
                                       const struct share_request *request, bool *lease)
{
    struct pool *pool = multiplex->pool;
    struct server *server = pool_take(pool, client->waiter.startup);
    struct pg_share *best = NULL;

    *lease = server && !share_prepared(pg_server_of(server), request);
    if (*lease)
        pool_return_untouched(server);
    else if (server)
        return share_new(multiplex, server, client);
    if (*lease)
        return NULL;
    LIST_EACH_SAFE (&multiplex->shares, node, following) {
        struct pg_share *share = container_of(node, struct pg_share, node);

        if ((!best || share->server->flights < best->server->flights) &&
            share_suits(share, client) && share_prepared(share->server, request) &&
            share_takes(share))
            best = share;
    }
    if (best)
        pool_crowded(pool);
    return best;
}

static void multiplex_wait(struct pg_client *client)
{
    const struct pool_failure *failure;

    pg_client_move(client, PG_CLIENT_WAITING);
    client->request_us = loop_now_us(&client->worker->loop);
    client->notified = false;
    client->waiter.shares = true;
    /* Its request is not in `in` yet, so it cannot be refused here. */
    if (!pool_wait(client->pool, &client->waiter, &failure))
        client->worker->refusal = failure;
    else
        pg_client_watch(client);
}

bool pg_multiplex_take(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    const struct pool_settings *settings = &client->pool->settings;
    struct pg_multiplex *multiplex;
    struct share_request request;
    struct pg_share *share;
    bool lease;

    if (settings->multiplex == 0 || settings->mode == POOL_MODE_SESSION)
        return false;
    multiplex = multiplex_need(client);
    if (!share_request_read(&request, client, bytes, length)) {
        counter_add(&client->pool->counters.multiplex_not_request, 1);
        return false;
    }
    if (!multiplex_may(multiplex, client, &request))
        return false;
    share = multiplex_find(multiplex, client, &request, &lease);
    if (lease)
        return false;
    client->in_whole = true;
    if (share)
        share_send(share, client, &request);
    else
        multiplex_wait(client);
    return true;
}

/* --- those who wait --- */

/* Takes up the request that a waiting client has kept. */
static bool multiplex_again(struct pg_multiplex *multiplex, struct pg_client *client,
                            struct share_request *request)
{
    size_t length = buffer_length(&client->in);
    const uint8_t *bytes = buffer_bytes(&client->in);
    size_t at = 0;

    /* It was whole; what has come since lies behind it. */
    if (bytes[0] == PG_QUERY) {
        at = 1 + (size_t)pg_u32(bytes + 1);
    } else {
        while (at < length && bytes[at] != PG_SYNC)
            at += 1 + (size_t)pg_u32(bytes + at + 1);
        at += PG_HEADER_BYTES;
    }
    return share_request_read(request, client, bytes, at) &&
           multiplex_may(multiplex, client, request);
}

bool pg_multiplex_granted(struct pg_client *client, struct server *server)
{
    struct pg_multiplex *multiplex = client->pool->multiplex;
    struct share_request request;
    struct pg_share *share;

    if (!client->waiter.shares || client->pool->settings.multiplex == 0 ||
        !multiplex_again(multiplex, client, &request) ||
        !share_prepared(pg_server_of(server), &request))
        return false;
    share = share_new(multiplex, server, client);
    share_send(share, client, &request);
    multiplex_fill(share);
    stream_flush(&server->stream);
    return true;
}

/* Somebody waits for the server to come free: the first in the queue, whom it does not suit as it
 * is, or somebody elsewhere. One at a time is given up for that. */
static bool share_wanted(const struct pg_share *share, const struct waiter *passed_over)
{
    const struct pool *pool = share->multiplex->pool;

    LIST_EACH_SAFE (&share->multiplex->shares, node, following)
        if (container_of(node, struct pg_share, node)->server->retiring)
            return false;
    return (passed_over && passed_over == pool_first_waiter(pool)) || pool_longer_elsewhere(pool);
}

void multiplex_fill(struct pg_share *share)
{
    struct pg_multiplex *multiplex = share->multiplex;
    struct pool *pool = multiplex->pool;
    struct waiter *waiter, *passed_over = NULL;
    size_t index = 0;

    while (index < LOOKS_MAX && share_takes(share) &&
           (waiter = pool_waiter_to_share(pool, index))) {
        struct pg_client *client = container_of(waiter, struct pg_client, waiter);
        struct share_request request;

        if (!share_suits(share, client) || pool->settings.multiplex == 0 ||
            !multiplex_again(multiplex, client, &request) ||
            !share_prepared(share->server, &request)) {
            if (index++ == 0)
                passed_over = waiter;
            continue;
        }
        pool_unwait(pool, waiter);
        counter_add(&pool->counters.wait_time,
                    loop_now_us(&multiplex->worker->loop) - waiter->since_us);
        share_send(share, client, &request);
    }
    if (!share->server->retiring && share_wanted(share, passed_over))
        share->server->retiring = true;
}

/* --- clients --- */

void pg_multiplex_leave(struct pg_client *client)
{
    if (client->state == PG_CLIENT_SHARING && client->flight)
        share_leave(client->flight);
}

void pg_multiplex_abandon(struct pools *pools, const char *name)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    if (pool->multiplex && pool_is_named(pool, name))
        LIST_EACH_SAFE (&pool->multiplex->shares, node, next) {
            struct pg_share *share = container_of(node, struct pg_share, node);

            if (share->live == 0)
                share_abandon(share);
        }
}

bool pg_multiplex_half_told(const struct pg_client *client)
{
    const struct pg_flight *flight = client->flight;
    const struct pg_server *pg = flight->share->server;

    return flight == share_front(flight->share) && pg->body_left > 0 && !pg->skip_body;
}

/* Nothing else can be hit by a cancel than the statement that the server runs; so one that others
 * are behind, or that has not begun, is not cancelled there: it only reads, so that nobody can tell
 * that it still runs. */
bool pg_multiplex_cancel(struct pg_client *client, struct pg_cancel_notice *notice)
{
    struct pg_flight *flight = client->flight;
    struct pg_share *share = flight->share;
    bool front = flight == share_front(share);
    bool behind = false;

    for (struct list_node *node = list_next(&share->flights, &flight->node); node;
         node = list_next(&share->flights, node))
        behind |= container_of(node, struct pg_flight, node)->client != NULL;
    if (front && !behind) {
        pg_server_cancel(share->server, notice);
        return true;
    }
    if (flight->known->verdict != SHARE_READ) {
        if (flight->notice)
            return false; /* it will be */
        flight->notice = notice;
        return true;
    }
    if (pg_multiplex_half_told(client))
        return false; /* too late: it has its rows, or soon will */
    counter_add(&client->pool->counters.cancel_count, 1);
    share_leave(flight);
    pg_loss_fail(client, pg_error_row(PG_ERROR_CANCELLED));
    return false;
}

void pg_multiplex_taken(struct pg_client *client)
{
    struct pg_flight *flight = client->flight;

    if (flight && flight == share_front(flight->share))
        share_unslow(flight->share);
}

const struct pg_server *pg_multiplex_server(const struct pg_client *client)
{
    return client->state == PG_CLIENT_SHARING && client->flight ? client->flight->share->server
                                                                : NULL;
}

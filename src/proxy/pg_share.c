#include "pg_share.h"

#include <string.h>

#include "pg_loss.h"
#include "pg_named.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pools_orders.h"
#include "sluice/wire/pg.h"

/* Beyond so many bytes that the server has not taken it gets no more statements. */
#define SERVER_PENDING_MAX (64u * 1024u)
/* What one statement may need of the server's ring of requests. */
#define REQUESTS_MAX 16u

static struct loop *share_loop(const struct pg_share *share)
{
    return &share->multiplex->worker->loop;
}

static void share_flush(struct task *task)
{
    stream_flush(&container_of(task, struct pg_share, flush)->server->base.stream);
}

/* --- its life --- */

/* What the session of an earlier client has set, and what those of these clients have. */
static void share_set(struct pg_share *share)
{
    struct pg_server *pg = share->server;

    if (pg_server_set(pg, share->settings)) {
        counter_add(&pg->base.pool->counters.settings_count, 1);
        share->setting++;
    }
    share->setting += pg_server_set_params(pg, share->params);
}

struct pg_share *share_new(struct pg_multiplex *multiplex, struct server *server,
                           struct pg_client *client)
{
    struct list_node *spare = list_pop_front(&multiplex->spare_shares);
    struct pg_share *share =
        spare ? container_of(spare, struct pg_share, node) : memory_new(sizeof(*share));
    struct pg_server *pg = pg_server_of(server);

    memset(share, 0, sizeof(*share));
    share->multiplex = multiplex;
    share->server = pg;
    share->params = params_hold(client->params);
    share->settings = params_hold(multiplex_settings(multiplex, client));
    share->flush.run = share_flush;
    list_init(&share->flights);
    list_push_back(&multiplex->shares, &share->node);
    server_move(server, SERVER_SHARED);
    server->holder = share;
    server->holder_ready = share_ready;
    server->holder_overdue = share_overdue;
    server->holder_due_us = UINT64_MAX;
    pg->overdue = 0;
    pg->owed_ready = pg->retiring = false;
    pg->flights = 0;
    share_set(share);
    return share;
}

static void flight_free(struct pg_flight *flight)
{
    struct pg_share *share = flight->share;

    list_remove(&share->flights, &flight->node);
    share->server->flights--;
    flight->known->flights--;
    if (flight->client) {
        flight->client->flight = NULL;
        share->live--;
    }
    if (flight->notice)
        flight->notice->over(flight->notice);
    list_push_front(&share->multiplex->spare_flights, &flight->node);
}

/* It has nothing to do with its server any more. */
static void share_free(struct pg_share *share)
{
    struct pg_multiplex *multiplex = share->multiplex;
    struct server *server = &share->server->base;

    while (list_contains_any(&share->flights)) {
        flight_free(share_front(share));
    }
    server->holder_overdue = NULL;
    share->server->retiring = false;
    loop_undefer(share_loop(share), &share->flush);
    params_drop(&multiplex->worker->pools.params, share->params);
    params_drop(&multiplex->worker->pools.params, share->settings);
    list_remove(&multiplex->shares, &share->node);
    list_push_front(&multiplex->spare_shares, &share->node);
}

void share_abandon(struct pg_share *share)
{
    share_free(share);
}

void share_end(struct pg_share *share)
{
    struct pg_server *pg = share->server;

    share_free(share);
    /* Perhaps its end is to be read: that must be seen before it is lent again. */
    if (pg->base.stream.readable)
        stream_again(&pg->base.stream);
    pg_server_give_back(pg);
}

void share_lost(struct pg_share *share, const struct pool_failure *failure)
{
    struct pg_server *pg = share->server;
    bool cut = pg->body_left > 0 && !pg->skip_body; /* somebody has half a message */

    counter_add(&pg->base.pool->counters.server_lost_count, 1);
    server_log(&pg->base, LOG_LEVEL_WARNING, "%s", failure->message);
    while (list_contains_any(&share->flights)) {
        struct pg_flight *flight = share_front(share);
        struct pg_client *client = flight->client;

        if (client)
            buffer_consume(&client->in, &share_loop(share)->buffers, flight->request_bytes);
        flight_free(flight);
        if (client && cut)
            pg_client_close(client, failure->message);
        else if (client)
            pg_loss_fail(client, failure);
        cut = false;
    }
    share_free(share);
    server_close(&pg->base, failure->message);
}

void share_leave(struct pg_flight *flight)
{
    struct pg_share *share = flight->share;
    struct pg_server *pg = share->server;
    struct pg_client *client = flight->client;
    bool front = flight == share_front(share);

    buffer_consume(&client->in, &share_loop(share)->buffers, flight->request_bytes);
    client->flight = NULL;
    flight->client = NULL;
    if (front && pg->body_left > 0)
        pg->skip_body = true;
    if (--share->live > 0) {
        if (front)
            share_unslow(share);
        return;
    }
    share_free(share);
    pool_drain(&pg->base);
}

void share_ask_alone(struct pg_flight *flight)
{
    struct pg_client *client = flight->client;

    client->flight = NULL;
    flight->client = NULL;
    flight->share->live--;
    pg_requests_wait_alone(client);
}

/* --- to the server --- */

static bool share_stalled(struct pg_share *share)
{
    uint64_t stall_us = share->multiplex->worker->conf->multiplex_stall_us;

    if (share->server->flights == 0 || stall_us == 0 ||
        loop_now_us(share_loop(share)) - share->front_us <= stall_us)
        return false;
    if (!share->stalled)
        counter_add(&share->multiplex->pool->counters.multiplex_stalls, 1);
    share->stalled = true;
    return true;
}

bool share_suits(const struct pg_share *share, const struct pg_client *client)
{
    return client->params == share->params &&
           client->waiter.startup == share->server->base.startup &&
           multiplex_settings(share->multiplex, client) == share->settings;
}

/* A statement that is prepared elsewhere only is prepared here by a lease, which finds out what its
 * client has been told of it; and so is what the client will be told anew. */
bool share_prepared(const struct pg_server *pg, const struct share_request *request)
{
    const struct named *named = request->named;
    struct pg_description there, told;
    uint64_t described_us;

    if (!named)
        return true;
    there = prepared_description(&pg->prepared, named->statement->key, &described_us);
    told = named->told;
    if (!there.columns || described_us <= named->statement->stale_us ||
        !pg_description_agrees(told, there))
        return false;
    if (request->extended.describes_statement && told.params != there.params)
        return false;
    return told.columns == there.columns ||
           !(request->extended.describes_statement || request->extended.describes_portal);
}

bool share_takes(struct pg_share *share)
{
    const struct pg_server *pg = share->server;
    const struct server *server = &pg->base;
    const struct pool *pool = server->pool;

    if (pg->retiring || share->closed_behind || share->spoilt || share->slow || pg->cancel ||
        (int64_t)pg->flights >= pool->settings.multiplex || server->close_needed ||
        pool->disabled || pool_stopped(pool) ||
        loop_now_us(share_loop(share)) >= server->created_us + server->lifetime_us ||
        stream_pending(&server->stream) > SERVER_PENDING_MAX ||
        pg->pipeline.count + REQUESTS_MAX > PG_PIPELINE_MAX)
        return false;
    return !share_stalled(share);
}

/* The messages, in which the client's name for a statement becomes the server's. */
static void send_messages(struct pg_share *share, const struct share_request *request)
{
    struct stream *stream = &share->server->base.stream;
    const struct pg_statement *statement = request->named ? request->named->statement : NULL;
    const uint8_t *bytes = request->bytes;
    size_t from = 0, bytes_next;

    for (size_t at = 0; at < request->length; at += bytes_next) {
        uint8_t type = bytes[at], header[PG_HEADER_BYTES] = {type};
        uint32_t body = pg_u32(bytes + at + 1);
        size_t front, name;

        bytes_next = 1 + (size_t)body;
        pg_pipeline_sent(&share->server->pipeline, type, false);
        if (!statement ||
            (type != PG_BIND && !(type == PG_DESCRIBE && bytes[at + PG_HEADER_BYTES] == 'S')))
            continue;
        /* What stands in front of the name: an empty portal, or 'S'. Both are one byte. */
        front = at + PG_HEADER_BYTES;
        name = strlen(request->extended.name);
        stream_queue(stream, bytes + from, at - from);
        pg_put_u32(header + 1, (uint32_t)(body - name + STATEMENT_NAME_BYTES - 1));
        stream_queue(stream, header, sizeof(header));
        stream_queue(stream, bytes + front, 1);
        stream_queue(stream, statement->name, STATEMENT_NAME_BYTES);
        from = front + 1 + name + 1;
    }
    stream_queue(stream, bytes + from, request->length - from);
}

static void flight_new(struct pg_share *share, struct pg_client *client,
                       const struct share_request *request)
{
    struct list_node *spare = list_pop_front(&share->multiplex->spare_flights);
    struct pg_flight *flight =
        spare ? container_of(spare, struct pg_flight, node) : memory_new(sizeof(*flight));

    *flight = (struct pg_flight){
        .client = client,
        .share = share,
        .known = request->known,
        .asked_us = client->state == PG_CLIENT_WAITING ? client->waiter.since_us
                                                       : loop_now_us(share_loop(share)),
        .request_bytes = (uint32_t)request->length,
        .named = request->named != NULL,
        .parses = !request->simple && request->text != NULL,
        .binds = !request->simple,
    };
    request->known->flights++;
    list_push_back(&share->flights, &flight->node);
    share->live++;
    share->server->flights++;
    client->flight = flight;
}

void share_send(struct pg_share *share, struct pg_client *client,
                const struct share_request *request)
{
    const struct pool *pool = client->pool;
    uint64_t now_us = loop_now_us(share_loop(share));

    flight_new(share, client, request);
    if (share->server->flights == 1) {
        share->front_us = now_us;
        share->stalled = false;
    }
    if (!request->simple && request->text)
        share->server->unnamed_client = client->id;
    if (request->named)
        prepared_used(&share->server->prepared, request->named->statement->key);
    share->closed_behind = request->known->verdict == SHARE_LAST;
    send_messages(share, request);
    pg_client_move(client, PG_CLIENT_SHARING);
    client->request_us = now_us;
    if (pool->settings.query_timeout_us | pool->settings.transaction_timeout_us)
        pg_client_watch(client);
    counter_add(&client->pool->counters.multiplexed, 1);
    loop_defer(share_loop(share), &share->flush);
}

/* --- from the server --- */

void share_set_done(struct pg_share *share)
{
    struct params_set *set = &share->multiplex->worker->pools.params;
    struct params *params = share->server->params;

    if (share->setting > 0)
        share->setting--;
    if (share->setting > 0 || share->params == params)
        return;
    /* Server and clients agree by the server's own words. */
    LIST_EACH_SAFE (&share->flights, node, following) {
        struct pg_client *client = container_of(node, struct pg_flight, node)->client;

        if (client && client->params == share->params) {
            params_drop(set, client->params);
            client->params = params_hold(params);
        }
    }
    params_drop(set, share->params);
    share->params = params_hold(params);
}

void share_pop(struct pg_share *share)
{
    struct pg_flight *flight = share_front(share);

    flight_free(flight);
    share->front_us = loop_now_us(share_loop(share));
    share->stalled = share->slow = false;
    flight = share_front(share);
    if (!flight) {
        share->closed_behind = false;
        return;
    }
    if (flight->notice) {
        struct pg_cancel_notice *notice = flight->notice;

        flight->notice = NULL;
        pg_server_cancel(share->server, notice);
    } else if (share->live == 0 && !share->server->cancel) {
        pg_server_cancel(share->server, NULL); /* nobody waits for what runs now */
    }
}

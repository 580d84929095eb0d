/* From a shared server to the clients of the statements on it: which reply is whose, and when it is
 * whole. */
#include <stdio.h>
#include <string.h>

#include "pg_loss.h"
#include "pg_named.h"
#include "pg_share.h"
#include "pg_timing.h"
#include "sluice/wire/pg.h"
#include "statement_stats.h"

/* Messages that are looked into must come whole; of a longer error only so much is looked at. */
#define WHOLE_BYTES_MAX (LOOP_SCRATCH_BYTES / 2)
/* What a client may leave unread before its server is not read: less when nobody is behind it. */
#define PENDING_MAX (1024u * 1024u)
#define PENDING_ALONE_MAX (64u * 1024u)
/* A longer reply has its statement go alone for a while. */
#define REPLY_BYTES_MAX (256u * 1024u)
#define ALONE_US (60 * US_PER_S)
/* A client that takes nothing of a long reply is looked at so often; and, when it takes nothing for
 * so long while others are behind it, closed. */
#define SLOW_LOOK_US (100 * US_PER_MS)
#define SLOW_US US_PER_S

enum verdict {
    VERDICT_PASS,
    VERDICT_SWALLOW, /* it answers what Sluice itself asked, or is dealt with */
    VERDICT_WHOLE,   /* with it the first flight's reply is whole */
    VERDICT_LOST,    /* the server has to be given up; see `failure` */
};

static struct loop *share_loop(const struct pg_share *share)
{
    return &share->multiplex->worker->loop;
}

/* --- to the clients --- */

static void share_forward(struct pg_share *share, const uint8_t *bytes, size_t length)
{
    struct pg_flight *flight = share_front(share);

    if (length == 0 || !flight || !flight->client)
        return;
    flight->reply_bytes += length;
    counter_add(&share->multiplex->pool->counters.bytes_sent, length);
    stream_write(&flight->client->stream, bytes, length);
}

/* For who wants to know of statements. While others were in front of it, it waited. */
static void flight_time(const struct pg_flight *flight, uint64_t now_us)
{
    struct pg_client *client = flight->client;
    uint64_t begun_us = flight->share->front_us;
    struct share_request request;
    const uint8_t *bind;
    const char *text;

    if (!share_request_read(&request, client, buffer_bytes(&client->in), flight->request_bytes))
        return;
    bind = request.extended.bind;
    text = request.text ? request.text : (const char *)request.named->statement->body;
    pg_timing_add(client, &(struct pg_timed){
                              .text = text,
                              .text_bytes = strlen(text),
                              .bind = bind,
                              .bind_bytes = bind ? (size_t)(request.extended.values +
                                                            request.extended.values_bytes - bind)
                                                 : 0,
                              .waited_us = begun_us - flight->asked_us,
                              .run_us = now_us - begun_us,
                              .rows = flight->rows,
                              .failed = flight->failed,
                          });
}

static void flight_count(const struct pg_flight *flight, uint64_t now_us)
{
    struct pool *pool = flight->client->pool;
    struct counters *counters = &pool->counters;
    uint64_t took_us = now_us - flight->client->request_us;

    counter_add(&counters->query_count, 1);
    counter_add(&counters->query_time, took_us);
    latency_add(&pool->latencies, LATENCY_query, took_us);
    counter_add(&counters->xact_count, 1);
    counter_add(&counters->xact_time, took_us);
    latency_add(&pool->latencies, LATENCY_transaction, took_us);
    if (flight->binds)
        counter_add(&counters->bind_count, 1);
    if (flight->parses)
        counter_add(&counters->client_parse_count, 1);
    if (statement_timings_wanted(flight->client->worker->conf))
        flight_time(flight, now_us);
}

/* The first flight is over: its client goes on. */
static void flight_done(struct pg_share *share)
{
    struct pg_flight *flight = share_front(share);
    struct pg_client *client = flight->client;
    struct loop *loop = share_loop(share);
    uint64_t now_us = loop_now_us(loop);

    if (flight->reply_bytes > REPLY_BYTES_MAX)
        flight->known->alone_until_us = now_us + ALONE_US;
    if (client) {
        flight_count(flight, now_us);
        buffer_consume(&client->in, &loop->buffers, flight->request_bytes);
    }
    share_pop(share);
    if (!client)
        return;
    client->in_whole = buffer_length(&client->in) > 0;
    pg_client_move(client, PG_CLIENT_IDLE);
    client->request_us = now_us;
    if (client->pool->settings.client_idle_timeout_us)
        pg_client_watch(client);
    if (client->in_whole || client->stream.readable)
        stream_again(&client->stream);
}

/* --- messages --- */

static enum verdict share_ready_for_query(struct pg_share *share, const uint8_t *body,
                                          size_t length, struct pool_failure *failure)
{
    struct pg_server *pg = share->server;
    enum pg_verdict verdict = PG_UNEXPECTED;

    if (length == 1 && body[0] == 'I')
        verdict = pg_pipeline_reply(&pg->pipeline, PG_READY);
    if (verdict == PG_UNEXPECTED || (verdict == PG_PASS && !share_front(share))) {
        /* Also a transaction that a statement has left open: it goes with the server. */
        *failure =
            *pg_error_row(length == 1 && memchr("TE", body[0], 2) ? PG_ERROR_LEFT_SESSION
                                                                  : PG_ERROR_SERVER_BROKE_PROTOCOL);
        return VERDICT_LOST;
    }
    pg->status = 'I';
    if (verdict == PG_PASS)
        return VERDICT_WHOLE;
    share_set_done(share);
    return VERDICT_SWALLOW;
}

/* The server could not use a prepared statement any more: the tables have changed, or it has been
 * deallocated. The ordinary way knows what to do about that. */
static bool error_stale(const struct pg_flight *flight, const struct pool_failure *failure,
                        const uint8_t *body, size_t length)
{
    struct pg_error error;

    if (!flight->named)
        return false;
    pg_error_parse(body, length, &error);
    return (strcmp(failure->sqlstate, "0A000") == 0 &&
            strcmp(error.routine, "RevalidateCachedQuery") == 0) ||
           (strcmp(failure->sqlstate, "26000") == 0 &&
            strstr(failure->message, STATEMENT_NAME_PREFIX));
}

static enum verdict share_error(struct pg_share *share, const uint8_t *body, size_t length,
                                struct pool_failure *failure)
{
    struct pg_server *pg = share->server;
    struct pg_flight *flight = share_front(share);
    bool own = pg_replies_failure(failure, body, length) || share->setting > 0;

    if (own || pg_pipeline_reply(&pg->pipeline, PG_ERROR) != PG_PASS || !flight)
        return VERDICT_LOST;
    flight->failed = true;
    if (!flight->client)
        return VERDICT_SWALLOW;
    if (error_stale(flight, failure, body, length)) {
        prepared_doubt_all(&pg->prepared);
        if (flight->reply_bytes == 0) {
            share_ask_alone(flight);
            return VERDICT_SWALLOW;
        }
    }
    return pg_statements_error(flight->client, body, length) ? VERDICT_SWALLOW : VERDICT_PASS;
}

/* A setting that the server reports has changed. Of those that a session can set, the statements
 * behind have seen the wrong value. */
static enum verdict share_parameter(struct pg_share *share, bool own, const uint8_t *body,
                                    size_t length)
{
    struct pg_server *pg = share->server;
    struct pg_flight *flight = share_front(share);
    struct params_set *set = &share->multiplex->worker->pools.params;
    struct pg_reader reader = pg_reader_of(body, length);
    const char *name = pg_read_text(&reader), *value = pg_read_text(&reader);

    if (!pg_server_parameter(pg, body, length))
        return VERDICT_LOST;
    if (own || !flight)
        return VERDICT_SWALLOW;
    if (param_settable(name)) {
        share->spoilt = true;
        flight->known->verdict = SHARE_SESSION;
    }
    if (flight->client)
        flight->client->params = params_with(set, flight->client->params, name, value);
    return VERDICT_PASS;
}

static enum verdict share_message(struct pg_share *share, uint8_t type, const uint8_t *body,
                                  size_t length, struct pool_failure *failure)
{
    struct pg_server *pg = share->server;
    enum pg_verdict verdict;

    if (type == PG_READY)
        return share_ready_for_query(share, body, length, failure);
    if (type == PG_ERROR)
        return share_error(share, body, length, failure);
    *failure = *pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL);
    verdict = pg_pipeline_reply(&pg->pipeline, type);
    if (verdict == PG_UNEXPECTED || type == PG_COPY_IN || type == PG_COPY_OUT ||
        type == PG_COPY_BOTH)
        return VERDICT_LOST;
    if (type == PG_PARAMETER_STATUS)
        return share_parameter(share, verdict != PG_PASS, body, length);
    if (type == PG_COMMAND_COMPLETE && verdict == PG_PASS && share_front(share))
        share_front(share)->rows = pg_timing_rows(body, length);
    return verdict == PG_PASS && type != PG_NOTIFICATION ? VERDICT_PASS : VERDICT_SWALLOW;
}

/* --- the walk --- */

static bool seen_whole(uint8_t type)
{
    return type == PG_READY || type == PG_ERROR || type == PG_PARAMETER_STATUS ||
           type == PG_COMMAND_COMPLETE;
}

/* The reply of the first flight is whole. False: the share is over. */
static bool share_advance(struct pg_share *share)
{
    bool spoilt = share->spoilt;

    flight_done(share);
    if (!spoilt || !share_front(share))
        return true;
    share_lost(share, pg_error_row(PG_ERROR_LEFT_SESSION));
    return false;
}

/* Walks what was read. Returns how many bytes are done with; -1: the share is over. */
static ssize_t share_walk(struct pg_share *share, const uint8_t *bytes, size_t length)
{
    struct pg_server *pg = share->server;
    size_t at = 0, span = 0; /* bytes[span..at) are for the first flight's client */

    while (at < length) {
        size_t left = length - at, take;
        struct pool_failure failure;
        enum verdict verdict;
        uint32_t body;

        if (pg->body_left > 0) {
            take = left < pg->body_left ? left : pg->body_left;
            pg->body_left -= (uint32_t)take;
            at += take;
            if (pg->skip_body)
                span = at;
            continue;
        }
        if (left < PG_HEADER_BYTES)
            break;
        body = pg_u32(bytes + at + 1);
        if (body < PG_MESSAGE_BYTES_MIN || body > INT32_MAX ||
            (seen_whole(bytes[at]) && bytes[at] != PG_ERROR && body > WHOLE_BYTES_MAX)) {
            share_forward(share, bytes + span, at - span);
            share_lost(share, pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL));
            return -1;
        }
        body -= 4;
        take = left - PG_HEADER_BYTES < body ? left - PG_HEADER_BYTES : body;
        if (take < body && seen_whole(bytes[at]) && take < WHOLE_BYTES_MAX)
            break;
        if (bytes[at] == PG_ERROR) {
            /* It may be told in other words, which have to come behind what lies before it. */
            share_forward(share, bytes + span, at - span);
            span = at;
        }
        verdict = share_message(share, bytes[at], bytes + at + PG_HEADER_BYTES, take, &failure);
        if (verdict == VERDICT_LOST || verdict == VERDICT_SWALLOW)
            share_forward(share, bytes + span, at - span);
        if (verdict == VERDICT_LOST) {
            share_lost(share, &failure);
            return -1;
        }
        pg->skip_body = verdict == VERDICT_SWALLOW;
        pg->body_left = body - (uint32_t)take;
        at += PG_HEADER_BYTES + take;
        if (verdict == VERDICT_SWALLOW)
            span = at;
        if (verdict == VERDICT_WHOLE) {
            share_forward(share, bytes + span, at - span);
            span = at;
            if (!share_advance(share))
                return -1;
        }
    }
    share_forward(share, bytes + span, at - span);
    return (ssize_t)at;
}

/* --- clients that do not read --- */

void share_unslow(struct pg_share *share)
{
    if (!share->slow)
        return;
    share->slow = false;
    share->server->base.holder_due_us = UINT64_MAX;
    stream_again(&share->server->base.stream);
}

/* True when the server may not be read: the first flight's client has too much unread. */
static bool share_slowed(struct pg_share *share)
{
    const struct pg_flight *flight = share_front(share);
    struct server *server = &share->server->base;
    size_t pending;

    if (share->slow)
        return true;
    if (!flight || !flight->client || flight->reply_bytes == 0)
        return false;
    pending = stream_pending(&flight->client->stream);
    if (pending <= (share->live > 1 ? PENDING_MAX : PENDING_ALONE_MAX))
        return false;
    share->slow = true;
    share->slow_pending = pending;
    share->slow_since_us = loop_now_us(share_loop(share));
    server->holder_due_us = share->slow_since_us + SLOW_LOOK_US;
    server_watch(server);
    return true;
}

void share_overdue(struct server *server)
{
    struct pg_share *share = server->holder;
    uint64_t now_us = loop_now_us(share_loop(share));
    struct pg_client *client = share_front(share)->client;
    size_t pending = stream_pending(&client->stream);

    if (pending < share->slow_pending) {
        share->slow_pending = pending;
        share->slow_since_us = now_us;
    } else if (share->live > 1 && now_us - share->slow_since_us >= SLOW_US) {
        pg_client_close(client, "it does not read its reply, and others wait behind it");
        return;
    }
    server->holder_due_us = now_us + SLOW_LOOK_US;
    server_watch(server);
}

/* --- reading --- */

static void share_server_gone(struct pg_share *share)
{
    struct pool_failure failure = *pg_error_row(PG_ERROR_SERVER_LOST);
    const char *why = stream_why(&share->server->base.stream);

    if (why)
        snprintf(failure.detail, sizeof(failure.detail), "%s", why);
    share_lost(share, &failure);
}

void share_ready(struct server *server, unsigned what)
{
    struct pg_share *share = server->holder;
    struct pg_server *pg = share->server;
    struct worker *worker = share->multiplex->worker;
    int64_t turns = worker->conf->sbuf_loopcnt > 0 ? worker->conf->sbuf_loopcnt : INT64_MAX;

    if (what & STREAM_DRAINED)
        multiplex_fill(share);
    do {
        ssize_t got, done;
        size_t length;

        if (share_slowed(share))
            return;
        got = stream_read_behind(&server->stream, &pg->in, LOOP_SCRATCH_BYTES, &length);
        if (got < 0 && !pg->in_whole) {
            share_server_gone(share);
            return;
        }
        if (got <= 0 && !pg->in_whole)
            return;
        pg->in_whole = false;
        buffer_clear(&pg->in, &worker->loop.buffers);
        done = share_walk(share, worker->loop.scratch, length);
        if (done < 0)
            return;
        buffer_append(&pg->in, &worker->loop.buffers, worker->loop.scratch + done,
                      length - (size_t)done);
        multiplex_fill(share);
        if (!share_front(share)) {
            share_end(share);
            return;
        }
        /* What is written finds out when the server is gone. */
        if (!list_node_linked(&share->flush.node))
            stream_recheck(&server->stream);
    } while (--turns > 0);
    if (server->stream.readable)
        stream_again(&server->stream);
}

/* From a server to its client: as pg_requests.c, the other way round; and the end of a lease. */
#include <stdio.h>
#include <string.h>

#include "pg_carried.h"
#include "pg_client.h"
#include "pg_described.h"
#include "pg_loss.h"
#include "pg_repeat.h"
#include "pg_timing.h"
#include "sluice/base/log.h"
#include "sluice/wire/pg.h"

/* Beyond so many bytes that the client has not taken, its server is not read. */
#define CLIENT_PENDING_MAX (64u * 1024u)
/* Messages that are looked into must come whole; of a longer error only so much is looked at. */
#define WHOLE_BYTES_MAX (LOOP_SCRATCH_BYTES / 2)

enum verdict {
    VERDICT_PASS,
    VERDICT_PARSED,  /* it passes as a ParseComplete */
    VERDICT_SWALLOW, /* it answers what Sluice itself asked */
    VERDICT_LOST,    /* the server has to be given up; see `failure` */
    VERDICT_ENDED,   /* the client's session cannot go on; see `failure` */
};

/* The server has nothing to do for the client, and the client nothing half said. */
static bool replies_at_rest(const struct pg_client *client)
{
    const struct pg_server *pg = client->server;

    return pg->status == 'I' && pg_pipeline_idle(&pg->pipeline) && client->body_left == 0 &&
           pg->body_left == 0 && buffer_length(&pg->in) == 0;
}

bool pg_replies_end_lease(struct pg_client *client)
{
    struct pg_server *pg = client->server;

    if (!replies_at_rest(client) || pg_session_ask(client) || pg_client_keeps_server(client))
        return false;
    client->server = NULL;
    pg_client_move(client, PG_CLIENT_IDLE);
    /* Perhaps its end is to be read: that must be seen before it is lent again. */
    if (pg->base.stream.readable)
        stream_again(&pg->base.stream);
    pg_server_give_back(pg);
    client->request_us = loop_now_us(&client->worker->loop);
    if (client->pool->settings.client_idle_timeout_us)
        pg_client_watch(client);
    if (client->in_whole || client->stream.readable)
        stream_again(&client->stream);
    return true;
}

/* server_fast_close: the session ends with its server, which has been replaced. True: it is gone.
 */
static bool replies_close_replaced(struct pg_client *client)
{
    if (!client->server->base.close_needed || !client->worker->conf->server_fast_close ||
        client->pool->settings.mode != POOL_MODE_SESSION || !replies_at_rest(client))
        return false;
    pg_client_close_failed(client, pg_error_row(PG_ERROR_REPLACED));
    return true;
}

void pg_replies_close_replaced(struct worker *worker)
{
    LIST_EACH_SAFE (&worker->clients[CLIENTS_ACTIVE], node, next) {
        struct pg_client *client = container_of(node, struct pg_client, node);

        if (client->state == PG_CLIENT_ACTIVE && client->server)
            replies_close_replaced(client);
    }
}

bool pg_replies_failure(struct pool_failure *failure, const uint8_t *body, size_t length)
{
    struct pg_error error;

    pg_error_parse(body, length, &error);
    pool_failure_from(failure, &error, "XX000");
    return strcmp(error.severity, "FATAL") == 0 || strcmp(error.severity, "PANIC") == 0;
}

static bool error_is(const uint8_t *body, size_t length, const char *sqlstate)
{
    struct pg_error error;

    pg_error_parse(body, length, &error);
    return strcmp(error.sqlstate, sqlstate) == 0;
}

static void replies_count(struct pg_client *client)
{
    struct pg_server *pg = client->server;
    struct counters *counters = &client->pool->counters;
    struct latencies *latencies = &client->pool->latencies;
    uint64_t now_us = loop_now_us(&client->worker->loop);

    counter_add(&counters->query_count, 1);
    counter_add(&counters->query_time, now_us - client->request_us);
    latency_add(latencies, LATENCY_query, now_us - client->request_us);
    pg_timing_end(client, now_us - client->request_us);
    client->request_us = now_us;
    if (pg->status == 'I') {
        counter_add(&counters->xact_count, 1);
        counter_add(&counters->xact_time, now_us - pg->transaction_us);
        latency_add(latencies, LATENCY_transaction, now_us - pg->transaction_us);
        pg->transaction_us = now_us;
    } else if (client->pool->settings.idle_transaction_timeout_us) {
        client->worker->watch_due = true;
    }
}

/* A query of our own is done. */
static enum verdict replies_own_ready(struct pg_client *client, struct pool_failure *failure)
{
    const struct pool_failure *refused = NULL;
    struct pg_session *session = client->session;

    if (session && session->restoring)
        session->restoring = false;
    else if (session && session->setting)
        session->setting = false;
    else if (pg_client_asks(client))
        refused = pg_session_answered(client);
    if (!refused)
        return VERDICT_SWALLOW;
    *failure = *refused;
    return VERDICT_ENDED;
}

/* Our setting what the client's session has set was refused, and ended the server's session. */
static bool setting_refused(const struct pg_client *client, const struct pool_failure *failure)
{
    return client->session && client->session->setting &&
           strncmp(failure->sqlstate, "57", 2) != 0 && strncmp(failure->sqlstate, "08", 2) != 0;
}

/* ReadyForQuery. */
static enum verdict replies_ready(struct pg_client *client, const uint8_t *body, size_t length,
                                  struct pool_failure *failure)
{
    struct pg_server *pg = client->server;
    enum pg_verdict verdict = PG_UNEXPECTED;

    if (length == 1 && memchr("ITE", body[0], 3))
        verdict = pg_pipeline_reply(&pg->pipeline, PG_READY);
    if (verdict == PG_UNEXPECTED) {
        *failure = *pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL);
        return VERDICT_LOST;
    }
    pg->status = (char)body[0];
    pg->overdue = 0;
    if (verdict == PG_SWALLOW) {
        /* Our SETs are done: server and client agree by the server's own words. */
        params_drop(&client->worker->pools.params, client->params);
        client->params = params_hold(pg->params);
        return replies_own_ready(client, failure);
    }
    replies_count(client);
    pg_carried_ready(client);
    pg_session_restore(client);
    if (pg->status != 'I' && client->pool->settings.mode == POOL_MODE_STATEMENT) {
        *failure = *pg_error_row(PG_ERROR_STATEMENT_MODE);
        pg->owed_ready = true;
        return VERDICT_LOST;
    }
    return VERDICT_PASS;
}

static enum verdict replies_error(struct pg_client *client, const uint8_t *body, size_t length,
                                  struct pool_failure *failure)
{
    struct pg_server *pg = client->server;

    if (pg_replies_failure(failure, body, length)) {
        if (!setting_refused(client, failure))
            return VERDICT_LOST;
        pg->let_finish = true; /* it ends by itself */
        snprintf(failure->detail, sizeof(failure->detail), "%s",
                 "The settings of the session could not be set on another server.");
        return VERDICT_ENDED;
    }
    if (pg_pipeline_reply(&pg->pipeline, PG_ERROR) == PG_PASS) {
        bool told = pg_repeat_error(client, body, length);

        pg_described_release(client, false);
        told = told || pg_carried_error(client, body, length) ||
               pg_statements_error(client, body, length);
        pg_timing_error(client);
        pg_statements_settle(client);
        if (told)
            return VERDICT_SWALLOW;
        if (!pg->overdue || !error_is(body, length, "57014"))
            return VERDICT_PASS;
        pg_client_tell(client, "ERROR", pg_error_row((enum pg_error_code)pg->overdue));
        return VERDICT_SWALLOW;
    }
    if (pg->pipeline.failed != PG_QUERY) {
        pg_statements_settle(client); /* what we had asked about a statement */
        return VERDICT_SWALLOW;
    }
    if (pg_client_asks(client) && !client->session->setting) {
        pg_session_failed(client);
        return VERDICT_SWALLOW;
    }
    /* Our own SETs failed, so what the client sent behind them ran with other parameters than its
     * own. */
    return VERDICT_LOST;
}

static enum verdict replies_message(struct pg_client *client, uint8_t type, const uint8_t *body,
                                    size_t length, size_t whole, struct pool_failure *failure)
{
    struct pg_server *pg = client->server;
    enum pg_verdict verdict;
    bool held;

    if (type == PG_READY)
        return replies_ready(client, body, length, failure);
    if (type == PG_ERROR)
        return replies_error(client, body, length, failure);
    held = pg_pipeline_describes(&pg->pipeline) &&
           pg_described_take(client, type, body,
                             length < WHOLE_BYTES_MAX ? length : WHOLE_BYTES_MAX, whole);
    verdict = pg_pipeline_reply(&pg->pipeline, type);
    pg_statements_settle(client);
    if (type == PG_DATA_ROW && verdict == PG_SWALLOW && pg_client_asks(client))
        pg_session_row(client, body, length);
    if (type == PG_COMMAND_COMPLETE) {
        pg_statements_command(client, body, length);
        if (verdict == PG_PASS) {
            pg_session_command(client, body, length);
            pg_timing_command(client, body, length);
        }
    }
    if (type == PG_PARAMETER_STATUS) {
        if (verdict == PG_SWALLOW && client->session && client->session->restoring)
            verdict = PG_PASS;
        if (!pg_server_parameter(pg, body, length))
            verdict = PG_UNEXPECTED;
        else if (verdict == PG_PASS) {
            struct pg_reader reader = pg_reader_of(body, length);
            const char *name = pg_read_text(&reader);

            client->params = params_with(&client->worker->pools.params, client->params, name,
                                         pg_read_text(&reader));
        }
    }
    if (verdict == PG_UNEXPECTED) {
        *failure = *pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL);
        return VERDICT_LOST;
    }
    if (verdict == PG_PASS_PARSED)
        return VERDICT_PARSED;
    if (verdict != PG_PASS || held)
        return VERDICT_SWALLOW;
    if (type != PG_NOTICE && type != PG_NOTIFICATION && type != PG_PARAMETER_STATUS)
        pg_repeat_forget(client);
    return VERDICT_PASS;
}

static bool seen_whole(const struct pg_client *client, uint8_t type)
{
    return type == PG_READY || type == PG_ERROR || type == PG_PARAMETER_STATUS ||
           type == PG_COMMAND_COMPLETE || (type == PG_DATA_ROW && pg_client_asks(client)) ||
           pg_described_comes(client, type);
}

/* Of the others that are seen whole the beginning will do when they are too long. */
static bool whole_only(const struct pg_client *client, uint8_t type)
{
    return seen_whole(client, type) && type != PG_ERROR && !pg_described_comes(client, type);
}

static void replies_forward(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return;
    counter_add(&client->pool->counters.bytes_sent, length);
    stream_write(&client->stream, bytes, length);
}

/* The server is of no more use to this client. */
static void replies_lost(struct pg_client *client, const struct pool_failure *failure)
{
    bool usable = client->server->owed_ready; /* statement mode: only its transaction has to go */

    if (!usable) {
        counter_add(&client->pool->counters.server_lost_count, 1);
        server_log(&client->server->base, LOG_LEVEL_WARNING, "%s", failure->message);
    }
    pg_loss_server(client, failure, usable);
}

/* Walks what was read. Returns how many bytes are done with, -1 when the lease is over by failure:
 * the client may be gone. */
static ssize_t replies_walk(struct pg_client *client, uint8_t *bytes, size_t length)
{
    struct pg_server *pg = client->server;
    size_t at = 0, span = 0;

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
        if (pg->overdue && !pg_client_keeps_server(client)) {
            /* The client's time was up in the middle of a message, which is whole now. */
            replies_forward(client, bytes + span, at - span);
            pg_server_keep(pg, bytes + at, length - at);
            pg_loss_server(client, pg_error_row((enum pg_error_code)pg->overdue), true);
            return -1;
        }
        if (left < PG_HEADER_BYTES)
            break;
        body = pg_u32(bytes + at + 1);
        if (body < PG_MESSAGE_BYTES_MIN || body > INT32_MAX ||
            (body > WHOLE_BYTES_MAX && whole_only(client, bytes[at]))) {
            replies_forward(client, bytes + span, at - span);
            replies_lost(client, pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL));
            return -1;
        }
        body -= 4;
        take = left - PG_HEADER_BYTES < body ? left - PG_HEADER_BYTES : body;
        if (take < body && seen_whole(client, bytes[at]) && take < WHOLE_BYTES_MAX)
            break;
        if (bytes[at] == PG_ERROR || pg_described_holds(client)) {
            /* It may be told in other words, or with others in front, which have to come behind
             * what lies before it. */
            replies_forward(client, bytes + span, at - span);
            span = at;
        }
        verdict =
            replies_message(client, bytes[at], bytes + at + PG_HEADER_BYTES, take, body, &failure);
        if (verdict == VERDICT_LOST || verdict == VERDICT_ENDED) {
            replies_forward(client, bytes + span, at - span);
            if (pg->owed_ready || verdict == VERDICT_ENDED)
                pg_server_keep(pg, bytes + at + PG_HEADER_BYTES + take,
                               length - at - PG_HEADER_BYTES - take);
            if (verdict == VERDICT_ENDED)
                pg_client_close_failed(client, &failure);
            else
                replies_lost(client, &failure);
            return -1;
        }
        if (verdict == VERDICT_PARSED)
            bytes[at] = PG_PARSE_COMPLETE;
        if (verdict == VERDICT_SWALLOW) {
            replies_forward(client, bytes + span, at - span);
            span = at + PG_HEADER_BYTES + take;
        }
        pg->skip_body = verdict == VERDICT_SWALLOW;
        pg->body_left = body - (uint32_t)take;
        at += PG_HEADER_BYTES + take;
    }
    replies_forward(client, bytes + span, at - span);
    return (ssize_t)at;
}

/* The connection to the server ended. What it said last has been read before. */
static void replies_server_gone(struct pg_client *client)
{
    struct pool_failure failure = *pg_error_row(PG_ERROR_SERVER_LOST);

    if (client->server->base.stream.error)
        snprintf(failure.detail, sizeof(failure.detail), "%s",
                 stream_why(&client->server->base.stream));
    replies_lost(client, &failure);
}

/* While WELCOME: its server answers our SETs; nothing of that is for the client. Returns false when
 * it is over. */
static bool replies_to_welcome(struct pg_client *client, const uint8_t *bytes, size_t length,
                               size_t *done)
{
    struct pg_server *pg = client->server;
    size_t at = 0;

    while (length - at >= PG_HEADER_BYTES) {
        uint32_t body = pg_u32(bytes + at + 1);
        const uint8_t *fields = bytes + at + PG_HEADER_BYTES;
        uint8_t type = bytes[at];
        struct pool_failure failure;

        if (body < PG_MESSAGE_BYTES_MIN || body > WHOLE_BYTES_MAX) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL));
            return false;
        }
        if (length - at < 1 + (size_t)body)
            break;
        at += 1 + (size_t)body;
        if (type == PG_ERROR) {
            pg_replies_failure(&failure, fields, body - 4);
            pg_pipeline_reply(&pg->pipeline, type);
            pg_server_keep(pg, bytes + at, length - at);
            pg_client_close_failed(client, &failure);
            return false;
        }
        if (pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED ||
            (type == PG_PARAMETER_STATUS && !pg_server_parameter(pg, fields, body - 4))) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL));
            return false;
        }
        if (type == PG_READY) {
            pg_server_keep(pg, bytes + at, length - at);
            pg_welcome_server_ready(client);
            return false;
        }
    }
    *done = at;
    return true;
}

void pg_replies_run(struct pg_client *client)
{
    struct loop *loop = &client->worker->loop;
    struct pg_server *pg = client->server;
    int64_t turns = pg_client_turns(client);

    do {
        ssize_t got, done;
        size_t length;

        if (stream_pending(&client->stream) > CLIENT_PENDING_MAX)
            return;
        got = stream_read_behind(&pg->base.stream, &pg->in, LOOP_SCRATCH_BYTES, &length);
        if (got == 0)
            return;
        if (got < 0) {
            replies_server_gone(client);
            return;
        }
        buffer_clear(&pg->in, &loop->buffers);
        if (client->state == PG_CLIENT_WELCOME) {
            size_t walked = 0;

            if (!replies_to_welcome(client, loop->scratch, length, &walked))
                return;
            done = (ssize_t)walked;
        } else {
            done = replies_walk(client, loop->scratch, length);
            if (done < 0)
                return;
        }
        buffer_append(&pg->in, &loop->buffers, loop->scratch + done, length - (size_t)done);
        if (client->worker->watch_due) {
            client->worker->watch_due = false;
            pg_client_watch(client);
        }
        if (client->state == PG_CLIENT_ACTIVE &&
            (pg_replies_end_lease(client) || replies_close_replaced(client)))
            return;
        if (client->in_whole)
            stream_again(&client->stream);
        if (pg->body_left > 0 || buffer_length(&pg->in) > 0 || !pg_pipeline_idle(&pg->pipeline))
            stream_recheck(&pg->base.stream);
    } while (--turns > 0);
    if (pg->base.stream.readable)
        stream_again(&pg->base.stream);
}

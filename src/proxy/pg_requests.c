/* From a client to its server: bytes are read once, message headers are walked where they lie, and
 * whole spans are written on. Only what the server does not take, or cannot be decided yet, is
 * kept. */
#include <stdio.h>
#include <string.h>

#include "pg_client.h"
#include "pg_lookups.h"
#include "pg_loss.h"
#include "pg_multiplex.h"
#include "pg_timing.h"
#include "sluice/base/log.h"
#include "sluice/wire/pg.h"

/* Beyond so many bytes that the server has not taken, or the client of our own answers, the client
 * is not read. */
#define PENDING_MAX (64u * 1024u)

enum verdict {
    VERDICT_PASS,    /* to the server */
    VERDICT_REWRITE, /* to the server, in other words */
    VERDICT_COLLECT, /* the same, once it is whole */
    VERDICT_SUPPLY,  /* the same, once the server has told what its statement is */
    VERDICT_SKIP,    /* dealt with here, or ignored */
    VERDICT_MORE,    /* more bytes of the message are needed */
    VERDICT_WAIT,    /* it stays until there is a server, or room */
    VERDICT_GONE,    /* the client is not here any more */
};

void pg_server_holder_ready(struct server *server, unsigned what)
{
    struct pg_client *client = server->holder;

    if (what & STREAM_DRAINED)
        pg_requests_run(client);
    else
        pg_replies_run(client);
}

void pg_requests_attach(struct pg_client *client, struct server *server, uint64_t waited_us)
{
    struct pg_server *pg = pg_server_of(server);

    client->server = pg;
    pg->overdue = 0;
    pg->owed_ready = false;
    server->holder = client;
    server->holder_ready = pg_server_holder_ready;
    pg_client_move(client, PG_CLIENT_ACTIVE);
    client->request_us = pg->transaction_us = loop_now_us(&client->worker->loop);
    pg_timing_attach(client, waited_us);
    pg_session_attach(client);
    pg_server_set_params(pg, client->params);
}

static void requests_granted(struct waiter *waiter, struct server *server)
{
    struct pg_client *client = container_of(waiter, struct pg_client, waiter);
    struct counters *counters = &client->pool->counters;
    uint64_t waited_us = loop_now_us(&client->worker->loop) - waiter->since_us;

    counter_add(&counters->wait_time, waited_us);
    if (client->state == PG_CLIENT_WELCOME) {
        pg_welcome_granted(client, server);
        return;
    }
    if (pg_multiplex_granted(client, server))
        return;
    pg_requests_attach(client, server, waited_us);
    pg_requests_run(client);
}

static void requests_refused(struct waiter *waiter, const struct pool_failure *failure)
{
    struct pg_client *client = container_of(waiter, struct pg_client, waiter);

    if (client->state == PG_CLIENT_WELCOME)
        pg_client_close_failed(client, failure);
    else
        pg_loss_refuse(client, failure);
}

static const char *requests_application_name(const struct waiter *waiter)
{
    const struct pg_client *client = container_of(waiter, struct pg_client, waiter);

    return client->login ? client->login->application_name
                         : params_get(client->startup, "application_name");
}

const struct waiter_kind pg_client_waiter = {
    .granted = requests_granted,
    .refused = requests_refused,
    .application_name = requests_application_name,
};

void pg_requests_wait_alone(struct pg_client *client)
{
    const struct pool_failure *failure;

    if (client->state != PG_CLIENT_WAITING)
        pg_client_move(client, PG_CLIENT_WAITING);
    client->request_us = loop_now_us(&client->worker->loop);
    client->waiter.shares = false;
    if (pool_wait(client->pool, &client->waiter, &failure))
        pg_client_watch(client);
    else
        pg_loss_refuse(client, failure);
}

/* Finds a server for the client, or has it wait. */
static enum verdict requests_want_server(struct pg_client *client)
{
    struct server *server = pool_take(client->pool, client->waiter.startup);
    const struct pool_failure *failure;

    if (server) {
        pg_requests_attach(client, server, 0);
        return VERDICT_PASS;
    }
    pg_client_move(client, PG_CLIENT_WAITING);
    client->request_us = loop_now_us(&client->worker->loop);
    client->notified = false;
    client->waiter.shares = false;
    if (!pool_wait(client->pool, &client->waiter, &failure))
        client->worker->refusal = failure;
    else
        pg_client_watch(client);
    return VERDICT_WAIT;
}

/* A message of a client whose request failed here. */
static enum verdict requests_ignore(struct pg_client *client, uint8_t type)
{
    bool over = client->ignoring == IGNORE_ONE ? type == PG_QUERY || type == PG_FUNCTION_CALL
                                               : type == PG_SYNC;

    if (over) {
        client->ignoring = IGNORE_NOTHING;
        pg_loss_ready(client);
    }
    return VERDICT_SKIP;
}

/* A message of a client without a server. */
static enum verdict requests_idle_message(struct pg_client *client, uint8_t type,
                                          const uint8_t *body, uint32_t length, bool whole)
{
    if (client->ignoring != IGNORE_NOTHING)
        return requests_ignore(client, type);
    switch (type) {
    case PG_FLUSH:
    case PG_COPY_DATA:
    case PG_COPY_DONE:
    case PG_COPY_FAIL:
        return VERDICT_SKIP;
    case PG_SYNC:
        pg_loss_ready(client);
        return VERDICT_SKIP;
    default:
        break;
    }
    if (client->lost && client->aborted == ABORTED_NOT) {
        pg_loss_tell(client, type);
        return requests_ignore(client, type);
    }
    if (client->aborted != ABORTED_NOT)
        return pg_loss_aborted_message(client, type, body, length, whole) ? VERDICT_SKIP
                                                                          : VERDICT_MORE;
    return requests_want_server(client);
}

static enum verdict requests_bad_type(struct pg_client *client, uint8_t type)
{
    struct pool_failure failure = {.sqlstate = "08P01"};

    snprintf(failure.message, sizeof(failure.message), "invalid frontend message type %d", type);
    pg_client_close_failed(client, &failure);
    return VERDICT_GONE;
}

/* Decides about one message of a client that has a server. */
static enum verdict requests_leased_message(struct pg_client *client, uint8_t type,
                                            const uint8_t *body, size_t have, size_t length,
                                            struct pg_behind behind)
{
    struct pg_server *pg = client->server;
    enum verdict verdict = VERDICT_PASS;

    if (pg_pipeline_full(&pg->pipeline))
        return VERDICT_WAIT;
    if (pg_session_wants_more(client, type, have, length))
        return VERDICT_MORE;
    switch (pg_statements_look(client, type, body, have, length, behind)) {
    case STATEMENTS_MORE:
        return VERDICT_MORE;
    case STATEMENTS_WAIT:
        return VERDICT_WAIT;
    case STATEMENTS_TOO_LONG:
        pg_client_close_failed(client, pg_error_row(PG_ERROR_STATEMENT_TOO_LONG));
        return VERDICT_GONE;
    case STATEMENTS_REWRITE:
        verdict = VERDICT_REWRITE;
        break;
    case STATEMENTS_SUPPLY:
        verdict = VERDICT_SUPPLY;
        break;
    case STATEMENTS_COLLECT:
        verdict = VERDICT_COLLECT;
        break;
    case STATEMENTS_PASS:
        break;
    }
    if (pg_pipeline_idle(&pg->pipeline)) {
        client->request_us = loop_now_us(&client->worker->loop);
        if (pg->status == 'I')
            client->server->transaction_us = client->request_us;
        if (client->pool->settings.query_timeout_us | client->pool->settings.transaction_timeout_us)
            client->worker->watch_due = true;
    }
    if (verdict == VERDICT_SUPPLY)
        return verdict;
    pg_timing_message(client, type, body, have);
    if (verdict == VERDICT_PASS) {
        pg_statements_passed(client, type, body, have, length);
        if (type == PG_QUERY || type == PG_PARSE || type == PG_FUNCTION_CALL)
            pg_session_look(client, type, body, have, length);
    }
    if (type == PG_PARSE)
        counter_add(&client->pool->counters.client_parse_count, 1);
    else if (type == PG_BIND)
        counter_add(&client->pool->counters.bind_count, 1);
    return verdict;
}

/* Decides about one message; body is what of it has come, `have` bytes of `length`. */
static enum verdict requests_message(struct pg_client *client, uint8_t type, const uint8_t *body,
                                     uint32_t have, uint32_t length, struct pg_behind behind)
{
    enum verdict verdict;

    switch (type) {
    case PG_TERMINATE:
        if (client->server)
            client->server->let_finish = true;
        pg_client_close(client, "client close request");
        return VERDICT_GONE;
    case PG_QUERY:
        if (client->worker->conf->disable_pqexec) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_SIMPLE_QUERY_DISABLED));
            return VERDICT_GONE;
        }
        break;
    case PG_PARSE:
    case PG_BIND:
    case PG_DESCRIBE:
    case PG_EXECUTE:
    case PG_CLOSE:
    case PG_SYNC:
    case PG_FLUSH:
    case PG_FUNCTION_CALL:
    case PG_COPY_DATA:
    case PG_COPY_DONE:
    case PG_COPY_FAIL:
        break;
    default:
        return requests_bad_type(client, type);
    }
    if (client->state == PG_CLIENT_IDLE) {
        verdict = requests_idle_message(client, type, body, have, have == length);
        if (verdict != VERDICT_PASS)
            return verdict;
    }
    return requests_leased_message(client, type, body, have, length, behind);
}

static void requests_forward(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return;
    stream_write(&client->server->base.stream, bytes, length);
}

static void requests_collect(struct pg_client *client, const uint8_t *piece, size_t bytes)
{
    client->collecting = client->body_left > 0;
    pg_statements_collect(client, piece, bytes, !client->collecting);
}

/* True for messages that end the client. */
static bool requests_may_close(const struct pg_client *client, uint8_t type)
{
    return !memchr("QPBDECSHFdcf", type, 12) ||
           (type == PG_QUERY && client->worker->conf->disable_pqexec);
}

/* What is left is a request that is asked with those of others: it is kept until it is answered. */
static bool requests_together(struct pg_client *client, const uint8_t *bytes, size_t left)
{
    return client->state == PG_CLIENT_IDLE && client->ignoring == IGNORE_NOTHING && !client->lost &&
           client->aborted == ABORTED_NOT &&
           (pg_lookups_take(client, bytes, left) || pg_multiplex_take(client, bytes, left));
}

/* Why a message may not be so long, its length counted in; NULL: it may. */
static const struct pool_failure *requests_bad_length(const struct pg_client *client,
                                                      uint32_t bytes)
{
    if (bytes < PG_MESSAGE_BYTES_MIN || bytes > INT32_MAX)
        return pg_error_row(PG_ERROR_BAD_LENGTH);
    return bytes > client->worker->conf->max_packet_size_bytes ? pg_error_row(PG_ERROR_TOO_LONG)
                                                               : NULL;
}

/* Walks what was read. Returns how many bytes are done with; the rest is kept. -1: the client is
 * not here any more. */
static ssize_t requests_walk(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    size_t at = 0, span = 0; /* bytes[span..at) are to be passed on */

    while (at < length) {
        size_t left = length - at, take;
        const struct pool_failure *failure;
        enum verdict verdict;
        uint32_t body;

        if (client->body_left > 0) {
            take = left < client->body_left ? left : client->body_left;
            client->body_left -= (uint32_t)take;
            at += take;
            if (client->skip_body)
                span = at;
            if (client->collecting)
                requests_collect(client, bytes + at - take, take);
            continue;
        }
        if (left < PG_HEADER_BYTES)
            break;
        body = pg_u32(bytes + at + 1);
        if ((failure = requests_bad_length(client, body))) {
            requests_forward(client, bytes + span, at - span);
            pg_client_close_failed(client, failure);
            return -1;
        }
        body -= 4;
        take = left - PG_HEADER_BYTES < body ? left - PG_HEADER_BYTES : body;
        if (span < at && requests_may_close(client, bytes[at])) {
            /* What the client sent before its end is still the server's. */
            requests_forward(client, bytes + span, at - span);
            span = at;
        }
        if (requests_together(client, bytes + at, left))
            break;
        verdict = requests_message(
            client, bytes[at], bytes + at + PG_HEADER_BYTES, (uint32_t)take, body,
            (struct pg_behind){bytes + at + PG_HEADER_BYTES + take, left - PG_HEADER_BYTES - take});
        if (verdict == VERDICT_GONE)
            return -1;
        if (verdict == VERDICT_MORE)
            break;
        if (verdict == VERDICT_WAIT) {
            client->in_whole = true;
            break;
        }
        if (verdict == VERDICT_SKIP)
            requests_forward(client, bytes + span, at - span);
        else if (verdict != VERDICT_PASS) /* behind what lies before it, and in the same write */
            stream_queue(&client->server->base.stream, bytes + span, at - span);
        if (verdict == VERDICT_SUPPLY) {
            span = at;
            pg_statements_supply_first(client, bytes[at], bytes + at + PG_HEADER_BYTES, take, body);
            client->in_whole = true;
            break;
        }
        if (verdict != VERDICT_PASS)
            span = at + PG_HEADER_BYTES + take;
        client->skip_body = verdict == VERDICT_SKIP || verdict == VERDICT_COLLECT;
        client->collecting = verdict == VERDICT_COLLECT;
        client->body_left = body - (uint32_t)take;
        if (verdict == VERDICT_REWRITE)
            pg_statements_rewrite(client, bytes[at], bytes + at + PG_HEADER_BYTES, take, body);
        else if (verdict == VERDICT_COLLECT)
            requests_collect(client, bytes + at + PG_HEADER_BYTES, take);
        at += PG_HEADER_BYTES + take;
    }
    if (client->server)
        stream_write(&client->server->base.stream, bytes + span, at - span);
    return (ssize_t)at;
}

/* True when the client may not be read now: it waits, or its server does not take what it sent. */
static bool requests_blocked(const struct pg_client *client)
{
    if (client->state == PG_CLIENT_ACTIVE)
        return stream_pending(&client->server->base.stream) > PENDING_MAX;
    return client->state != PG_CLIENT_IDLE || stream_pending(&client->stream) > PENDING_MAX;
}

static void requests_ended(struct pg_client *client)
{
    pg_client_close(client,
                    client->stream.error ? stream_why(&client->stream) : "client unexpected eof");
}

/* A client that waits may leave: so what it sends meanwhile is read and kept, up to a limit, to see
 * the end behind it. */
static void requests_look_for_end(struct pg_client *client)
{
    struct loop *loop = &client->worker->loop;
    ssize_t got;

    if (buffer_length(&client->in) > LOOP_SCRATCH_BYTES / 2)
        return;
    got = stream_read(&client->stream, loop->scratch, LOOP_SCRATCH_BYTES / 4);
    if (got < 0) {
        requests_ended(client);
    } else if (got > 0) {
        counter_add(&client->pool->counters.bytes_received, (uint64_t)got);
        buffer_append(&client->in, &loop->buffers, loop->scratch, (size_t)got);
        if (client->stream.readable)
            stream_again(&client->stream);
    }
}

/* True when nothing will be written to the client before it has sent more. */
static bool requests_expects_more(const struct pg_client *client)
{
    const struct pg_pipeline *pipeline = client->server ? &client->server->pipeline : NULL;

    return client->state == PG_CLIENT_IDLE || client->body_left > 0 ||
           buffer_length(&client->in) > 0 ||
           (pipeline && (pipeline->unsynced || pipeline->copy_in || pipeline->copy_both));
}

void pg_requests_run(struct pg_client *client)
{
    struct loop *loop = &client->worker->loop;
    int64_t turns = pg_client_turns(client);

    if (client->state == PG_CLIENT_WAITING || client->state == PG_CLIENT_ASKED ||
        client->state == PG_CLIENT_SHARING || client->state == PG_CLIENT_WELCOME) {
        requests_look_for_end(client);
        return;
    }
    do {
        ssize_t got, done;
        size_t length;

        if (requests_blocked(client))
            return;
        got = stream_read_behind(&client->stream, &client->in, LOOP_SCRATCH_BYTES, &length);
        if (got < 0 && !client->in_whole) {
            requests_ended(client);
            return;
        }
        if (got <= 0 && !client->in_whole)
            return;
        if (got > 0)
            counter_add(&client->pool->counters.bytes_received, (uint64_t)got);
        client->in_whole = false;
        buffer_clear(&client->in, &loop->buffers);
        done = requests_walk(client, loop->scratch, length);
        if (done < 0)
            return;
        buffer_append(&client->in, &loop->buffers, loop->scratch + done, length - (size_t)done);
        stream_flush(&client->stream);
        if (client->worker->watch_due) {
            client->worker->watch_due = false;
            pg_client_watch(client);
        }
        if (client->worker->refusal) {
            const struct pool_failure *refusal = client->worker->refusal;

            client->worker->refusal = NULL;
            pg_loss_refuse(client, refusal);
            return;
        }
        if (client->state == PG_CLIENT_ACTIVE)
            pg_replies_end_lease(client);
        if (client->in_whole)
            return;
        if (requests_expects_more(client))
            stream_recheck(&client->stream);
    } while (--turns > 0);
    if (client->stream.readable)
        stream_again(&client->stream);
}

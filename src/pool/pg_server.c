#include "sluice/pool/pg_server.h"

#include <stdlib.h>
#include <string.h>

#include "pg_cancel.h"
#include "pg_libpq.h"
#include "pg_login.h"
#include "probe.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/pool/sharing.h"
#include "sluice/wire/pg.h"

/* Messages that we must see whole while we ask ourselves; none that matters comes near it. */
#define MESSAGE_BYTES_MAX (LOOP_SCRATCH_BYTES / 2)
/* Reads of one server in one turn, while it finishes what a lost client asked. */
#define READS_PER_TURN 8
#define HURRY_MS 1000

static bool drain_go_on(struct pg_server *pg);

bool pg_server_parameter(struct pg_server *pg, const uint8_t *body, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, length);
    const char *name = pg_read_text(&reader);
    const char *value = pg_read_text(&reader);

    if (reader.failed)
        return false;
    pg->params = params_with(&pg->base.pool->pools->params, pg->params, name, value);
    return true;
}

struct params *pg_server_welcome(struct pg_server *pg)
{
    const struct pool *pool = pg->base.pool;
    struct params *params = params_hold(pg->initial);
    const char *name = pool->database ? pool->database->application_name : NULL;

    return pg->named_for_client
               ? params_with(&pool->pools->params, params, "application_name", name ? name : "")
               : params;
}

bool pg_server_set(struct pg_server *pg, struct params *settings)
{
    uint8_t header[PG_HEADER_BYTES] = {PG_QUERY};
    char text[SETTINGS_TEXT_BYTES];
    size_t length;

    if (settings == pg->settings)
        return false;
    length = settings_difference(settings, pg->settings, text);
    pg_put_u32(header + 1, (uint32_t)length + 1 + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    stream_queue(&pg->base.stream, text, length + 1);
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    params_drop(&pg->base.pool->pools->params, pg->settings);
    pg->settings = params_hold(settings);
    return true;
}

bool pg_server_set_params(struct pg_server *pg, const struct params *params)
{
    uint8_t header[PG_HEADER_BYTES] = {PG_QUERY};
    char sets[PARAMS_SETS_BYTES + 1];
    size_t length;

    if (params == pg->params)
        return false;
    length = params_difference(params, pg->params, sets, sizeof(sets));
    if (length == 0 || length == sizeof(sets))
        return false;
    pg_put_u32(header + 1, (uint32_t)length + 1 + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    stream_queue(&pg->base.stream, sets, length + 1);
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    return true;
}

static void server_ask(struct pg_server *pg, enum pg_question question, const char *query)
{
    size_t bytes = strlen(query) + 16;
    uint8_t *message = memory_new(bytes);
    struct pg_writer writer = pg_writer_of(message, bytes);

    pg_write_query(&writer, query);
    pg->question = question;
    pg->question_error[0] = '\0';
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    stream_write(&pg->base.stream, message, writer.length);
    free(message);
}

static void server_check(struct server *server)
{
    const char *query = server->pool->pools->conf->server_check_query;

    server_ask(pg_server_of(server), PG_QUESTION_CHECK, strcmp(query, "<empty>") == 0 ? "" : query);
}

static unsigned long setting_ms(const struct params *settings, const char *name)
{
    const char *value = params_get(settings, name);

    return value ? strtoul(value, NULL, 10) : 0;
}

/* A time limit that could hit the next client, which would be told of an error that is none of its
 * business: one so short that it could hit what we set for it, or one on being idle. */
static bool settings_hurry(const struct params *settings)
{
    unsigned long statement = setting_ms(settings, "statement_timeout");
    unsigned long transaction = setting_ms(settings, "transaction_timeout");

    return (statement > 0 && statement < HURRY_MS) || (transaction > 0 && transaction < HURRY_MS) ||
           setting_ms(settings, "idle_session_timeout") > 0;
}

static bool server_reset(struct server *server)
{
    struct pg_server *pg = pg_server_of(server);
    const struct pool *pool = server->pool;
    const struct conf *conf = pool->pools->conf;
    bool asked = conf->server_reset_query[0] &&
                 (pool->settings.mode == POOL_MODE_SESSION || conf->server_reset_query_always);

    if (pool_replicates(pool) || server->close_needed ||
        (!asked && !pg->unclean && !settings_hurry(pg->settings)))
        return false;
    /* What we know of the server must be true afterwards, whatever the setting says. */
    server_ask(pg, PG_QUESTION_RESET,
               pg->unclean || !params_are_empty(pg->settings) ? "DISCARD ALL"
                                                              : conf->server_reset_query);
    return true;
}

static void reset_done(struct pg_server *pg)
{
    struct params_set *set = &pg->base.pool->pools->params;

    prepared_doubt_all(&pg->prepared);
    params_drop(set, pg->settings);
    pg->settings = params_empty(set);
    pg->unclean = false;
}

/* A question of ours has been answered: the server is in its starting state, or of no use. Like the
 * functions below returns false when the server has been closed. */
static bool question_answered(struct pg_server *pg)
{
    enum pg_question question = pg->question;

    pg->question = PG_QUESTION_NONE;
    if (question == PG_QUESTION_RESET)
        reset_done(pg);
    if (pg->status != 'I') {
        server_close(&pg->base, "in a transaction after a question of our own");
        return false;
    }
    if (pg->question_error[0]) {
        server_close(&pg->base, question == PG_QUESTION_RESET   ? "server_reset_query failed"
                                : question == PG_QUESTION_CHECK ? "server_check_query failed"
                                                                : "rollback failed");
        return false;
    }
    return pg->base.state == SERVER_DRAINING ? drain_go_on(pg) : server_ready(&pg->base);
}

/* Draining: nothing may be owed, no transaction open and no cancel under way before the server is
 * anybody's again. */
static bool drain_go_on(struct pg_server *pg)
{
    if (!pg_pipeline_idle(&pg->pipeline) || pg->cancel || pg->question != PG_QUESTION_NONE)
        return true;
    if (pg->status != 'I') {
        server_ask(pg, PG_QUESTION_ROLLBACK, "ROLLBACK");
        return true;
    }
    if (server_reset(&pg->base)) {
        server_move(&pg->base, SERVER_CHECKING);
        server_watch(&pg->base);
        return true;
    }
    return server_ready(&pg->base);
}

static void cancel_done(struct pg_server *pg)
{
    if (pg->base.state == SERVER_DRAINING)
        drain_go_on(pg);
}

void pg_server_cancel(struct pg_server *pg, struct pg_cancel_notice *notice)
{
    if (pg->cancel)
        pg_cancel_repeat(pg, notice);
    else
        pg_cancel_start(pg, notice, cancel_done);
}

/* Requests without a Sync are a transaction that the client never ended: a Sync alone would commit
 * it. */
static void drain_roll_back(struct pg_server *pg, struct pg_writer *writer)
{
    static const uint8_t types[] = {PG_PARSE, PG_BIND, PG_EXECUTE, PG_SYNC};

    pg_begin(writer, PG_PARSE);
    pg_write_text(writer, "");
    pg_write_text(writer, "ROLLBACK");
    pg_write_u16(writer, 0);
    pg_end(writer);
    pg_begin(writer, PG_BIND);
    pg_write_text(writer, "");
    pg_write_text(writer, "");
    pg_write_u16(writer, 0);
    pg_write_u16(writer, 0);
    pg_write_u16(writer, 0);
    pg_end(writer);
    pg_begin(writer, PG_EXECUTE);
    pg_write_text(writer, "");
    pg_write_u32(writer, 0);
    pg_end(writer);
    pg_begin(writer, PG_SYNC);
    pg_end(writer);
    for (size_t i = 0; i < sizeof(types); i++)
        pg_pipeline_sent(&pg->pipeline, types[i], true);
}

/* What makes the server end what the client began: the end of a COPY, a rollback behind requests.
 */
static void drain_close_requests(struct pg_server *pg)
{
    uint8_t bytes[128];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    bool open_tail;

    pg_pipeline_readies(&pg->pipeline, &open_tail);
    if (pg->pipeline.copy_in) {
        pg_begin(&writer, PG_COPY_FAIL);
        pg_write_text(&writer, "the client has gone");
        pg_end(&writer);
        pg_pipeline_sent(&pg->pipeline, PG_COPY_FAIL, true);
        pg_pipeline_readies(&pg->pipeline, &open_tail);
    }
    if (open_tail)
        drain_roll_back(pg, &writer);
    ensure(!writer.failed);
    stream_write(&pg->base.stream, bytes, writer.length);
}

static void server_drain(struct server *server)
{
    struct pg_server *pg = pg_server_of(server);

    if (pg->pipeline.copy_both || pool_replicates(server->pool)) {
        server_close(server, "its client has left replication");
        return;
    }
    drain_close_requests(pg);
    if (!pg_pipeline_idle(&pg->pipeline) && !pg->let_finish)
        pg_server_cancel(pg, NULL);
    pg->let_finish = false;
    stream_again(&server->stream);
    drain_go_on(pg);
}

void pg_server_give_back(struct pg_server *pg)
{
    if (pg->cancel)
        pool_drain(&pg->base);
    else
        pool_release(&pg->base);
}

static void server_free(struct server *server)
{
    struct pg_server *pg = pg_server_of(server);
    struct pools *pools = server->pool->pools;

    /* A polite end spares the server a log line. Not in the middle of anything: there it could
     * complete half a message. */
    if (stream_is_open(&server->stream) && !server->stream.connecting && !server->stream.error &&
        !pg->login && pg_pipeline_idle(&pg->pipeline)) {
        static const uint8_t terminate[PG_HEADER_BYTES] = {PG_TERMINATE, 0, 0, 0, 4};

        stream_write(&server->stream, terminate, sizeof(terminate));
    }
    stream_close(&server->stream);
    pg_libpq_close(pg);
    pg_cancel_abandon(pg);
    pg_login_free(pg);
    free(pg->host);
    pg_pipeline_fini(&pg->pipeline);
    prepared_fini(&pg->prepared);
    buffer_clear(&pg->in, &pools->loop->buffers);
    params_drop(&pools->params, pg->params);
    params_drop(&pools->params, pg->initial);
    free(pg->timing);
    params_drop(&pools->params, pg->settings);
    params_drop(&pools->params, server->startup);
    free(pg);
}

static void server_leave(struct server *server)
{
    struct pg_server *pg = pg_server_of(server);

    ensure(pg_pipeline_idle(&pg->pipeline) && !pg->cancel);
    pg->params = params_leave(&server->pool->pools->params, pg->params);
    pg->initial = params_leave(&server->pool->pools->params, pg->initial);
    pg->settings = params_leave(&server->pool->pools->params, pg->settings);
    if (server->startup)
        server->startup = params_leave(&server->pool->pools->params, server->startup);
}

static void server_arrive(struct server *server)
{
    struct pg_server *pg = pg_server_of(server);

    pg->params = params_join(&server->pool->pools->params, pg->params);
    pg->initial = params_join(&server->pool->pools->params, pg->initial);
    pg->settings = params_join(&server->pool->pools->params, pg->settings);
    if (server->startup)
        server->startup = params_join(&server->pool->pools->params, server->startup);
    else if (!server->pool->welcome)
        pool_set_welcome(server->pool, pg->initial);
}

/* A limit over several pools stands in somebody's way, who waits longer than anybody here. */
static bool wanted_elsewhere(const struct pool *pool)
{
    const struct waiter *first = pool_first_waiter(pool);
    uint64_t database_us = atomic_load(&pool->totals->database_usage->servers.wanted_since_us);
    uint64_t user_us = atomic_load(&pool->totals->user_usage->servers.wanted_since_us);
    uint64_t since_us = database_us && (!user_us || database_us < user_us) ? database_us : user_us;

    return since_us && (!first || since_us < first->since_us);
}

static struct pg_server *shared_least(const struct pool *pool)
{
    struct pg_server *least = NULL;

    LIST_EACH_SAFE (&pool->servers[SERVER_SHARED], node, following) {
        struct pg_server *pg = pg_server_of(container_of(node, struct server, node));

        if (!pg->retiring && (!least || pg->flights < least->flights))
            least = pg;
    }
    return least;
}

/* As many shared servers take no further statements as there are clients who wait for a lease and
 * get no other server; those with the fewest statements come free first. */
static void pool_yield(struct pool *pool)
{
    size_t needed = pool->waiting - pool->waiting_to_share;
    size_t coming = pool->servers[SERVER_CONNECTING].length + pool->servers[SERVER_LOGIN].length +
                    pool->servers[SERVER_CHECKING].length + pool->servers[SERVER_DRAINING].length;
    struct pg_server *least;

    needed += pool_longer_elsewhere(pool) || wanted_elsewhere(pool);
    if (needed == 0)
        return;
    LIST_EACH_SAFE (&pool->servers[SERVER_SHARED], node, following)
        coming += pg_server_of(container_of(node, struct server, node))->retiring;
    while (coming++ < needed && (least = shared_least(pool)))
        least->retiring = true;
}

const struct server_kind pg_server_kind = {
    .open = pg_login_open,
    .check = server_check,
    .reset = server_reset,
    .probe = probe_begin,
    .yield = pool_yield,
    .drain = server_drain,
    .free = server_free,
    .leave = server_leave,
    .arrive = server_arrive,
};

/* One whole message while nobody has leased the server. False: it has been closed. */
static bool server_message(struct pg_server *pg, uint8_t type, const uint8_t *body, size_t length)
{
    struct pg_error error;

    if (pg->login)
        return pg_login_message(pg, type, body, length);
    switch (type) {
    case PG_PARAMETER_STATUS:
        if (!pg_server_parameter(pg, body, length))
            break;
        return true;
    case PG_NOTICE:
    case PG_NOTIFICATION:
        return true;
    case PG_ERROR:
        pg_error_parse(body, length, &error);
        if (pg->base.state == SERVER_IDLE) {
            server_close(&pg->base, error.message[0] ? error.message : "an error while idle");
            return false;
        }
        memcpy(pg->question_error, strlen(error.sqlstate) == 5 ? error.sqlstate : "XX000", 6);
        pg_pipeline_reply(&pg->pipeline, type);
        return true;
    case PG_READY:
        if (length != 1 || !memchr("ITE", body[0], 3) ||
            pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED)
            break;
        pg->status = (char)body[0];
        if (!pg_pipeline_idle(&pg->pipeline))
            return true;
        return pg->question != PG_QUESTION_NONE ? question_answered(pg) : drain_go_on(pg);
    default:
        if (pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED)
            break;
        /* A COPY that a lost client had only begun. */
        if (type == PG_COPY_IN)
            drain_close_requests(pg);
        return true;
    }
    server_close(&pg->base, "the server broke the protocol");
    return false;
}

static bool message_seen_whole(uint8_t type)
{
    return type != PG_DATA_ROW && type != PG_COPY_DATA && type != PG_ROW_DESCRIPTION &&
           type != PG_FUNCTION_RESULT && type != PG_NOTICE && type != PG_NOTIFICATION &&
           type != PG_PARAMETER_DESCRIPTION;
}

static void server_broke_protocol(struct pg_server *pg)
{
    if (pg->login)
        pg_login_broken(pg);
    else
        server_close(&pg->base, "the server broke the protocol");
}

/* Walks what was read: whole messages are handled, others skipped. Returns how many bytes are done
 * with, or -1 when the server is not ours any more. */
static ssize_t server_walk(struct pg_server *pg, const uint8_t *bytes, size_t length)
{
    size_t at = 0;

    while (at < length) {
        uint8_t type;
        uint32_t body;

        if (pg->body_left > 0) {
            size_t skip = length - at < pg->body_left ? length - at : pg->body_left;

            pg->body_left -= (uint32_t)skip;
            at += skip;
            continue;
        }
        if (length - at < PG_HEADER_BYTES)
            break;
        type = bytes[at];
        body = pg_u32(bytes + at + 1);
        if (body < PG_MESSAGE_BYTES_MIN || body > INT32_MAX ||
            (message_seen_whole(type) && body > MESSAGE_BYTES_MAX)) {
            server_broke_protocol(pg);
            return -1;
        }
        body -= 4;
        if (!message_seen_whole(type) && !pg->login) {
            if (pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED) {
                server_broke_protocol(pg);
                return -1;
            }
            pg->body_left = body;
            pg->skip_body = true;
            at += PG_HEADER_BYTES;
            continue;
        }
        if (body > MESSAGE_BYTES_MAX) {
            server_broke_protocol(pg);
            return -1;
        }
        if (length - at - PG_HEADER_BYTES < body)
            break;
        at += PG_HEADER_BYTES + body;
        if (!server_message(pg, type, bytes + at - body, body))
            return -1;
    }
    return (ssize_t)at;
}

static void server_lost(struct pg_server *pg)
{
    const char *why = stream_why(&pg->base.stream);
    char text[256];

    /* The reason belongs to the stream, which is closed on the way. */
    snprintf(text, sizeof(text), "%s", why ? why : "server closed the connection unexpectedly");
    if (pg->login)
        pg_login_lost(pg, text);
    else
        server_close(&pg->base, why ? text : "server conn crashed?");
}

static void server_read(struct pg_server *pg)
{
    struct loop *loop = pg->base.pool->pools->loop;

    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        size_t length;
        ssize_t got, done;

        if (pg->login && pg_login_dialling(pg))
            return;
        got = stream_read_behind(&pg->base.stream, &pg->in, LOOP_SCRATCH_BYTES, &length);

        if (got == 0 && !pg->in_whole)
            return;
        if (got < 0 && !pg->in_whole) {
            server_lost(pg);
            return;
        }
        pg->in_whole = false;
        buffer_clear(&pg->in, &loop->buffers);
        done = server_walk(pg, loop->scratch, length);
        if (done < 0)
            return;
        buffer_append(&pg->in, &loop->buffers, loop->scratch + done, length - (size_t)done);
        if (pg->base.state != SERVER_IDLE)
            stream_recheck(&pg->base.stream);
    }
    stream_again(&pg->base.stream);
}

void pg_server_stream_ready(struct stream *stream, unsigned what)
{
    struct server *server = container_of(stream, struct server, stream);

    if (what & STREAM_CONNECTED)
        pg_login_connected(pg_server_of(server));
    else if (server->state == SERVER_LEASED || server->state == SERVER_SHARED)
        server->holder_ready(server, what);
    else
        server_read(pg_server_of(server));
}

void pg_server_keep(struct pg_server *pg, const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return;
    buffer_append(&pg->in, &pg->base.pool->pools->loop->buffers, bytes, length);
    pg->in_whole = true;
    stream_again(&pg->base.stream);
}

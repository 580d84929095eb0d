/* From a server to the clients of a batch: which row is whose, and when an answer is complete. */
#include <stdio.h>
#include <string.h>

#include "pg_batch.h"
#include "pg_timing.h"
#include "sluice/wire/pg.h"
#include "statement_stats.h"

/* A longer answer cuts its batch. */
#define ANSWER_BYTES_MAX (256u * 1024u)
/* A longer message, other than a row, is none that we understand. */
#define MESSAGE_BYTES_MAX (LOOP_SCRATCH_BYTES / 2)
/* Of a row: number of columns, then length and value of the first. */
#define ROW_BYTES_MIN 14u
#define ROW_BYTES_CUT 12u /* the first column */

static void key_begin(const struct pg_key *key)
{
    static const uint8_t parsed[] = {PG_PARSE_COMPLETE, 0, 0, 0, 4};
    static const uint8_t bound[] = {PG_BIND_COMPLETE, 0, 0, 0, 4};
    const struct pg_shape *shape = key->lookup->shape;
    struct stream *stream = &key->client->stream;

    key_told(key);
    if (key->tells & KEY_TELLS_PARSED)
        stream_queue(stream, parsed, sizeof(parsed));
    if (key->tells & KEY_TELLS_STATEMENT) {
        stream_queue(stream, shape->parameters, shape->parameters_bytes);
        stream_queue(stream, shape->columns, shape->columns_bytes);
    }
    if (key->tells & KEY_TELLS_BOUND)
        stream_queue(stream, bound, sizeof(bound));
    if (key->tells & KEY_TELLS_COLUMNS)
        stream_queue(stream, shape->result, shape->columns_bytes);
}

/* For who wants to know of statements. */
static void key_time(const struct pg_batch *batch, const struct pg_key *key, uint64_t took_us)
{
    const struct pg_lookup *lookup = key->lookup;
    const uint8_t *request = buffer_bytes(&key->client->in);
    struct pg_timed timed = {
        .text = lookup->text,
        .text_bytes = strlen(lookup->text),
        .waited_us = batch->sent_us - key->client->waiter.since_us,
        .run_us = took_us,
        .rows = batch->rows,
    };

    if (key->bind) {
        timed.bind = request + key->bind;
        timed.bind_bytes = key->at + key->values_bytes - key->bind;
    } else {
        timed.text = (const char *)request + PG_HEADER_BYTES;
        timed.text_bytes = key->request_bytes - PG_HEADER_BYTES - 1;
    }
    pg_timing_add(key->client, &timed);
}

static void key_count(const struct pg_batch *batch, const struct pg_key *key, size_t bytes)
{
    struct pg_client *client = key->client;
    struct counters *counters = &client->pool->counters;
    uint64_t took_us = loop_now_us(&client->worker->loop) - client->request_us;

    counter_add(&counters->query_count, 1);
    counter_add(&counters->query_time, took_us);
    latency_add(&client->pool->latencies, LATENCY_query, took_us);
    counter_add(&counters->xact_count, 1);
    counter_add(&counters->xact_time, took_us);
    latency_add(&client->pool->latencies, LATENCY_transaction, took_us);
    if (key->tells & KEY_TELLS_BOUND)
        counter_add(&counters->bind_count, 1);
    if (key->tells & KEY_TELLS_PARSED)
        counter_add(&counters->client_parse_count, 1);
    counter_add(&counters->bytes_sent, bytes);
    if (statement_timings_wanted(client->worker->conf))
        key_time(batch, key, took_us);
}

/* The last row of the key has come: completes its answer and sends it. */
static void key_answered(struct pg_batch *batch, struct pg_key *key)
{
    struct pg_client *client = key->client;
    struct loop *loop = &client->worker->loop;
    uint8_t bytes[64];
    char tag[32];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    if (batch->rows == 0)
        key_begin(key);
    snprintf(tag, sizeof(tag), "SELECT %u", batch->rows);
    pg_begin(&writer, PG_COMMAND_COMPLETE);
    pg_write_text(&writer, tag);
    pg_end(&writer);
    pg_write_ready(&writer, 'I');
    key_count(batch, key, stream_pending(&client->stream) + writer.length);
    stream_write(&client->stream, bytes, writer.length);
    buffer_consume(&client->in, &loop->buffers, key->request_bytes);
    key_release(key);
    client->in_whole = buffer_length(&client->in) > 0;
    pg_client_move(client, PG_CLIENT_IDLE);
    client->request_us = loop_now_us(loop);
    if (client->pool->settings.client_idle_timeout_us)
        pg_client_watch(client);
    if (client->in_whole || client->stream.readable)
        stream_again(&client->stream);
}

/* All keys up to this one are answered. */
static void batch_advance(struct pg_batch *batch, size_t to)
{
    for (; batch->current < to; batch->current++) {
        struct pg_key *key = batch->keys[batch->current];

        if (key) {
            batch->keys[batch->current] = NULL;
            batch->left--;
            key_answered(batch, key);
        }
        batch->rows = 0;
        batch->current_bytes = 0;
    }
}

static bool batch_broken(struct pg_batch *batch)
{
    return batch_lost(batch, pg_error_row(PG_ERROR_SERVER_BROKE_PROTOCOL));
}

/* A row, of which `have` bytes of `length` are there; type and length stand in front of `body`.
 * They are overwritten: the row is passed on without its first column. */
static bool batch_row(struct pg_batch *batch, uint8_t *body, uint32_t have, uint32_t length)
{
    struct pg_server *pg = batch->server;
    struct pg_shape *shape = batch->lookup->shape;
    uint64_t place = (uint64_t)pg_u32(body + 6) << 32 | pg_u32(body + 10);
    uint8_t *row = body + ROW_BYTES_CUT - PG_HEADER_BYTES;
    struct pg_key *key;

    if (!batch->described || pg_u16(body) != shape->column_count + 1 || pg_u32(body + 2) != 8 ||
        place <= batch->current || place > batch->count ||
        pg_pipeline_reply(&pg->pipeline, PG_DATA_ROW) == PG_UNEXPECTED)
        return batch_broken(batch);
    batch_advance(batch, (size_t)place - 1);
    key = batch->keys[batch->current];
    pg->body_left = length - have;
    pg->skip_body = !key;
    if (!key)
        return true;
    batch->current_bytes += length;
    if (batch->current_bytes > ANSWER_BYTES_MAX)
        return batch_cut(batch);
    if (batch->rows++ == 0)
        key_begin(key);
    row[0] = PG_DATA_ROW;
    pg_put_u32(row + 1, length - ROW_BYTES_CUT + 4);
    row[5] = (uint8_t)(shape->column_count >> 8);
    row[6] = (uint8_t)shape->column_count;
    stream_queue(&key->client->stream, row, PG_HEADER_BYTES + have - ROW_BYTES_CUT);
    return true;
}

/* What its clients have set is refused: each shall be told so on a server of its own. */
static bool batch_unset(struct pg_batch *batch, const struct pool_failure *failure)
{
    if (batch->state == BATCH_ASKED)
        return batch_failed(batch, true);
    return prepare_refused(batch, LOOKUP_SERVER, failure->message);
}

/* A whole message of the answer to the queries in front. */
static bool batch_setting(struct pg_batch *batch, uint8_t type, const uint8_t *body, size_t length)
{
    struct pg_server *pg = batch->server;
    struct pool_failure failure;

    if (type == PG_ERROR) {
        bool fatal = pg_replies_failure(&failure, body, length);

        if (fatal && batch_failure_of_server(&failure))
            return batch_lost(batch, &failure);
        if (!fatal)
            pg_pipeline_reply(&pg->pipeline, PG_ERROR);
        return batch_unset(batch, &failure);
    }
    if (pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED ||
        (type == PG_READY && (length != 1 || body[0] != 'I')) ||
        (type == PG_PARAMETER_STATUS && !pg_server_parameter(pg, body, length)))
        return batch_broken(batch);
    if (type == PG_READY)
        batch->sets--;
    return true;
}

static bool batch_error(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    /* What values can lead to, and being cancelled, says nothing of the statement. */
    static const char *const harmless[] = {"21", "22", "23", "53", "54", "57"};
    struct pool_failure failure;
    bool stale = true;

    if (pg_replies_failure(&failure, body, length))
        return batch_lost(batch, &failure);
    pg_pipeline_reply(&batch->server->pipeline, PG_ERROR);
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strncmp(failure.sqlstate, harmless[i], 2) == 0)
            stale = false;
    return batch_failed(batch, stale);
}

static bool batch_columns(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    const struct pg_shape *shape = batch->lookup->shape;

    if (!shape->batched || length != shape->batched_bytes ||
        memcmp(body, shape->batched, length) != 0)
        return batch_failed(batch, true); /* the table has changed */
    batch->described = true;
    return true;
}

/* All rows have come. */
static void batch_complete(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;

    batch_advance(batch, batch->count);
    LOOKUP_COUNT(lookup, batches, 1);
    LOOKUP_COUNT(lookup, keys, batch->count);
    histogram_add(&lookup->counts.sizes, batch->count);
    if (lookup->size_now < lookup->size_max)
        lookup->size_now++;
}

/* ReadyForQuery. False: the walk is over. */
static bool batch_ready_for_query(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    struct pg_server *pg = batch->server;

    if (length != 1 || body[0] != 'I')
        return batch_broken(batch);
    pg->status = (char)body[0];
    if (!pg_pipeline_idle(&pg->pipeline))
        return true;
    if (batch->current < batch->count)
        return batch_broken(batch);
    batch_give_back(batch);
    return false;
}

/* A whole message that is no row. False: the walk is over, and perhaps the batch. */
static bool batch_message(struct pg_batch *batch, uint8_t type, const uint8_t *body, size_t length)
{
    struct pg_server *pg = batch->server;

    if (batch->sets > 0)
        return batch_setting(batch, type, body, length);
    if (type == PG_ERROR && batch->state == BATCH_ASKED)
        return batch_error(batch, body, length);
    if (pg_pipeline_reply(&pg->pipeline, type) == PG_UNEXPECTED ||
        (type == PG_PARAMETER_STATUS && !pg_server_parameter(pg, body, length)))
        return batch_broken(batch);
    /* Whose it is cannot be known. */
    if (type == PG_NOTICE && batch->state == BATCH_ASKED)
        return batch_failed(batch, false);
    if (type == PG_NOTICE || type == PG_NOTIFICATION || type == PG_PARAMETER_STATUS)
        return true;
    if (batch->state != BATCH_ASKED)
        return prepare_message(batch, type, body, length);
    if (type == PG_ROW_DESCRIPTION)
        return batch_columns(batch, body, length);
    if (type == PG_COMMAND_COMPLETE && batch->described)
        batch_complete(batch);
    if (type == PG_READY)
        return batch_ready_for_query(batch, body, length);
    return true;
}

/* A piece of a row that did not come at once. */
static void batch_piece(struct pg_batch *batch, const uint8_t *bytes, size_t length)
{
    const struct pg_key *key = batch->keys[batch->current];

    if (!batch->server->skip_body && key)
        stream_queue(&key->client->stream, bytes, length);
}

static bool batch_is_row(const struct pg_batch *batch, uint8_t type)
{
    return type == PG_DATA_ROW && batch->state == BATCH_ASKED && batch->sets == 0;
}

/* A message that is too long to be looked at begins the bytes: RowDescription of a very wide table,
 * or a long error. */
static bool batch_too_long(struct pg_batch *batch, const uint8_t *bytes, size_t length)
{
    if (!memchr("TtEN", bytes[0], 4))
        return batch_broken(batch);
    batch->rest = bytes;
    batch->rest_bytes = length;
    if (batch->state == BATCH_ASKED)
        return batch_failed(batch, true);
    return prepare_refused(batch, LOOKUP_COLUMNS, "");
}

/* Walks what was read; what is not done with is kept. False: the batch may be gone. */
static bool batch_walk(struct pg_batch *batch, uint8_t *bytes, size_t length)
{
    struct pg_server *pg = batch->server;
    size_t at = 0;

    while (at < length) {
        size_t left = length - at, take;
        uint8_t *body = bytes + at + PG_HEADER_BYTES;
        uint32_t body_bytes, need;
        bool row, on;

        if (pg->body_left > 0) {
            take = left < pg->body_left ? left : pg->body_left;
            pg->body_left -= (uint32_t)take;
            batch_piece(batch, bytes + at, take);
            at += take;
            continue;
        }
        if (left < PG_HEADER_BYTES)
            break;
        row = batch_is_row(batch, bytes[at]);
        body_bytes = pg_u32(bytes + at + 1);
        if (body_bytes < PG_MESSAGE_BYTES_MIN || body_bytes > INT32_MAX ||
            (row && body_bytes < ROW_BYTES_MIN + 4))
            return batch_broken(batch);
        if (!row && body_bytes > MESSAGE_BYTES_MAX)
            return batch_too_long(batch, bytes + at, left);
        body_bytes -= 4;
        take = left - PG_HEADER_BYTES < body_bytes ? left - PG_HEADER_BYTES : body_bytes;
        need = row ? ROW_BYTES_MIN : body_bytes;
        if (take < need)
            break;
        batch->rest = body + take;
        batch->rest_bytes = left - PG_HEADER_BYTES - take;
        on = row ? batch_row(batch, body, (uint32_t)take, body_bytes)
                 : batch_message(batch, bytes[at], body, body_bytes);
        if (!on)
            return false;
        batch->rest_bytes = 0;
        at += PG_HEADER_BYTES + take;
    }
    buffer_append(&pg->in, &pg->base.pool->pools->loop->buffers, bytes + at, length - at);
    return true;
}

static void batch_server_gone(struct pg_batch *batch)
{
    struct pool_failure failure = *pg_error_row(PG_ERROR_SERVER_LOST);
    const char *why = stream_why(&batch->server->base.stream);
    struct pg_lookup *lookup = batch->lookup;
    bool preparing = lookup->preparing == batch;

    if (why)
        snprintf(failure.detail, sizeof(failure.detail), "%s", why);
    batch_lost(batch, &failure);
    /* Without a word: perhaps for what it was asked, so it is not asked again at once. */
    if (preparing && !why)
        lookup_refuse(lookup, LOOKUP_SERVER, "it was lost meanwhile");
}

void batch_ready(struct server *server, unsigned what)
{
    struct pg_batch *batch = server->holder;
    struct pg_server *pg = batch->server;
    struct worker *worker = batch->lookup->lookups->worker;
    struct loop *loop = &worker->loop;
    int64_t turns = worker->conf->sbuf_loopcnt > 0 ? worker->conf->sbuf_loopcnt : INT64_MAX;

    if (what & STREAM_DRAINED)
        return;
    if (batch->state == BATCH_ASKED && batch->generation != batch->lookup->generation) {
        batch_failed(batch, true);
        return;
    }
    do {
        size_t length;
        ssize_t got = stream_read_behind(&server->stream, &pg->in, LOOP_SCRATCH_BYTES, &length);

        if (got < 0 && !pg->in_whole) {
            batch_server_gone(batch);
            return;
        }
        if (got <= 0 && !pg->in_whole)
            return;
        pg->in_whole = false;
        buffer_clear(&pg->in, &loop->buffers);
        if (!batch_walk(batch, loop->scratch, length))
            return;
        stream_recheck(&server->stream);
    } while (--turns > 0);
    stream_again(&server->stream);
}

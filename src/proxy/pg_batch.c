#include "pg_batch.h"

#include <stdlib.h>
#include <string.h>

#include "pg_loss.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/batch/array.h"
#include "sluice/wire/pg.h"

/* What the keys of a batch may need of the scratch buffer it is written into; the rest is for what
 * a batch has once: 64 parameters, 1,600 columns. */
#define KEYS_BYTES_MAX (LOOP_SCRATCH_BYTES - 8u * 1024u)

/* --- its life --- */

static struct pg_batch *batch_new(struct pg_lookup *lookup, struct server *server)
{
    struct pg_lookups *lookups = lookup->lookups;
    struct list_node *spare = list_pop_front(&lookups->spare_batches);
    struct pg_batch *batch =
        spare ? container_of(spare, struct pg_batch, node) : memory_new(sizeof(*batch));
    struct pg_key **keys = batch->keys;
    size_t size = batch->size;

    memset(batch, 0, sizeof(*batch));
    batch->keys = keys;
    batch->size = size;
    batch->lookup = lookup;
    batch->server = pg_server_of(server);
    server->holder = batch;
    server->holder_ready = batch_ready;
    list_push_back(&lookups->batches, &batch->node);
    return batch;
}

/* It has nothing to do with its server any more. */
static void batch_end(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;

    if (lookup->preparing == batch) {
        lookup->preparing = NULL;
        prepare_abandon(batch);
    }
    if (batch->state == BATCH_ASKED)
        lookup->batches--;
    batch->state = BATCH_OVER;
    batch->server = NULL;
    list_remove(&lookup->lookups->batches, &batch->node);
    list_push_front(&lookup->lookups->spare_batches, &batch->node);
}

void batch_abandon(struct pg_batch *batch, bool cancel)
{
    struct pg_server *pg = batch->server;

    pg->skip_body = true;
    pg->let_finish = !cancel;
    pg_server_keep(pg, batch->rest, batch->rest_bytes);
    batch_end(batch);
    pool_drain(&pg->base);
}

void batch_give_back(struct pg_batch *batch)
{
    struct pg_server *pg = batch->server;

    pg_server_keep(pg, batch->rest, batch->rest_bytes);
    batch_end(batch);
    if (pg->base.stream.readable)
        stream_again(&pg->base.stream);
    pg_server_give_back(pg);
}

/* Takes the unanswered keys off, the last one first; what they were told so far is forgotten. */
static struct pg_key *batch_take_key(struct pg_batch *batch)
{
    while (batch->count > batch->current) {
        struct pg_key *key = batch->keys[--batch->count];

        if (!key)
            continue;
        stream_unqueue(&key->client->stream);
        key->batch = NULL;
        batch->left--;
        return key;
    }
    return NULL;
}

/* The next batches are smaller. */
static void batch_shrink(struct pg_lookup *lookup)
{
    lookup->size_now = lookup->size_now > 2 ? lookup->size_now / 2 : 1;
    lookup->alone = 0;
}

bool batch_failed(struct pg_batch *batch, bool stale)
{
    struct pg_lookup *lookup = batch->lookup;
    uint8_t statement[STATEMENT_KEY_BYTES];
    struct pg_key *key;

    LOOKUP_COUNT(lookup, errors, 1);
    LOOKUP_COUNT(lookup, again, batch->left);
    if (stale) {
        lookup->checked_us = 0;
        prepare_key(lookup, statement);
        prepared_doubt(&batch->server->prepared, statement);
    }
    batch_shrink(lookup);
    while ((key = batch_take_key(batch)))
        key_ask_alone(key);
    batch_abandon(batch, false);
    return false;
}

bool batch_cut(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    struct pg_key *key, *current = batch->keys[batch->current];

    LOOKUP_COUNT(lookup, cuts, 1);
    LOOKUP_COUNT(lookup, again, batch->left);
    batch_shrink(lookup);
    while ((key = batch_take_key(batch)))
        if (key != current)
            key_ask_again(key);
    batch_abandon(batch, true);
    lookup_wait(lookup);
    key_ask_alone(current);
    return false;
}

bool batch_lost(struct pg_batch *batch, const struct pool_failure *failure)
{
    struct pg_server *pg = batch->server;
    struct pg_lookup *lookup = batch->lookup;
    struct pg_key *key;

    counter_add(&pg->base.pool->counters.server_lost_count, 1);
    server_log(&pg->base, LOG_LEVEL_WARNING, "%s", failure->message);
    while ((key = batch_take_key(batch))) {
        struct pg_client *client = key->client;

        key_release(key);
        pg_loss_refuse(client, failure);
    }
    batch_end(batch);
    server_close(&pg->base, failure->message);
    lookup_wait(lookup);
    return false;
}

bool batch_failure_of_server(const struct pool_failure *failure)
{
    return strncmp(failure->sqlstate, "57", 2) == 0 || strncmp(failure->sqlstate, "08", 2) == 0;
}

void batch_leave(struct pg_batch *batch, struct pg_key *key)
{
    struct pg_server *pg = batch->server;

    stream_unqueue(&key->client->stream);
    batch->keys[key->place] = NULL;
    if (key->place == batch->current)
        pg->skip_body = true;
    if (--batch->left == 0)
        batch_abandon(batch, true);
}

/* --- asking --- */

void batch_set_params(struct pg_batch *batch)
{
    const struct pg_lookup *lookup = batch->lookup;
    struct pg_server *pg = batch->server;

    if (pg_server_set(pg, lookup->settings)) {
        counter_add(&pg->base.pool->counters.settings_count, 1);
        batch->sets++;
    }
    batch->sets += pg_server_set_params(pg, lookup->params);
}

/* Takes as many unsent keys as go in one batch. */
static void batch_gather(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    size_t bytes = 0;

    if (batch->size < lookup->size_now) {
        batch->size = lookup->size_now;
        batch->keys = memory_resize(batch->keys, batch->size * sizeof(batch->keys[0]));
    }
    while (batch->count < lookup->size_now && list_contains_any(&lookup->keys)) {
        struct pg_key *key = container_of(list_first(&lookup->keys), struct pg_key, node);

        if (!key_agrees(key)) {
            list_remove(&lookup->keys, &key->node);
            key_ask_alone(key);
            continue;
        }
        bytes += 5 * (size_t)lookup->shape->params + 2 * (size_t)key->values_bytes;
        if (bytes > KEYS_BYTES_MAX || stream_pending(&key->client->stream) > 0)
            return;
        list_remove(&lookup->keys, &key->node);
        key->batch = batch;
        key->cursor = 0;
        key->place = (uint32_t)batch->count;
        batch->keys[batch->count++] = key;
    }
}

static const uint8_t *key_next_value(struct pg_key *key, int32_t *bytes)
{
    bool simple = buffer_length(&key->values) > 0;
    const uint8_t *values =
        simple ? buffer_bytes(&key->values) : buffer_bytes(&key->client->in) + key->at;
    const uint8_t *at = values + key->cursor;

    *bytes = (int32_t)pg_u32(at);
    key->cursor += 4 + (*bytes > 0 ? (uint32_t)*bytes : 0);
    return at + 4;
}

/* One parameter of all keys, as an array. */
static void batch_write_array(struct pg_batch *batch, struct pg_writer *writer, unsigned param)
{
    const struct pg_lookup *lookup = batch->lookup;
    size_t length = writer->length;
    struct array array;

    pg_write_u32(writer, 0);
    array_init(&array, writer->bytes + writer->length, writer->size - writer->length,
               lookup_param_binary(lookup, param), lookup->shape->types[param]);
    for (size_t i = 0; i < batch->count; i++) {
        int32_t bytes;
        const uint8_t *value = key_next_value(batch->keys[i], &bytes);

        ensure(array_add(&array, value, bytes));
    }
    writer->length += array_finish(&array);
    pg_put_u32(writer->bytes + length, (uint32_t)(writer->length - length - 4));
}

static void batch_write(struct pg_batch *batch, struct pg_writer *writer)
{
    const struct pg_lookup *lookup = batch->lookup;
    const struct pg_shape *shape = lookup->shape;
    uint8_t statement[STATEMENT_KEY_BYTES];
    char name[STATEMENT_NAME_BYTES];

    prepare_key(lookup, statement);
    statement_name(statement, name);
    pg_begin(writer, PG_BIND);
    pg_write_text(writer, "");
    pg_write_text(writer, name);
    pg_write_u16(writer, (uint16_t)shape->params);
    for (unsigned i = 0; i < shape->params; i++)
        pg_write_u16(writer, lookup_param_binary(lookup, i));
    pg_write_u16(writer, (uint16_t)shape->params);
    for (unsigned i = 0; i < shape->params; i++)
        batch_write_array(batch, writer, i);
    pg_write_u16(writer, (uint16_t)(shape->column_count + 1));
    pg_write_u16(writer, 1);
    for (unsigned i = 0; i < shape->column_count; i++)
        pg_write_u16(writer, lookup_result_binary(lookup, i));
    pg_end(writer);
    pg_begin(writer, PG_DESCRIBE);
    pg_write_u8(writer, 'P');
    pg_write_text(writer, "");
    pg_end(writer);
    pg_begin(writer, PG_EXECUTE);
    pg_write_text(writer, "");
    pg_write_u32(writer, 0);
    pg_end(writer);
    pg_begin(writer, PG_SYNC);
    pg_end(writer);
}

static void batch_send(struct pg_batch *batch)
{
    static const uint8_t types[] = {PG_BIND, PG_DESCRIBE, PG_EXECUTE, PG_SYNC};
    struct pg_server *pg = batch->server;
    struct pg_lookup *lookup = batch->lookup;
    struct pg_writer writer =
        pg_writer_of(lookup->lookups->worker->loop.scratch, LOOP_SCRATCH_BYTES);
    uint8_t statement[STATEMENT_KEY_BYTES];

    prepare_key(lookup, statement);
    prepared_used(&pg->prepared, statement);
    batch_set_params(batch);
    batch_write(batch, &writer);
    ensure(!writer.failed);
    for (size_t i = 0; i < sizeof(types); i++)
        pg_pipeline_sent(&pg->pipeline, types[i], true);
    stream_write(&pg->base.stream, writer.bytes, writer.length);
}

/* The clients' keys are on their way. */
static void batch_sent(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    struct pool *pool = lookup->lookups->pool;
    uint64_t now_us = loop_now_us(&lookup->lookups->worker->loop);
    bool watched = pool->settings.query_timeout_us | pool->settings.transaction_timeout_us;

    for (size_t i = 0; i < batch->count; i++) {
        struct pg_client *client = batch->keys[i]->client;
        uint64_t wait_us = now_us - client->waiter.since_us;

        counter_add(&pool->counters.wait_time, wait_us);
        latency_add(&pool->latencies, LATENCY_batch_delay, wait_us);
        histogram_add(&lookup->counts.waits, wait_us);
        pg_client_move(client, PG_CLIENT_ASKED);
        client->request_us = now_us;
        if (watched)
            pg_client_watch(client);
    }
    batch->left = batch->count;
    batch->state = BATCH_ASKED;
    batch->generation = lookup->generation;
    batch->sent_us = now_us;
    lookup->batches++;
}

/* Too few: one key goes the ordinary way with the server. */
static void batch_too_small(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    struct pg_server *pg = batch->server;
    struct pg_key *key = batch->count > 0 ? batch->keys[0] : NULL;
    struct list_node *node = list_first(&lookup->keys);
    struct pg_client *client;

    if (!key && node) {
        key = container_of(node, struct pg_key, node);
        list_remove(&lookup->keys, node);
    }
    if (!key) {
        batch_give_back(batch);
        return;
    }
    client = key->client;
    key_release(key);
    LOOKUP_COUNT(lookup, alone, 1);
    pg_server_keep(pg, batch->rest, batch->rest_bytes);
    batch_end(batch);
    lookup_wait(lookup);
    client->waiter.kind->granted(&client->waiter, &pg->base);
}

void batch_ask(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;

    if (lookup->preparing == batch)
        lookup->preparing = NULL;
    batch_gather(batch);
    if (batch->count < 2) {
        batch_too_small(batch);
        return;
    }
    pg_server_keep(batch->server, batch->rest, batch->rest_bytes);
    batch->rest_bytes = 0;
    batch_send(batch);
    batch_sent(batch);
    lookup_wait(lookup);
}

void batch_start(struct pg_lookup *lookup, struct server *server)
{
    struct pg_batch *batch = batch_new(lookup, server);

    if (prepare_done(lookup, batch->server)) {
        batch_ask(batch);
        return;
    }
    lookup->preparing = batch;
    prepare_start(batch);
}

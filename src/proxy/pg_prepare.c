/* Makes a server ready for the batches of a lookup, and makes sure that it is one there: three
 * questions, one after the other, with the session parameters of the clients.
 *  1. The client's own statement is described: types of its parameters and columns.
 *  2. The probe of batch/lookup.h asks the catalogs what its names mean.
 *  3. The batched statement is prepared; its columns must be those of the client's statement.
 * The first two are asked again, on whichever server the next batch goes to, once the answers are a
 * second old: so a changed table is noticed even if PostgreSQL does not refuse the statement. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_batch.h"
#include "sluice/base/memory.h"
#include "sluice/batch/array.h"
#include "sluice/wire/pg.h"

#define CHECK_US US_PER_S
#define OID_OID 26
#define OID_ARRAY_OID 1028
#define INT8_OID 20
#define FIELD_BYTES 18u /* of a column in RowDescription, behind its name */
#define ORDER_COLUMN "_sluice_ord"

/* Of all servers and workers, no other statement has it. */
void prepare_key(const struct pg_lookup *lookup, uint8_t key[STATEMENT_KEY_BYTES])
{
    uint64_t id = lookup->id;

    key[0] = 'b';
    key[1] = (uint8_t)lookup->lookups->worker->index;
    pg_put_u32(key + 2, lookup->generation);
    pg_put_u32(key + 6, (uint32_t)(id >> 32));
    pg_put_u32(key + 10, (uint32_t)id);
    key[14] = (uint8_t)(lookup->lookups->salt >> 8);
    key[15] = (uint8_t)lookup->lookups->salt;
}

bool prepare_done(const struct pg_lookup *lookup, const struct pg_server *pg)
{
    uint8_t key[STATEMENT_KEY_BYTES];

    if (!lookup->shape || loop_now_us(pg->base.pool->pools->loop) > lookup->checked_us + CHECK_US)
        return false;
    prepare_key(lookup, key);
    return prepared_look(&pg->prepared, key, 0) == PREPARED_SURE;
}

static void prepare_settle(struct pg_batch *batch, bool done)
{
    struct prepared *prepared = &batch->server->prepared;
    uint8_t key[STATEMENT_KEY_BYTES];

    if (batch->closed_serial)
        prepared_settle(prepared, batch->closed, batch->closed_serial, done);
    if (batch->serial) {
        prepare_key(batch->lookup, key);
        prepared_settle(prepared, key, batch->serial, done);
    }
    batch->serial = batch->closed_serial = 0;
}

void prepare_abandon(struct pg_batch *batch)
{
    prepare_settle(batch, false);
    shape_free(batch->shape);
    batch->shape = NULL;
}

bool prepare_refused(struct pg_batch *batch, enum lookup_refusal refusal, const char *detail)
{
    struct pg_lookup *lookup = batch->lookup;
    char kept[LOOKUP_DETAIL_BYTES]; /* it may be the batch's */

    snprintf(kept, sizeof(kept), "%s", detail);
    batch_abandon(batch, false);
    lookup_refuse(lookup, refusal, kept);
    return false;
}

/* --- asking --- */

static void queue_message(struct pg_batch *batch, uint8_t type, const void *body, size_t length)
{
    struct pg_server *pg = batch->server;
    uint8_t header[PG_HEADER_BYTES] = {type};

    pg_put_u32(header + 1, (uint32_t)length + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    stream_queue(&pg->base.stream, body, length);
    pg_pipeline_sent(&pg->pipeline, type, true);
}

/* Parse: a name, then the rest of its body. */
static void queue_parse(struct pg_batch *batch, const char *name, const void *rest, size_t length)
{
    struct pg_server *pg = batch->server;
    uint8_t header[PG_HEADER_BYTES] = {PG_PARSE};

    pg_put_u32(header + 1, (uint32_t)(strlen(name) + 1 + length) + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    stream_queue(&pg->base.stream, name, strlen(name) + 1);
    stream_queue(&pg->base.stream, rest, length);
    if (!name[0])
        pg->unnamed_client = 0;
    pg_pipeline_sent(&pg->pipeline, PG_PARSE, true);
    counter_add(&pg->base.pool->counters.server_parse_count, 1);
}

static void queue_named(struct pg_batch *batch, uint8_t type, const char *name)
{
    char body[1 + STATEMENT_NAME_BYTES] = "S";

    strcpy(body + 1, name);
    queue_message(batch, type, body, 1 + strlen(name) + 1);
}

static void queue_sync(struct pg_batch *batch)
{
    queue_message(batch, PG_SYNC, NULL, 0);
    stream_flush(&batch->server->base.stream);
}

void prepare_start(struct pg_batch *batch)
{
    const struct pg_lookup *lookup = batch->lookup;

    batch->state = BATCH_DESCRIBING;
    batch->shape = memory_new(sizeof(*batch->shape));
    batch_set_params(batch);
    queue_parse(batch, "", lookup->body, lookup->body_bytes);
    queue_named(batch, PG_DESCRIBE, "");
    queue_sync(batch);
}

/* The text with the types of a Parse behind it: none, or one. */
static void queue_parse_text(struct pg_batch *batch, const char *name, const char *text,
                             uint32_t type)
{
    size_t bytes = strlen(text) + 1;
    uint8_t *rest = memory_new(bytes + 6);
    struct pg_writer writer = pg_writer_of(rest, bytes + 6);

    pg_write_text(&writer, text);
    pg_write_u16(&writer, type != 0);
    if (type)
        pg_write_u32(&writer, type);
    queue_parse(batch, name, rest, writer.length);
    free(rest);
}

static void prepare_probe(struct pg_batch *batch)
{
    const struct pg_shape *shape = batch->shape;
    uint8_t bytes[ARRAY_BYTES_MIN + 16 * LOOKUP_PARAMS_MAX + 64];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    struct array types;
    size_t at;

    batch->state = BATCH_PROBING;
    queue_parse_text(batch, "", lookup_probe(batch->lookup->statement), OID_ARRAY_OID);
    pg_write_text(&writer, ""); /* the body of Bind */
    pg_write_text(&writer, "");
    pg_write_u16(&writer, 1);
    pg_write_u16(&writer, 1);
    pg_write_u16(&writer, 1);
    at = writer.length;
    pg_write_u32(&writer, 0);
    array_init(&types, bytes + writer.length, sizeof(bytes) - writer.length - 2, true, OID_OID);
    for (unsigned i = 0; i < shape->params; i++) {
        uint32_t type = htonl(shape->types[i]);

        ensure(array_add(&types, &type, sizeof(type)));
    }
    writer.length += array_finish(&types);
    pg_put_u32(bytes + at, (uint32_t)(writer.length - at - 4));
    pg_write_u16(&writer, 0);
    ensure(!writer.failed);
    queue_message(batch, PG_BIND, bytes, writer.length);
    queue_message(batch, PG_EXECUTE, "\0\0\0\0", 5);
    queue_sync(batch);
}

static void prepare_statement(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    struct prepared *prepared = &batch->server->prepared;
    int64_t most = lookup->lookups->worker->conf->max_prepared_statements;
    uint8_t key[STATEMENT_KEY_BYTES];
    char name[STATEMENT_NAME_BYTES];

    batch->state = BATCH_PREPARING;
    if (prepared_evict(prepared, most > 0 ? (size_t)most - 1 : 0, 0, batch->closed,
                       &batch->closed_serial)) {
        statement_name(batch->closed, name);
        queue_named(batch, PG_CLOSE, name);
    }
    prepare_key(lookup, key);
    statement_name(key, name);
    if (prepared_look(prepared, key, 0) != PREPARED_NOT)
        queue_named(batch, PG_CLOSE, name);
    batch->serial = prepared_parse(prepared, key, 0);
    queue_parse_text(batch, name, lookup->shape->text, 0);
    queue_named(batch, PG_DESCRIBE, name);
    queue_sync(batch);
}

/* --- what the server says --- */

static uint8_t *message_copy(uint8_t type, const uint8_t *body, size_t length, size_t *bytes)
{
    uint8_t *message = memory_new(PG_HEADER_BYTES + length);

    *bytes = PG_HEADER_BYTES + length;
    message[0] = type;
    pg_put_u32(message + 1, (uint32_t)length + 4);
    if (length > 0)
        memcpy(message + PG_HEADER_BYTES, body, length);
    return message;
}

/* Writes into a RowDescription the formats that its portal has: the first `extra` columns are
 * binary, those behind as the lookup has them. The message was checked before. */
static void set_formats(const struct pg_lookup *lookup, uint8_t *body, size_t length,
                        unsigned extra)
{
    struct pg_reader reader = pg_reader_of(body, length);
    unsigned count = pg_read_u16(&reader);

    for (unsigned i = 0; i < count; i++) {
        uint8_t *field;

        pg_read_text(&reader);
        field = (uint8_t *)(uintptr_t)pg_read_bytes(&reader, FIELD_BYTES);
        field[FIELD_BYTES - 2] = 0;
        field[FIELD_BYTES - 1] = i < extra || lookup_result_binary(lookup, i - extra);
    }
}

static bool columns_valid(const uint8_t *body, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, length);
    unsigned count = pg_read_u16(&reader);

    for (unsigned i = 0; i < count; i++) {
        pg_read_text(&reader);
        pg_read_bytes(&reader, FIELD_BYTES);
    }
    return !reader.failed && pg_reader_left(&reader) == 0;
}

static bool take_parameters(struct pg_shape *shape, const uint8_t *body, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, length);

    shape->params = pg_read_u16(&reader);
    if (shape->parameters || shape->params > LOOKUP_PARAMS_MAX) {
        shape->params = 0;
        return false;
    }
    for (unsigned i = 0; i < shape->params; i++)
        shape->types[i] = pg_read_u32(&reader);
    pg_description_take(&shape->description, PG_PARAMETER_DESCRIPTION, body, length, length);
    shape->parameters =
        message_copy(PG_PARAMETER_DESCRIPTION, body, length, &shape->parameters_bytes);
    return !reader.failed && pg_reader_left(&reader) == 0;
}

static bool take_columns(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    struct pg_shape *shape = batch->shape;

    if (shape->columns || !columns_valid(body, length))
        return false;
    shape->column_count = pg_u16(body);
    pg_description_take(&shape->description, PG_ROW_DESCRIPTION, body, length, length);
    shape->columns = message_copy(PG_ROW_DESCRIPTION, body, length, &shape->columns_bytes);
    shape->result = message_copy(PG_ROW_DESCRIPTION, body, length, &shape->columns_bytes);
    set_formats(batch->lookup, shape->result + PG_HEADER_BYTES, length, 0);
    return true;
}

static char *read_value(struct pg_reader *reader)
{
    uint32_t bytes = pg_read_u32(reader);
    const uint8_t *value = bytes == UINT32_MAX ? NULL : pg_read_bytes(reader, bytes);

    return value ? memory_text((const char *)value, bytes) : memory_text("", 0);
}

/* A row of the probe: the verdict and what is to be known of the next parameter. */
static bool take_answer(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, length);
    struct pg_shape *shape = batch->shape;
    struct lookup_type *type = &shape->names[batch->answers];
    char *refusal, *text_only;

    if (pg_read_u16(&reader) != 3 || batch->answers >= shape->params)
        return false;
    refusal = read_value(&reader);
    type->name = read_value(&reader);
    text_only = read_value(&reader);
    type->text_only = text_only[0] == 't';
    batch->refusal = lookup_probe_refusal(refusal);
    batch->answers++;
    free(refusal);
    free(text_only);
    return !reader.failed;
}

/* The columns of the batched statement: ours, then the client's in name and type. */
static bool columns_match(const struct pg_shape *shape, const uint8_t *body, size_t length)
{
    struct pg_reader ours = pg_reader_of(body, length);
    struct pg_reader theirs =
        pg_reader_of(shape->columns + PG_HEADER_BYTES, shape->columns_bytes - PG_HEADER_BYTES);
    unsigned count = pg_read_u16(&theirs);

    if (!columns_valid(body, length) || pg_read_u16(&ours) != count + 1 ||
        strcmp(pg_read_text(&ours), ORDER_COLUMN) != 0 ||
        pg_u32(pg_read_bytes(&ours, FIELD_BYTES) + 6) != INT8_OID)
        return false;
    for (unsigned i = 0; i < count; i++) {
        bool same_name = strcmp(pg_read_text(&ours), pg_read_text(&theirs)) == 0;
        const uint8_t *our_field = pg_read_bytes(&ours, FIELD_BYTES);
        const uint8_t *their_field = pg_read_bytes(&theirs, FIELD_BYTES);

        if (!same_name || pg_u32(our_field + 6) != pg_u32(their_field + 6))
            return false;
    }
    return true;
}

static bool take_batched(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    struct pg_lookup *lookup = batch->lookup;
    struct pg_shape *shape = lookup->shape;

    if (!columns_match(shape, body, length))
        return false;
    free(shape->batched);
    shape->batched = memory_new(length);
    shape->batched_bytes = length;
    memcpy(shape->batched, body, length);
    set_formats(lookup, shape->batched, length, 1);
    return true;
}

/* --- from one question to the next --- */

static bool shape_same(const struct pg_shape *one, const struct pg_shape *other)
{
    return one->parameters_bytes == other->parameters_bytes &&
           memcmp(one->parameters, other->parameters, one->parameters_bytes) == 0 &&
           one->columns_bytes == other->columns_bytes &&
           memcmp(one->columns, other->columns, one->columns_bytes) == 0 &&
           strcmp(one->text, other->text) == 0;
}

/* The server refuses a Bind with formats for another number of columns. */
static bool formats_fit(const struct pg_lookup *lookup, const struct pg_shape *shape)
{
    unsigned count = pg_u16(lookup->formats + 2 + 2 * (size_t)pg_u16(lookup->formats));

    return count <= 1 || count == shape->column_count;
}

static bool described(struct pg_batch *batch)
{
    const struct pg_shape *shape = batch->shape;

    if (!shape->parameters || !shape->columns || !formats_fit(batch->lookup, shape))
        return prepare_refused(batch, LOOKUP_COLUMNS, "");
    prepare_probe(batch);
    return true;
}

static bool probed(struct pg_batch *batch)
{
    struct pg_lookup *lookup = batch->lookup;
    struct pg_shape *shape = batch->shape;
    uint8_t key[STATEMENT_KEY_BYTES];

    if (batch->answers != shape->params)
        return prepare_refused(batch, LOOKUP_PARAM_NUMBER, "");
    if (batch->refusal != LOOKUP_NONE)
        return prepare_refused(batch, batch->refusal, "");
    for (unsigned i = 0; i < shape->params; i++)
        if (shape->names[i].text_only && lookup_param_binary(lookup, i))
            return prepare_refused(batch, LOOKUP_PARAM_BINARY, shape->names[i].name);
    shape->text = lookup_rewrite(lookup->statement, shape->names, shape->params);
    if (!shape->text)
        return prepare_refused(batch, LOOKUP_PARAM_NUMBER, "");
    batch->shape = NULL;
    if (lookup->shape && shape_same(lookup->shape, shape))
        shape_free(shape);
    else
        lookup_reshape(lookup, shape);
    lookup->checked_us = loop_now_us(&lookup->lookups->worker->loop);
    prepare_key(lookup, key);
    if (prepared_look(&batch->server->prepared, key, 0) == PREPARED_SURE) {
        batch_ask(batch);
        return false;
    }
    prepare_statement(batch);
    return true;
}

/* All that was asked is answered. */
static bool prepare_next(struct pg_batch *batch)
{
    switch (batch->state) {
    case BATCH_DESCRIBING:
        return described(batch);
    case BATCH_PROBING:
        return probed(batch);
    case BATCH_PREPARING:
        prepare_settle(batch, true);
        batch_ask(batch);
        return false;
    case BATCH_ASKED:
    case BATCH_OVER:
        break;
    }
    ensure(!"a batch that is prepared is being prepared");
    return false;
}

static bool prepare_error(struct pg_batch *batch, const uint8_t *body, size_t length)
{
    struct pool_failure failure;

    if (pg_replies_failure(&failure, body, length) && batch_failure_of_server(&failure))
        return batch_lost(batch, &failure);
    return prepare_refused(batch, LOOKUP_SERVER, failure.message);
}

bool prepare_message(struct pg_batch *batch, uint8_t type, const uint8_t *body, size_t length)
{
    struct pg_server *pg = batch->server;
    bool good = true;

    switch (type) {
    case PG_ERROR:
        return prepare_error(batch, body, length);
    case PG_READY:
        if (length != 1 || body[0] != 'I')
            return prepare_refused(batch, LOOKUP_SERVER, "it is in a transaction");
        pg->status = 'I';
        return !pg_pipeline_idle(&pg->pipeline) || prepare_next(batch);
    case PG_PARAMETER_DESCRIPTION:
        if (batch->state == BATCH_DESCRIBING)
            good = take_parameters(batch->shape, body, length);
        break;
    case PG_ROW_DESCRIPTION:
        if (batch->state == BATCH_DESCRIBING)
            good = take_columns(batch, body, length);
        else if (batch->state == BATCH_PREPARING)
            good = take_batched(batch, body, length);
        break;
    case PG_DATA_ROW:
        if (batch->state == BATCH_PROBING)
            good = take_answer(batch, body, length);
        break;
    default:
        break;
    }
    return good || prepare_refused(batch, LOOKUP_COLUMNS, "");
}

#include "pg_repeat.h"

#include <string.h>

#include "pg_described.h"
#include "pg_named.h"
#include "sluice/wire/pg.h"

/* More is not kept. */
#define KEPT_BYTES_MAX (16u * 1024u)
/* With what the client has sent behind it. */
#define AGAIN_BYTES_MAX (LOOP_SCRATCH_BYTES / 2)

void pg_repeat_forget(struct pg_client *client)
{
    struct pg_statements *statements = client->statements;

    if (!statements || statements->repeat == REPEAT_OFF)
        return;
    statements->repeat = REPEAT_OFF;
    buffer_clear(&statements->kept, &client->worker->loop.buffers);
}

/* Keeps the message, or forgets all. */
static void repeat_keep(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                        size_t length)
{
    struct pg_statements *statements = client->statements;
    struct buffer_cache *cache = &client->worker->loop.buffers;
    uint8_t header[PG_HEADER_BYTES] = {type};

    if (statements->repeat == REPEAT_AGAIN)
        return;
    if (statements->repeat != REPEAT_OPEN || have < length ||
        buffer_length(&statements->kept) + sizeof(header) + length > KEPT_BYTES_MAX) {
        pg_repeat_forget(client);
        return;
    }
    pg_put_u32(header + 1, (uint32_t)length + 4);
    buffer_append(&statements->kept, cache, header, sizeof(header));
    buffer_append(&statements->kept, cache, body, length);
}

void pg_repeat_used(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                    size_t length, bool sure)
{
    struct pg_statements *statements = client->statements;
    const struct pg_server *pg = client->server;

    if (statements->repeat == REPEAT_OFF && sure && !statements->stretch_begun &&
        pg->status == 'I' && pg_pipeline_unnoticed(&pg->pipeline))
        statements->repeat = REPEAT_OPEN;
    statements->stretch_begun = true;
    if (statements->repeat == REPEAT_OFF)
        return;
    if (sure)
        repeat_keep(client, type, body, have, length);
    else
        pg_repeat_forget(client);
}

void pg_repeat_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length)
{
    struct pg_statements *statements = client->statements;

    if (type == PG_SYNC || type == PG_QUERY || type == PG_FUNCTION_CALL)
        statements->stretch_begun = false; /* each ends what was before it */
    else if (type != PG_FLUSH)
        statements->stretch_begun = true;
    if (statements->repeat == REPEAT_OFF)
        return;
    if (!strchr("BDEHPS", type)) {
        pg_repeat_forget(client);
        return;
    }
    repeat_keep(client, type, body, have, length);
    if (type == PG_SYNC && statements->repeat == REPEAT_OPEN)
        statements->repeat = REPEAT_CLOSED;
}

void pg_repeat_query(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_statements *statements = client->statements;
    const struct pg_server *pg = client->server;

    if (statements->repeat == REPEAT_OFF && !statements->stretch_begun && pg->status == 'I' &&
        pg_pipeline_idle(&pg->pipeline)) {
        statements->repeat = REPEAT_OPEN;
        repeat_keep(client, PG_QUERY, body, length, length);
        if (statements->repeat == REPEAT_OPEN)
            statements->repeat = REPEAT_CLOSED;
    } else if (statements->repeat != REPEAT_AGAIN) {
        pg_repeat_forget(client);
    }
    statements->stretch_begun = false;
}

/* What failed was a transaction by itself, and all of it is kept: with its Sync, or it is all that
 * the client has sent. */
static bool repeat_possible(const struct pg_client *client)
{
    const struct pg_statements *statements = client->statements;
    const struct pg_pipeline *pipeline = &client->server->pipeline;

    if (buffer_length(&statements->kept) + buffer_length(&client->in) > AGAIN_BYTES_MAX)
        return false;
    if (statements->repeat == REPEAT_CLOSED)
        return pg_pipeline_only_ready(pipeline);
    return statements->repeat == REPEAT_OPEN && pipeline->count == 0 && pipeline->skip_until_sync &&
           client->body_left == 0;
}

/* The end of what has failed is ours; what was kept comes from the client once more. */
static void repeat_begin(struct pg_client *client)
{
    static const uint8_t sync[] = {PG_SYNC, 0, 0, 0, 4};
    struct pg_statements *statements = client->statements;
    struct buffer_cache *cache = &client->worker->loop.buffers;
    struct pg_server *pg = client->server;
    struct buffer again = statements->kept;

    if (statements->repeat == REPEAT_CLOSED) {
        pg_pipeline_disown(&pg->pipeline);
    } else {
        pg_pipeline_sent(&pg->pipeline, PG_SYNC, true);
        stream_write(&pg->base.stream, sync, sizeof(sync));
        statements->stretch++;
    }
    if (buffer_length(&client->in) > 0)
        buffer_append(&again, cache, buffer_bytes(&client->in), buffer_length(&client->in));
    buffer_clear(&client->in, cache);
    client->in = again;
    client->in_whole = true;
    statements->kept = (struct buffer){0};
    statements->repeat = REPEAT_AGAIN;
    statements->stretch_begun = false;
    pg_described_release(client, true);
    stream_again(&client->stream);
}

bool pg_repeat_error(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_statements *statements = client->statements;
    struct pg_error error;
    bool changed;

    if (!statements)
        return false;
    pg_error_parse(body, length, &error);
    changed =
        strcmp(error.sqlstate, "0A000") == 0 && strcmp(error.routine, "RevalidateCachedQuery") == 0;
    if (!changed &&
        !(strcmp(error.sqlstate, "26000") == 0 && strstr(error.message, STATEMENT_NAME_PREFIX))) {
        pg_repeat_forget(client);
        return false;
    }
    /* Which of them it was does not matter: each is prepared anew when it is used next. */
    prepared_doubt_all(&client->server->prepared);
    if (changed && statements->bound && statements->bound->statement)
        statements->bound->statement->stale_us = loop_now_us(&client->worker->loop);
    if (!repeat_possible(client)) {
        pg_repeat_forget(client);
        return false;
    }
    repeat_begin(client);
    return true;
}

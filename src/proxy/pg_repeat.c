#include "pg_repeat.h"

#include <string.h>

#include "pg_named.h"
#include "sluice/wire/pg.h"

/* More is not kept. */
#define KEPT_BYTES_MAX (16u * 1024u)

void pg_repeat_forget(struct pg_client *client)
{
    struct pg_statements *statements = client->statements;

    if (!statements || statements->repeat == REPEAT_OFF)
        return;
    statements->repeat = REPEAT_OFF;
    buffer_clear(&statements->kept, &client->worker->loop.buffers);
}

bool pg_repeat_wants(struct pg_client *client, bool renamed, size_t bytes)
{
    struct pg_statements *statements = client->statements;
    const struct pg_server *pg = client->server;

    if (statements->repeat == REPEAT_OFF && renamed && !statements->stretch_begun &&
        pg->status == 'I' && pg_pipeline_unnoticed(&pg->pipeline))
        statements->repeat = REPEAT_OPEN;
    statements->stretch_begun = true;
    if (statements->repeat == REPEAT_OFF)
        return false;
    if (!renamed || statements->repeat != REPEAT_OPEN ||
        buffer_length(&statements->kept) + bytes > KEPT_BYTES_MAX) {
        pg_repeat_forget(client);
        return false;
    }
    return true;
}

void pg_repeat_keep(struct pg_client *client, const void *bytes, size_t length)
{
    buffer_append(&client->statements->kept, &client->worker->loop.buffers, bytes, length);
}

void pg_repeat_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length)
{
    struct pg_statements *statements = client->statements;
    uint8_t header[PG_HEADER_BYTES] = {type};

    if (type == PG_SYNC || type == PG_QUERY || type == PG_FUNCTION_CALL)
        statements->stretch_begun = false; /* each ends what was before it */
    else if (type != PG_FLUSH)
        statements->stretch_begun = true;
    if (statements->repeat == REPEAT_OFF)
        return;
    if (statements->repeat != REPEAT_OPEN || have < length || !strchr("BDEHPS", type) ||
        buffer_length(&statements->kept) + sizeof(header) + length > KEPT_BYTES_MAX) {
        pg_repeat_forget(client);
        return;
    }
    pg_put_u32(header + 1, (uint32_t)length + 4);
    pg_repeat_keep(client, header, sizeof(header));
    pg_repeat_keep(client, body, length);
    if (type == PG_SYNC)
        statements->repeat = REPEAT_CLOSED;
}

/* The statement that the first message kept is for; NULL when it is forgotten. */
static struct pg_statement *kept_statement(const struct pg_client *client)
{
    const struct buffer *kept = &client->statements->kept;
    struct pg_reader reader = pg_reader_of(buffer_bytes(kept), buffer_length(kept));
    uint8_t type = pg_read_u8(&reader);
    uint8_t key[STATEMENT_KEY_BYTES];

    pg_read_u32(&reader);
    if (type == PG_BIND)
        pg_read_text(&reader);
    else
        pg_read_u8(&reader);
    if (!statement_key_of_name(pg_read_text(&reader), key) || reader.failed)
        return NULL;
    return statement_find(&client->worker->statements, key);
}

static void repeat_send(struct pg_client *client, const struct pg_statement *statement)
{
    struct pg_statements *statements = client->statements;
    struct pg_server *pg = client->server;
    const uint8_t *bytes = buffer_bytes(&statements->kept);
    size_t length = buffer_length(&statements->kept);

    pg_pipeline_disown(&pg->pipeline);
    pg_statements_supply(client, statement);
    stream_write(&pg->base.stream, bytes, length);
    for (size_t at = 0; at < length; at += 1 + pg_u32(bytes + at + 1))
        if (bytes[at] != PG_FLUSH)
            pg_pipeline_sent(&pg->pipeline, bytes[at], false);
    statements->stretch++;
    pg_repeat_forget(client);
}

bool pg_repeat_error(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_statements *statements = client->statements;
    struct pg_server *pg = client->server;
    const struct pg_statement *statement;
    struct pg_error error;

    if (!statements)
        return false;
    pg_error_parse(body, length, &error);
    if (!(strcmp(error.sqlstate, "0A000") == 0 &&
          strcmp(error.routine, "RevalidateCachedQuery") == 0) &&
        !(strcmp(error.sqlstate, "26000") == 0 && strstr(error.message, STATEMENT_NAME_PREFIX))) {
        pg_repeat_forget(client);
        return false;
    }
    /* Which of them it was does not matter: each is prepared anew when it is used next. */
    prepared_doubt_all(&pg->prepared);
    if (statements->repeat != REPEAT_CLOSED || pg->pipeline.noted_over > 0 ||
        !pg_pipeline_only_sync(&pg->pipeline) || !(statement = kept_statement(client))) {
        pg_repeat_forget(client);
        return false;
    }
    repeat_send(client, statement);
    return true;
}

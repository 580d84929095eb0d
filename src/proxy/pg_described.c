#include "pg_described.h"

#include <string.h>

#include "sluice/wire/pg.h"

/* A longer ParameterDescription is not held back. */
#define HELD_BYTES_MAX 4096u

enum peek { PEEK_NO, PEEK_YES, PEEK_MORE };

/* Is the portal described by the message that follows its Bind? */
static enum peek peek_describe(const char *portal, struct pg_behind behind)
{
    size_t name_bytes = strlen(portal) + 1, body = 1 + name_bytes;

    if (behind.length == 0)
        return PEEK_MORE;
    if (behind.bytes[0] != PG_DESCRIBE)
        return PEEK_NO;
    if (behind.length < PG_HEADER_BYTES + body)
        return PEEK_MORE;
    return pg_u32(behind.bytes + 1) == 4 + body && behind.bytes[PG_HEADER_BYTES] == 'P' &&
                   memcmp(behind.bytes + PG_HEADER_BYTES + 1, portal, name_bytes) == 0
               ? PEEK_YES
               : PEEK_NO;
}

static struct pg_description description_of(const struct pg_client *client,
                                            const struct pg_statement *statement)
{
    uint64_t described_us;

    return prepared_description(&client->server->prepared, statement->key, &described_us);
}

enum pg_statements_verdict pg_described_bind(struct pg_client *client, const struct named *named,
                                             const char *portal, bool whole,
                                             struct pg_behind behind)
{
    struct pg_statements *statements = client->statements;

    statements->refuses = false;
    if (!named->told.columns || client->server->pipeline.copy_in)
        return STATEMENTS_REWRITE;
    if (!named->told.params && whole) {
        switch (peek_describe(portal, behind)) {
        case PEEK_YES:
            return STATEMENTS_REWRITE;
        case PEEK_MORE:
            return STATEMENTS_MORE;
        case PEEK_NO:
            break;
        }
    }
    switch (statement_state(client, named->statement)) {
    case PREPARED_SURE:
        if (pg_description_agrees(named->told, description_of(client, named->statement)))
            return STATEMENTS_REWRITE;
        statements->refuses = statements->supplied;
        return statements->supplied ? STATEMENTS_REWRITE : STATEMENTS_SUPPLY;
    case PREPARED_SENT:
        return statements->flushed ? STATEMENTS_WAIT : STATEMENTS_SUPPLY;
    case PREPARED_EARLIER:
        return STATEMENTS_WAIT;
    case PREPARED_NOT:
    case PREPARED_DOUBT:
        break;
    }
    return STATEMENTS_SUPPLY;
}

bool pg_described_refuses(const struct pg_client *client)
{
    return client->statements->refuses;
}

void pg_described_supply(struct pg_client *client, const struct named *named)
{
    static const uint8_t flush[] = {PG_FLUSH, 0, 0, 0, 4};
    struct pg_statements *statements = client->statements;
    struct prepared *prepared = &client->server->prepared;

    if (statement_state(client, named->statement) != PREPARED_SENT) {
        prepared_doubt(prepared, named->statement->key);
        pg_statements_supply(client, named->statement);
        statements->supplied = true;
    }
    stream_write(&client->server->base.stream, flush, sizeof(flush));
    statements->flushed = true;
}

/* FNV-1a. */
static uint32_t portal_hash(const char *portal)
{
    uint32_t hash = 2166136261u;

    for (; *portal; portal++)
        hash = (hash ^ (uint8_t)*portal) * 16777619u;
    return hash;
}

void pg_described_bound(struct pg_client *client, struct named *named, const char *portal)
{
    struct pg_statements *statements = client->statements;

    statements->bound = named;
    statements->bound_portal = portal_hash(portal);
    statements->bound_columns = description_of(client, named->statement).columns;
}

static void note_describe(struct pg_client *client, struct named *named, enum describes describes)
{
    struct change *change = change_add(client->statements);

    memcpy(change->key, named->statement->key, sizeof(change->key));
    change->named = named;
    change->describes = describes;
    named->changes++;
}

void pg_described_asked(struct pg_client *client, struct named *named)
{
    pg_pipeline_sent(&client->server->pipeline, PG_NOTED_DESCRIBE, false);
    note_describe(client, named, DESCRIBES_ALL);
}

uint8_t pg_described_note(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have)
{
    struct pg_statements *statements = client->statements;
    const struct named *named = statements ? statements->bound : NULL;
    struct pg_reader reader = pg_reader_of(body, have);
    bool binds = type == PG_BIND;

    if ((!binds && type != PG_DESCRIBE) || !named || !named->statement ||
        client->server->pipeline.skip_until_sync || (!binds && pg_read_u8(&reader) != 'P') ||
        portal_hash(pg_read_text(&reader)) != statements->bound_portal || reader.failed)
        return type;
    if (binds) {
        statements->bound = NULL; /* the portal is an unnamed statement's now */
        return type;
    }
    /* Mostly it is told what it knows. */
    if (statements->bound_columns && named->told.columns == statements->bound_columns)
        return type;
    note_describe(client, statements->bound, DESCRIBES_COLUMNS);
    return PG_NOTED_DESCRIBE;
}

bool pg_described_comes(const struct pg_client *client, uint8_t type)
{
    return (type == PG_ROW_DESCRIPTION || type == PG_PARAMETER_DESCRIPTION) &&
           pg_pipeline_describes(&client->server->pipeline);
}

bool pg_described_take(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                       size_t length)
{
    struct pg_statements *statements = client->statements;
    uint8_t header[PG_HEADER_BYTES] = {type};

    pg_description_take(&statements->description, type, body, have, length);
    if (type != PG_PARAMETER_DESCRIPTION) {
        pg_described_release(client, false);
        return false;
    }
    if (change_at(statements, 0)->describes != DESCRIBES_ALL ||
        (statements->repeat != REPEAT_OPEN && statements->repeat != REPEAT_CLOSED) ||
        have < length || length > HELD_BYTES_MAX)
        return false;
    pg_put_u32(header + 1, (uint32_t)length + 4);
    buffer_append(&statements->held, &client->worker->loop.buffers, header, sizeof(header));
    buffer_append(&statements->held, &client->worker->loop.buffers, body, length);
    return true;
}

void pg_described_release(struct pg_client *client, bool drop)
{
    struct buffer *held;

    if (!pg_described_holds(client))
        return;
    held = &client->statements->held;
    if (!drop)
        stream_queue(&client->stream, buffer_bytes(held), buffer_length(held));
    buffer_clear(held, &client->worker->loop.buffers);
}

void pg_described_settle(struct pg_client *client, const struct change *change, bool done)
{
    struct pg_statements *statements = client->statements;
    struct pg_description description = statements->description;
    struct named *named = change->named;

    statements->description = (struct pg_description){0};
    if (!done || !description.columns)
        return;
    if (change->describes == DESCRIBES_SERVER) {
        prepared_describe(&client->server->prepared, change->key, description,
                          loop_now_us(&client->worker->loop));
    } else if (named->statement &&
               memcmp(named->statement->key, change->key, STATEMENT_KEY_BYTES) == 0) {
        named->told.columns = description.columns;
        if (change->describes == DESCRIBES_ALL)
            named->told.params = description.params;
    }
}

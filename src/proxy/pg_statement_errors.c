/* Errors about prepared statements in the client's words: its names, not those on servers. */
#include <string.h>

#include "pg_client.h"
#include "pg_named.h"
#include "sluice/wire/pg.h"

/* The client's name for what the server calls by the name at `at`; NULL: it is no such name. */
static const char *name_of_client(const struct pg_client *client, const uint8_t *at, size_t left)
{
    const struct pg_statements *statements = client->statements;
    const struct change *change = statements->count > 0 ? change_at(statements, 0) : NULL;
    char name[STATEMENT_NAME_BYTES];
    uint8_t key[STATEMENT_KEY_BYTES];

    if (left < sizeof(name))
        return NULL;
    memcpy(name, at, sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    if (!statement_key_of_name(name, key))
        return NULL;
    if (statements->shift != 0 && client->server && client->server->pipeline.failed == PG_QUERY)
        return statements->found.name;
    if (change && change->duplicate)
        return change->named->name;
    LIST_EACH_SAFE (&statements->by_use, node, following) {
        const struct named *named = container_of(node, struct named, node);

        if (named->statement && memcmp(named->statement->key, key, sizeof(key)) == 0)
            return named->name;
    }
    return NULL;
}

static bool error_is_unknown(const uint8_t *body, size_t length)
{
    struct pg_error error;

    pg_error_parse(body, length, &error);
    return strcmp(error.sqlstate, "26000") == 0;
}

/* What PostgreSQL says when the result of a statement has changed. Drivers know it by the SQLSTATE
 * and the routine. */
static void tell_changed(struct pg_client *client)
{
    static const char fields[] =
        "SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0"
        "Fplancache.c\0RRevalidateCachedQuery\0";
    uint8_t header[PG_HEADER_BYTES] = {PG_ERROR};

    pg_put_u32(header + 1, (uint32_t)sizeof(fields) + 4);
    stream_queue(&client->stream, header, sizeof(header));
    stream_queue(&client->stream, fields, sizeof(fields));
}

bool pg_statements_error(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct stream *stream = &client->stream;
    uint8_t header[PG_HEADER_BYTES] = {PG_ERROR};
    const uint8_t *at, *end = body + length;
    const char *name = NULL;

    if (!client->statements)
        return false;
    if (client->server && client->server->pipeline.failed == PG_NOTED_BIND &&
        error_is_unknown(body, length)) {
        tell_changed(client);
        return true;
    }
    for (at = body; !name; at++) {
        at = memmem(at, (size_t)(end - at), STATEMENT_NAME_PREFIX,
                    sizeof(STATEMENT_NAME_PREFIX) - 1);
        if (!at)
            return false;
        name = name_of_client(client, at, (size_t)(end - at));
    }
    at--;
    pg_put_u32(header + 1, (uint32_t)(4 + length - (STATEMENT_NAME_BYTES - 1) + strlen(name)));
    stream_queue(stream, header, sizeof(header));
    stream_queue(stream, body, (size_t)(at - body));
    stream_queue(stream, name, strlen(name));
    at += STATEMENT_NAME_BYTES - 1;
    stream_queue(stream, at, (size_t)(end - at));
    return true;
}

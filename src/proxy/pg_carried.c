#include "pg_carried.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_repeat.h"
#include "pg_statement_messages.h"
#include "sluice/batch/effects.h"
#include "sluice/wire/pg.h"

/* The client's PREPAREs are on its server, under its own names, or may be. */
static bool names_on_server(const struct pg_client *client)
{
    const struct pg_session *session = client->session;

    if (!session)
        return false;
    return session->pinned & EFFECT_PREPARE ||
           (session->suspect & EFFECT_PREPARE &&
            !(client->statements && client->statements->sql_count > 0));
}

static enum prepare_kind text_kind(struct pg_client *client, const uint8_t *text, size_t bytes,
                                   struct prepare *found)
{
    const char *strings = params_get(client->params, "standard_conforming_strings");

    *found = (struct prepare){.kind = PREPARE_HIDDEN};
    if (pg_session_readable(client, (const char *)text, bytes) &&
        (!strings || strcmp(strings, "on") == 0))
        prepare_find((const char *)text, found);
    return found->kind;
}

/* What has to be done when nothing is in the way. */
static enum pg_statements_verdict carried_verdict(struct pg_client *client, size_t length,
                                                  const struct prepare *found)
{
    const struct pg_statements *statements = client->statements;
    struct named *named = NULL;

    if (found->kind == PREPARE_NONE)
        return STATEMENTS_PASS;
    if (found->kind == PREPARE_HIDDEN)
        return statements && statements->sql_count > 0 && pg_session_pins(client, EFFECT_PREPARE)
                   ? STATEMENTS_SUPPLY
                   : STATEMENTS_PASS;
    named = named_for_use(client, found->name);
    if (named && named->statement)
        return statement_state(client, named->statement) == PREPARED_SURE ? STATEMENTS_REWRITE
                                                                          : STATEMENTS_SUPPLY;
    if (found->kind == PREPARE_EXECUTE || names_on_server(client) ||
        length > (size_t)client->worker->conf->client_statements_limit_bytes)
        return STATEMENTS_PASS;
    return STATEMENTS_REWRITE;
}

static enum pg_statements_verdict look(struct pg_client *client, const uint8_t *body, size_t have,
                                       size_t length)
{
    const struct pg_pipeline *pipeline = &client->server->pipeline;
    struct pg_statements *statements = client->statements;
    enum pg_statements_verdict verdict;
    struct prepare found = {.kind = PREPARE_HIDDEN};
    bool readied = statements && statements->readied;

    if (readied && pipeline->skip_until_sync)
        return STATEMENTS_REWRITE;
    if (readied && pipeline->count > 0)
        return STATEMENTS_WAIT;
    if (pipeline->copy_in || pipeline->copy_both ||
        (!prepare_begins((const char *)body, have) && !prepare_mentioned((const char *)body, have)))
        return STATEMENTS_PASS;
    if (have < length && length <= EFFECTS_TEXT_BYTES_MAX)
        return STATEMENTS_MORE;
    if (!readied && !pg_pipeline_idle(pipeline))
        return pg_pipeline_ready_due(pipeline) ? STATEMENTS_WAIT : STATEMENTS_PASS;
    if (client->server->status == 'E')
        return STATEMENTS_PASS;
    if (have == length && length <= EFFECTS_TEXT_BYTES_MAX)
        text_kind(client, body, length, &found);
    verdict = carried_verdict(client, length, &found);
    if (readied && found.kind == PREPARE_HIDDEN)
        return STATEMENTS_PASS; /* what could not be given then cannot be given now */
    if (verdict != STATEMENTS_PASS)
        statements_need(client)->found = found;
    return verdict;
}

enum pg_statements_verdict pg_carried_look(struct pg_client *client, const uint8_t *body,
                                           size_t have, size_t length)
{
    enum pg_statements_verdict verdict = look(client, body, have, length);

    if (verdict == STATEMENTS_PASS && client->statements)
        client->statements->readied = false;
    return verdict;
}

enum pg_statements_verdict pg_carried_look_at_parse(struct pg_client *client, const uint8_t *text,
                                                    const uint8_t *end)
{
    struct pg_statements *statements = client->statements;
    const struct pg_pipeline *pipeline = &client->server->pipeline;
    const uint8_t *nul = memchr(text, '\0', (size_t)(end - text));
    size_t bytes = (size_t)(nul ? nul + 1 - text : end - text);
    struct prepare found;

    if (!prepare_mentioned((const char *)text, bytes) ||
        text_kind(client, text, bytes, &found) == PREPARE_NONE ||
        !pg_session_pins(client, EFFECT_PREPARE))
        return STATEMENTS_PASS;
    if (pg_pipeline_ready_due(pipeline))
        return STATEMENTS_WAIT;
    if (client->server->status == 'E')
        return STATEMENTS_PASS;
    statements->found = (struct prepare){.kind = PREPARE_HIDDEN};
    return STATEMENTS_SUPPLY;
}

/* --- what the server needs in front of it --- */

/* The client's name as SQL has it. */
static void name_quote(const char *name, char quoted[2 * NAME_BYTES + 2])
{
    *quoted++ = '"';
    for (; *name; name++) {
        *quoted++ = *name;
        if (*name == '"')
            *quoted++ = '"';
    }
    strcpy(quoted, "\"");
}

/* All names that PREPARE has given are given on the server, and forgotten here. In front of a
 * Query each by itself, so that one that fails, its table being gone, does not take others along;
 * it fails again when it is executed. */
static void names_give(struct pg_client *client, bool each)
{
    static const uint8_t sync[] = {PG_SYNC, 0, 0, 0, 4};
    struct pg_statements *statements = client->statements;

    pg_repeat_forget(client);
    statements->stretch_begun = true;
    LIST_EACH_SAFE (&statements->by_use, node, following) {
        struct named *named = container_of(node, struct named, node);
        char quoted[2 * NAME_BYTES + 2];

        if (!named->statement || !named->statement->sql)
            continue;
        name_quote(named->name, quoted);
        message_prepare(client, quoted, named->statement->body, named->statement->body_bytes);
        message_close(client, NO_STATEMENT);
        pg_pipeline_sent(&client->server->pipeline, PG_NOTED_CLOSE, true);
        change_named(statements, change_add(statements), named, NULL);
        if (each) {
            stream_queue(&client->server->base.stream, sync, sizeof(sync));
            pg_pipeline_sent(&client->server->pipeline, PG_SYNC, true);
            statements->stretch++;
        }
    }
    pg_session_suspect(client, EFFECT_PREPARE);
}

void pg_carried_supply(struct pg_client *client, uint8_t type)
{
    static const uint8_t flush[] = {PG_FLUSH, 0, 0, 0, 4};
    struct pg_statements *statements = client->statements;

    statements->readied = type == PG_QUERY;
    if (statements->found.kind != PREPARE_HIDDEN)
        pg_statements_supply(client, named_find(statements, statements->found.name)->statement);
    else
        names_give(client, type == PG_QUERY);
    stream_write(&client->server->base.stream, flush, sizeof(flush));
}

/* --- the text --- */

static void query_rename(struct pg_client *client, const uint8_t *body, size_t length,
                         const char *name)
{
    struct pg_statements *statements = client->statements;
    const struct prepare *found = &statements->found;
    size_t written = found->end - found->start;

    message_begin(client, PG_QUERY, length - written + strlen(name));
    message_bytes(client, body, found->start);
    message_bytes(client, name, strlen(name));
    message_bytes(client, body + found->end, length - found->end);
    pg_pipeline_sent(&client->server->pipeline, PG_QUERY, false);
    statements->shift = (int32_t)strlen(name) - (int32_t)written;
    statements->stretch_begun = false;
}

/* The server itself says whether it is prepared; what it is, it is asked behind it. */
static void rewrite_names(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_statements *statements = client->statements;
    struct pg_server *pg = client->server;
    size_t end = statements->found.end;
    struct content content = {body + end, length - end, true};
    uint32_t effects = pg_session_effects(client, body, length, length);
    struct named *named = named_find(statements, statements->found.name);
    uint8_t key[STATEMENT_KEY_BYTES];
    struct pg_statement *statement;
    struct change *change;

    statement_key_for(client, content, key);
    statement = statement_take(client, content, key);
    if (!named)
        named = named_add(statements, statements->found.name);
    pg_statements_make_room(client, statement);
    query_rename(client, body, length, statement->name);
    message_describe(client, statement->name);
    pg_pipeline_sent(&pg->pipeline, PG_NOTED_DESCRIBE, true);
    change = change_add(statements);
    change->describes = DESCRIBES_SERVER;
    memcpy(change->key, key, sizeof(key));
    change->server_serial = prepared_parse(&pg->prepared, key, statements->stretch);
    change_named(statements, change, named, statement);
    message_begin(client, PG_SYNC, 0);
    pg_pipeline_sent(&pg->pipeline, PG_SYNC, true);
    statements->stretch++;
    named->effects = effects & ~(uint32_t)EFFECT_PREPARE;
    named_bound(client, named);
}

void pg_carried_rewrite(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_statements *statements = client->statements;
    struct pg_server *pg = client->server;
    struct named *named;

    if (statements->readied && pg->pipeline.skip_until_sync) {
        /* It could not be prepared, which the client has been told in the place of its answer. */
        statements->readied = false;
        statements->stretch++;
        message_begin(client, PG_SYNC, 0);
        pg_pipeline_sent(&pg->pipeline, PG_SYNC, false);
        return;
    }
    statements->readied = false;
    named = named_find(statements, statements->found.name);
    if (statements->found.kind == PREPARE_NAMES && (!named || !named->statement)) {
        pg_repeat_forget(client);
        rewrite_names(client, body, length);
        return;
    }
    named_used(statements, named);
    prepared_used(&pg->prepared, named->statement->key);
    if (statements->found.kind == PREPARE_NAMES) {
        pg_repeat_forget(client); /* the server refuses it: the name is in use */
    } else {
        pg_session_suspect(client,
                           named->effects | pg_session_effects(client, body, length, length));
        pg_repeat_query(client, body, length);
        statements->bound = named;
        statements->bound_portal = statements->bound_columns = 0;
    }
    query_rename(client, body, length, named->statement->name);
}

/* --- errors --- */

bool pg_carried_error(struct pg_client *client, const uint8_t *body, size_t length)
{
    const struct pg_statements *statements = client->statements;
    uint8_t header[PG_HEADER_BYTES] = {PG_ERROR};
    struct pg_reader reader = pg_reader_of(body, length);
    char position[24];

    if (!statements || statements->shift == 0 || client->server->pipeline.failed != PG_QUERY)
        return false;
    for (;;) {
        uint8_t field = pg_read_u8(&reader);
        const uint8_t *from = reader.at;
        const char *value = field ? pg_read_text(&reader) : NULL;
        long there;

        if (!field || reader.failed)
            return false;
        if (field != 'P')
            continue;
        there = strtol(value, NULL, 10);
        if (there <= labs(statements->shift) || there > INT32_MAX)
            return false;
        snprintf(position, sizeof(position), "%ld", there - statements->shift);
        pg_put_u32(header + 1, (uint32_t)(4 + length - strlen(value) + strlen(position)));
        stream_queue(&client->stream, header, sizeof(header));
        stream_queue(&client->stream, body, (size_t)(from - body));
        stream_queue(&client->stream, position, strlen(position));
        stream_queue(&client->stream, from + strlen(value),
                     length - (size_t)(from - body) - strlen(value));
        return true;
    }
}

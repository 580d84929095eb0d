#include "pg_statements.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>

#include "pg_carried.h"
#include "pg_client.h"
#include "pg_deallocate.h"
#include "pg_described.h"
#include "pg_named.h"
#include "pg_repeat.h"
#include "pg_statement_messages.h"
#include "pg_unnamed.h"
#include "sluice/wire/pg.h"

/* A Parse up to this size is kept where it came until it is whole; a longer one is collected. */
#define WHOLE_BYTES_MAX (LOOP_SCRATCH_BYTES / 4)
/* A DEALLOCATE that is longer is not looked for. */
#define QUERY_BYTES_MAX 256u

static bool statements_on(const struct pg_client *client)
{
    return client->statements || (client->pool->settings.mode != POOL_MODE_SESSION &&
                                  client->worker->conf->max_prepared_statements > 0);
}

/* The parts of a message that matter here. */
struct parts {
    const char *portal;  /* Bind */
    const char *name;    /* of a statement; NULL: the message names none */
    const uint8_t *rest; /* behind the names */
};

enum parts_found { PARTS_FOUND, PARTS_NONE, PARTS_MORE };

static enum parts_found parts_find(uint8_t type, const uint8_t *body, size_t have, size_t length,
                                   struct parts *parts)
{
    struct pg_reader reader = pg_reader_of(body, have);

    memset(parts, 0, sizeof(*parts));
    if (type == PG_DESCRIBE || type == PG_CLOSE) {
        uint8_t kind = pg_read_u8(&reader);

        if (kind != 'S' && !reader.failed)
            return have < length && have < WHOLE_BYTES_MAX ? PARTS_MORE : PARTS_NONE;
    } else if (type == PG_BIND) {
        parts->portal = pg_read_text(&reader);
    }
    parts->name = pg_read_text(&reader);
    parts->rest = reader.at;
    if (!reader.failed)
        return PARTS_FOUND;
    return have < length && have < WHOLE_BYTES_MAX ? PARTS_MORE : PARTS_NONE;
}

static bool named_unsettled(const struct pg_statements *statements, const struct named *named)
{
    return named->serial != 0 && named->stretch != statements->stretch;
}

static bool statement_earlier(const struct pg_client *client, const uint8_t *key)
{
    return prepared_look(&client->server->prepared, key, client->statements->stretch) ==
           PREPARED_EARLIER;
}

/* What follows the name in a Parse message is well-formed. */
static bool parse_valid(const uint8_t *rest, size_t bytes)
{
    struct pg_reader reader = pg_reader_of(rest, bytes);
    size_t types;

    pg_read_text(&reader);
    types = pg_read_u16(&reader);
    return !reader.failed && pg_reader_left(&reader) == types * 4;
}

static enum pg_statements_verdict look_at_parse(struct pg_client *client, const struct parts *parts,
                                                const uint8_t *body, size_t have, size_t length)
{
    struct pg_statements *statements = statements_need(client);
    size_t rest_bytes = have - (size_t)(parts->rest - body);
    struct named *named = named_find(statements, parts->name);
    uint8_t key[STATEMENT_KEY_BYTES];
    bool open_tail;

    if (length > (size_t)client->worker->conf->client_statements_limit_bytes)
        return STATEMENTS_TOO_LONG;
    if (have < length && length <= WHOLE_BYTES_MAX)
        return STATEMENTS_MORE;
    if (have < length) {
        if (statements->count > 0 && change_at(statements, 0)->stretch != statements->stretch)
            return STATEMENTS_WAIT;
        return STATEMENTS_COLLECT;
    }
    if (!parse_valid(parts->rest, rest_bytes))
        return STATEMENTS_PASS;
    if (named && named_unsettled(statements, named))
        return STATEMENTS_WAIT;
    if (named && named->statement)
        memcpy(key, named->statement->key, sizeof(key));
    else
        statement_key_for(client, (struct content){parts->rest, rest_bytes, false}, key);
    if (statement_earlier(client, key))
        return STATEMENTS_WAIT;
    /* Whether the transaction is aborted must be known: then no Parse may succeed. */
    if (pg_pipeline_readies(&client->server->pipeline, &open_tail) > 0 &&
        prepared_look(&client->server->prepared, key, statements->stretch) == PREPARED_SURE)
        return STATEMENTS_WAIT;
    return STATEMENTS_REWRITE;
}

/* DEALLOCATE of a name of the client's, as a simple query between transactions' statements: where
 * nothing is on its way. */
static struct named *deallocated(const struct pg_client *client, const uint8_t *body, size_t have)
{
    char name[PG_DEALLOCATE_NAME_BYTES];
    struct named *named = NULL;

    if (pg_deallocate_name((const char *)body, have, name))
        named = named_find(client->statements, name);
    return named && named->statement ? named : NULL;
}

static enum pg_statements_verdict look_at_query(struct pg_client *client, const uint8_t *body,
                                                size_t have, size_t length)
{
    const struct pg_server *pg = client->server;

    if (length > QUERY_BYTES_MAX || !client->statements ||
        !pg_deallocate_begins((const char *)body, have))
        return pg_carried_comes(client, body, have) && statements_on(client)
                   ? pg_carried_look(client, body, have, length)
                   : STATEMENTS_PASS;
    if (have < length)
        return STATEMENTS_MORE;
    if (pg->pipeline.copy_in)
        return STATEMENTS_PASS;
    if (!deallocated(client, body, have))
        return pg_carried_comes(client, body, have) ? pg_carried_look(client, body, have, length)
                                                    : STATEMENTS_PASS;
    if (!pg_pipeline_idle(&pg->pipeline))
        return pg_pipeline_ready_due(&pg->pipeline) ? STATEMENTS_WAIT : STATEMENTS_PASS;
    return pg->status == 'E' ? STATEMENTS_PASS : STATEMENTS_REWRITE;
}

/* The same as an unnamed Parse: libpq before version 17 has no other way to close a statement. */
static enum pg_statements_verdict look_at_unnamed(const struct pg_client *client,
                                                  const uint8_t *text, size_t have, size_t length)
{
    const struct named *named;

    if (length > QUERY_BYTES_MAX || !pg_deallocate_begins((const char *)text, have))
        return STATEMENTS_PASS;
    if (have < length)
        return STATEMENTS_MORE;
    named =
        parse_valid(text, have) ? deallocated(client, text, strlen((const char *)text) + 1) : NULL;
    if (!named)
        return STATEMENTS_PASS;
    return named_unsettled(client->statements, named) ? STATEMENTS_WAIT : STATEMENTS_REWRITE;
}

/* Bind or Describe of a name of the client's. */
static enum pg_statements_verdict look_at_use(struct pg_client *client, const struct named *named,
                                              const struct parts *parts, bool whole,
                                              struct pg_behind behind)
{
    if (statement_earlier(client, named->statement->key))
        return STATEMENTS_WAIT;
    if (!parts->portal)
        return STATEMENTS_REWRITE;
    return pg_described_bind(client, named, parts->portal, whole, behind);
}

static enum pg_statements_verdict look(struct pg_client *client, uint8_t type, const uint8_t *body,
                                       size_t have, size_t length, struct pg_behind behind)
{
    struct pg_statements *statements = client->statements;
    const struct named *named;
    struct parts parts;
    uint8_t key[STATEMENT_KEY_BYTES];

    if (type == PG_QUERY)
        return look_at_query(client, body, have, length);
    if (type != PG_BIND && type != PG_PARSE && type != PG_DESCRIBE && type != PG_CLOSE)
        return STATEMENTS_PASS;
    if (client->server->pipeline.skip_until_sync)
        return STATEMENTS_PASS;
    switch (parts_find(type, body, have, length, &parts)) {
    case PARTS_NONE:
        return STATEMENTS_PASS;
    case PARTS_MORE:
        return STATEMENTS_MORE;
    case PARTS_FOUND:
        break;
    }
    if (pg_unnamed_foreign(client, type, parts.name))
        return STATEMENTS_REWRITE;
    if (!statements_on(client))
        return STATEMENTS_PASS;
    if (type == PG_PARSE && statements && statements->sql_count > 0) {
        enum pg_statements_verdict verdict = STATEMENTS_MORE;

        if (have == length || length > WHOLE_BYTES_MAX)
            verdict = pg_carried_look_at_parse(client, parts.rest, body + have);
        if (verdict != STATEMENTS_PASS)
            return verdict;
    }
    if (type == PG_PARSE && parts.name[0] == '\0' && statements)
        return look_at_unnamed(client, body + 1, have - 1, length - 1);
    if (parts.name[0] == '\0' || length > INT32_MAX - 2 * NAME_BYTES)
        return STATEMENTS_PASS;
    if (statements && statements->deallocating &&
        statements->deallocating_stretch != statements->stretch) {
        if (pg_pipeline_ready_due(&client->server->pipeline))
            return STATEMENTS_WAIT;
        statements->deallocating = false;
    }
    if (type == PG_PARSE)
        return look_at_parse(client, &parts, body, have, length);
    /* A name that is not the client's, even if it is a server's, means nothing. */
    named = named_for_use(client, parts.name);
    if (named && named_unsettled(statements, named))
        return STATEMENTS_WAIT;
    if (!named || !named->statement)
        return type == PG_CLOSE && statement_key_of_name(parts.name, key) ? STATEMENTS_REWRITE
                                                                          : STATEMENTS_PASS;
    if (type == PG_CLOSE)
        return STATEMENTS_REWRITE;
    if (have < length && length <= WHOLE_BYTES_MAX)
        return STATEMENTS_MORE;
    return look_at_use(client, named, &parts, have == length, behind);
}

enum pg_statements_verdict pg_statements_look(struct pg_client *client, uint8_t type,
                                              const uint8_t *body, size_t have, size_t length,
                                              struct pg_behind behind)
{
    enum pg_statements_verdict verdict = look(client, type, body, have, length, behind);

    /* While the server reads COPY data it answers nothing, but fails at this message. */
    if (verdict == STATEMENTS_WAIT && client->server->pipeline.copy_in)
        verdict = have < length && type == PG_PARSE ? STATEMENTS_COLLECT : STATEMENTS_REWRITE;
    return verdict;
}

/* --- doing --- */

void pg_statements_make_room(struct pg_client *client, const struct pg_statement *statement)
{
    struct pg_server *pg = client->server;
    struct pg_statements *statements = client->statements;
    int64_t most = client->worker->conf->max_prepared_statements;
    uint8_t key[STATEMENT_KEY_BYTES];
    char name[STATEMENT_NAME_BYTES];
    uint32_t serial;

    while (prepared_evict(&pg->prepared, most > 0 ? (size_t)most - 1 : 0, statements->stretch, key,
                          &serial)) {
        struct change *change = change_add(statements);

        memcpy(change->key, key, sizeof(key));
        change->server_serial = serial;
        statement_name(key, name);
        message_close(client, name);
        pg_pipeline_sent(&pg->pipeline, PG_NOTED_CLOSE, true);
    }
    if (statement_state(client, statement) != PREPARED_NOT) {
        message_close(client, statement->name);
        pg_pipeline_sent(&pg->pipeline, PG_CLOSE, true);
    }
}

/* Sends Parse, and Describe for ourselves. named: it is the client's Parse that gives this name,
 * with the statement held for it; NULL: it is ours. */
static void statements_prepare(struct pg_client *client, struct pg_statement *statement,
                               struct named *named)
{
    struct pg_server *pg = client->server;
    struct pg_statements *statements = client->statements;
    struct change *change;

    pg_statements_make_room(client, statement);
    if (statement->sql) {
        message_prepare(client, statement->name, statement->body, statement->body_bytes);
        message_close_none(client);
    } else {
        message_parse(client, statement->name, statement->body, statement->body_bytes);
        pg_pipeline_sent(&pg->pipeline, named ? PG_NOTED_PARSE : PG_PARSE, !named);
    }
    if (named)
        change_named(statements, change_add(statements), named, statement);
    message_describe(client, statement->name);
    pg_pipeline_sent(&pg->pipeline, PG_NOTED_DESCRIBE, true);
    change = change_add(statements);
    change->describes = DESCRIBES_SERVER;
    memcpy(change->key, statement->key, sizeof(change->key));
    change->server_serial = prepared_parse(&pg->prepared, statement->key, statements->stretch);
    statements->flushed = false;
}

void pg_statements_supply(struct pg_client *client, struct pg_statement *statement)
{
    enum prepared_state state = statement_state(client, statement);

    if (state == PREPARED_SURE || state == PREPARED_SENT)
        prepared_used(&client->server->prepared, statement->key);
    else
        statements_prepare(client, statement, NULL);
}

void pg_statements_supply_first(struct pg_client *client, uint8_t type, const uint8_t *body,
                                size_t have, size_t length)
{
    struct parts parts;

    if (type != PG_BIND) {
        pg_carried_supply(client, type);
        return;
    }
    parts_find(PG_BIND, body, have, length, &parts);
    pg_described_supply(client, named_find(client->statements, parts.name));
}

/* A Parse with a name that is in use: the server refuses it, in its place among the others. */
static void rewrite_duplicate(struct pg_client *client, struct named *named, const uint8_t *rest,
                              size_t rest_bytes)
{
    struct change *change;

    pg_repeat_forget(client);
    client->statements->stretch_begun = true;
    pg_statements_supply(client, named->statement);
    message_parse(client, named->statement->name, rest, rest_bytes);
    pg_pipeline_sent(&client->server->pipeline, PG_NOTED_PARSE, false);
    change = change_add(client->statements);
    change->named = named;
    change->duplicate = true;
    named->changes++;
}

static void rewrite_parse(struct pg_client *client, const char *name, const uint8_t *rest,
                          size_t rest_bytes)
{
    struct pg_server *pg = client->server;
    struct pg_statements *statements = client->statements;
    struct named *named = named_find(statements, name);
    size_t text_bytes = strnlen((const char *)rest, rest_bytes) + 1;
    struct content content = {rest, rest_bytes, false};
    uint8_t key[STATEMENT_KEY_BYTES];
    struct pg_statement *statement;
    uint32_t effects;
    enum prepared_state state;

    if (named && named->statement) {
        rewrite_duplicate(client, named, rest, rest_bytes);
        return;
    }
    effects = pg_session_effects(client, rest, text_bytes, text_bytes);
    statement_key_for(client, content, key);
    statement = statement_take(client, content, key);
    if (!named)
        named = named_add(statements, name);
    state = statement_state(client, statement);
    if (state == PREPARED_SURE && pg->status == 'E') {
        prepared_doubt(&pg->prepared, key); /* the server says what it says to any Parse now */
        state = PREPARED_DOUBT;
    }
    if (state == PREPARED_SURE || state == PREPARED_SENT) {
        prepared_used(&pg->prepared, key);
        message_close(client, NO_STATEMENT);
        pg_pipeline_sent(&pg->pipeline, PG_NOTED_CLOSE_AS_PARSE, false);
        change_named(statements, change_add(statements), named, statement);
    } else {
        statements_prepare(client, statement, named);
        statements->stretch_begun = true;
    }
    pg_repeat_forget(client);
    named->effects = effects;
    named_bound(client, named);
}

static void rewrite_close(struct pg_client *client, const char *name)
{
    struct pg_server *pg = client->server;
    struct pg_statements *statements = client->statements;
    struct named *named = statements ? named_find(statements, name) : NULL;

    if (statements) {
        pg_repeat_forget(client);
        statements->stretch_begun = true;
    }
    message_close(client, NO_STATEMENT);
    if (named && named->statement) {
        pg_pipeline_sent(&pg->pipeline, PG_NOTED_CLOSE, false);
        change_named(statements, change_add(statements), named, NULL);
    } else {
        pg_pipeline_sent(&pg->pipeline, PG_CLOSE, false);
    }
}

/* Bind or Describe with another name for its statement. */
static void write_renamed(struct pg_client *client, uint8_t type, const struct parts *parts,
                          size_t rest_bytes, size_t length, const char *name)
{
    const char *front = type == PG_BIND ? parts->portal : "S";

    message_begin(client, type, length - strlen(parts->name) + strlen(name));
    message_bytes(client, front, type == PG_BIND ? strlen(front) + 1 : 1);
    message_bytes(client, name, strlen(name) + 1);
    message_bytes(client, parts->rest, rest_bytes);
}

/* The server has no statement of this name: its error is told as that of a changed one. */
static void refuse_bind(struct pg_client *client, const struct parts *parts, size_t rest_bytes,
                        size_t length)
{
    pg_repeat_forget(client);
    client->statements->stretch_begun = true;
    message_close(client, NO_STATEMENT);
    pg_pipeline_sent(&client->server->pipeline, PG_CLOSE, true);
    write_renamed(client, PG_BIND, parts, rest_bytes, length, NO_STATEMENT);
    pg_pipeline_sent(&client->server->pipeline, PG_NOTED_BIND, false);
    change_add(client->statements);
}

/* Bind or Describe, with the name that the server knows. */
static void rewrite_use(struct pg_client *client, uint8_t type, const struct parts *parts,
                        size_t rest_bytes, size_t length, struct named *named)
{
    pg_statements_supply(client, named->statement);
    write_renamed(client, type, parts, rest_bytes, length, named->statement->name);
    if (type == PG_DESCRIBE) {
        pg_described_asked(client, named);
        return;
    }
    pg_pipeline_sent(&client->server->pipeline, type, false);
    pg_described_bound(client, named, parts->portal);
}

/* The name is forgotten; the statement stays for others, and the server has another one to
 * deallocate. */
static void rewrite_deallocate(struct pg_client *client, struct named *named)
{
    /* One that could not be prepared (message_prepare) may have left it. */
    message_close_none(client);
    message_query(client, "PREPARE " NO_STATEMENT " AS SELECT 1", true);
    message_query(client, "DEALLOCATE " NO_STATEMENT, false);
    named_forget(client, named);
}

/* As rewrite_deallocate, by messages that may stand between others: the name is forgotten when the
 * server answers the first of them. */
static void rewrite_deallocate_parse(struct pg_client *client, struct named *named)
{
    static const uint8_t select[] = "SELECT 1\0\0"; /* and no types */
    static const uint8_t deallocate[] = "DEALLOCATE " NO_STATEMENT "\0\0";
    struct pg_server *pg = client->server;
    struct pg_statements *statements = client->statements;

    pg_repeat_forget(client);
    statements->stretch_begun = true;
    message_close(client, NO_STATEMENT);
    pg_pipeline_sent(&pg->pipeline, PG_NOTED_CLOSE, true);
    change_named(statements, change_add(statements), named, NULL);
    message_parse(client, NO_STATEMENT, select, sizeof(select));
    pg_pipeline_sent(&pg->pipeline, PG_PARSE, true);
    message_parse(client, "", deallocate, sizeof(deallocate));
    pg_pipeline_sent(&pg->pipeline, PG_PARSE, false);
}

void pg_statements_rewrite(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                           size_t length)
{
    struct pg_statements *statements = client->statements;
    struct named *named;
    struct parts parts;
    size_t rest_bytes;

    if (type == PG_QUERY) {
        named = deallocated(client, body, have);
        if (named)
            rewrite_deallocate(client, named);
        else
            pg_carried_rewrite(client, body, length);
        return;
    }
    parts_find(type, body, have, length, &parts);
    rest_bytes = have - (size_t)(parts.rest - body);
    if (pg_unnamed_foreign(client, type, parts.name)) {
        pg_unnamed_close(client);
        message_as_it_is(client, type, body, have, length);
        return;
    }
    if (type == PG_PARSE && parts.name[0] == '\0') {
        const uint8_t *text = body + 1;

        named = deallocated(client, text, strlen((const char *)text) + 1);
        pg_unnamed_parsed(client);
        rewrite_deallocate_parse(client, named);
        return;
    }
    if (type == PG_PARSE) {
        rewrite_parse(client, parts.name, parts.rest, rest_bytes);
        return;
    }
    if (type == PG_CLOSE) {
        rewrite_close(client, parts.name);
        return;
    }
    named = named_find(statements, parts.name);
    if (!named->statement) {
        message_as_it_is(client, type, body, have, length);
        return;
    }
    named_used(statements, named);
    statements->supplied = false;
    if (type == PG_BIND && pg_described_refuses(client)) {
        refuse_bind(client, &parts, rest_bytes, length);
        return;
    }
    if (type == PG_BIND)
        pg_session_suspect(client, named->effects);
    pg_repeat_used(client, type, body, have, length,
                   statement_state(client, named->statement) == PREPARED_SURE);
    rewrite_use(client, type, &parts, rest_bytes, length, named);
}

void pg_statements_collect(struct pg_client *client, const uint8_t *piece, size_t bytes, bool last)
{
    struct buffer *collected = &client->statements->collected;
    struct buffer_cache *cache = &client->worker->loop.buffers;
    size_t length;
    struct parts parts;

    buffer_append(collected, cache, piece, bytes);
    if (!last)
        return;
    length = buffer_length(collected);
    if (parts_find(PG_PARSE, buffer_bytes(collected), length, length, &parts) == PARTS_FOUND &&
        parse_valid(parts.rest, length - (size_t)(parts.rest - buffer_bytes(collected)))) {
        pg_statements_rewrite(client, PG_PARSE, buffer_bytes(collected), length, length);
    } else {
        message_as_it_is(client, PG_PARSE, buffer_bytes(collected), length, length);
    }
    buffer_clear(collected, cache);
}

/* --- statements that do away with prepared ones --- */

/* stretch: whose messages may rely on it; 0: none. */
static void note_deallocation(struct pg_statements *statements, uint32_t stretch)
{
    if (!statements)
        return;
    statements->deallocating = true;
    statements->deallocating_stretch = stretch;
}

void pg_statements_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                          size_t length)
{
    struct pg_statements *statements = client->statements;
    struct prepared *prepared = &client->server->prepared;

    pg_pipeline_sent(&client->server->pipeline, pg_described_note(client, type, body, have), false);
    if (statements)
        pg_repeat_passed(client, type, body, have, length);
    if (type == PG_SYNC && statements)
        statements->stretch++;
    if (type == PG_PARSE && have > 0 && body[0] == '\0') {
        pg_unnamed_parsed(client);
        if (pg_deallocate_begins((const char *)body + 1, have - 1)) {
            prepared_doubt_all(prepared);
            note_deallocation(statements, statements ? statements->stretch : 0);
        }
    } else if (type == PG_QUERY && have > 0 && pg_deallocate_begins((const char *)body, have)) {
        prepared_doubt_all(prepared);
        note_deallocation(statements, 0);
    }
}

void pg_statements_command(struct pg_client *client, const uint8_t *body, size_t length)
{
    static const char deallocate_all[] = "DEALLOCATE ALL", discard_all[] = "DISCARD ALL";

    if (!(length == sizeof(deallocate_all) && memcmp(body, deallocate_all, length) == 0) &&
        !(length == sizeof(discard_all) && memcmp(body, discard_all, length) == 0))
        return;
    prepared_doubt_all(&client->server->prepared);
    if (client->statements)
        named_forget_all(client);
}

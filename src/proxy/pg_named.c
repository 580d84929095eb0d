#include "pg_named.h"

#include <stdlib.h>
#include <string.h>

#include "pg_described.h"
#include "pg_repeat.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define CHANGES_MIN 16u
/* A larger ring is given back when it is empty. */
#define CHANGES_KEPT 256u

struct pg_statements *statements_need(struct pg_client *client)
{
    struct pg_statements *statements = client->statements;

    if (!statements) {
        statements = client->statements = memory_new(sizeof(*statements));
        statements->stretch = 1;
        list_init(&statements->by_use);
    }
    return statements;
}

static size_t name_bytes(const char *name)
{
    return strnlen(name, NAME_BYTES - 1);
}

struct named *named_find(const struct pg_statements *statements, const char *name)
{
    struct named *named;

    HASH_FIND(hh, statements->by_name, name, name_bytes(name), named);
    return named;
}

static size_t named_cost(const struct pg_statement *statement)
{
    return sizeof(struct named) + (statement ? sizeof(*statement) + statement->body_bytes : 0);
}

static void named_set(struct pg_statements *statements, struct named *named,
                      struct pg_statement *statement)
{
    statements->bytes -= named_cost(named->statement);
    statements->bytes += named_cost(statement);
    statements->sql_count -= named->statement && named->statement->sql;
    statements->sql_count += statement && statement->sql;
    named->statement = statement;
    named->settings = statements->settings_number;
    named->told = (struct pg_description){0};
}

struct named *named_add(struct pg_statements *statements, const char *name)
{
    struct named *named = memory_new(sizeof(*named));

    memcpy(named->name, name, name_bytes(name));
    HASH_ADD(hh, statements->by_name, name, name_bytes(name), named);
    list_push_front(&statements->by_use, &named->node);
    statements->bytes += named_cost(NULL);
    return named;
}

void named_forget(struct pg_client *client, struct named *named)
{
    struct pg_statements *statements = client->statements;

    statements->bytes -= named_cost(named->statement);
    statements->sql_count -= named->statement && named->statement->sql;
    HASH_DEL(statements->by_name, named);
    if (statements->bound == named)
        statements->bound = NULL;
    list_remove(&statements->by_use, &named->node);
    statement_drop(&client->worker->statements, named->statement);
    free(named);
}

void named_used(struct pg_statements *statements, struct named *named)
{
    if (list_first(&statements->by_use) == &named->node)
        return;
    list_remove(&statements->by_use, &named->node);
    list_push_front(&statements->by_use, &named->node);
}

void named_bound(struct pg_client *client, const struct named *keep)
{
    struct pg_statements *statements = client->statements;
    size_t most = (size_t)client->worker->conf->client_statements_limit_bytes;

    while (statements->bytes > most) {
        struct named *oldest = container_of(list_last(&statements->by_use), struct named, node);

        if (oldest == keep || oldest->changes > 0)
            return;
        named_forget(client, oldest);
    }
}

void named_forget_all(struct pg_client *client)
{
    LIST_EACH_SAFE (&client->statements->by_use, node, following) {
        struct named *named = container_of(node, struct named, node);

        if (named->changes == 0)
            named_forget(client, named);
    }
}

enum prepared_state statement_state(struct pg_client *client, const struct pg_statement *statement)
{
    struct prepared *prepared = &client->server->prepared;
    enum prepared_state state =
        prepared_look(prepared, statement->key, client->statements->stretch);
    uint64_t described_us;

    if (state != PREPARED_SURE || !statement->stale_us)
        return state;
    prepared_description(prepared, statement->key, &described_us);
    if (described_us > statement->stale_us)
        return state;
    prepared_doubt(prepared, statement->key);
    return PREPARED_DOUBT;
}

/* Sees whether the client's settings have changed, which is a comparison of pointers. */
static void settings_follow(struct pg_client *client)
{
    static const char *const reported[] = {"client_encoding", "standard_conforming_strings",
                                           "DateStyle", "IntervalStyle", "TimeZone"};
    struct pg_statements *statements = client->statements;
    struct params_set *set = &client->worker->pools.params;
    struct params *settings = client->session ? client->session->settings : NULL;
    uint8_t bytes[5 * (PARAM_VALUE_BYTES + 1) + PARAMS_BYTES_MAX], key[STATEMENT_KEY_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    const char *value;

    if (statements->settings_number > 0 && statements->params == client->params &&
        statements->settings == settings)
        return;
    for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++) {
        value = params_get(client->params, reported[i]);
        pg_write_text(&writer, value ? value : "");
    }
    for (const char *name = settings ? params_next(settings, NULL, &value) : NULL; name;
         name = params_next(settings, name, &value)) {
        pg_write_text(&writer, name);
        pg_write_text(&writer, value);
    }
    ensure(!writer.failed);
    statement_key(bytes, writer.length, key);
    if (statements->settings_number == 0 || memcmp(key, statements->settings_key, sizeof(key)) != 0)
        statements->settings_number++;
    memcpy(statements->settings_key, key, sizeof(key));
    params_drop(set, statements->params);
    params_drop(set, statements->settings);
    statements->params = params_hold(client->params);
    statements->settings = settings ? params_hold(settings) : NULL;
}

void statement_key_for(struct pg_client *client, struct content content,
                       uint8_t key[STATEMENT_KEY_BYTES])
{
    uint8_t bytes[2 * STATEMENT_KEY_BYTES + 1];

    settings_follow(client);
    statement_key(content.body, content.bytes, bytes);
    memcpy(bytes + STATEMENT_KEY_BYTES, client->statements->settings_key, STATEMENT_KEY_BYTES);
    bytes[2 * STATEMENT_KEY_BYTES] = content.sql;
    statement_key(bytes, sizeof(bytes), key);
}

struct pg_statement *statement_take(struct pg_client *client, struct content content,
                                    const uint8_t key[STATEMENT_KEY_BYTES])
{
    struct pg_statement *statement =
        statement_get(&client->worker->statements, key, content.body, content.bytes);

    statement->sql = content.sql;
    return statement;
}

struct named *named_for_use(struct pg_client *client, const char *name)
{
    struct pg_statements *statements = client->statements;
    struct named *named = statements ? named_find(statements, name) : NULL;
    struct pg_statement *before;
    struct pg_description told;
    uint8_t key[STATEMENT_KEY_BYTES];
    struct content content;

    if (!named || !named->statement || named->serial != 0)
        return named;
    settings_follow(client);
    if (named->settings == statements->settings_number)
        return named;
    before = named->statement;
    told = named->told;
    content = (struct content){before->body, before->body_bytes, before->sql};
    statement_key_for(client, content, key);
    named_set(statements, named, statement_take(client, content, key));
    named->told = told;
    statement_drop(&client->worker->statements, before);
    return named;
}

struct change *change_at(const struct pg_statements *statements, uint32_t index)
{
    return &statements->changes[(statements->first + index) & (statements->size - 1)];
}

struct change *change_add(struct pg_statements *statements)
{
    struct change *change;

    if (statements->count == statements->size) {
        uint32_t size = statements->size ? statements->size * 2 : CHANGES_MIN;
        struct change *changes = memory_new(size * sizeof(*changes));

        for (uint32_t i = 0; i < statements->count; i++)
            changes[i] = *change_at(statements, i);
        free(statements->changes);
        statements->changes = changes;
        statements->size = size;
        statements->first = 0;
    }
    change = change_at(statements, statements->count++);
    memset(change, 0, sizeof(*change));
    change->stretch = statements->stretch;
    return change;
}

void change_named(struct pg_statements *statements, struct change *change, struct named *named,
                  struct pg_statement *statement)
{
    change->named = named;
    change->previous = named->statement;
    change->previous_told = named->told;
    named->changes++;
    named_set(statements, named, statement);
    if (++statements->serial == 0)
        statements->serial = 1;
    named->serial = change->named_serial = statements->serial;
    named->stretch = statements->stretch;
}

static void change_over(struct pg_client *client, bool done)
{
    struct pg_statements *statements = client->statements;
    struct statements *all = &client->worker->statements;
    struct change change;
    struct named *named;

    ensure(statements && statements->count > 0);
    change = *change_at(statements, 0);
    statements->first = (statements->first + 1) & (statements->size - 1);
    if (--statements->count == 0 && statements->size > CHANGES_KEPT) {
        free(statements->changes);
        statements->changes = NULL;
        statements->size = statements->first = 0;
    }
    if (change.server_serial)
        prepared_settle(&client->server->prepared, change.key, change.server_serial, done);
    if (change.describes)
        pg_described_settle(client, &change, done);
    named = change.named;
    if (!named)
        return;
    named->changes--;
    if (change.named_serial) {
        if (!done && named->serial != 0) {
            /* The first that was not done: all behind it in its stretch are not done either. */
            struct pg_statement *undone = named->statement;

            named_set(statements, named, change.previous);
            named->told = change.previous_told;
            named->settings = 0; /* they may be others than when it got this meaning */
            statement_drop(all, undone);
            named->serial = 0;
        } else {
            statement_drop(all, change.previous);
            if (named->serial == change.named_serial)
                named->serial = 0;
        }
    }
    if (!named->statement && named->changes == 0)
        named_forget(client, named);
}

void pg_statements_settle(struct pg_client *client)
{
    const struct pg_pipeline *pipeline = &client->server->pipeline;

    for (uint32_t i = 0; i < pipeline->noted_over; i++)
        change_over(client, pipeline->noted_done);
}

void pg_statements_abandon(struct pg_client *client)
{
    struct pg_statements *statements = client->statements;

    if (!statements)
        return;
    while (statements->count > 0)
        change_over(client, false);
    statements->deallocating = statements->stretch_begun = false;
    statements->supplied = statements->flushed = statements->readied = false;
    statements->shift = 0;
    statements->bound = NULL;
    pg_repeat_forget(client);
    pg_described_release(client, true);
    buffer_clear(&statements->collected, &client->worker->loop.buffers);
}

void pg_statements_free(struct pg_client *client)
{
    struct pg_statements *statements = client->statements;

    if (!statements)
        return;
    while (list_contains_any(&statements->by_use))
        named_forget(client, container_of(list_first(&statements->by_use), struct named, node));
    buffer_clear(&statements->collected, &client->worker->loop.buffers);
    buffer_clear(&statements->kept, &client->worker->loop.buffers);
    buffer_clear(&statements->held, &client->worker->loop.buffers);
    params_drop(&client->worker->pools.params, statements->params);
    params_drop(&client->worker->pools.params, statements->settings);
    free(statements->changes);
    free(statements);
    client->statements = NULL;
}

size_t pg_statements_count(const struct pg_client *client)
{
    return client->statements ? client->statements->by_use.length : 0;
}

/* What may be sent among others: the forms of requests, and what is known of their texts. */
#include <stdlib.h>
#include <string.h>

#include "pg_multiplex.h"
#include "pg_named.h"
#include "sluice/base/memory.h"
#include "sluice/batch/effects.h"
#include "sluice/batch/lookup.h"
#include "sluice/wire/pg.h"

/* Statements remembered in one part of a pool. */
#define KNOWN_MAX 1000

/* A Query that is all there is. */
static bool read_query(struct share_request *request)
{
    const uint8_t *bytes = request->bytes;
    size_t length = request->length;

    if (bytes[0] != PG_QUERY || length <= PG_HEADER_BYTES || pg_u32(bytes + 1) != length - 1 ||
        memchr(bytes + PG_HEADER_BYTES, '\0', length - PG_HEADER_BYTES) != bytes + length - 1)
        return false;
    request->simple = true;
    request->text = (const char *)bytes + PG_HEADER_BYTES;
    return true;
}

bool share_request_read(struct share_request *request, struct pg_client *client,
                        const uint8_t *bytes, size_t length)
{
    *request = (struct share_request){.bytes = bytes, .length = length};
    if (read_query(request))
        return !client->worker->conf->disable_pqexec;
    if (!lookup_request_read(&request->extended, bytes, length))
        return false;
    if (request->extended.statement) {
        request->text = (const char *)request->extended.statement;
        return true;
    }
    request->named = named_for_use(client, request->extended.name);
    return request->named && request->named->statement && !request->named->statement->sql &&
           !request->named->effects;
}

/* Our parser reads texts as a server does under these parameters. */
static bool params_readable(const struct params *params)
{
    const char *encoding = params_get(params, "client_encoding");
    const char *strings = params_get(params, "standard_conforming_strings");

    return encoding && lookup_encoding_safe(encoding) && strings && strcmp(strings, "on") == 0;
}

static bool texts_readable(struct pg_multiplex *multiplex, struct params *params)
{
    if (params != multiplex->params) {
        params_drop(&multiplex->worker->pools.params, multiplex->params);
        multiplex->params = params_hold(params);
        multiplex->readable = params_readable(params);
    }
    return multiplex->readable;
}

/* True the second time that a text comes: parsing one takes longer than it is worth for those that
 * come once. */
static bool seen_before(struct pg_multiplex *multiplex, unsigned hash)
{
    uint32_t *seen = &multiplex->seen[hash % MULTIPLEX_SEEN];

    if (*seen == hash)
        return true;
    *seen = hash;
    return false;
}

static void known_forget(struct pg_multiplex *multiplex, struct pg_known *known)
{
    HASH_DEL(multiplex->known, known);
    list_remove(&multiplex->by_use, &known->node);
    free(known);
}

void multiplex_forget_all(struct pg_multiplex *multiplex)
{
    while (list_contains_any(&multiplex->by_use))
        known_forget(multiplex,
                     container_of(list_first(&multiplex->by_use), struct pg_known, node));
}

/* Of those that are in flight, which are few, none can be forgotten. */
static void known_forget_oldest(struct pg_multiplex *multiplex)
{
    for (struct list_node *node = list_last(&multiplex->by_use); node;
         node = list_previous(&multiplex->by_use, node)) {
        struct pg_known *known = container_of(node, struct pg_known, node);

        if (known->flights == 0) {
            known_forget(multiplex, known);
            return;
        }
    }
}

static struct pg_known *known_add(struct pg_multiplex *multiplex, const void *content,
                                  size_t content_bytes, unsigned hash)
{
    struct pg_known *known = memory_new(sizeof(*known) + content_bytes);

    if (multiplex->by_use.length >= KNOWN_MAX)
        known_forget_oldest(multiplex);
    known->content_bytes = content_bytes;
    memcpy(known->content, content, content_bytes);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, multiplex->known, known->content, content_bytes, hash, known);
    list_push_front(&multiplex->by_use, &known->node);
    return known;
}

/* Finds it by content. `text` is judged when it is new; `shaped`: content stands for all texts that
 * differ from it in their literals. */
static struct pg_known *known_find(struct pg_multiplex *multiplex, const void *content,
                                   size_t content_bytes, const char *text, bool shaped, bool named)
{
    struct pg_known *known;
    unsigned hash;

    HASH_VALUE(content, content_bytes, hash);
    HASH_FIND_BYHASHVALUE(hh, multiplex->known, content, content_bytes, hash, known);
    if (known) {
        if (list_first(&multiplex->by_use) != &known->node) {
            list_remove(&multiplex->by_use, &known->node);
            list_push_front(&multiplex->by_use, &known->node);
        }
        return known;
    }
    if (!named && !seen_before(multiplex, hash))
        return NULL;
    known = known_add(multiplex, content, content_bytes, hash);
    /* set_config('x', 'y', 't'::bool) and ...'f'::bool have one shape. */
    known->verdict =
        shaped && effects_possible(text, strlen(text) + 1) ? SHARE_SESSION : share_judge(text);
    return known;
}

void multiplex_know(struct pg_multiplex *multiplex, struct pg_client *client,
                    struct share_request *request)
{
    const char *text = request->text;
    struct literals literals;

    request->known = NULL;
    if (!texts_readable(multiplex, client->params))
        return;
    if (request->named) {
        const struct pg_statement *statement = request->named->statement;

        request->known = known_find(multiplex, statement->key, sizeof(statement->key),
                                    (const char *)statement->body, false, true);
    } else if (literals_find(&literals, text)) {
        size_t length = literals_shape(&literals, text, multiplex->shape);

        request->known = known_find(multiplex, multiplex->shape, length, text, true, false);
    } else if (strnlen(text, LOOKUP_TEXT_BYTES_MAX + 1) <= LOOKUP_TEXT_BYTES_MAX) {
        request->known = known_find(multiplex, text, strlen(text), text, false, false);
    }
}

#include "pg_lookups.h"

#include <stdlib.h>
#include <string.h>

#include "pg_batch.h"
#include "pg_lookup_forms.h"
#include "pg_loss.h"
#include "pg_named.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/batch/mask.h"
#include "sluice/wire/pg.h"

/* Statements remembered, lookups or not, in one part of a pool. */
#define LOOKUPS_MAX 1000
/* What a server has refused is tried again after this. */
#define RETRY_US (60 * US_PER_S)
#define RESULT_FORMATS_MAX 256u
#define CONTENT_BYTES_MAX                                                                     \
    (2 * sizeof(struct params *) + 6 + 2 * (LOOKUP_PARAMS_MAX + (size_t)RESULT_FORMATS_MAX) + \
     LOOKUP_TEXT_BYTES_MAX + 4 * (LOOKUP_PARAMS_MAX + (size_t)1))
/* After so many keys alone, two are tried together again. */
#define ALONE_KEYS 64

static const struct waiter_kind lookup_waiter;

/* --- one lookup --- */

static bool format_binary(const uint8_t *formats, unsigned index)
{
    unsigned count = pg_u16(formats);

    if (count <= 1)
        return count == 1 && pg_u16(formats + 2) == 1;
    return index < count && pg_u16(formats + 2 + 2 * (size_t)index) == 1;
}

bool lookup_param_binary(const struct pg_lookup *lookup, unsigned index)
{
    return format_binary(lookup->formats, index);
}

bool lookup_result_binary(const struct pg_lookup *lookup, unsigned index)
{
    return format_binary(lookup->formats + 2 + 2 * (size_t)pg_u16(lookup->formats), index);
}

void shape_free(struct pg_shape *shape)
{
    if (!shape)
        return;
    for (unsigned i = 0; i < shape->params; i++)
        free((char *)(uintptr_t)shape->names[i].name);
    free(shape->parameters);
    free(shape->columns);
    free(shape->result);
    free(shape->text);
    free(shape->batched);
    free(shape);
}

static bool lookup_busy(const struct pg_lookup *lookup)
{
    return list_contains_any(&lookup->keys) || lookup->batches > 0 || lookup->preparing;
}

static void lookup_forget(struct pg_lookup *lookup)
{
    struct pg_lookups *lookups = lookup->lookups;

    ensure(!lookup_busy(lookup) && !list_node_linked(&lookup->waiter.node));
    HASH_DEL(lookups->by_content, lookup);
    list_remove(&lookups->by_use, &lookup->node);
    timer_cancel(&lookups->worker->loop, &lookup->delay);
    params_drop(&lookups->worker->pools.params, lookup->params);
    params_drop(&lookups->worker->pools.params, lookup->settings);
    lookup_free(lookup->statement);
    shape_free(lookup->shape);
    histogram_fini(&lookup->counts.sizes);
    histogram_fini(&lookup->counts.waits);
    free(lookup);
}

void lookups_log_refusal(const struct pg_lookups *lookups, enum lookup_refusal refusal,
                         const char *detail, const char *text)
{
    char subject[256], masked[300];

    snprintf(subject, sizeof(subject), "%s/%s", lookups->pool->database_name,
             lookups->pool->user_name);
    mask_text(text, strlen(text), masked, sizeof(masked));
    log_write(LOG_LEVEL_INFO, subject, "not batched, as %s%s%s: %s", lookup_refusal_text(refusal),
              detail[0] ? ": " : "", detail, masked);
}

void lookup_refuse(struct pg_lookup *lookup, enum lookup_refusal refusal, const char *detail)
{
    struct pg_lookups *lookups = lookup->lookups;

    lookup->refusal = refusal;
    lookup->retry_us = loop_now_us(&lookups->worker->loop) + RETRY_US;
    snprintf(lookup->detail, sizeof(lookup->detail), "%s", detail);
    lookups_log_refusal(lookups, refusal, lookup->detail, lookup->text);
    pool_unwait(lookups->pool, &lookup->waiter);
    LIST_EACH_SAFE (&lookup->keys, node, following) {
        list_remove(&lookup->keys, node);
        key_ask_alone(container_of(node, struct pg_key, node));
    }
}

void lookup_reshape(struct pg_lookup *lookup, struct pg_shape *shape)
{
    if (lookup->shape)
        LOOKUP_COUNT(lookup, changes, 1);
    shape_free(lookup->shape);
    lookup->shape = shape;
    lookup->generation++;
}

/* --- keys --- */

void key_release(struct pg_key *key)
{
    struct pg_lookups *lookups = key->lookup->lookups;

    buffer_clear(&key->values, &lookups->worker->loop.buffers);
    key->client->key = NULL;
    key->client = NULL;
    list_push_front(&lookups->spare_keys, &key->node);
}

bool key_agrees(const struct pg_key *key)
{
    struct pg_description told = key->named ? key->named->told : (struct pg_description){0};

    if (key->tells & KEY_TELLS_STATEMENT || (key->tells & KEY_TELLS_COLUMNS && !told.params))
        return true;
    return pg_description_agrees(told, key->lookup->shape->description);
}

void key_told(const struct pg_key *key)
{
    struct pg_description description = key->lookup->shape->description;

    if (!key->named)
        return;
    if (key->tells & (KEY_TELLS_STATEMENT | KEY_TELLS_COLUMNS))
        key->named->told.columns = description.columns;
    if (key->tells & KEY_TELLS_STATEMENT)
        key->named->told.params = description.params;
}

void key_ask_alone(struct pg_key *key)
{
    struct pg_client *client = key->client;

    key_release(key);
    pg_requests_wait_alone(client);
}

void key_ask_again(struct pg_key *key)
{
    if (key->client->state == PG_CLIENT_ASKED)
        pg_client_move(key->client, PG_CLIENT_WAITING);
    key->batch = NULL;
    list_push_front(&key->lookup->keys, &key->node);
}

void pg_lookups_leave(struct pg_client *client)
{
    struct pg_key *key = client->key;
    struct pg_lookup *lookup;

    if (!key)
        return;
    lookup = key->lookup;
    if (key->batch) {
        batch_leave(key->batch, key);
        key_release(key);
        return;
    }
    list_remove(&lookup->keys, &key->node);
    key_release(key);
    if (list_contains_any(&lookup->keys))
        return;
    pool_unwait(lookup->lookups->pool, &lookup->waiter);
    if (lookup->preparing)
        batch_abandon(lookup->preparing, true);
}

static void lookup_granted(struct waiter *waiter, struct server *server)
{
    struct pg_lookup *lookup = container_of(waiter, struct pg_lookup, waiter);
    struct pg_key *first = container_of(list_first(&lookup->keys), struct pg_key, node);
    struct pg_client *client = first->client;

    if (lookup->keys.length > 1 && stream_pending(&client->stream) == 0) {
        batch_start(lookup, server);
        return;
    }
    list_remove(&lookup->keys, &first->node);
    key_release(first);
    LOOKUP_COUNT(lookup, alone, 1);
    lookup_wait(lookup);
    client->waiter.kind->granted(&client->waiter, server);
}

static void lookup_refused(struct waiter *waiter, const struct pool_failure *failure)
{
    struct pg_lookup *lookup = container_of(waiter, struct pg_lookup, waiter);

    LIST_EACH_SAFE (&lookup->keys, node, following) {
        struct pg_key *key = container_of(node, struct pg_key, node);
        struct pg_client *client = key->client;

        list_remove(&lookup->keys, node);
        key_release(key);
        pg_loss_refuse(client, failure);
    }
}

static const struct waiter_kind lookup_waiter = {.granted = lookup_granted,
                                                 .refused = lookup_refused};

void lookup_wait(struct pg_lookup *lookup)
{
    const struct pool_failure *failure;

    if (!list_contains_any(&lookup->keys) || lookup->preparing ||
        list_node_linked(&lookup->waiter.node))
        return;
    if (!pool_wait(lookup->lookups->pool, &lookup->waiter, &failure))
        lookup_refused(&lookup->waiter, failure);
}

static void lookup_delayed(struct timer *timer)
{
    lookup_wait(container_of(timer, struct pg_lookup, delay));
}

/* --- all lookups of the part --- */

static const struct conf_lookup *listed(const struct pg_lookups *lookups, const char *text)
{
    const struct conf *conf = lookups->conf;

    for (size_t i = 0; i < conf->lookup_count; i++)
        if (strcmp(conf->lookups[i]->query, text) == 0 &&
            strcmp(conf->lookups[i]->database, lookups->pool->database_name) == 0)
            return conf->lookups[i];
    return NULL;
}

/* Takes up what the settings say of it now. */
static void lookup_configure(struct pg_lookup *lookup)
{
    const struct pg_lookups *lookups = lookup->lookups;
    const struct conf_lookup *line = listed(lookups, lookup->text);
    bool all = lookups->pool->settings.batch_lookups == BATCH_LOOKUPS_AUTO;

    lookup->size_max = (size_t)(line  ? line->max_batch_size
                                : all ? lookups->conf->max_batch_size
                                      : 1);
    lookup->max_delay_us = line ? line->max_delay_us : lookups->conf->max_delay_us;
    lookup->size_now = lookup->size_max;
    lookup->waiter.priority = lookups->pool->settings.priority;
}

static void lookups_configure(struct pg_lookups *lookups)
{
    conf_drop(lookups->conf);
    lookups->conf = conf_hold(lookups->worker->conf);
    LIST_EACH_SAFE (&lookups->by_use, node, following)
        lookup_configure(container_of(node, struct pg_lookup, node));
}

static void lookups_free(struct pool *pool)
{
    struct pg_lookups *lookups = pool->lookups;

    ensure(!list_contains_any(&lookups->batches));
    while (list_contains_any(&lookups->by_use))
        lookup_forget(container_of(list_first(&lookups->by_use), struct pg_lookup, node));
    LIST_EACH_SAFE (&lookups->spare_keys, node, following)
        free(container_of(node, struct pg_key, node));
    LIST_EACH_SAFE (&lookups->spare_batches, node, following) {
        struct pg_batch *batch = container_of(node, struct pg_batch, node);

        free(batch->keys);
        free(batch);
    }
    lookup_forms_free(lookups->forms);
    params_drop(&lookups->worker->pools.params, lookups->no_settings);
    conf_drop(lookups->conf);
    free(lookups);
    pool->lookups = NULL;
}

static struct pg_lookups *lookups_need(struct pg_client *client)
{
    struct pool *pool = client->pool;
    struct pg_lookups *lookups = pool->lookups;

    if (!lookups) {
        lookups = pool->lookups = memory_new(sizeof(*lookups) + CONTENT_BYTES_MAX);
        pool->shared_free = lookups_free;
        lookups->pool = pool;
        lookups->worker = client->worker;
        lookups->no_settings = params_empty(&lookups->worker->pools.params);
        lookups->salt = (uint16_t)arc4random();
        list_init(&lookups->by_use);
        list_init(&lookups->spare_keys);
        list_init(&lookups->spare_batches);
        list_init(&lookups->batches);
    }
    if (lookups->conf != client->worker->conf)
        lookups_configure(lookups);
    return lookups;
}

static size_t content_put(uint8_t *content, size_t length, const void *bytes, size_t count)
{
    if (count > 0)
        memcpy(content + length, bytes, count);
    return length + count;
}

static size_t formats_put(uint8_t *content, size_t length, const uint8_t *formats, unsigned count)
{
    const uint8_t counted[] = {(uint8_t)(count >> 8), (uint8_t)count};

    length = content_put(content, length, counted, sizeof(counted));
    return content_put(content, length, formats, 2 * (size_t)count);
}

/* Writes what makes a lookup one and the same: what its clients have set, formats, statement.
 * Returns the length; *body: where the statement begins. */
static size_t content_write(struct pg_lookups *lookups, const struct params *params,
                            const struct params *settings, const struct lookup_request *request,
                            size_t *body)
{
    uint8_t *content = lookups->content;
    size_t length = content_put(content, 0, &params, sizeof(struct params *));

    length = content_put(content, length, &settings, sizeof(struct params *));
    length = formats_put(content, length, request->param_formats, request->param_formats_count);
    length = formats_put(content, length, request->result_formats, request->result_formats_count);
    *body = length;
    return content_put(content, length, request->statement, request->statement_bytes);
}

/* The least used one that nothing is on its way for has to go. Those that cannot go have clients,
 * whose number is limited. */
static void lookups_make_room(struct pg_lookups *lookups)
{
    struct list_node *node = list_last(&lookups->by_use), *previous;

    for (; node && lookups->by_use.length >= LOOKUPS_MAX; node = previous) {
        struct pg_lookup *lookup = container_of(node, struct pg_lookup, node);

        previous = list_previous(&lookups->by_use, node);
        if (!lookup_busy(lookup))
            lookup_forget(lookup);
    }
}

static struct pg_lookup *lookup_add(struct pg_lookups *lookups, struct params *params,
                                    struct params *settings, size_t content_bytes, size_t body,
                                    unsigned hash)
{
    struct pg_lookup *lookup = memory_new(sizeof(*lookup) + content_bytes);
    const char *encoding = params_get(params, "client_encoding");

    lookups_make_room(lookups);
    lookup->lookups = lookups;
    lookup->params = params_hold(params);
    lookup->settings = params_hold(settings);
    lookup->id = atomic_fetch_add(&lookups->worker->process->registry.next_id, 1);
    lookup->content_bytes = content_bytes;
    memcpy(lookup->content, lookups->content, content_bytes);
    lookup->formats = lookup->content + 2 * sizeof(struct params *);
    lookup->body = lookup->content + body;
    lookup->body_bytes = content_bytes - body;
    lookup->text = (const char *)lookup->body;
    lookup->waiter.kind = &lookup_waiter;
    lookup->delay.expired = lookup_delayed;
    list_init(&lookup->keys);
    lookup->statement = lookup_new(lookup->text);
    lookup->refusal = lookup->statement->refusal;
    memcpy(lookup->detail, lookup->statement->detail, sizeof(lookup->detail));
    if (!encoding || !lookup_encoding_safe(encoding))
        lookup->refusal = LOOKUP_ENCODING;
    if (lookup->refusal != LOOKUP_NONE)
        lookups_log_refusal(lookups, lookup->refusal, lookup->detail, lookup->text);
    lookup_configure(lookup);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, lookups->by_content, lookup->content, content_bytes, hash,
                                lookup);
    list_push_front(&lookups->by_use, &lookup->node);
    return lookup;
}

bool lookups_seen(struct pg_lookups *lookups, unsigned hash)
{
    uint32_t *seen = &lookups->seen[hash % SEEN_COUNT];

    if (*seen == hash)
        return true;
    *seen = hash;
    return false;
}

static bool lookup_open(struct pg_lookup *lookup)
{
    if (lookup->refusal == LOOKUP_NONE)
        return true;
    if (!lookup->retry_us || loop_now_us(&lookup->lookups->worker->loop) < lookup->retry_us)
        return false;
    lookup->refusal = LOOKUP_NONE;
    lookup->retry_us = 0;
    return true;
}

/* The lookup that the client asks; NULL: it is none. */
static struct pg_lookup *lookups_find(struct pg_lookups *lookups, const struct pg_client *client,
                                      const struct lookup_request *request)
{
    const struct pg_session *session = client->session;
    struct params *settings =
        session && session->settings ? session->settings : lookups->no_settings;
    struct pg_lookup *lookup;
    size_t body, content_bytes;
    unsigned hash;

    if (request->statement_bytes > LOOKUP_TEXT_BYTES_MAX || request->params == 0 ||
        request->params > LOOKUP_PARAMS_MAX || request->result_formats_count > RESULT_FORMATS_MAX)
        return NULL;
    content_bytes = content_write(lookups, client->params, settings, request, &body);
    HASH_VALUE(lookups->content, content_bytes, hash);
    HASH_FIND_BYHASHVALUE(hh, lookups->by_content, lookups->content, content_bytes, hash, lookup);
    if (!lookup) {
        if (!listed(lookups, (const char *)request->statement) &&
            (lookups->pool->settings.batch_lookups != BATCH_LOOKUPS_AUTO ||
             (!request->simple && !lookups_seen(lookups, hash))))
            return NULL;
        lookup = lookup_add(lookups, client->params, settings, content_bytes, body, hash);
    } else if (list_first(&lookups->by_use) != &lookup->node) {
        list_remove(&lookups->by_use, &lookup->node);
        list_push_front(&lookups->by_use, &lookup->node);
    }
    return lookup_open(lookup) ? lookup : NULL;
}

/* Replies have been long, or have failed: now and then two are tried together again. */
static bool lookup_goes_alone(struct pg_lookup *lookup)
{
    if (lookup->size_now > 1)
        return false;
    LOOKUP_COUNT(lookup, alone, 1);
    if (++lookup->alone >= ALONE_KEYS && lookup->size_max > 1) {
        lookup->alone = 0;
        lookup->size_now = 2;
    }
    return true;
}

static struct pg_key *key_new(struct pg_lookup *lookup, struct pg_client *client)
{
    struct list_node *spare = list_pop_front(&lookup->lookups->spare_keys);
    struct pg_key *key =
        spare ? container_of(spare, struct pg_key, node) : memory_new(sizeof(*key));

    *key = (struct pg_key){.client = client, .lookup = lookup};
    client->key = key;
    return key;
}

static void key_join(struct pg_key *key)
{
    struct pg_lookup *lookup = key->lookup;
    struct pg_client *client = key->client;
    uint64_t now_us = loop_now_us(&client->worker->loop);
    const struct pool_failure *failure;

    list_push_back(&lookup->keys, &key->node);
    pg_client_move(client, PG_CLIENT_WAITING);
    client->request_us = client->waiter.since_us = now_us;
    client->notified = false;
    client->in_whole = true;
    pg_client_watch(client);
    if (lookup->preparing || list_node_linked(&lookup->waiter.node))
        return;
    if (lookup->max_delay_us > 0 && lookup->keys.length < lookup->size_now) {
        if (lookup->keys.length == 1)
            timer_set(&client->worker->loop, &lookup->delay, now_us + lookup->max_delay_us);
        return;
    }
    /* Its request is not in `in` yet, so it cannot be refused here. */
    if (!pool_wait(client->pool, &lookup->waiter, &failure)) {
        list_remove(&lookup->keys, &key->node);
        key_release(key);
        client->worker->refusal = failure;
    }
}

/* True when the bytes are a request that may be a lookup. */
static bool request_read(struct pg_client *client, struct lookup_request *request,
                         const uint8_t *bytes, size_t length)
{
    struct pg_lookups *lookups;

    if (bytes[0] != PG_QUERY)
        return lookup_request_read(request, bytes, length);
    if (client->worker->conf->disable_pqexec)
        return false;
    lookups = lookups_need(client);
    if (!lookups->forms)
        lookups->forms = lookup_forms_new(lookups);
    return lookup_forms_read(lookups->forms, request, bytes, length);
}

/* The statement that the request names; NULL: the client has none of this name. */
static struct named *request_name(struct pg_client *client, struct lookup_request *request)
{
    struct named *named = named_for_use(client, request->name);

    if (!named || !named->statement || named->statement->sql)
        return NULL;
    named_used(client->statements, named);
    request->statement = named->statement->body;
    request->statement_bytes = named->statement->body_bytes;
    return named;
}

/* Where the client's `in` will have what the key needs of its Bind. */
static void key_place(struct pg_key *key, const struct lookup_request *request,
                      const uint8_t *bytes)
{
    key->at = (uint32_t)(request->values - bytes);
    key->bind = (uint32_t)(request->bind - bytes);
}

static uint8_t request_tells(const struct lookup_request *request, bool parses)
{
    if (request->simple)
        return KEY_TELLS_COLUMNS;
    return (uint8_t)(KEY_TELLS_BOUND | (parses ? KEY_TELLS_PARSED : 0) |
                     (request->describes_statement ? KEY_TELLS_STATEMENT : 0) |
                     (request->describes_portal ? KEY_TELLS_COLUMNS : 0));
}

bool pg_lookups_take(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    const struct pool_settings *settings = &client->pool->settings;
    struct lookup_request request;
    struct pg_lookup *lookup;
    struct pg_key *key;
    struct named *named = NULL;
    bool parses;

    if (settings->batch_lookups == BATCH_LOOKUPS_OFF || settings->mode == POOL_MODE_SESSION ||
        client->pool->clients < 2 || /* with whom? */
        !request_read(client, &request, bytes, length))
        return false;
    parses = request.statement != NULL;
    if (!parses && !(named = request_name(client, &request)))
        return false;
    lookup = lookups_find(lookups_need(client), client, &request);
    if (!lookup || request.params != lookup->statement->params ||
        request.values_bytes > LOOKUP_VALUES_BYTES_MAX || stream_pending(&client->stream) > 0 ||
        lookup_goes_alone(lookup))
        return false;
    key = key_new(lookup, client);
    key->named = named;
    if (request.simple)
        buffer_append(&key->values, &client->worker->loop.buffers, request.values,
                      request.values_bytes);
    else
        key_place(key, &request, bytes);
    key->values_bytes = (uint32_t)request.values_bytes;
    key->request_bytes = (uint32_t)request.bytes;
    key->tells = request_tells(&request, parses);
    key_join(key);
    return true;
}

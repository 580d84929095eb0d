/* All parts of pools of one worker: finding them, new settings, pausing, closing. */
#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"
#include "sluice/pool/pools_orders.h"
#include "sluice/pool/redis_pool.h"

#define KEY_BYTES_MAX 2048
#define FOREVER_US (UINT64_MAX / 4) /* a lifetime without a limit */

static void nudge_delivered(struct mail *mail, void *receiver)
{
    struct pools *pools = container_of(mail, struct pools, nudge);
    struct pool *pool, *following;

    atomic_store(&pools->nudged, false);
    HASH_ITER(hh, pools->by_key, pool, following)
    if (pool->waiting > 0 || list_contains_any(&pool->servers[SERVER_IDLE]))
        pool_stir(pool);
}

void pools_nudge(struct pools *pools)
{
    if (!atomic_exchange(&pools->nudged, true))
        mailbox_send(pools->mailbox, &pools->nudge);
}

void pools_init(struct pools *pools)
{
    pools->nudge.deliver = nudge_delivered;
    list_init(&pools->cancels);
}

static void pool_free(struct pool *pool)
{
    struct pools *pools = pool->pools;

    ensure(pool->waiting == 0 && pool->clients == 0 && !pool->asking);
    timer_cancel(pools->loop, &pool->timer);
    loop_undefer(pools->loop, &pool->settle);
    HASH_DEL(pools->by_key, pool);
    registry_part_gone(pools->registry, pool->totals, pools->worker, &pool->counters,
                       &pool->latencies);
    latencies_fini(&pool->latencies);
    registry_pool_drop(pools->registry, pool->totals);
    if (pool->multiplex_free)
        pool->multiplex_free(pool);
    if (pool->shared_free)
        pool->shared_free(pool);
    if (pool->password)
        secret_wipe(pool->password, strlen(pool->password));
    free(pool->password);
    pool_set_welcome(pool, NULL);
    pool_forget_params(pool);
    secret_wipe(&pool->keys, sizeof(pool->keys));
    free(pool->key);
    free(pool);
}

/* How long the part may be of no use before it is freed; 0 = for ever. Pools that exist only
 * because the line `*` matched go by autodb_idle_timeout too. */
static uint64_t pool_idle_limit_us(const struct pool *pool)
{
    const struct conf *conf = pool->pools->conf;
    bool fallback = pool->database && strcmp(pool->database->name, "*") == 0;

    if (fallback && conf->autodb_idle_timeout_us &&
        (!conf->pool_idle_timeout_us || conf->autodb_idle_timeout_us < conf->pool_idle_timeout_us))
        return conf->autodb_idle_timeout_us;
    return conf->pool_idle_timeout_us;
}

bool pool_free_if_idle(struct pool *pool)
{
    uint64_t limit_us = pool_idle_limit_us(pool), due_us;

    if (!limit_us || pool->redis || pool->clients > 0 || pool->waiting > 0 || pool->asking ||
        atomic_load(&pool->totals->servers) > 0)
        return false;
    due_us = pool->used_us + limit_us;
    if (loop_now_us(pool->pools->loop) < due_us) {
        timer_set_by(pool->pools->loop, &pool->timer, due_us);
        return false;
    }
    pool_free(pool);
    return true;
}

void pools_close(struct pools *pools)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    {
        for (unsigned state = 0; state < SERVER_STATE_COUNT; state++)
            LIST_EACH_SAFE (&pool->servers[state], node, next)
                server_close(container_of(node, struct server, node), "shutting down");
        if (pool->probe) {
            probe_end(pool);
            pool_slot_give(pool);
        }
    }
}

void pools_fini(struct pools *pools)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    {
        pool->asking = false;
        pool_free(pool);
    }
    params_set_fini(&pools->params);
}

static void limit_set(struct limit *limit, int64_t max)
{
    atomic_store(&limit->max, max > 0 ? max : 0);
}

/* A stream has no end: only waiting for its server is limited in time. */
static void settings_replicate(struct pool_settings *settings)
{
    settings->mode = POOL_MODE_SESSION;
    settings->batch_lookups = BATCH_LOOKUPS_OFF;
    settings->size_min = 0;
    settings->lifetime_us = 0; /* for one client only */
    settings->query_timeout_us = settings->transaction_timeout_us = 0;
    settings->idle_transaction_timeout_us = settings->client_idle_timeout_us = 0;
}

static void pool_configure_postgres(struct pool *pool)
{
    const struct conf *conf = pool->pools->conf;
    const struct conf_database *database = conf_find_database(conf, pool->database_name);
    const struct conf_user *user = conf_find_user(conf, pool->user_name);
    struct pool_settings *settings = &pool->settings;

    pool->database = database;
    settings->mode = conf_pool_mode(conf, database, user);
    settings->batch_lookups = conf_batch_lookups(conf, database);
    settings->multiplex = conf_multiplex(conf, database);
    settings->size = conf_pool_size(conf, database, user);
    settings->size_min = database ? conf_min_pool_size(conf, database) : 0;
    if (settings->size_min > settings->size)
        settings->size_min = settings->size;
    settings->size_reserve = conf_reserve_pool_size(conf, database, user);
    settings->waiting_max = conf_max_waiting(conf, database, user);
    settings->priority = (uint8_t)conf_priority(database, user);
    settings->reserve_timeout_us = conf->reserve_pool_timeout_us;
    settings->lifetime_us = conf_server_lifetime_us(conf, database);
    settings->idle_timeout_us = conf->server_idle_timeout_us;
    settings->connect_timeout_us = conf->server_connect_timeout_us;
    settings->query_wait_timeout_us = conf_query_wait_timeout_us(conf, database, user);
    settings->query_timeout_us = conf_query_timeout_us(conf, user);
    settings->transaction_timeout_us = conf_transaction_timeout_us(conf, user);
    settings->idle_transaction_timeout_us = conf_idle_transaction_timeout_us(conf, user);
    settings->client_idle_timeout_us = conf_client_idle_timeout_us(conf, user);
    if (pool_replicates(pool))
        settings_replicate(settings);
    limit_set(&pool->totals->database_usage->servers, conf_max_db_connections(conf, database));
    limit_set(&pool->totals->user_usage->servers, conf_max_user_connections(conf, user));
}

static void pool_configure_redis(struct pool *pool)
{
    const struct conf *conf = pool->pools->conf;
    const struct conf_redis *redis = conf_find_redis(conf, pool->database_name);
    bool apart = pool->totals->variant & VARIANT_REDIS_APART;
    struct pool_settings *settings = &pool->settings;

    pool->redis = redis;
    if (!redis)
        return;
    *settings = (struct pool_settings){
        .size = apart ? redis->blocking_pool_size : redis->pool_size,
        .size_min = apart || !redis_pool_is_main(pool) ? 0 : redis->min_pool_size,
        .waiting_max = conf->max_waiting,
        .priority = (uint8_t)redis->priority,
        .lifetime_us = redis->server_lifetime_us ? redis->server_lifetime_us : FOREVER_US,
        .idle_timeout_us = redis->server_idle_timeout_us,
        .query_wait_timeout_us = redis->query_wait_timeout_us,
        .query_timeout_us = redis->command_timeout_us,
        .client_idle_timeout_us = redis->client_idle_timeout_us,
        .connect_timeout_us = redis->connect_timeout_us,
    };
    if (settings->size_min > settings->size)
        settings->size_min = settings->size;
    limit_set(&pool->totals->database_usage->servers, settings->size);
}

static void pool_configure(struct pool *pool)
{
    if (pool->totals->variant & VARIANT_REDIS)
        pool_configure_redis(pool);
    else
        pool_configure_postgres(pool);
}

/* Marks the servers as outdated and closes those that nobody uses. */
static void pool_replace_servers(struct pool *pool)
{
    for (unsigned state = 0; state < SERVER_CLOSED; state++)
        LIST_EACH_SAFE (&pool->servers[state], node, following) {
            struct server *server = container_of(node, struct server, node);

            server->close_needed = true;
            if (state == SERVER_IDLE)
                server_close(server, "replaced by newer settings");
        }
    pool->backoff_us = 0;
}

void pools_configure(struct pools *pools, const struct conf *conf, const struct tls *tls)
{
    struct pool *pool, *following;

    pools->conf = conf;
    pools->tls = tls;
    HASH_ITER(hh, pools->by_key, pool, following)
    {
        const struct conf_database *before = pool->database;
        const struct conf_redis *redis_before = pool->redis;

        pool_configure(pool);
        if (pool->totals->variant & VARIANT_REDIS
                ? !conf_redis_same_server(redis_before, pool->redis)
                : !conf_database_same_server(before, pool->database))
            pool_replace_servers(pool);
        LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next)
            server_watch(container_of(node, struct server, node));
        pool_stir(pool);
    }
}

static int64_t pool_size_wanted(const struct conf *conf, const char *database, const char *user,
                                uint32_t variant)
{
    const struct conf_redis *redis;

    if (!(variant & VARIANT_REDIS))
        return conf_pool_size(conf, conf_find_database(conf, database), conf_find_user(conf, user));
    /* All pools of a line spread over the same workers, so that no client has to move. */
    redis = conf_find_redis(conf, database);
    return redis ? redis->pool_size : 1;
}

struct pool *pools_get(struct pools *pools, const struct server_kind *kind, const char *database,
                       const char *user, uint32_t variant)
{
    char key[KEY_BYTES_MAX];
    size_t database_bytes = strlen(database) + 1, user_bytes = strlen(user) + 1;
    size_t key_bytes = database_bytes + user_bytes + sizeof(variant);
    struct pool_totals *totals;
    struct pool *pool;

    ensure(key_bytes <= sizeof(key));
    memcpy(key, database, database_bytes);
    memcpy(key + database_bytes, user, user_bytes);
    memcpy(key + database_bytes + user_bytes, &variant, sizeof(variant));
    HASH_FIND(hh, pools->by_key, key, key_bytes, pool);
    if (pool)
        return pool;
    totals = registry_pool(pools->registry, database, user, variant,
                           pool_size_wanted(pools->conf, database, user, variant));
    if (!totals)
        return NULL;
    pool = memory_new(sizeof(*pool));
    pool->key = memory_text(key, key_bytes);
    pool->key_bytes = key_bytes;
    pool->pools = pools;
    pool->kind = kind;
    pool->totals = totals;
    pool->database_name = pool->totals->database;
    pool->user_name = pool->totals->user;
    pool->paused = atomic_load(&pool->totals->database_usage->paused);
    pool_init(pool);
    pool_configure(pool);
    HASH_ADD_KEYPTR(hh, pools->by_key, pool->key, pool->key_bytes, pool);
    atomic_store(&pool->totals->parts[pools->worker], pool);
    if (pool->settings.size_min > 0)
        pool_stir(pool);
    return pool;
}

size_t pools_busy(const struct pools *pools)
{
    struct pool *pool, *following;
    size_t busy = 0;

    HASH_ITER(hh, pools->by_key, pool, following)
    busy += pool->servers[SERVER_LEASED].length + pool->servers[SERVER_SHARED].length +
            pool->servers[SERVER_CHECKING].length + pool->servers[SERVER_DRAINING].length;
    return busy;
}

static void pools_stir(struct pools *pools)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    pool_stir(pool);
}

void pools_pause(struct pools *pools, bool paused)
{
    pools->paused = paused;
    pools_stir(pools);
    if (paused)
        pools_close_idle(pools);
}

void pools_close_idle(struct pools *pools)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next)
        server_close(container_of(node, struct server, node), "the pool is paused or closing");
}

bool pool_is_named(const struct pool *pool, const char *name)
{
    return !name || strcmp(pool->database_name, name) == 0;
}

void pools_pause_named(struct pools *pools, const char *name, bool paused)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    {
        if (!pool_is_named(pool, name))
            continue;
        pool->paused = paused;
        LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next)
            if (paused)
                server_close(container_of(node, struct server, node), "the pool is paused");
        pool_stir(pool);
    }
}

void pools_reconnect(struct pools *pools, const char *name)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    if (pool_is_named(pool, name))
        pool_replace_servers(pool);
}

void pools_kill(struct pools *pools, const char *name)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    {
        if (!pool_is_named(pool, name))
            continue;
        for (unsigned state = 0; state < SERVER_STATE_COUNT; state++)
            LIST_EACH_SAFE (&pool->servers[state], node, next)
                server_close(container_of(node, struct server, node), "KILL");
    }
}

void pools_warm(struct pools *pools, const struct server_kind *kind)
{
    for (size_t i = 0; i < pools->conf->database_count; i++) {
        const struct conf_database *database = pools->conf->databases[i];
        const struct conf_user *user;
        struct pool_totals *totals;
        unsigned home;

        if (!database->user || strcmp(database->name, "*") == 0 ||
            conf_min_pool_size(pools->conf, database) == 0)
            continue;
        user = conf_find_user(pools->conf, database->user);
        totals = registry_pool(pools->registry, database->name, database->user, false,
                               conf_pool_size(pools->conf, database, user));
        if (!totals)
            return;
        if (registry_pool_here(pools->registry, totals, pools->worker, &home))
            pools_get(pools, kind, database->name, database->user, false);
        registry_pool_drop(pools->registry, totals);
    }
}

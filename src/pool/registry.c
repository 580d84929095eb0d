#include "sluice/pool/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"

/* A pool spreads over one worker for each so many servers: with fewer, clients of one worker would
 * often wait while another one has servers idle. */
#define SERVERS_PER_PART 4

/* key: "database NUL user NUL variant" */
#define KEY_BYTES_MAX 2048

struct usage_entry {
    UT_hash_handle hh;
    struct usage_entry **table;
    struct usage usage;
    char name[];
};

bool limit_take(struct limit *limit)
{
    int64_t used = atomic_load(&limit->used);

    do {
        int64_t max = atomic_load(&limit->max);

        if (max > 0 && used >= max)
            return false;
    } while (!atomic_compare_exchange_weak(&limit->used, &used, used + 1));
    return true;
}

bool limit_give(struct limit *limit)
{
    ensure(atomic_fetch_sub(&limit->used, 1) > 0);
    return atomic_load(&limit->wanted_since_us) && atomic_exchange(&limit->wanted_since_us, 0);
}

bool limit_want(struct limit *limit, uint64_t since_us)
{
    uint64_t nobody = 0;

    return atomic_compare_exchange_strong(&limit->wanted_since_us, &nobody, since_us);
}

void registry_init(struct registry *registry, unsigned worker_count)
{
    memset(registry, 0, sizeof(*registry));
    ensure(worker_count >= 1 && worker_count <= WORKERS_MAX);
    pthread_mutex_init(&registry->mutex, NULL);
    registry->worker_count = worker_count;
    atomic_store(&registry->next_id, 1); /* 0 names nobody */
}

static void usages_free(struct usage_entry **entries)
{
    struct usage_entry *entry, *following;

    HASH_ITER(hh, *entries, entry, following)
    {
        HASH_DEL(*entries, entry);
        free(entry);
    }
}

void registry_fini(struct registry *registry)
{
    ensure(!registry->totals);
    usages_free(&registry->databases);
    usages_free(&registry->users);
    usages_free(&registry->redis);
    pthread_mutex_destroy(&registry->mutex);
}

/* With the mutex. */
static struct usage *usage_hold(struct usage_entry **table, const char *name)
{
    struct usage_entry *entry;

    HASH_FIND_STR(*table, name, entry);
    if (!entry) {
        entry = memory_new(sizeof(*entry) + strlen(name) + 1);
        entry->table = table;
        strcpy(entry->name, name);
        HASH_ADD_STR(*table, name, entry);
    }
    entry->usage.holders++;
    return &entry->usage;
}

static bool counters_any(const struct counters_values *values)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (values->values[i])
            return true;
    return false;
}

static void counters_add(struct counters_values *sum, const struct counters_values *values)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        sum->values[i] += values->values[i];
}

/* With the mutex. Databases that clients have made up, and users, leave nothing behind. */
static void usage_drop(struct registry *registry, struct usage *usage)
{
    struct usage_entry *entry = container_of(usage, struct usage_entry, usage);

    ensure(usage->holders > 0);
    if (--usage->holders > 0 || atomic_load(&usage->paused) || atomic_load(&usage->disabled) ||
        (counters_any(&usage->retired) && !atomic_load(&usage->registered)))
        return;
    counters_add(atomic_load(&usage->among_others) ? &registry->gone.among_others
                                                   : &registry->gone.with_row,
                 &usage->retired);
    HASH_DEL(*entry->table, entry);
    free(entry);
}

static struct usage *usage_of(struct registry *registry, struct usage_entry **table,
                              const char *name)
{
    struct usage *usage;

    pthread_mutex_lock(&registry->mutex);
    usage = usage_hold(table, name);
    pthread_mutex_unlock(&registry->mutex);
    return usage;
}

struct usage *registry_database(struct registry *registry, const char *name)
{
    return usage_of(registry, &registry->databases, name);
}

struct usage *registry_user(struct registry *registry, const char *name)
{
    return usage_of(registry, &registry->users, name);
}

void registry_usage_drop(struct registry *registry, struct usage *usage)
{
    pthread_mutex_lock(&registry->mutex);
    usage_drop(registry, usage);
    pthread_mutex_unlock(&registry->mutex);
}

/* Lines are few, so each keeps its first hold for good. */
struct usage *registry_redis(struct registry *registry, const char *line, uint32_t variant)
{
    struct usage *usage;
    char name[512];

    /* Names of lines hold no tab. */
    snprintf(name, sizeof(name), "%s%s", line, variant & VARIANT_REDIS_APART ? "\tapart" : "");
    pthread_mutex_lock(&registry->mutex);
    usage = usage_hold(&registry->redis, name);
    usage->holders = 1;
    pthread_mutex_unlock(&registry->mutex);
    return usage;
}

static unsigned parts_for(const struct registry *registry, int64_t size)
{
    int64_t parts = size / SERVERS_PER_PART;

    if (parts < 1)
        return 1;
    return parts < registry->worker_count ? (unsigned)parts : registry->worker_count;
}

void registry_spread(const struct registry *registry, const char *database, int64_t size,
                     unsigned *first, unsigned *count)
{
    unsigned hash = 0;

    HASH_VALUE(database, strlen(database), hash);
    *first = hash % registry->worker_count;
    *count = parts_for(registry, size);
}

static size_t totals_key(char key[KEY_BYTES_MAX], const char *database, const char *user,
                         uint32_t variant)
{
    size_t database_bytes = strlen(database) + 1, user_bytes = strlen(user) + 1;

    ensure(database_bytes + user_bytes + sizeof(variant) <= KEY_BYTES_MAX);
    memcpy(key, database, database_bytes);
    memcpy(key + database_bytes, user, user_bytes);
    memcpy(key + database_bytes + user_bytes, &variant, sizeof(variant));
    return database_bytes + user_bytes + sizeof(variant);
}

static struct pool_totals *totals_new(struct registry *registry, const char *key, size_t key_bytes,
                                      int64_t size)
{
    struct pool_totals *totals = aligned_alloc(64, sizeof(*totals));

    ensure(totals);
    memset(totals, 0, sizeof(*totals));
    totals->key = memory_text(key, key_bytes);
    totals->database = totals->key;
    totals->user = totals->key + strlen(totals->key) + 1;
    memcpy(&totals->variant, key + key_bytes - sizeof(totals->variant), sizeof(totals->variant));
    totals->labelled = registry->labelled_count < POOLS_LABELLED_MAX;
    registry->labelled_count += totals->labelled;
    registry_spread(registry, totals->database, size, &totals->first_worker, &totals->part_count);
    HASH_ADD_KEYPTR(hh, registry->totals, totals->key, key_bytes, totals);
    return totals;
}

struct pool_totals *registry_pool(struct registry *registry, const char *database, const char *user,
                                  uint32_t variant, int64_t size)
{
    bool redis = variant & VARIANT_REDIS;
    char key[KEY_BYTES_MAX];
    size_t key_bytes = totals_key(key, database, user, variant);
    struct usage *line = redis ? registry_redis(registry, database, variant) : NULL;
    struct pool_totals *totals;

    pthread_mutex_lock(&registry->mutex);
    HASH_FIND(hh, registry->totals, key, key_bytes, totals);
    /* Names of Redis' pools are lines of the settings, so they cannot be made up. */
    if (!totals && !redis && HASH_COUNT(registry->totals) >= POOLS_MAX) {
        pthread_mutex_unlock(&registry->mutex);
        return NULL;
    }
    if (!totals) {
        totals = totals_new(registry, key, key_bytes, size);
        totals->database_usage = redis ? line : usage_hold(&registry->databases, database);
        totals->user_usage = redis ? &registry->unlimited : usage_hold(&registry->users, user);
    }
    totals->holders++;
    pthread_mutex_unlock(&registry->mutex);
    return totals;
}

/* With the mutex. */
static void totals_free(struct registry *registry, struct pool_totals *totals)
{
    ensure(totals->servers == 0);
    HASH_DEL(registry->totals, totals);
    registry->labelled_count -= totals->labelled;
    if (!(totals->variant & VARIANT_REDIS)) {
        usage_drop(registry, totals->database_usage);
        usage_drop(registry, totals->user_usage);
    }
    latencies_fini(&totals->retired);
    free(totals->key);
    free(totals);
}

void registry_pool_drop(struct registry *registry, struct pool_totals *totals)
{
    pthread_mutex_lock(&registry->mutex);
    if (--totals->holders == 0)
        totals_free(registry, totals);
    pthread_mutex_unlock(&registry->mutex);
}

void registry_part_gone(struct registry *registry, struct pool_totals *totals, unsigned worker,
                        struct counters *counters, const struct latencies *latencies)
{
    pthread_mutex_lock(&registry->mutex);
    atomic_store(&totals->parts[worker], NULL);
    atomic_store(&totals->sights[worker].waiting_since_us, 0);
    atomic_store(&totals->sights[worker].idle, 0);
    counters_collect(counters, &totals->database_usage->retired);
    for (unsigned i = 0; i < LATENCY_COUNT; i++)
        histogram_merge(&totals->retired.histograms[i], &latencies->histograms[i]);
    pthread_mutex_unlock(&registry->mutex);
}

struct counters_gone registry_each_counted(struct registry *registry, bool redis,
                                           void (*each)(void *context, const char *database,
                                                        struct usage *usage,
                                                        const struct counters_values *values),
                                           void *context)
{
    struct counters_gone gone;
    struct usage_entry *entries, *entry, *following;
    struct pool_totals *totals, *next;

    pthread_mutex_lock(&registry->mutex);
    entries = redis ? registry->redis : registry->databases;
    HASH_ITER(hh, registry->totals, totals, next)
    for (unsigned i = 0; i < registry->worker_count; i++) {
        struct pool *pool = atomic_load(&totals->parts[i]);
        struct counters_values values = {0};

        if (!pool || !(totals->variant & VARIANT_REDIS) == redis)
            continue;
        counters_collect(&pool->counters, &values);
        each(context, totals->database, totals->database_usage, &values);
    }
    HASH_ITER(hh, entries, entry, following)
    if (counters_any(&entry->usage.retired)) {
        char name[512];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry->name, "\t"), entry->name);
        each(context, name, &entry->usage, &entry->usage.retired);
    }
    gone = registry->gone;
    pthread_mutex_unlock(&registry->mutex);
    return gone;
}

int64_t registry_servers(struct registry *registry, const char *name)
{
    struct pool_totals *totals, *next;
    int64_t servers = 0;

    pthread_mutex_lock(&registry->mutex);
    HASH_ITER(hh, registry->totals, totals, next)
    if (name[0] ? strcmp(totals->database, name) == 0
                : !(totals->variant & VARIANT_REDIS && totals->variant & VARIANT_REDIS_APART))
        servers += atomic_load(&totals->servers);
    pthread_mutex_unlock(&registry->mutex);
    return servers;
}

static void counted_add(void *context, const char *database, struct usage *usage,
                        const struct counters_values *values)
{
    counters_add(context, values);
}

void registry_collect(struct registry *registry, struct counters_values *values)
{
    struct counters_gone gone;

    memset(values, 0, sizeof(*values));
    gone = registry_each_counted(registry, false, counted_add, values);
    counters_add(values, &gone.with_row);
    counters_add(values, &gone.among_others);
    registry_each_counted(registry, true, counted_add, values);
}

struct pool_totals **registry_hold_pools(struct registry *registry, size_t *count)
{
    struct pool_totals **pools, *totals, *next;

    *count = 0;
    pthread_mutex_lock(&registry->mutex);
    pools = memory_new((HASH_COUNT(registry->totals) + 1) * sizeof(pools[0]));
    HASH_ITER(hh, registry->totals, totals, next)
    {
        totals->holders++;
        pools[(*count)++] = totals;
    }
    pthread_mutex_unlock(&registry->mutex);
    return pools;
}

void registry_drop_pools(struct registry *registry, struct pool_totals **pools, size_t count)
{
    for (size_t i = 0; i < count; i++)
        registry_pool_drop(registry, pools[i]);
    free(pools);
}

void registry_counters(struct registry *registry, const struct pool_totals *totals,
                       struct counters_values *values)
{
    /* A part is freed only after it was taken off under the mutex. */
    pthread_mutex_lock(&registry->mutex);
    for (unsigned i = 0; i < registry->worker_count; i++) {
        struct pool *pool = atomic_load(&totals->parts[i]);

        if (pool)
            counters_collect(&pool->counters, values);
    }
    pthread_mutex_unlock(&registry->mutex);
}

void registry_latency(struct registry *registry, const struct pool_totals *totals,
                      enum latency latency, struct histogram_values *values)
{
    pthread_mutex_lock(&registry->mutex);
    for (unsigned i = 0; i < registry->worker_count; i++) {
        struct pool *pool = atomic_load(&totals->parts[i]);

        if (pool)
            histogram_collect(&pool->latencies.histograms[latency], values);
    }
    histogram_collect(&totals->retired.histograms[latency], values);
    pthread_mutex_unlock(&registry->mutex);
}

bool registry_pin_take(struct pool_totals *totals, int64_t max)
{
    int64_t pinned = atomic_load(&totals->pinned);

    do {
        if (pinned >= max)
            return false;
    } while (!atomic_compare_exchange_weak(&totals->pinned, &pinned, pinned + 1));
    return true;
}

void registry_pin_give(struct pool_totals *totals)
{
    ensure(atomic_fetch_sub(&totals->pinned, 1) > 0);
}

bool registry_pool_here(const struct registry *registry, const struct pool_totals *totals,
                        unsigned worker, unsigned *home)
{
    unsigned count = registry->worker_count;
    unsigned place = (worker + count - totals->first_worker) % count;

    *home = (totals->first_worker + worker % totals->part_count) % count;
    return place < totals->part_count;
}

void registry_nudge(struct registry *registry, unsigned from_worker)
{
    for (unsigned i = 0; i < registry->worker_count; i++)
        if (i != from_worker)
            pools_nudge(registry->workers[i]);
}

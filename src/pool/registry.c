#include "sluice/pool/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"

/* A pool spreads over one worker for each so many servers: with fewer, clients of one worker would
 * often wait while another one has servers idle. */
#define SERVERS_PER_PART 4

struct usage_entry {
    UT_hash_handle hh;
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

static struct usage *usage_of(struct registry *registry, struct usage_entry **entries,
                              const char *name)
{
    struct usage_entry *entry;

    pthread_mutex_lock(&registry->mutex);
    HASH_FIND_STR(*entries, name, entry);
    if (!entry) {
        entry = memory_new(sizeof(*entry) + strlen(name) + 1);
        strcpy(entry->name, name);
        HASH_ADD_STR(*entries, name, entry);
    }
    pthread_mutex_unlock(&registry->mutex);
    return &entry->usage;
}

struct usage *registry_database(struct registry *registry, const char *name)
{
    return usage_of(registry, &registry->databases, name);
}

struct usage *registry_user(struct registry *registry, const char *name)
{
    return usage_of(registry, &registry->users, name);
}

struct usage *registry_redis(struct registry *registry, const char *line, uint32_t variant)
{
    char name[512];

    /* Names of lines hold no tab. */
    snprintf(name, sizeof(name), "%s%s", line, variant & VARIANT_REDIS_APART ? "\tapart" : "");
    return usage_of(registry, &registry->redis, name);
}

static struct pool_totals *totals_find(struct registry *registry, const char *database,
                                       const char *user, uint32_t variant)
{
    struct pool_totals *totals = registry->totals;

    while (totals && (strcmp(totals->database, database) != 0 || strcmp(totals->user, user) != 0 ||
                      totals->variant != variant))
        totals = totals->next;
    return totals;
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

static struct pool_totals *totals_new(struct registry *registry, const char *database,
                                      const char *user, uint32_t variant, int64_t size)
{
    struct pool_totals *totals = aligned_alloc(64, sizeof(*totals));

    ensure(totals);
    memset(totals, 0, sizeof(*totals));
    totals->database = memory_text(database, strlen(database));
    totals->user = memory_text(user, strlen(user));
    totals->variant = variant;
    registry_spread(registry, database, size, &totals->first_worker, &totals->part_count);
    totals->next = registry->totals;
    registry->totals = totals;
    registry->totals_count++;
    return totals;
}

struct pool_totals *registry_pool(struct registry *registry, const char *database, const char *user,
                                  uint32_t variant, int64_t size)
{
    bool redis = variant & VARIANT_REDIS;
    struct usage *database_usage =
        redis ? registry_redis(registry, database, variant) : registry_database(registry, database);
    struct usage *user_usage = redis ? &registry->unlimited : registry_user(registry, user);
    struct pool_totals *totals;

    pthread_mutex_lock(&registry->mutex);
    totals = totals_find(registry, database, user, variant);
    /* Names of Redis' pools are lines of the settings, so they cannot be made up. */
    if (!totals && !redis && registry->totals_count >= POOLS_MAX) {
        pthread_mutex_unlock(&registry->mutex);
        return NULL;
    }
    if (!totals) {
        totals = totals_new(registry, database, user, variant, size);
        totals->database_usage = database_usage;
        totals->user_usage = user_usage;
    }
    totals->holders++;
    pthread_mutex_unlock(&registry->mutex);
    return totals;
}

void registry_pool_drop(struct registry *registry, struct pool_totals *totals)
{
    struct pool_totals **link = &registry->totals;

    pthread_mutex_lock(&registry->mutex);
    if (--totals->holders == 0) {
        ensure(totals->servers == 0);
        while (*link != totals)
            link = &(*link)->next;
        *link = totals->next;
        registry->totals_count--;
        free(totals->database);
        free(totals->user);
        free(totals);
    }
    pthread_mutex_unlock(&registry->mutex);
}

void registry_part_gone(struct registry *registry, struct pool_totals *totals, unsigned worker,
                        struct counters *counters)
{
    pthread_mutex_lock(&registry->mutex);
    atomic_store(&totals->parts[worker], NULL);
    atomic_store(&totals->sights[worker].waiting_since_us, 0);
    atomic_store(&totals->sights[worker].idle, 0);
    counters_collect(counters, &totals->database_usage->retired);
    pthread_mutex_unlock(&registry->mutex);
}

void registry_each_counted(struct registry *registry, bool redis,
                           void (*each)(void *context, const char *database,
                                        const struct counters_values *values),
                           void *context)
{
    struct usage_entry *entries, *entry, *following;

    pthread_mutex_lock(&registry->mutex);
    entries = redis ? registry->redis : registry->databases;
    for (struct pool_totals *totals = registry->totals; totals; totals = totals->next)
        for (unsigned i = 0; i < registry->worker_count; i++) {
            struct pool *pool = atomic_load(&totals->parts[i]);
            struct counters_values values = {0};

            if (!pool || !(totals->variant & VARIANT_REDIS) == redis)
                continue;
            counters_collect(&pool->counters, &values);
            each(context, totals->database, &values);
        }
    HASH_ITER(hh, entries, entry, following)
    if (entry->usage.retired.values[COUNTER_client_login_count] > 0 ||
        entry->usage.retired.values[COUNTER_server_login_count] > 0) {
        char name[512];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry->name, "\t"), entry->name);
        each(context, name, &entry->usage.retired);
    }
    pthread_mutex_unlock(&registry->mutex);
}

static void counted_add(void *context, const char *database, const struct counters_values *values)
{
    struct counters_values *sum = context;

    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        sum->values[i] += values->values[i];
}

void registry_collect(struct registry *registry, struct counters_values *values)
{
    memset(values, 0, sizeof(*values));
    registry_each_counted(registry, false, counted_add, values);
    registry_each_counted(registry, true, counted_add, values);
}

struct pool_totals **registry_hold_pools(struct registry *registry, size_t *count)
{
    struct pool_totals **pools;

    *count = 0;
    pthread_mutex_lock(&registry->mutex);
    pools = memory_new((registry->totals_count + 1) * sizeof(pools[0]));
    for (struct pool_totals *totals = registry->totals; totals; totals = totals->next) {
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

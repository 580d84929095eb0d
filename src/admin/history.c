#include "history.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "latencies.h"
#include "sluice/base/memory.h"
#include "state.h"

/* Which latencies it keeps quantiles of. */
enum kept { KEPT_WAIT, KEPT_QUERY, KEPT_COUNT };

static const enum latency kept_latencies[KEPT_COUNT] = {LATENCY_wait, LATENCY_query};

struct history_pool {
    UT_hash_handle hh; /* key: kind, database, NUL, user */
    char *key;
    const char *database, *user; /* in the key */
    bool redis;
    bool begun;         /* what it had counted at the step before is known */
    uint64_t seen_step; /* the last one in which it existed */
    struct counters_values counters, counters_before;
    struct histogram_values latencies[KEPT_COUNT], latencies_before[KEPT_COUNT];
    uint32_t values[FIGURE_COUNT][HISTORY_POINTS];
};

const char *figure_name(enum figure figure)
{
    static const char *const names[] = {
#define FIGURE(name, meaning) #name,
#include "history_figures.def"
#undef FIGURE
    };

    return names[figure];
}

/* The pool, made when new; NULL when there are too many. */
static struct history_pool *history_pool(struct history *history, bool redis, const char *database,
                                         const char *user)
{
    char key[1024];
    size_t database_bytes = strnlen(database, 480), user_bytes = strnlen(user, 480), length;
    struct history_pool *pool;

    key[0] = redis ? 'r' : 'p';
    memcpy(key + 1, database, database_bytes);
    key[1 + database_bytes] = '\0';
    memcpy(key + 2 + database_bytes, user, user_bytes);
    length = 2 + database_bytes + user_bytes;
    HASH_FIND(hh, history->pools, key, length, pool);
    if (pool)
        return pool;
    if (HASH_COUNT(history->pools) >= HISTORY_POOLS_MAX) {
        history->crowded = true;
        return NULL;
    }
    pool = memory_new(sizeof(*pool));
    pool->key = memory_text(key, length);
    pool->database = pool->key + 1;
    pool->user = pool->key + 2 + database_bytes;
    pool->redis = redis;
    pool->begun = !history->crowded; /* else it may have counted for long */
    HASH_ADD_KEYPTR(hh, history->pools, pool->key, length, pool);
    return pool;
}

static void pool_free(struct history *history, struct history_pool *pool)
{
    HASH_DEL(history->pools, pool);
    free(pool->key);
    free(pool);
}

static uint32_t *figure_now(struct history *history, struct history_pool *pool, enum figure figure)
{
    return &pool->values[figure][history->step % HISTORY_POINTS];
}

/* --- a step: what the workers have --- */

static void step_pool(void *context, const struct pool_row *row)
{
    struct history *history = context;
    struct history_pool *pool;

    if (strcmp(row->database, "pgbouncer") == 0)
        return;
    pool = history_pool(history, false, row->database, row->user);
    if (!pool)
        return;
    pool->seen_step = history->step;
    *figure_now(history, pool, FIGURE_clients_active) = (uint32_t)(row->clients - row->waiting);
    *figure_now(history, pool, FIGURE_clients_waiting) = (uint32_t)row->waiting;
    *figure_now(history, pool, FIGURE_servers_active) =
        (uint32_t)(row->active + row->draining + row->tested + row->login);
    *figure_now(history, pool, FIGURE_servers_idle) = (uint32_t)(row->idle + row->used);
    *figure_now(history, pool, FIGURE_servers_max) = (uint32_t)row->size;
}

static void step_redis_line(void *context, const struct redis_line_row *row)
{
    struct history *history = context;
    struct history_pool *pool = history_pool(history, true, row->line, "");

    if (!pool)
        return;
    pool->seen_step = history->step;
    *figure_now(history, pool, FIGURE_clients_active) = (uint32_t)(row->clients - row->waiting);
    *figure_now(history, pool, FIGURE_clients_waiting) = (uint32_t)row->waiting;
    *figure_now(history, pool, FIGURE_servers_active) =
        (uint32_t)(row->shared + row->leased + row->tested + row->login);
    *figure_now(history, pool, FIGURE_servers_idle) = (uint32_t)row->idle;
    *figure_now(history, pool, FIGURE_servers_max) = (uint32_t)(row->size + row->size_apart);
}

/* --- what they have counted --- */

static void step_counted(struct history *history)
{
    struct registry *registry = &history->admin->host.process->registry;
    size_t count;
    struct pool_totals **pools = registry_hold_pools(registry, &count);

    for (size_t i = 0; i < count; i++) {
        bool redis = pools[i]->variant & VARIANT_REDIS;
        struct history_pool *pool =
            history_pool(history, redis, pools[i]->database, redis ? "" : pools[i]->user);

        if (!pool)
            continue;
        registry_counters(registry, pools[i], &pool->counters);
        for (unsigned j = 0; j < KEPT_COUNT; j++)
            registry_latency(registry, pools[i], kept_latencies[j], &pool->latencies[j]);
    }
    registry_drop_pools(registry, pools, count);
}

static uint32_t counted(const struct history_pool *pool, enum counter counter)
{
    uint64_t now = pool->counters.values[counter], before = pool->counters_before.values[counter];

    return now > before && now - before < UINT32_MAX ? (uint32_t)(now - before) : 0;
}

static void step_figures(struct history *history, struct history_pool *pool)
{
    static const enum figure quantiles[KEPT_COUNT][2] = {
        {FIGURE_wait_p50, FIGURE_wait_p99},
        {FIGURE_query_p50, FIGURE_query_p99},
    };
    struct histogram_values change;

    *figure_now(history, pool, FIGURE_transactions) = counted(pool, COUNTER_xact_count);
    *figure_now(history, pool, FIGURE_queries) = counted(pool, COUNTER_query_count);
    *figure_now(history, pool, FIGURE_received) = counted(pool, COUNTER_bytes_received);
    *figure_now(history, pool, FIGURE_sent) = counted(pool, COUNTER_bytes_sent);
    *figure_now(history, pool, FIGURE_batches) =
        counted(pool, COUNTER_lookup_batches) + counted(pool, COUNTER_batch_count);
    *figure_now(history, pool, FIGURE_batched) = counted(pool, COUNTER_lookup_keys) +
                                                 counted(pool, COUNTER_batch_keys) +
                                                 counted(pool, COUNTER_batch_duplicates);
    *figure_now(history, pool, FIGURE_multiplexed) = counted(pool, COUNTER_multiplexed);
    *figure_now(history, pool, FIGURE_errors) = counted(pool, COUNTER_server_login_failures) +
                                                counted(pool, COUNTER_server_lost_count) +
                                                counted(pool, COUNTER_refused_count);
    *figure_now(history, pool, FIGURE_timeouts) = counted(pool, COUNTER_wait_timeouts) +
                                                  counted(pool, COUNTER_query_timeouts) +
                                                  counted(pool, COUNTER_idle_transaction_timeouts) +
                                                  counted(pool, COUNTER_client_idle_timeouts);
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        histogram_since(&pool->latencies[i], &pool->latencies_before[i], &change);
        *figure_now(history, pool, quantiles[i][0]) = (uint32_t)histogram_quantile(&change, 500);
        *figure_now(history, pool, quantiles[i][1]) = (uint32_t)histogram_quantile(&change, 990);
    }
}

/* What is counted becomes what was counted before, and is counted anew. */
static void pool_next(struct history_pool *pool)
{
    pool->counters_before = pool->counters;
    memcpy(pool->latencies_before, pool->latencies, sizeof(pool->latencies));
    memset(&pool->counters, 0, sizeof(pool->counters));
    memset(pool->latencies, 0, sizeof(pool->latencies));
    pool->begun = true;
}

static void history_surveyed(struct survey *survey)
{
    struct history *history = survey->asker;
    struct loop *loop = history->admin->host.loop;
    struct show_source source = {.admin = history->admin, .survey = survey};
    struct history_pool *pool, *following;

    history->survey = NULL;
    history->step++;
    history->step_us = loop_now_us(loop);
    HASH_ITER(hh, history->pools, pool, following)
    {
        for (unsigned i = 0; i < FIGURE_COUNT; i++)
            *figure_now(history, pool, (enum figure)i) = 0;
    }
    pool_rows_each(&source, step_pool, history);
    redis_lines_each(&source, step_redis_line, history);
    step_counted(history);
    HASH_ITER(hh, history->pools, pool, following)
    {
        if (pool->begun)
            step_figures(history, pool);
        pool_next(pool);
        if (pool->seen_step + HISTORY_POINTS < history->step)
            pool_free(history, pool);
    }
    survey_free(survey);
    timer_set(loop, &history->timer, history->step_us + HISTORY_STEP_US);
}

/* Surveying the slowest statements has workers forget old ones. */
static void history_due(struct timer *timer)
{
    struct history *history = container_of(timer, struct history, timer);

    history->survey = survey_take(history->admin->host.process, SURVEY_POOLS | SURVEY_SLOWEST,
                                  history_surveyed, history);
}

void history_init(struct history *history, struct admin *admin)
{
    history->admin = admin;
    history->timer.expired = history_due;
}

void history_start(struct history *history)
{
    struct loop *loop = history->admin->host.loop;

    timer_set(loop, &history->timer, loop_now_us(loop) + HISTORY_STEP_US);
}

void history_fini(struct history *history)
{
    struct history_pool *pool, *following;

    if (history->survey)
        history->survey->asker = NULL;
    timer_cancel(history->admin->host.loop, &history->timer);
    HASH_ITER(hh, history->pools, pool, following)
    pool_free(history, pool);
}

void history_each(const struct history *history, uint64_t after,
                  void (*each)(void *context, const struct history_row *row), void *context)
{
    struct history_pool *pool, *following;
    uint64_t count = after < history->step ? history->step - after : 0;

    if (count > HISTORY_POINTS)
        count = HISTORY_POINTS;
    HASH_ITER(hh, history->pools, pool, following)
    {
        struct history_row row = {
            .database = pool->database,
            .user = pool->user,
            .redis = pool->redis,
            .count = (unsigned)count,
            .first = (unsigned)((history->step + 1 - count) % HISTORY_POINTS),
        };

        for (unsigned i = 0; i < FIGURE_COUNT; i++)
            row.values[i] = pool->values[i];
        each(context, &row);
    }
}

#include "stats.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"
#include "state.h"

struct stats_database {
    UT_hash_handle hh;
    struct stats_row row;
    struct counters_values period; /* the totals when the present period began */
    char name[];
};

static struct stats_database *stats_find(struct stats *stats, const char *name)
{
    struct stats_database *database;

    HASH_FIND_STR(stats->databases, name, database);
    if (database)
        return database;
    database = memory_new(sizeof(*database) + strlen(name) + 1);
    memcpy(database->name, name, strlen(name) + 1);
    database->row.database = database->name;
    HASH_ADD_STR(stats->databases, name, database);
    return database;
}

static void stats_add(void *context, const char *database, const struct counters_values *values)
{
    struct stats_row *row = &stats_find(context, database)->row;

    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        row->total.values[i] += values->values[i];
}

/* Reads the counters of all parts of all pools. */
static void stats_read(struct stats *stats)
{
    struct stats_database *database, *following;

    HASH_ITER(hh, stats->databases, database, following)
    memset(&database->row.total, 0, sizeof(database->row.total));
    registry_each_counted(&stats->admin->host.process->registry, stats->redis, stats_add, stats);
    if (!stats->redis)
        stats_find(stats, "pgbouncer")->row.total = stats->admin->commands;
}

static void stats_period_over(struct timer *timer)
{
    struct stats *stats = container_of(timer, struct stats, timer);
    struct loop *loop = stats->admin->host.loop;
    struct stats_database *database, *following;
    uint64_t now_us = loop_now_us(loop);

    stats_read(stats);
    HASH_ITER(hh, stats->databases, database, following)
    {
        for (unsigned i = 0; i < COUNTER_COUNT; i++)
            database->row.last.values[i] =
                database->row.total.values[i] - database->period.values[i];
        database->row.last_us = now_us - stats->period_began_us;
        database->period = database->row.total;
    }
    stats->period_began_us = now_us;
    timer_set(loop, timer, now_us + admin_conf(stats->admin)->stats_period_us);
}

void stats_init(struct stats *stats, struct admin *admin, bool redis)
{
    struct loop *loop = admin->host.loop;

    stats->admin = admin;
    stats->redis = redis;
    stats->timer.expired = stats_period_over;
    stats->period_began_us = loop_now_us(loop);
    timer_set(loop, &stats->timer, stats->period_began_us + admin_conf(admin)->stats_period_us);
}

void stats_fini(struct stats *stats)
{
    struct stats_database *database, *following;

    timer_cancel(stats->admin->host.loop, &stats->timer);
    HASH_ITER(hh, stats->databases, database, following)
    {
        HASH_DEL(stats->databases, database);
        free(database);
    }
}

void stats_each(struct stats *stats, void (*each)(void *context, const struct stats_row *row),
                void *context)
{
    struct stats_database *database, *following;

    stats_read(stats);
    HASH_ITER(hh, stats->databases, database, following)
    each(context, &database->row);
}

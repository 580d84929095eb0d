#include "stats.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"
#include "state.h"

struct stats_database {
    UT_hash_handle hh;
    struct stats_row row;
    struct counters_values period; /* the totals when the present period began */
    bool automatic;                /* no line of the settings; counted in auto_count */
    bool seen;                     /* it still exists */
    char name[];
};

static struct stats_database *database_new(const char *name)
{
    struct stats_database *database = memory_new(sizeof(*database) + strlen(name) + 1);

    memcpy(database->name, name, strlen(name) + 1);
    database->row.database = database->name;
    return database;
}

static struct stats_database *stats_find(struct stats *stats, const char *name)
{
    struct stats_database *database;

    HASH_FIND_STR(stats->databases, name, database);
    if (!database) {
        database = database_new(name);
        HASH_ADD_STR(stats->databases, name, database);
    }
    database->seen = true;
    return database;
}

/* True when a line of the settings has the name, and not `*`. */
static bool stats_configured(const struct stats *stats, const char *name)
{
    const struct conf_database *line = conf_find_database(admin_conf(stats->admin), name);

    return stats->redis || (line && strcmp(line->name, "*") != 0);
}

/* The row that counts for a database. */
static struct stats_database *stats_row_of(struct stats *stats, const char *name,
                                           struct usage *usage)
{
    struct stats_database *database;
    bool configured;

    if (atomic_load(&usage->among_others))
        return stats_find(stats, STATS_OTHERS);
    HASH_FIND_STR(stats->databases, name, database);
    if (database) {
        database->seen = true;
        return database;
    }
    configured = stats_configured(stats, name);
    if (!configured && (stats->auto_count >= STATS_AUTO_MAX || strcmp(name, STATS_OTHERS) == 0)) {
        atomic_store(&usage->among_others, true);
        return stats_find(stats, STATS_OTHERS);
    }
    database = stats_find(stats, name);
    database->automatic = !configured;
    stats->auto_count += database->automatic;
    return database;
}

static void values_add(struct counters_values *sum, const struct counters_values *values)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        sum->values[i] += values->values[i];
}

static void stats_add(void *context, const char *name, struct usage *usage,
                      const struct counters_values *values)
{
    values_add(&stats_row_of(context, name, usage)->row.total, values);
}

/* What it had counted is now among `gone`, since its last period's beginning too. */
static void database_forget(struct stats *stats, struct stats_database *database)
{
    values_add(&stats->gone->period, &database->period);
    stats->auto_count -= database->automatic;
    HASH_DEL(stats->databases, database);
    free(database);
}

/* Reads the counters of all parts of all pools. */
static void stats_read(struct stats *stats)
{
    struct registry *registry = &stats->admin->host.process->registry;
    struct stats_database *database, *following;
    struct counters_gone gone;

    HASH_ITER(hh, stats->databases, database, following)
    {
        memset(&database->row.total, 0, sizeof(database->row.total));
        database->seen = false;
    }
    gone = registry_each_counted(registry, stats->redis, stats_add, stats);
    if (!stats->redis) {
        stats_find(stats, "pgbouncer")->row.total = stats->admin->commands;
        stats->gone->row.total = gone.with_row;
        HASH_FIND_STR(stats->databases, STATS_OTHERS, database);
        if (database) {
            values_add(&database->row.total, &gone.among_others);
            database->seen = true;
        }
    }
    HASH_ITER(hh, stats->databases, database, following)
    if (!database->seen)
        database_forget(stats, database);
}

static void database_period_over(struct stats_database *database, uint64_t last_us)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        database->row.last.values[i] = database->row.total.values[i] - database->period.values[i];
    database->row.last_us = last_us;
    database->period = database->row.total;
}

static void stats_period_over(struct timer *timer)
{
    struct stats *stats = container_of(timer, struct stats, timer);
    struct loop *loop = stats->admin->host.loop;
    struct stats_database *database, *following;
    uint64_t now_us = loop_now_us(loop);

    stats_read(stats);
    HASH_ITER(hh, stats->databases, database, following)
    database_period_over(database, now_us - stats->period_began_us);
    database_period_over(stats->gone, now_us - stats->period_began_us);
    stats->period_began_us = now_us;
    timer_set(loop, timer, now_us + admin_conf(stats->admin)->stats_period_us);
}

void stats_init(struct stats *stats, struct admin *admin, bool redis)
{
    struct loop *loop = admin->host.loop;

    stats->admin = admin;
    stats->redis = redis;
    stats->gone = database_new("");
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
    free(stats->gone);
}

void stats_each(struct stats *stats, void (*each)(void *context, const struct stats_row *row),
                void *context)
{
    struct stats_database *database, *following;

    stats_read(stats);
    HASH_ITER(hh, stats->databases, database, following)
    each(context, &database->row);
}

static void sum_add(void *context, const struct stats_row *row)
{
    struct stats_row *sum = context;

    values_add(&sum->total, &row->total);
    values_add(&sum->last, &row->last);
    if (row->last_us > sum->last_us)
        sum->last_us = row->last_us;
}

void stats_sum(struct stats *stats, struct stats_row *sum)
{
    *sum = (struct stats_row){0};
    stats_each(stats, sum_add, sum);
    sum_add(sum, &stats->gone->row);
}

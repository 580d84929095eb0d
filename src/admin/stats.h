/* stats: the counters of each database, over all its pools and workers: since the start, and over
 * the last whole stats_period. A database that exists by the line `*` only has a row as long as it
 * exists; when there are STATS_AUTO_MAX of them, those that come later are one row together, to
 * which each belongs for as long as it exists, so that no row ever counts backwards. Main thread.
 */
#ifndef SLUICE_ADMIN_STATS_H
#define SLUICE_ADMIN_STATS_H

#include "sluice/net/loop.h"
#include "sluice/pool/registry.h"

#define STATS_AUTO_MAX 500u
/* The name of the row that the rest share. */
#define STATS_OTHERS "(other)"

struct admin;
struct stats_database;

struct stats {
    struct admin *admin;
    bool redis;
    struct stats_database *databases; /* hash by name */
    struct stats_database *gone;      /* those that had a row; only in stats_sum() */
    unsigned auto_count;              /* rows of databases that are no line of the settings */
    struct timer timer;
    uint64_t period_began_us;
};

/* One database as it is now. */
struct stats_row {
    const char *database;
    struct counters_values total;
    struct counters_values last; /* what the last whole period added */
    uint64_t last_us;            /* how long it was; 0 = none is over yet */
};

/* Of the last period: per second; and how much of one counter came on each of another. */
static inline int64_t stats_per_second(const struct stats_row *row, enum counter counter)
{
    return row->last_us ? (int64_t)(row->last.values[counter] * US_PER_S / row->last_us) : 0;
}

static inline int64_t stats_mean(const struct stats_row *row, enum counter counter, enum counter of)
{
    return row->last.values[of] ? (int64_t)(row->last.values[counter] / row->last.values[of]) : 0;
}

/* redis: of the lines of [redis] in the place of the databases. */
void stats_init(struct stats *stats, struct admin *admin, bool redis);
void stats_fini(struct stats *stats);

/* Calls each for every database of PostgreSQL that there is or that the settings have and that had
 * a pool, for the others together, and for the console's own "pgbouncer". */
void stats_each(struct stats *stats, void (*each)(void *context, const struct stats_row *row),
                void *context);

/* All together, with those that are gone. */
void stats_sum(struct stats *stats, struct stats_row *sum);

#endif

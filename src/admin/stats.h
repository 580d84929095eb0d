/* stats: the counters of each database, over all its pools and workers: since the start, and over
 * the last whole stats_period. Main thread. */
#ifndef SLUICE_ADMIN_STATS_H
#define SLUICE_ADMIN_STATS_H

#include "sluice/net/loop.h"
#include "sluice/pool/registry.h"

struct admin;
struct stats_database;

struct stats {
    struct admin *admin;
    bool redis;
    struct stats_database *databases; /* hash by name */
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

/* redis: of the lines of [redis] in the place of the databases. */
void stats_init(struct stats *stats, struct admin *admin, bool redis);
void stats_fini(struct stats *stats);

/* Calls each for every database of PostgreSQL that had a pool, and for the console's own
 * "pgbouncer". */
void stats_each(struct stats *stats, void (*each)(void *context, const struct stats_row *row),
                void *context);

#endif

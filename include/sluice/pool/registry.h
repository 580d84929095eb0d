/* registry: what all workers share about pools: how many servers and clients there are of what, and
 * which worker wants one. One per process, made by the main thread before the workers start. The
 * tables are behind a mutex that is taken at logins and by the console, never by a query; the
 * numbers are atomics. */
#ifndef SLUICE_POOL_REGISTRY_H
#define SLUICE_POOL_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "sluice/net/mailbox.h"
#include "sluice/stat/counters.h"
#include "sluice/stat/latency.h"

#define WORKERS_MAX 64
/* Pools at most; a fallback line `*` lets clients make more and more of them. */
#define POOLS_MAX 20000
/* So many of them have labels of their own in metrics, each as long as it lives. */
#define POOLS_LABELLED_MAX 500

/* How many there may be of something, over all workers. */
struct limit {
    _Atomic int64_t used;
    _Atomic int64_t max;              /* 0 = no limit */
    _Atomic uint64_t wanted_since_us; /* somebody waits for one since then; 0 = nobody */
};

/* Takes one if there is one left. */
bool limit_take(struct limit *limit);

/* Gives it back. True when somebody wants one, who has to be nudged. */
bool limit_give(struct limit *limit);

/* Says that one is wanted, since when. True when nobody wanted one yet. */
bool limit_want(struct limit *limit, uint64_t since_us);

/* What is counted for one database or one user. Lives while somebody holds it, and longer when it
 * has something to remember: what the console said, or what a database of the settings counted. */
struct usage {
    unsigned holders; /* under the mutex */
    struct limit servers;
    struct limit clients;
    /* Redis: CLIENT PAUSE, for all workers. */
    _Atomic uint64_t paused_until_us;
    _Atomic bool paused_all;
    /* What the console said; read when a part is made and when a client logs in. */
    _Atomic bool paused, disabled;
    _Atomic bool registered;        /* a client has asked for it, which only the line `*` lets be */
    _Atomic bool among_others;      /* it has no row in statistics (admin/stats.h) */
    struct counters_values retired; /* counters of its parts that are gone; under the mutex */
};

/* Which of the pools of one name and user this is, where there are several. PostgreSQL: those of
 * replication connections apart. Redis: built by redis_pool_variant(). */
#define VARIANT_LOGICAL 1u  /* replication=database */
#define VARIANT_PHYSICAL 2u /* replication=true */
#define VARIANT_REDIS (1u << 31)
#define VARIANT_REDIS_APART                                              \
    (1u << 30) /* for clients that keep a connection: a limit of its own \
                */

/* How one worker's part of a pool looks to the others. Written by that worker; one who lends it a
 * server sets waiting_since_us to 0, so that nobody else does. */
struct pool_sight {
    _Atomic uint64_t waiting_since_us; /* of the first in the queue; 0 = nobody waits */
    _Atomic uint32_t idle;             /* servers that nobody uses */
} __attribute__((aligned(64)));

struct pool;

/* A pool as a whole; each of its workers has a struct pool of its own. */
struct pool_totals {
    UT_hash_handle hh; /* the registry's; under the mutex */
    char *key;
    char *database, *user; /* in the key */
    uint32_t variant;
    bool labelled;           /* it is one of POOLS_LABELLED_MAX */
    unsigned holders;        /* parts; under the mutex */
    _Atomic int64_t servers; /* open or being opened, all workers */
    _Atomic int64_t pinned;  /* of these, those that stay with one client */
    struct usage *database_usage, *user_usage;
    unsigned first_worker, part_count; /* parts are on workers first_worker + i modulo all */
    _Atomic(struct pool *)
        parts[WORKERS_MAX]; /* by worker; what is inside belongs to that worker */
    struct pool_sight sights[WORKERS_MAX];
    struct latencies retired; /* of parts that are gone; under the mutex */
};

struct pools;

/* What databases of PostgreSQL had counted that are gone. */
struct counters_gone {
    struct counters_values with_row, among_others;
};

struct registry {
    pthread_mutex_t mutex;
    struct usage_entry *databases, *users, *redis; /* hashes */
    struct usage unlimited;                        /* for what has no limit of that kind */
    struct pool_totals *totals;                    /* hash, the oldest first; at most POOLS_MAX */
    size_t labelled_count;
    struct counters_gone gone;
    unsigned worker_count;
    struct pools *workers[WORKERS_MAX]; /* filled before the first worker runs */
    struct limit clients;               /* max_client_conn */
    _Atomic uint64_t next_id;           /* of clients, servers and lookups */
};

void registry_init(struct registry *registry, unsigned worker_count);
void registry_fini(struct registry *registry);

/* Finds or makes, and holds: each call is undone by registry_usage_drop(). Any thread. */
struct usage *registry_database(struct registry *registry, const char *name);
struct usage *registry_user(struct registry *registry, const char *name);
void registry_usage_drop(struct registry *registry, struct usage *usage);

/* The same for a line of [redis], valid as long as the registry: `variant` says which of its two
 * limits on servers (with VARIANT_REDIS_APART or not); clients are counted in the one without. */
struct usage *registry_redis(struct registry *registry, const char *line, uint32_t variant);

/* The totals of a pool, made when new; each call is undone by registry_pool_drop(). size: its
 * pool_size, which decides over how many workers a new pool spreads. NULL when there are POOLS_MAX.
 */
struct pool_totals *registry_pool(struct registry *registry, const char *database, const char *user,
                                  uint32_t variant, int64_t size);
void registry_pool_drop(struct registry *registry, struct pool_totals *totals);

/* A worker's part is about to be freed: what it counted and measured is kept in `retired` of its
 * database and of the pool, nobody finds it more. */
void registry_part_gone(struct registry *registry, struct pool_totals *totals, unsigned worker,
                        struct counters *counters, const struct latencies *latencies);

/* Adds up the counters of all pools, also of those that are gone. Any thread. */
void registry_collect(struct registry *registry, struct counters_values *values);

/* Calls each for every database (redis: line of [redis]) there is, with what each of its parts, and
 * those that are gone, counted: several times for one name. Under the mutex. Returns what those of
 * PostgreSQL had counted that are gone, as of the same moment. */
struct counters_gone registry_each_counted(struct registry *registry, bool redis,
                                           void (*each)(void *context, const char *database,
                                                        struct usage *usage,
                                                        const struct counters_values *values),
                                           void *context);

/* Servers of a database or line of [redis] that are open or being opened, all workers; of all when
 * the name is "": then without those of Redis that a client keeps for as long as it likes. */
int64_t registry_servers(struct registry *registry, const char *name);

/* All pools there are, each held as by registry_pool(); *count of them. Any thread. */
struct pool_totals **registry_hold_pools(struct registry *registry, size_t *count);
void registry_drop_pools(struct registry *registry, struct pool_totals **pools, size_t count);

/* Adds the counters of all parts of a pool. Any thread. */
void registry_counters(struct registry *registry, const struct pool_totals *totals,
                       struct counters_values *values);

/* Adds one latency of all parts of a pool. Any thread. */
void registry_latency(struct registry *registry, const struct pool_totals *totals,
                      enum latency latency, struct histogram_values *values);

/* Takes the right to leave one more server of the pool with its client, when fewer than `max` are;
 * and gives it back. Any thread. */
bool registry_pin_take(struct pool_totals *totals, int64_t max);
void registry_pin_give(struct pool_totals *totals);

/* True when this worker has a part in the pool; else *home is a worker that has. */
bool registry_pool_here(const struct registry *registry, const struct pool_totals *totals,
                        unsigned worker, unsigned *home);

/* Which workers have parts of pools of this name and size, as for new pools: *first and *count - 1
 * that follow it, modulo all. */
void registry_spread(const struct registry *registry, const char *database, int64_t size,
                     unsigned *first, unsigned *count);

/* Has every other worker look whether it can give up, or now use, a server. */
void registry_nudge(struct registry *registry, unsigned from_worker);

#endif

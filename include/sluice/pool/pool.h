/* pool: the servers to one place as one user, and who waits for them. A pool as a whole is a struct
 * pool_totals (registry.h); struct pool is the part of it that one worker has, and belongs to that
 * worker. struct pools is all parts of one worker.
 *
 * A client takes a server with pool_take(), or waits with pool_wait() and is called back at the end
 * of a later turn. Parts lend each other idle servers: at the end of a turn in which something
 * changed, a part publishes how long its first waiter waits and how many servers idle it has
 * (pool_totals.sights), asks a part that has one, or gives to a part whose client waits longer. */
#ifndef SLUICE_POOL_POOL_H
#define SLUICE_POOL_POOL_H

#include <uthash.h>

#include "sluice/auth/scram.h"
#include "sluice/conf/sections.h"
#include "sluice/net/resolver.h"
#include "sluice/pool/failure.h"
#include "sluice/pool/params.h"
#include "sluice/pool/registry.h"
#include "sluice/pool/server.h"
#include "sluice/pool/waiter.h"
#include "sluice/stat/latency.h"

#define PRIORITIES 10
#define PRIORITY_STEP_US US_PER_S

/* The settings that decide, resolved for this pool from the worker's present conf. */
struct pool_settings {
    enum pool_mode mode;
    enum batch_lookups batch_lookups;
    int64_t multiplex;
    int64_t size, size_min, size_reserve, waiting_max;
    uint8_t priority;
    uint64_t reserve_timeout_us, lifetime_us, idle_timeout_us;
    uint64_t query_wait_timeout_us;
    uint64_t query_timeout_us, transaction_timeout_us, idle_transaction_timeout_us;
    uint64_t client_idle_timeout_us;
    uint64_t connect_timeout_us;
};

/* All parts of one worker, and what they need of it. */
struct pools {
    struct loop *loop;
    struct mailbox *mailbox;
    unsigned worker;
    struct registry *registry;
    struct resolver *resolver;
    const struct conf *conf; /* the worker's; changed by pools_configure() */
    const struct tls *tls;   /* likewise */
    struct pool *by_key;     /* hash */
    struct params_set params;
    struct list cancels; /* cancel requests under way; struct pg_cancel */
    struct mail nudge;
    _Atomic bool nudged;                  /* any thread: the nudge is on its way */
    bool paused;                          /* PAUSE: nothing is lent */
    void (*emptied)(struct pools *pools); /* told when, while paused, no server is in use */
};

struct pool {
    UT_hash_handle hh; /* key: "database NUL user NUL variant" */
    char *key;
    size_t key_bytes;
    struct pools *pools;
    struct pool_totals *totals;
    const struct server_kind *kind;
    /* Its line, of pools->conf; both are NULL when a reload dropped it. */
    const struct conf_database *database;
    const struct conf_redis *redis;
    const char *database_name, *user_name; /* of totals */
    struct pool_settings settings;

    struct list servers[SERVER_STATE_COUNT];
    struct list waiters[PRIORITIES];
    size_t waiting;
    size_t waiting_to_share; /* of these, those who need no lease */
    size_t clients;          /* logged in here */
    struct task settle;
    struct timer timer; /* back-off, reserve: settle again then */
    struct mail ask;    /* to a sibling part: lend me an idle server; belongs to it while asking */
    bool asking, crowded; /* crowded: one more server to share would be welcome */
    unsigned asked_worker;
    bool paused, disabled;
    uint64_t backoff_us; /* 0 while logins work */
    uint64_t retry_at_us;
    struct pool_failure failure;

    struct scram_keys keys; /* proven by a client or derived from a password: logs us in */
    struct params *welcome; /* what the last server that logged in reported; NULL before */
    struct known_params known_params[KNOWN_PARAMS];
    unsigned known_params_next;
    size_t next_host;
    uint64_t used_us;     /* last time that a client was here */
    int64_t survey_index; /* its place in the survey that is being taken */
    /* What the proxy keeps here, and what frees it at the pool's end. */
    union {
        struct redis_shared *shared;
        struct pg_lookups *lookups;
    };
    void (*shared_free)(struct pool *pool);
    struct pg_multiplex *multiplex;
    void (*multiplex_free)(struct pool *pool);
    char *password;      /* Redis: that the last client proved; logs us in */
    struct reach *probe; /* under way, or NULL */
    struct counters counters;
    struct latencies latencies;
};

/* Frees a part that nobody has used for pool_idle_timeout or autodb_idle_timeout; else has it
 * looked at again in time. True when it is gone. */
bool pool_free_if_idle(struct pool *pool);

/* Sets up the lists of a new part whose other members are filled. */
void pool_init(struct pool *pool);

void pools_init(struct pools *pools);

/* Shutting down, when no client is left: closes all servers; frees all parts. */
void pools_close(struct pools *pools);
void pools_fini(struct pools *pools);

/* Takes up a new conf: settings, limits, and servers that must be replaced. */
void pools_configure(struct pools *pools, const struct conf *conf, const struct tls *tls);

/* Any thread: has the worker look again at who waits and what is idle in all its parts. */
void pools_nudge(struct pools *pools);

/* Servers that a client uses or that still have something to finish. */
size_t pools_busy(const struct pools *pools);

/* Opens what min_pool_size asks of databases with a user of their own. */
void pools_warm(struct pools *pools, const struct server_kind *kind);

/* The part of a pool on this worker, made when new; NULL when there are too many pools. The worker
 * must be one of the pool's (registry_pool_here). */
struct pool *pools_get(struct pools *pools, const struct server_kind *kind, const char *database,
                       const char *user, uint32_t variant);

/* A server for a client that may have one at once: none waits before it and one is idle. Else NULL.
 * It is leased: give it back with pool_release(), pool_drain() or server_close(). startup: as in
 * struct waiter. */
struct server *pool_take(struct pool *pool, const struct params *startup);

/* True for the pools of replication connections: each server is opened for one client, is asked
 * nothing by us, and is closed when its client leaves. */
static inline bool pool_replicates(const struct pool *pool)
{
    return pool->totals->variant == VARIANT_LOGICAL || pool->totals->variant == VARIANT_PHYSICAL;
}

/* Joins the queue. Returns false, with the failure, when the queue is full or servers cannot be had
 * now. waiter->kind and priority are set. */
bool pool_wait(struct pool *pool, struct waiter *waiter, const struct pool_failure **failure);

/* Leaves the queue; does nothing when not in it. */
void pool_unwait(struct pool *pool, struct waiter *waiter);

/* Gives back a server that is clean but for session state; mode says what is done about that. */
void pool_release(struct server *server);

/* Gives back a server to which nothing was sent that a next client could notice. */
void pool_return_untouched(struct server *server);

/* Gives back a server in the middle of something: it is cancelled and finished there, or closed. */
void pool_drain(struct server *server);

/* A client came or left. */
void pool_client_joined(struct pool *pool);
void pool_client_left(struct pool *pool);

/* What a server made of the parameters that a client asks for (NULL: none): the result, held for
 * the caller, or NULL when no server was asked yet. */
struct params *pool_known_params(struct pool *pool, const struct params *wanted);
void pool_remember_params(struct pool *pool, struct params *wanted, struct params *result);
void pool_forget_params(struct pool *pool);

/* Takes what a server reported when it logged in for what all servers of the pool say. */
void pool_set_welcome(struct pool *pool, struct params *welcome);

/* Called by server kinds: a connect or login failed. Closes the server; waiters are told when no
 * other server can serve them. */
void pool_login_failed(struct server *server, const struct pool_failure *failure);

/* A login worked. */
void pool_login_worked(struct server *server);

/* Takes the right to open one more server, within all limits; one that closes gives it back. */
bool pool_slot_take(struct pool *pool, int64_t size);
void pool_slot_give(struct pool *pool);

/* The first in the queue, or NULL. A level of priority counts as PRIORITY_STEP_US of waiting, so
 * who waits rises and nobody starves. */
struct waiter *pool_first_waiter(const struct pool *pool);

/* An idle server that may be used now, leased by nobody; closes or checks those that may not. */
struct server *pool_fresh_idle(struct pool *pool);

/* Has the part look again, at the end of the turn, at who waits and what is idle. */
void pool_stir(struct pool *pool);

#endif

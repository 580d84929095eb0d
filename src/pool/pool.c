#include "sluice/pool/pool.h"
#include "sluice/pool/sharing.h"

#include <stdlib.h>
#include <string.h>

#include "pool_fit.h"
#include "pool_share.h"
#include "sluice/base/log.h"
#include "sluice/pool/pools_orders.h"

/* Logins under way at most in one part, however many wait. */
#define LOGINS_MAX 16
#define BACKOFF_FIRST_US (100 * US_PER_MS)
/* A waiter waits for the next attempt to connect when that is this near, else it is told at once.
 */
#define RETRY_NEAR_US US_PER_S

bool pool_slot_take(struct pool *pool, int64_t size)
{
    struct pool_totals *totals = pool->totals;
    int64_t servers = atomic_load(&totals->servers);

    do {
        if (servers >= size)
            return false;
    } while (!atomic_compare_exchange_weak(&totals->servers, &servers, servers + 1));
    if (limit_take(&totals->database_usage->servers)) {
        if (limit_take(&totals->user_usage->servers))
            return true;
        limit_give(&totals->database_usage->servers);
    }
    atomic_fetch_sub(&totals->servers, 1);
    return false;
}

void pool_slot_give(struct pool *pool)
{
    struct pool_totals *totals = pool->totals;
    bool wanted = limit_give(&totals->database_usage->servers);

    wanted |= limit_give(&totals->user_usage->servers);
    ensure(atomic_fetch_sub(&totals->servers, 1) > 0);
    if (wanted || totals->part_count > 1) {
        pools_nudge(pool->pools);
        registry_nudge(pool->pools->registry, pool->pools->worker);
    }
}

void pool_stir(struct pool *pool)
{
    loop_defer(pool->pools->loop, &pool->settle);
}

struct waiter *pool_first_waiter(const struct pool *pool)
{
    struct waiter *first = NULL;
    uint64_t first_rank = 0;

    if (pool->waiting == 0)
        return NULL;
    for (unsigned priority = 0; priority < PRIORITIES; priority++) {
        struct list_node *node = list_first(&pool->waiters[priority]);
        struct waiter *waiter;
        uint64_t rank;

        if (!node)
            continue;
        waiter = container_of(node, struct waiter, node);
        rank = waiter->since_us + (PRIORITIES - priority) * PRIORITY_STEP_US;
        if (!first || rank < first_rank) {
            first = waiter;
            first_rank = rank;
        }
    }
    return first;
}

struct waiter *pool_waiter_to_share(const struct pool *pool, size_t index)
{
    if (pool->waiting_to_share <= index)
        return NULL;
    for (unsigned priority = PRIORITIES; priority-- > 0;)
        LIST_EACH_SAFE (&pool->waiters[priority], node, following) {
            struct waiter *waiter = container_of(node, struct waiter, node);

            if (waiter->shares && index-- == 0)
                return waiter;
        }
    return NULL;
}

void pool_crowded(struct pool *pool)
{
    if (pool->crowded ||
        atomic_load_explicit(&pool->totals->servers, memory_order_relaxed) >= pool->settings.size)
        return;
    pool->crowded = true;
    pool_stir(pool);
}

static bool check_due(const struct server *server)
{
    const struct conf *conf = server->pool->pools->conf;

    if (pool_replicates(server->pool))
        return false;
    return (server->pool->redis || conf->server_check_query[0]) &&
           loop_now_us(server->pool->pools->loop) - server->state_since_us >
               conf->server_check_delay_us;
}

bool pool_idle_is_fresh(struct server *server)
{
    if (loop_now_us(server->pool->pools->loop) >= server->created_us + server->lifetime_us &&
        server->lifetime_us > 0) {
        server_close(server, "server lifetime over");
        return false;
    }
    if (!check_due(server))
        return true;
    server_move(server, SERVER_CHECKING);
    server_watch(server);
    server->kind->check(server);
    return false;
}

struct server *pool_fresh_idle(struct pool *pool)
{
    struct list_node *node;

    while ((node = list_first(&pool->servers[SERVER_IDLE]))) {
        struct server *server = container_of(node, struct server, node);

        if (pool_idle_is_fresh(server))
            return server;
    }
    return NULL;
}

static void pool_lease(struct pool *pool, struct server *server)
{
    server_move(server, SERVER_LEASED);
    counter_add(&pool->counters.server_assignment_count, 1);
}

struct server *pool_take(struct pool *pool, const struct params *startup)
{
    struct server *server;

    if (pool->waiting > 0 || pool_stopped(pool))
        return NULL;
    server = pool_fitting_idle(pool, startup);
    if (server) {
        pool_lease(pool, server);
        latency_add(&pool->latencies, LATENCY_wait, 0);
    }
    return server;
}

bool pool_wait(struct pool *pool, struct waiter *waiter, const struct pool_failure **failure)
{
    static const struct pool_failure full = {
        .sqlstate = "53300",
        .message = "too many clients are waiting for a server (max_waiting)",
        .hint = "Try again later, or raise max_waiting or pool_size.",
    };
    uint64_t now_us = loop_now_us(pool->pools->loop);

    if (pool->settings.waiting_max > 0 && (int64_t)pool->waiting >= pool->settings.waiting_max) {
        counter_add(&pool->counters.refused_count, 1);
        *failure = &full;
        return false;
    }
    if (pool->backoff_us > 0 && pool->retry_at_us > now_us + RETRY_NEAR_US &&
        atomic_load(&pool->totals->servers) == 0) {
        *failure = &pool->failure;
        return false;
    }
    ensure(waiter->priority < PRIORITIES);
    waiter->since_us = now_us;
    list_push_back(&pool->waiters[waiter->priority], &waiter->node);
    pool->waiting++;
    pool->waiting_to_share += waiter->shares;
    pool_stir(pool);
    return true;
}

static void waiter_unlink(struct pool *pool, struct waiter *waiter)
{
    list_remove(&pool->waiters[waiter->priority], &waiter->node);
    pool->waiting--;
    pool->waiting_to_share -= waiter->shares;
    latency_add(&pool->latencies, LATENCY_wait, loop_now_us(pool->pools->loop) - waiter->since_us);
}

void pool_unwait(struct pool *pool, struct waiter *waiter)
{
    if (!list_node_linked(&waiter->node))
        return;
    waiter_unlink(pool, waiter);
    pool_stir(pool);
}

void pool_release(struct server *server)
{
    ensure(server->state == SERVER_LEASED || server->state == SERVER_SHARED);
    server->holder = NULL;
    server->holder_ready = NULL;
    if (server->kind->reset(server)) {
        server_move(server, SERVER_CHECKING);
        server_watch(server);
        return;
    }
    server_ready(server);
}

void pool_return_untouched(struct server *server)
{
    ensure(server->state == SERVER_LEASED);
    server->holder = NULL;
    server->holder_ready = NULL;
    server_ready(server);
}

void pool_drain(struct server *server)
{
    ensure(server->state == SERVER_LEASED || server->state == SERVER_SHARED);
    server->holder = NULL;
    server->holder_ready = NULL;
    server_move(server, SERVER_DRAINING);
    server_watch(server);
    server->kind->drain(server);
}

/* Refuses all who wait in this part. A waiter that is told may ask again at once, so only those who
 * wait now are told. */
static void pool_refuse_all(struct pool *pool, const struct pool_failure *failure)
{
    size_t count = pool->waiting;
    struct waiter *waiter;

    while (count-- > 0 && (waiter = pool_first_waiter(pool))) {
        waiter_unlink(pool, waiter);
        waiter->kind->refused(waiter, failure);
    }
}

/* Refuses those who want a server with these parameters. */
static void pool_refuse(struct pool *pool, const struct params *startup,
                        const struct pool_failure *failure)
{
    for (unsigned priority = 0; priority < PRIORITIES; priority++)
        LIST_EACH_SAFE (&pool->waiters[priority], node, next) {
            struct waiter *waiter = container_of(node, struct waiter, node);

            if (waiter->startup != startup)
                continue;
            waiter_unlink(pool, waiter);
            waiter->kind->refused(waiter, failure);
        }
}

/* No server can be had now: the next try is later. */
static void pool_back_off(struct pool *pool)
{
    uint64_t most_us = pool->pools->conf->server_login_retry_us;

    pool->backoff_us = pool->backoff_us ? pool->backoff_us * 2 : BACKOFF_FIRST_US;
    if (pool->backoff_us > most_us)
        pool->backoff_us = most_us ? most_us : 1;
    pool->retry_at_us = loop_now_us(pool->pools->loop) + pool->backoff_us;
}

void pool_login_failed(struct server *server, const struct pool_failure *failure)
{
    struct pool *pool = server->pool;

    counter_add(&pool->counters.server_login_failures, 1);
    server_log(server, LOG_LEVEL_WARNING, "login failed: %s", failure->message);
    if (pool_startup_refused(server, failure)) {
        pool_refuse(pool, server->startup, failure);
        server_close(server, failure->message);
        return;
    }
    pool->failure = *failure;
    pool_back_off(pool);
    server_close(server, failure->message);
    /* Nobody gets a server of another's replication. */
    if (atomic_load(&pool->totals->servers) == 0 || pool_replicates(pool))
        pool_refuse_all(pool, &pool->failure);
}

void pool_login_worked(struct server *server)
{
    struct pool *pool = server->pool;

    pool->backoff_us = 0;
    counter_add(&pool->counters.server_login_count, 1);
    latency_add(&pool->latencies, LATENCY_connect,
                loop_now_us(pool->pools->loop) - server->created_us);
}

static bool limit_reached(struct limit *limit)
{
    int64_t max = atomic_load(&limit->max);

    return max > 0 && atomic_load(&limit->used) >= max;
}

/* True when one server less in the one pool makes room in the other. */
static bool frees_room(const struct pool *pool, const struct pool *wanting)
{
    struct usage *database = wanting->totals->database_usage;
    struct usage *user = wanting->totals->user_usage;

    return (pool->totals->database_usage == database && limit_reached(&database->servers)) ||
           (pool->totals->user_usage == user && limit_reached(&user->servers));
}

/* Closes an idle server of another pool of this worker that counts against the same limit. */
static bool pools_evict(struct pools *pools, const struct pool *wanting)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    {
        struct list_node *oldest = list_last(&pool->servers[SERVER_IDLE]);

        if (pool == wanting || !oldest || pool->waiting > 0 || !frees_room(pool, wanting))
            continue;
        server_close(container_of(oldest, struct server, node), "evicted for another pool");
        return true;
    }
    return false;
}

/* A limit over several pools stands in the way: has somebody else make room. */
static void pool_want(struct pool *pool, uint64_t since_us)
{
    struct usage *database = pool->totals->database_usage, *user = pool->totals->user_usage;
    bool first = false;

    if (limit_reached(&database->servers))
        first |= limit_want(&database->servers, since_us);
    if (limit_reached(&user->servers))
        first |= limit_want(&user->servers, since_us);
    if (first)
        registry_nudge(pool->pools->registry, pool->pools->worker);
}

/* How many servers the pool may have now: with the reserve when somebody has waited long enough. */
static int64_t pool_size_now(struct pool *pool, const struct waiter *first)
{
    uint64_t reserve_at_us;

    if (!first || pool->settings.size_reserve == 0)
        return pool->settings.size;
    reserve_at_us = first->since_us + pool->settings.reserve_timeout_us;
    if (loop_now_us(pool->pools->loop) >= reserve_at_us)
        return pool->settings.size + pool->settings.size_reserve;
    timer_set_by(pool->pools->loop, &pool->timer, reserve_at_us);
    return pool->settings.size;
}

static bool pool_open_one(struct pool *pool, const struct waiter *first)
{
    int64_t size = pool_size_now(pool, first);

    if (!pool_slot_take(pool, size) &&
        !(first && pool_evict_unfit(pool, first) && pool_slot_take(pool, size))) {
        if (!first || atomic_load(&pool->totals->servers) >= size)
            return false;
        if (!pools_evict(pool->pools, pool) || !pool_slot_take(pool, size)) {
            pool_want(pool, first->since_us);
            return false;
        }
    }
    pool->kind->open(pool, first);
    return true;
}

bool pool_unreachable(const struct pool *pool)
{
    return pool->backoff_us > 0 && (strncmp(pool->failure.sqlstate, "08", 2) == 0 ||
                                    strncmp(pool->failure.sqlstate, "57P", 3) == 0);
}

void pool_probed(struct pool *pool, bool reached)
{
    pool_slot_give(pool);
    pool_stir(pool);
    if (reached) {
        pool->backoff_us = 0;
        log_info("%s/%s: the server can be reached again", pool->database_name, pool->user_name);
        return;
    }
    pool_back_off(pool);
    if (atomic_load(&pool->totals->servers) == 0)
        pool_refuse_all(pool, &pool->failure);
}

/* Where nobody's login will find out. A server that can be reached and refused us is not asked. */
static void pool_probe(struct pool *pool)
{
    if (!pool_unreachable(pool) || !pool_slot_take(pool, pool->settings.size))
        return;
    if (pool->kind->probe(pool))
        return;
    pool_slot_give(pool);
    pool->retry_at_us = loop_now_us(pool->pools->loop) + pool->backoff_us;
    timer_set_by(pool->pools->loop, &pool->timer, pool->retry_at_us);
}

/* Opens servers for those who wait, and up to min_pool_size. */
static void pool_grow(struct pool *pool)
{
    size_t coming = pool->servers[SERVER_CONNECTING].length + pool->servers[SERVER_LOGIN].length;
    size_t checking = pool->servers[SERVER_CHECKING].length;
    size_t most = pool->backoff_us > 0 ? 1 : LOGINS_MAX;
    const struct waiter *waiter;

    if (pool->backoff_us > 0 && loop_now_us(pool->pools->loop) < pool->retry_at_us) {
        timer_set_by(pool->pools->loop, &pool->timer, pool->retry_at_us);
        return;
    }
    if (pool->probe)
        return; /* it tells in a moment */
    if (pool->backoff_us > 0 && pool->waiting == 0 && coming == 0)
        pool_probe(pool);
    while (coming < most && coming + checking < pool->waiting &&
           (waiter = pool_waiter_unserved(pool)) && pool_open_one(pool, waiter))
        coming++;
    if (pool->crowded && pool->backoff_us == 0 && coming + checking == 0 &&
        pool_open_one(pool, NULL))
        coming++;
    pool->crowded = false;
    while (coming < most && pool->backoff_us == 0 &&
           pool_slot_take(pool, pool->settings.size_min)) {
        pool->kind->open(pool, NULL);
        coming++;
    }
}

/* Somebody under the same limit waits longer than anybody here: true when an idle server was given
 * up for that. */
static bool pool_give_way(struct pool *pool, const struct waiter *first)
{
    uint64_t wanted_us = atomic_load(&pool->totals->database_usage->servers.wanted_since_us);
    uint64_t user_us = atomic_load(&pool->totals->user_usage->servers.wanted_since_us);
    struct list_node *oldest = list_last(&pool->servers[SERVER_IDLE]);

    if (user_us && (!wanted_us || user_us < wanted_us))
        wanted_us = user_us;
    if (!wanted_us || !oldest || (first && first->since_us <= wanted_us))
        return false;
    server_close(container_of(oldest, struct server, node), "evicted for another pool");
    return true;
}

static void pool_retry(struct timer *timer)
{
    pool_stir(container_of(timer, struct pool, timer));
}

static void pool_settle(struct task *task)
{
    static const struct pool_failure gone = {
        .sqlstate = "3D000",
        .message = "the database has been removed from the settings",
    };
    struct pool *pool = container_of(task, struct pool, settle);
    struct waiter *first = pool_first_waiter(pool);

    bool dropped = !pool->database && !pool->redis;

    if (dropped)
        pool_refuse_all(pool, &gone);

    if (pool_stopped(pool)) {
        if (pools_busy(pool->pools) == 0 && pool->pools->emptied)
            pool->pools->emptied(pool->pools);
        return;
    }
    if (!dropped && !pool_give_way(pool, first) && !pool_lend_longer(pool, first)) {
        struct server *server;
        size_t turns = pool->waiting;

        while (turns-- > 0 && (first = pool_first_waiter(pool)) &&
               (server = pool_fitting_idle(pool, first->startup))) {
            pool_lease(pool, server);
            waiter_unlink(pool, first);
            first->kind->granted(first, server);
        }
        pool_grow(pool);
        if (pool->kind->yield && list_contains_any(&pool->servers[SERVER_SHARED]))
            pool->kind->yield(pool);
    }
    pool_share(pool);
    pool_free_if_idle(pool);
}

void pool_init(struct pool *pool)
{
    for (unsigned i = 0; i < SERVER_STATE_COUNT; i++)
        list_init(&pool->servers[i]);
    for (unsigned i = 0; i < PRIORITIES; i++)
        list_init(&pool->waiters[i]);
    pool->settle.run = pool_settle;
    pool->timer.expired = pool_retry;
    pool->used_us = loop_now_us(pool->pools->loop);
}

void pool_client_joined(struct pool *pool)
{
    pool->clients++;
    counter_add(&pool->counters.client_login_count, 1);
    if (pool->settings.size_min > 0)
        pool_stir(pool);
}

void pool_client_left(struct pool *pool)
{
    ensure(pool->clients > 0);
    pool->clients--;
    pool->used_us = loop_now_us(pool->pools->loop);
    pool_stir(pool);
}

struct params *pool_known_params(struct pool *pool, const struct params *wanted)
{
    if (!wanted)
        return params_hold(pool->welcome);
    for (unsigned i = 0; i < KNOWN_PARAMS; i++)
        if (pool->known_params[i].wanted == wanted)
            return params_hold(pool->known_params[i].result);
    return NULL;
}

void pool_remember_params(struct pool *pool, struct params *wanted, struct params *result)
{
    struct known_params *known = NULL;

    for (unsigned i = 0; i < KNOWN_PARAMS && !known; i++)
        if (pool->known_params[i].wanted == wanted)
            known = &pool->known_params[i];
    if (!known)
        known = &pool->known_params[pool->known_params_next++ % KNOWN_PARAMS];
    params_drop(&pool->pools->params, known->wanted);
    params_drop(&pool->pools->params, known->result);
    known->wanted = params_hold(wanted);
    known->result = params_hold(result);
}

void pool_forget_params(struct pool *pool)
{
    struct params_set *set = &pool->pools->params;

    for (unsigned i = 0; i < KNOWN_PARAMS; i++) {
        params_drop(set, pool->known_params[i].wanted);
        params_drop(set, pool->known_params[i].result);
        pool->known_params[i] = (struct known_params){0};
    }
}

void pool_set_welcome(struct pool *pool, struct params *welcome)
{
    if (welcome == pool->welcome)
        return;
    pool_forget_params(pool);
    params_drop(&pool->pools->params, pool->welcome);
    pool->welcome = welcome ? params_hold(welcome) : NULL;
}

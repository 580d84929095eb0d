/* pools_orders: what the console has one worker do to its parts of pools; `name` is that of a
 * database or of a line of [redis], or of both; NULL means all. On the thread of the worker. */
#ifndef SLUICE_POOL_POOLS_ORDERS_H
#define SLUICE_POOL_POOLS_ORDERS_H

#include "sluice/pool/pool.h"

/* PAUSE, RESUME and shutting down. */
void pools_pause(struct pools *pools, bool paused);
void pools_close_idle(struct pools *pools);

/* True while nothing is lent. */
static inline bool pool_stopped(const struct pool *pool)
{
    return pool->paused || pool->pools->paused;
}

/* PAUSE and RESUME of a name. */
void pools_pause_named(struct pools *pools, const char *name, bool paused);

/* True for a pool that is meant. */
bool pool_is_named(const struct pool *pool, const char *name);

/* RECONNECT: each server is closed as soon as it is free. */
void pools_reconnect(struct pools *pools, const char *name);

/* KILL, when no client is left: all servers are closed. */
void pools_kill(struct pools *pools, const char *name);

#endif

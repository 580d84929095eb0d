/* pools_orders: what the console has one worker do to its parts of pools of PostgreSQL; database
 * NULL means all. On the thread of the worker. */
#ifndef SLUICE_POOL_POOLS_ORDERS_H
#define SLUICE_POOL_POOLS_ORDERS_H

#include "sluice/pool/pool.h"

/* PAUSE and RESUME of one database. */
void pools_pause_database(struct pools *pools, const char *database, bool paused);

/* RECONNECT: each server is closed as soon as it is free. */
void pools_reconnect(struct pools *pools, const char *database);

/* KILL, when no client is left: all servers are closed. */
void pools_kill(struct pools *pools, const char *database);

#endif

/* pool_fit: servers whose login carried the startup parameters of a client (session mode,
 * replication), and which of them fit whom. Part of pool; same owner, same thread. */
#ifndef SLUICE_POOL_POOL_FIT_H
#define SLUICE_POOL_POOL_FIT_H

#include "sluice/pool/pool.h"

/* An idle server for a client that wants these, as pool_fresh_idle(). */
struct server *pool_fitting_idle(struct pool *pool, const struct params *startup);

/* False when the idle server has been closed or is being checked. */
bool pool_idle_is_fresh(struct server *server);

/* The first in the queue for whom no server is coming; NULL when there is none. */
struct waiter *pool_waiter_unserved(const struct pool *pool);

/* Closes an idle server that the waiter, the first in the queue, cannot take. True when it did. */
bool pool_evict_unfit(struct pool *pool, const struct waiter *waiter);

/* True when the server refused what a client asked for in its startup packet, and not us. */
bool pool_startup_refused(const struct server *server, const struct pool_failure *failure);

#endif

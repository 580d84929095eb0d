/* redis_probe: asks a Redis server, on a connection of its own, whether it is there: while logins
 * of a pool fail and nobody waits for one. The connection has a slot of the pool. Belongs to the
 * pool's worker. */
#ifndef SLUICE_POOL_REDIS_PROBE_H
#define SLUICE_POOL_REDIS_PROBE_H

#include <stdbool.h>

struct pool;

/* Begins one; the slot is taken. It ends in pool_probed(), maybe at once. False: this server cannot
 * be probed. */
bool redis_probe_begin(struct pool *pool);

/* Gives up the one under way, if there is one; the slot stays taken. */
void redis_probe_end(struct pool *pool);

#endif

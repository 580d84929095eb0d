/* sharing: what a pool offers those who put statements of several clients on one server
 * (proxy/pg_multiplex.h). Belongs to the part's worker. */
#ifndef SLUICE_POOL_SHARING_H
#define SLUICE_POOL_SHARING_H

#include "sluice/pool/pool.h"

/* All servers are busy with statements of several clients each: opens one more if there may be. */
void pool_crowded(struct pool *pool);

/* Of those who wait to share a server, the index-th from the front; NULL when there are fewer. */
struct waiter *pool_waiter_to_share(const struct pool *pool, size_t index);

/* Somebody waits clearly longer for a server in a part of another worker than anybody here. */
bool pool_longer_elsewhere(const struct pool *pool);

#endif

/* pool_share: how the parts of a pool on different workers lend each other idle servers. Part of
 * pool; same owner, same thread. */
#ifndef SLUICE_POOL_POOL_SHARE_H
#define SLUICE_POOL_POOL_SHARE_H

#include "sluice/pool/pool.h"

/* Publishes what the others need to know; asks for a server, or lends
 * one that nobody here wants. */
void pool_share(struct pool *pool);

/* Lends an idle server to a part whose first waiter has waited clearly longer than `first` here.
 * True when it did. */
bool pool_lend_longer(struct pool *pool, const struct waiter *first);

#endif

/* probe: a pool whose logins fail finds out whether its server can be reached again (reach.h),
 * since nobody's login will while no client comes. Belongs to the worker of the pool's part. */
#ifndef SLUICE_POOL_PROBE_H
#define SLUICE_POOL_PROBE_H

#include "sluice/pool/pool.h"

/* What server_kind.probe asks for, for every kind. */
bool probe_begin(struct pool *pool);

/* Gives up one that is under way; its slot is the caller's to give back. */
void probe_end(struct pool *pool);

#endif

#include "probe.h"

#include "sluice/pool/reach.h"

static void probe_answered(void *owner, bool reached)
{
    struct pool *pool = owner;

    pool->probe = NULL;
    pool_probed(pool, reached);
}

bool probe_begin(struct pool *pool)
{
    struct pools *pools = pool->pools;
    struct reach_target target;

    ensure(!pool->probe);
    if (pool->redis)
        target = reach_target_of_redis(pool->redis);
    else if (pool->database)
        target = reach_target_of_database(pools->conf, pool->database);
    else
        return false; /* it has been removed from the settings */
    pool->probe = reach_begin(&target, pools->resolver, pools->mailbox, probe_answered, pool);
    return pool->probe != NULL;
}

void probe_end(struct pool *pool)
{
    reach_end(pool->probe);
    pool->probe = NULL;
}

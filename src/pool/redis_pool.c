#include "sluice/pool/redis_pool.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"
#include "sluice/pool/redis_server.h"

#define VARIANT_RESP3 (1u << 29)
#define VARIANT_READONLY (1u << 28)

uint32_t redis_pool_variant(uint32_t db, unsigned version, bool readonly, bool apart)
{
    ensure(db <= REDIS_DB_MAX);
    return db | VARIANT_REDIS | (version == 3 ? VARIANT_RESP3 : 0) |
           (readonly ? VARIANT_READONLY : 0) | (apart ? VARIANT_REDIS_APART : 0);
}

uint32_t redis_pool_db(const struct pool *pool)
{
    return pool->totals->variant & REDIS_DB_MAX;
}

unsigned redis_pool_version(const struct pool *pool)
{
    return pool->totals->variant & VARIANT_RESP3 ? 3 : 2;
}

bool redis_pool_readonly(const struct pool *pool)
{
    return pool->totals->variant & VARIANT_READONLY;
}

bool redis_pool_apart(const struct pool *pool)
{
    return pool->totals->variant & VARIANT_REDIS_APART;
}

const char *redis_line_user(const struct conf_redis *line)
{
    if (line->user && line->user[0])
        return line->user;
    return line->password && line->password[0] ? "default" : "";
}

bool redis_pool_is_main(const struct pool *pool)
{
    return pool->redis && strcmp(pool->user_name, redis_line_user(pool->redis)) == 0 &&
           pool->totals->variant == redis_pool_variant((uint32_t)pool->redis->db, 2, false, false);
}

struct pool *redis_pool_get(struct pools *pools, const char *line, const char *user,
                            uint32_t variant)
{
    return pools_get(pools, &redis_server_kind, line, user, variant);
}

void redis_pool_set_password(struct pool *pool, const char *password)
{
    if (pool->password && strcmp(pool->password, password) == 0)
        return;
    if (pool->password)
        secret_wipe(pool->password, strlen(pool->password));
    free(pool->password);
    pool->password = memory_text(password, strlen(password));
}

const char *redis_pool_password(const struct pool *pool)
{
    if (pool->password)
        return pool->password;
    if (pool->redis && pool->user_name[0] &&
        strcmp(pool->user_name, redis_line_user(pool->redis)) == 0)
        return pool->redis->password ? pool->redis->password : "";
    return NULL;
}

void redis_pools_warm(struct pools *pools)
{
    for (size_t i = 0; i < pools->conf->redis_count; i++) {
        const struct conf_redis *line = pools->conf->redis[i];
        unsigned first, count;

        if (line->min_pool_size == 0)
            continue;
        registry_spread(pools->registry, line->name, line->pool_size, &first, &count);
        if ((pools->worker + pools->registry->worker_count - first) %
                pools->registry->worker_count <
            count)
            redis_pool_get(pools, line->name, redis_line_user(line),
                           redis_pool_variant((uint32_t)line->db, 2, false, false));
    }
}

/* redis_pool: which pool a Redis client's commands go to. A line of [redis] has a pool for each
 * user, database number, protocol version and READONLY, since these are states of a connection; and
 * each of them has a second one, set apart for clients that keep a connection (blocking commands,
 * subscriptions, ...). The line's pool_size and blocking_pool_size are limits over all of its pools
 * of either kind. Belongs to the worker of `pools`. */
#ifndef SLUICE_POOL_REDIS_POOL_H
#define SLUICE_POOL_REDIS_POOL_H

#include "sluice/pool/pool.h"

#define REDIS_DB_MAX ((1u << 28) - 1)

/* version: 2 or 3. */
uint32_t redis_pool_variant(uint32_t db, unsigned version, bool readonly, bool apart);

uint32_t redis_pool_db(const struct pool *pool);
unsigned redis_pool_version(const struct pool *pool);
bool redis_pool_readonly(const struct pool *pool);
bool redis_pool_apart(const struct pool *pool);

/* Who clients of the line are before they say otherwise: its user; "" when it logs in as nobody. */
const char *redis_line_user(const struct conf_redis *line);

/* True for the pool that clients of the line begin with: the one that min_pool_size is about. */
bool redis_pool_is_main(const struct pool *pool);

/* The pool, made when new. */
struct pool *redis_pool_get(struct pools *pools, const char *line, const char *user,
                            uint32_t variant);

/* A client has proven this password of the pool's user: new servers log in with it. */
void redis_pool_set_password(struct pool *pool, const char *password);

/* What its servers log in with; NULL when they do not. */
const char *redis_pool_password(const struct pool *pool);

/* Opens what min_pool_size asks for. */
void redis_pools_warm(struct pools *pools);

#endif

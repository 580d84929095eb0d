#include "redis_slow.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "redis_lease.h"
#include "redis_shared.h"

/* How often one who keeps a server waiting is looked at, and over how long its pace is measured. */
#define LOOK_US (100 * US_PER_MS)
#define PACE_US US_PER_S
/* Who keeps others waiting has to take so much in that time. */
#define PACE_BYTES (1024u * 1024u)

/* True if somebody else could go on but for the client of this server. */
static bool others_wait(const struct redis_server *redis)
{
    struct pool *pool = redis->base.pool;

    for (uint32_t i = 0; i < redis->owed.length; i++) {
        const struct redis_client *client = redis_owed_at(&redis->owed, i)->client;

        if (client && client != redis->slow_client)
            return true;
    }
    return pool_first_waiter(pool) ||
           atomic_load(&pool->totals->database_usage->servers.wanted_since_us);
}

/* What may be kept for a client before its server is stopped although others wait: room is left for
 * one more read. */
static size_t kept_at_most(const struct redis_client *client, size_t bytes)
{
    const struct conf_redis *line = client->pool->redis;
    uint64_t most = line ? line->client_output_limit_bytes / 4 * 3 : 0;

    return most > bytes ? (size_t)most : bytes;
}

/* What the client has not taken, the kernel's part included. */
static size_t unread(const struct redis_client *client)
{
    int kernel = 0;

    if (ioctl(client->stream.fd, SIOCOUTQ, &kernel) < 0 || kernel < 0)
        kernel = 0;
    return stream_pending(&client->stream) + (size_t)kernel;
}

bool redis_slow_takes(struct redis_client *client, size_t bytes)
{
    size_t left = unread(client);
    bool takes = left == 0 || (left < client->unread && client->unread - left >= bytes);

    client->unread = left;
    return takes;
}

bool redis_slow_stops(struct redis_server *redis, struct redis_client *client, size_t bytes)
{
    if (redis->slow_client)
        return true;
    if (client->slow || !redis_client_leaves(client, bytes))
        return false;
    redis->slow_client = client;
    if (others_wait(redis) && stream_pending(&client->stream) < kept_at_most(client, bytes)) {
        redis->slow_client = NULL;
        return false;
    }
    client->slow = redis;
    client->unread = unread(client);
    client->unread_since_us = loop_now_us(redis->base.stream.loop);
    redis->slow_bytes = bytes;
    redis->base.holder_due_us = client->unread_since_us + LOOK_US;
    server_watch(&redis->base);
    return true;
}

void redis_slow_end(struct redis_server *redis)
{
    if (!redis->slow_client)
        return;
    redis->slow_client->slow = NULL;
    redis->slow_client = NULL;
    if (stream_is_open(&redis->base.stream))
        stream_again(&redis->base.stream);
}

void redis_slow_look(struct redis_server *redis)
{
    struct redis_client *client = redis->slow_client;
    uint64_t now_us = loop_now_us(redis->base.stream.loop);
    uint64_t since_us = client->unread_since_us;
    bool wait = others_wait(redis);

    redis->base.holder_due_us = now_us + LOOK_US;
    server_watch(&redis->base);
    if (wait && stream_pending(&client->stream) < kept_at_most(client, redis->slow_bytes)) {
        redis_slow_end(redis);
    } else if (now_us - since_us >= PACE_US) {
        if (redis_slow_takes(client, wait ? PACE_BYTES : 1))
            client->unread_since_us = now_us;
        else if (wait || now_us - since_us >= REDIS_SLOW_ALONE_US)
            redis_client_close(client, "it does not read a large reply");
    }
}

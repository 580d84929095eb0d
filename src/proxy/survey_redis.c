/* The part of a survey about Redis. */
#include <string.h>

#include "redis_client.h"
#include "sluice/base/memory.h"
#include "survey_parts.h"

static void survey_redis_pool(struct survey_pool *row, const struct pool *pool)
{
    survey_pool(row, pool);
    row->db = redis_pool_db(pool);
    row->version = redis_pool_version(pool);
    row->readonly = redis_pool_readonly(pool);
    row->apart = redis_pool_apart(pool);
}

static const char *client_state(const struct redis_client *client)
{
    static const char *const names[REDIS_CLIENT_STATE_COUNT] = {
        [REDIS_CLIENT_READY] = "idle",      [REDIS_CLIENT_STALLED] = "stalled",
        [REDIS_CLIENT_WAITING] = "waiting", [REDIS_CLIENT_LEASED] = "leased",
        [REDIS_CLIENT_TOURING] = "active",  [REDIS_CLIENT_LEAVING] = "leaving",
        [REDIS_CLIENT_CLOSED] = "closed",
    };

    return client->state == REDIS_CLIENT_READY && client->inflight > 0 ? "active"
                                                                       : names[client->state];
}

static void survey_redis_client(struct survey_peer *row, const struct redis_client *client)
{
    row->id = client->id;
    if (client->server) {
        row->link_id = client->server->base.id;
        row->link_fd = client->server->base.stream.fd;
    }
    row->state = client_state(client);
    row->pool = client->pool->survey_index;
    row->remote = client->from;
    row->connected_us = client->connected_us;
    row->request_us = client->request_us;
    row->waits_since_us = client->state == REDIS_CLIENT_WAITING ? client->waiter.since_us : 0;
    row->in_bytes = buffer_length(&client->in);
    row->command = client->last ? client->last->name : "";
    row->owed = client->server ? client->server->owed.length : client->inflight;
    if (client->name)
        memccpy(row->application_name, client->name, '\0', sizeof(row->application_name) - 1);
    survey_addresses(row, &client->stream);
}

static void survey_redis_server(struct survey_peer *row, struct server *server)
{
    const struct redis_server *redis = redis_server_of(server);

    row->id = server->id;
    if (server->state == SERVER_LEASED && server->holder) {
        const struct redis_client *client = server->holder;

        row->link_id = client->id;
        row->link_fd = client->stream.fd;
    }
    row->state = survey_server_stale(server)      ? "used"
                 : server->state == SERVER_SHARED ? "shared"
                                                  : server_state_name(server->state);
    row->pool = server->pool->survey_index;
    if (server->address_bytes)
        row->remote = address_from(&server->address.any);
    row->connected_us = server->created_us;
    row->request_us = redis->progress_us ? redis->progress_us : server->state_since_us;
    row->close_needed = server->close_needed;
    row->owed = redis->owed.length;
    survey_addresses(row, &server->stream);
}

static void survey_redis_clients(struct survey_part *part, const struct worker *worker)
{
    part->redis_clients =
        memory_new((worker->redis_clients.length + 1) * sizeof(part->redis_clients[0]));
    LIST_EACH_SAFE (&worker->redis_clients, node, next)
        survey_redis_client(&part->redis_clients[part->redis_client_count++],
                            container_of(node, struct redis_client, node));
}

static void survey_redis_servers(struct survey_part *part, const struct pools *pools)
{
    struct pool *pool, *following;
    size_t count = 0;

    for (size_t i = 0; i < part->redis_pool_count; i++)
        for (unsigned state = 0; state < SERVER_STATE_COUNT; state++)
            count += part->redis_pools[i].servers[state];
    part->redis_servers = memory_new((count + 1) * sizeof(part->redis_servers[0]));
    HASH_ITER(hh, pools->by_key, pool, following)
    for (unsigned state = 0; pool->totals->variant & VARIANT_REDIS && state < SERVER_STATE_COUNT;
         state++)
        LIST_EACH_SAFE (&pool->servers[state], node, next)
            survey_redis_server(&part->redis_servers[part->redis_server_count++],
                                container_of(node, struct server, node));
}

void survey_redis(struct survey_part *part, struct worker *worker)
{
    struct pool *pool, *following;
    size_t count = 0;

    HASH_ITER(hh, worker->pools.by_key, pool, following)
    count += (pool->totals->variant & VARIANT_REDIS) != 0;
    part->redis_pools = memory_new((count + 1) * sizeof(part->redis_pools[0]));
    HASH_ITER(hh, worker->pools.by_key, pool, following)
    {
        if (!(pool->totals->variant & VARIANT_REDIS))
            continue;
        pool->survey_index = (int64_t)part->redis_pool_count;
        survey_redis_pool(&part->redis_pools[part->redis_pool_count++], pool);
    }
    if (part->survey->wanted & SURVEY_REDIS_CLIENTS)
        survey_redis_clients(part, worker);
    if (part->survey->wanted & SURVEY_REDIS_SERVERS)
        survey_redis_servers(part, &worker->pools);
}

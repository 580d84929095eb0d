#include "sluice/proxy/orders.h"

#include <stdlib.h>
#include <string.h>

#include "pg_client.h"
#include "pg_multiplex.h"
#include "redis_client.h"
#include "redis_shared.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pools_orders.h"

struct order {
    struct mail mail;
    void (*carry_out)(struct worker *worker, const struct order *order);
    uint64_t id;
    bool on;
    bool all;
    char name[];
};

static const char *order_name(const struct order *order)
{
    return order->all ? NULL : order->name;
}

static void order_delivered(struct mail *mail, void *receiver)
{
    struct order *order = container_of(mail, struct order, mail);

    order->carry_out(receiver, order);
    free(order);
}

static void workers_tell(struct process *process,
                         void (*carry_out)(struct worker *worker, const struct order *order),
                         const char *name, uint64_t id, bool on)
{
    size_t bytes = name ? strlen(name) + 1 : 1;

    for (unsigned i = 0; i < process->registry.worker_count; i++) {
        struct order *order = memory_new(sizeof(*order) + bytes);

        order->mail.deliver = order_delivered;
        order->carry_out = carry_out;
        order->id = id;
        order->on = on;
        order->all = !name;
        if (name)
            memcpy(order->name, name, bytes);
        mailbox_send(&process->workers[i].mailbox, &order->mail);
    }
}

/* Of a name there may be a database and a line of [redis], which has two limits. */
static void usages_each(struct process *process, const char *name,
                        void (*each)(struct usage *usage, bool on), bool on)
{
    struct registry *registry = &process->registry;
    struct usage *database = registry_database(registry, name);

    each(database, on);
    registry_usage_drop(registry, database);
    each(registry_redis(registry, name, VARIANT_REDIS), on);
    each(registry_redis(registry, name, VARIANT_REDIS_APART), on);
}

static void usage_pause(struct usage *usage, bool on)
{
    atomic_store(&usage->paused, on);
}

static void usage_disable(struct usage *usage, bool on)
{
    atomic_store(&usage->disabled, on);
}

static void order_pause(struct worker *worker, const struct order *order)
{
    pools_pause_named(&worker->pools, order_name(order), order->on);
}

void workers_pause_named(struct process *process, const char *name, bool paused)
{
    usages_each(process, name, usage_pause, paused);
    workers_tell(process, order_pause, name, 0, paused);
}

void workers_disable(struct process *process, const char *name, bool disabled)
{
    usages_each(process, name, usage_disable, disabled);
}

static void order_reconnect(struct worker *worker, const struct order *order)
{
    pools_reconnect(&worker->pools, order_name(order));
    pg_replies_close_replaced(worker);
}

void workers_reconnect(struct process *process, const char *name)
{
    workers_tell(process, order_reconnect, name, 0, false);
}

static bool client_is_meant(const struct order *order, uint64_t id, const struct pool *pool)
{
    return order->id ? id == order->id : pool && pool_is_named(pool, order_name(order));
}

static void order_kill_clients(struct worker *worker, const struct order *order)
{
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        LIST_EACH_SAFE (&worker->clients[kind], node, next) {
            struct pg_client *client = container_of(node, struct pg_client, node);

            if (client_is_meant(order, client->id, client->pool))
                pg_client_close_failed(client, pg_error_row(PG_ERROR_KILLED));
        }
    LIST_EACH_SAFE (&worker->redis_clients, node, next) {
        struct redis_client *client = container_of(node, struct redis_client, node);

        if (client_is_meant(order, client->id, client->pool))
            redis_client_close(client, "admin forced disconnect");
    }
}

static void order_kill(struct worker *worker, const struct order *order)
{
    order_kill_clients(worker, order);
    redis_shared_abandon(&worker->pools, order_name(order));
    pg_multiplex_abandon(&worker->pools, order_name(order));
    pools_kill(&worker->pools, order_name(order));
}

void workers_kill(struct process *process, const char *name)
{
    workers_tell(process, order_kill, name, 0, false);
}

void workers_kill_client(struct process *process, uint64_t id)
{
    workers_tell(process, order_kill_clients, NULL, id, false);
}

#include "sluice/proxy/orders.h"

#include <stdlib.h>
#include <string.h>

#include "pg_client.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pools_orders.h"

struct order {
    struct mail mail;
    void (*carry_out)(struct worker *worker, const struct order *order);
    uint64_t id;
    bool on;
    bool all;
    char database[];
};

static const char *order_database(const struct order *order)
{
    return order->all ? NULL : order->database;
}

static void order_delivered(struct mail *mail, void *receiver)
{
    struct order *order = container_of(mail, struct order, mail);

    order->carry_out(receiver, order);
    free(order);
}

static void workers_tell(struct process *process,
                         void (*carry_out)(struct worker *worker, const struct order *order),
                         const char *database, uint64_t id, bool on)
{
    const char *name = database ? database : "";

    for (unsigned i = 0; i < process->registry.worker_count; i++) {
        struct order *order = memory_new(sizeof(*order) + strlen(name) + 1);

        order->mail.deliver = order_delivered;
        order->carry_out = carry_out;
        order->id = id;
        order->on = on;
        order->all = !database;
        memcpy(order->database, name, strlen(name) + 1);
        mailbox_send(&process->workers[i].mailbox, &order->mail);
    }
}

static void order_pause(struct worker *worker, const struct order *order)
{
    pools_pause_database(&worker->pools, order_database(order), order->on);
}

void workers_pause_database(struct process *process, const char *database, bool paused)
{
    atomic_store(&registry_database(&process->registry, database)->paused, paused);
    workers_tell(process, order_pause, database, 0, paused);
}

static void order_reconnect(struct worker *worker, const struct order *order)
{
    pools_reconnect(&worker->pools, order_database(order));
}

void workers_reconnect(struct process *process, const char *database)
{
    workers_tell(process, order_reconnect, database, 0, false);
}

static bool client_matches(const struct pg_client *client, const struct order *order)
{
    if (order->id)
        return client->id == order->id;
    if (!client->pool)
        return false;
    return order->all || strcmp(client->pool->database_name, order->database) == 0;
}

static void order_kill_clients(struct worker *worker, const struct order *order)
{
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        LIST_EACH_SAFE (&worker->clients[kind], node, next) {
            struct pg_client *client = container_of(node, struct pg_client, node);

            if (client_matches(client, order))
                pg_client_close_failed(client, pg_error_row(PG_ERROR_KILLED));
        }
}

static void order_kill(struct worker *worker, const struct order *order)
{
    order_kill_clients(worker, order);
    pools_kill(&worker->pools, order_database(order));
}

void workers_kill(struct process *process, const char *database)
{
    workers_tell(process, order_kill, database, 0, false);
}

void workers_kill_client(struct process *process, uint64_t id)
{
    workers_tell(process, order_kill_clients, NULL, id, false);
}

#include "sluice/proxy/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pg_client.h"
#include "pg_multiplex.h"
#include "pg_peers.h"
#include "pg_startup.h"
#include "redis_client.h"
#include "redis_shared.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/net/helper.h"
#include "sluice/pool/pools_orders.h"
#include "sluice/proxy/access.h"
#include "statement_stats.h"

struct accepted {
    struct mail mail;
    int fd;
    struct address from;
    char redis_line[]; /* "": a PostgreSQL client */
};

struct order {
    struct mail mail;
    const struct conf *conf; /* held for the receiver */
    const struct tls *tls;   /* likewise */
    const struct access *access;
    bool on;
};

static void accepted_delivered(struct mail *mail, void *receiver)
{
    struct accepted *accepted = container_of(mail, struct accepted, mail);

    if (accepted->redis_line[0])
        redis_client_new(receiver, accepted->fd, &accepted->from, accepted->redis_line);
    else
        pg_client_new(receiver, accepted->fd, &accepted->from);
    free(accepted);
}

void worker_give_client(struct worker *worker, int fd, const struct address *from)
{
    worker_give_redis_client(worker, fd, from, "");
}

void worker_give_redis_client(struct worker *worker, int fd, const struct address *from,
                              const char *line)
{
    struct accepted *accepted = memory_new(sizeof(*accepted) + strlen(line) + 1);

    strcpy(accepted->redis_line, line);
    accepted->fd = fd;
    accepted->from = *from;
    accepted->mail.deliver = accepted_delivered;
    atomic_fetch_add(&worker->client_count, 1);
    mailbox_send(&worker->mailbox, &accepted->mail);
}

static size_t worker_clients(const struct worker *worker)
{
    size_t count = worker->redis_clients.length;

    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        count += worker->clients[kind].length;
    return count;
}

static void worker_tell_drained(struct worker *worker)
{
    bool done =
        worker->wait_for_clients ? worker_clients(worker) == 0 : pools_busy(&worker->pools) == 0;

    if (!worker->draining || worker->drained_sent || !done)
        return;
    worker->drained_sent = true;
    mailbox_send(worker->process->main_mailbox, &worker->drained);
}

void worker_client_gone(struct worker *worker)
{
    atomic_fetch_sub(&worker->client_count, 1);
    worker_tell_drained(worker);
}

static void worker_emptied(struct pools *pools)
{
    worker_tell_drained(container_of(pools, struct worker, pools));
}

static void drained_delivered(struct mail *mail, void *receiver)
{
    struct worker *worker = container_of(mail, struct worker, drained);

    worker->process->worker_drained(worker);
}

/* A program that shares our CPU can say all that it has to say before we run: so turns are fuller,
 * and system calls and switches of context fewer. */
static void worker_schedule(const struct worker *worker)
{
    struct sched_param none = {0};

    if (worker->conf->sched_batch && sched_setscheduler(0, SCHED_BATCH, &none) < 0)
        log_warning("workers do not run under SCHED_BATCH: %s", strerror(errno));
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;

    worker_schedule(worker);
    if (worker->conf->io_uring && !loop_share_calls(&worker->loop) && worker->index == 0)
        log_info("io_uring is not to be had (%s): each read and write is a system call",
                 strerror(errno));
    pools_warm(&worker->pools, &pg_server_kind);
    redis_pools_warm(&worker->pools);
    loop_run(&worker->loop);
    return NULL;
}

static void worker_init(struct worker *worker, struct process *process, unsigned index,
                        const struct conf *conf, const struct tls *tls, const struct access *access)
{
    worker->index = index;
    worker->process = process;
    worker->conf = conf_hold(conf);
    worker->tls = tls_hold(tls);
    worker->access = access_hold(access);
    loop_init(&worker->loop);
    mailbox_init(&worker->mailbox, &worker->loop, worker);
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        list_init(&worker->clients[kind]);
    list_init(&worker->redis_clients);
    list_init(&worker->peers);
    list_init(&worker->redis_unflushed);
    list_init(&worker->timings.by_use);
    worker->drained.deliver = drained_delivered;
    worker->pools.loop = &worker->loop;
    worker->pools.mailbox = &worker->mailbox;
    worker->pools.worker = index;
    worker->pools.registry = &process->registry;
    worker->pools.resolver = process->resolver;
    worker->pools.conf = worker->conf;
    worker->pools.tls = worker->tls;
    worker->pools.emptied = worker_emptied;
    pools_init(&worker->pools);
    process->registry.workers[index] = &worker->pools;
}

void workers_start(struct process *process, const struct conf *conf, const struct tls *tls,
                   const struct access *access)
{
    unsigned count = process->registry.worker_count;
    sigset_t all, before;

    process->workers = memory_new(count * sizeof(process->workers[0]));
    for (unsigned i = 0; i < count; i++)
        worker_init(&process->workers[i], process, i, conf, tls, access);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < count; i++)
        ensure(pthread_create(&process->workers[i].thread, NULL, worker_run,
                              &process->workers[i]) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void worker_close_clients(struct worker *worker)
{
    struct list_node *first;

    while ((first = list_first(&worker->redis_clients)))
        redis_client_close(container_of(first, struct redis_client, node), "shutting down");
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++) {
        struct list_node *node;

        while ((node = list_first(&worker->clients[kind])))
            pg_client_close_failed(container_of(node, struct pg_client, node),
                                   pg_error_row(PG_ERROR_ADMIN_SHUTDOWN));
    }
}

/* Closes what the worker still has, and takes the mails that came too late. Returns how many. */
static size_t worker_close(struct worker *worker)
{
    size_t mails;

    worker->draining = false;
    mails = mailbox_drain(&worker->mailbox);
    worker_close_clients(worker);
    redis_shared_abandon(&worker->pools, NULL);
    pg_multiplex_abandon(&worker->pools, NULL);
    pg_peers_end(worker);
    pools_close(&worker->pools);
    pg_cancels_end(&worker->pools);
    /* What helpers had sent just before nobody waited for it any more. */
    return mails + mailbox_drain(&worker->mailbox);
}

static void worker_fini(struct worker *worker)
{
    pools_fini(&worker->pools);
    verifier_cache_clear(worker);
    statement_timings_fini(&worker->timings);
    free(worker->slots);
    mailbox_fini(&worker->mailbox);
    loop_fini(&worker->loop);
    conf_drop(worker->conf);
    tls_drop(worker->tls);
    access_drop(worker->access);
}

void workers_join(struct process *process)
{
    size_t mails;

    for (unsigned i = 0; i < process->registry.worker_count; i++)
        pthread_join(process->workers[i].thread, NULL);
    /* The threads have ended: the main thread cleans up for them. What one worker closes may send
     * mail to another one. */
    do {
        mails = mailbox_drain(process->main_mailbox);
        for (unsigned i = 0; i < process->registry.worker_count; i++)
            mails += worker_close(&process->workers[i]);
    } while (mails > 0);
    helpers_end(US_PER_S / 2);
    for (unsigned i = 0; i < process->registry.worker_count; i++)
        worker_fini(&process->workers[i]);
    free(process->workers);
}

static void configure_delivered(struct mail *mail, void *receiver)
{
    struct order *order = container_of(mail, struct order, mail);
    struct worker *worker = receiver;
    const struct conf *before = worker->conf;
    const struct tls *tls_before = worker->tls;
    const struct access *access_before = worker->access;

    worker->conf = order->conf;
    worker->tls = order->tls;
    worker->access = order->access;
    verifier_cache_clear(worker);
    pools_configure(&worker->pools, worker->conf, worker->tls);
    pools_warm(&worker->pools, &pg_server_kind);
    redis_pools_warm(&worker->pools);
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        LIST_EACH_SAFE (&worker->clients[kind], node, next)
            pg_client_watch(container_of(node, struct pg_client, node));
    pg_replies_close_replaced(worker);
    conf_drop(before);
    tls_drop(tls_before);
    access_drop(access_before);
    free(order);
}

static void pause_delivered(struct mail *mail, void *receiver)
{
    struct order *order = container_of(mail, struct order, mail);

    pools_pause(&((struct worker *)receiver)->pools, order->on);
    free(order);
}

static void drain_delivered(struct mail *mail, void *receiver)
{
    struct order *order = container_of(mail, struct order, mail);
    struct worker *worker = receiver;

    worker->draining = true;
    worker->wait_for_clients = order->on;
    if (!worker->wait_for_clients)
        pools_pause(&worker->pools, true);
    worker_tell_drained(worker);
    free(order);
}

static void stop_delivered(struct mail *mail, void *receiver)
{
    struct worker *worker = receiver;

    loop_stop(&worker->loop);
    free(container_of(mail, struct order, mail));
}

static void workers_order(struct process *process,
                          void (*deliver)(struct mail *mail, void *receiver),
                          const struct conf *conf, const struct tls *tls,
                          const struct access *access, bool on)
{
    for (unsigned i = 0; i < process->registry.worker_count; i++) {
        struct order *order = memory_new(sizeof(*order));

        order->mail.deliver = deliver;
        order->conf = conf ? conf_hold(conf) : NULL;
        order->tls = tls_hold(tls);
        order->access = access_hold(access);
        order->on = on;
        mailbox_send(&process->workers[i].mailbox, &order->mail);
    }
}

void workers_configure(struct process *process, const struct conf *conf, const struct tls *tls,
                       const struct access *access)
{
    workers_order(process, configure_delivered, conf, tls, access, false);
}

void workers_pause(struct process *process, bool paused)
{
    workers_order(process, pause_delivered, NULL, NULL, NULL, paused);
}

void workers_drain(struct process *process, bool wait_for_clients)
{
    atomic_store(&process->refusing, true);
    workers_order(process, drain_delivered, NULL, NULL, NULL, wait_for_clients);
}

void workers_stop(struct process *process)
{
    atomic_store(&process->refusing, true);
    workers_order(process, stop_delivered, NULL, NULL, NULL, false);
}

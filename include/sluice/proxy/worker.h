/* worker: one thread with an event loop, its clients and its parts of the pools. Everything in it
 * belongs to its thread but for `mailbox`, through which others speak to it, and the counters. */
#ifndef SLUICE_PROXY_WORKER_H
#define SLUICE_PROXY_WORKER_H

#include <pthread.h>

#include "sluice/net/tls.h"
#include "sluice/pool/pool.h"
#include "sluice/pool/statement.h"
#include "sluice/proxy/statement_timings.h"

struct console_client;
struct access;
struct pg_client;
struct cancel_slot;
struct verifier_cache;

/* What all workers of the process share; made by the main thread before they start. */
struct process {
    struct registry registry;
    struct resolver *resolver;
    struct auth_key auth_key;
    struct mailbox *main_mailbox;
    struct worker *workers; /* registry.worker_count of them */
    /* main thread: told by mail that a worker is done with draining (struct worker, drained). */
    void (*worker_drained)(struct worker *worker);
    /* main thread: is handed a client that has logged in to the console; takes it over. */
    void (*console_client)(struct process *process, struct console_client *client);
    /* main thread: a cancel request with the key of a client of the console. */
    void (*console_cancel)(struct process *process, uint32_t process_id, uint32_t secret);
    _Atomic bool refusing; /* shutting down: no new clients */
};

/* Where clients are kept by what they do, as SHOW LISTS counts them. */
enum worker_clients { CLIENTS_LOGIN, CLIENTS_IDLE, CLIENTS_WAITING, CLIENTS_ACTIVE, CLIENTS_KINDS };

struct worker {
    unsigned index;
    pthread_t thread;
    struct process *process;
    struct loop loop;
    struct mailbox mailbox;
    struct pools pools;
    struct statements statements;       /* what its clients have prepared */
    const struct conf *conf;            /* held */
    const struct tls *tls;              /* held */
    const struct access *access;        /* held */
    struct list clients[CLIENTS_KINDS]; /* struct pg_client */
    struct list redis_clients;          /* struct redis_client */
    struct list redis_unflushed;        /* those who got replies in this read */
    struct list peers;                  /* cancel requests on their way to a peer */
    const struct pool_failure *refusal; /* why the client now read could not join the queue */
    bool watch_due;                     /* a deadline of the client now read may have come nearer */
    struct cancel_slot *slots;          /* by the slot in a cancel key */
    uint32_t slot_count, slot_free;     /* 0 = none is free */
    struct statement_timings timings;
    struct verifier_cache *verifiers; /* SCRAM verifiers of plain secrets, by user */
    _Atomic uint32_t client_count;    /* any thread reads: where main sends the next client */
    bool draining;                    /* shutting down: main is told when this worker is done */
    bool wait_for_clients;
    struct mail drained; /* to main */
    bool drained_sent;
};

/* main thread: starts and joins the threads. conf, tls and access are held by each. */
void workers_start(struct process *process, const struct conf *conf, const struct tls *tls,
                   const struct access *access);
void workers_join(struct process *process);

/* main thread: hands a new connection to a worker. */
void worker_give_client(struct worker *worker, int fd, const struct address *from);

/* The same for a client of a line of [redis], which is copied. */
void worker_give_redis_client(struct worker *worker, int fd, const struct address *from,
                              const char *line);

/* Orders of the main thread; each worker carries them out on its own turn. */
void workers_configure(struct process *process, const struct conf *conf, const struct tls *tls,
                       const struct access *access);
void workers_pause(struct process *process, bool paused);

/* Shutting down: no new clients; main is told when each worker is done. With wait_for_clients that
 * is when its last client has left; else nothing more is lent, and it is when all servers are free.
 */
void workers_drain(struct process *process, bool wait_for_clients);
void workers_stop(struct process *process);

/* Called by clients when one has gone: tells main when the last one has. */
void worker_client_gone(struct worker *worker);

#endif

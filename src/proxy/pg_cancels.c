/* Cancel requests of clients: our own keys, which name worker and client, so that a request reaches
 * only the statement of the client that asked. The one who asks is answered (by the end of its
 * connection) when the request can do nothing any more. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pg_cancels.h"
#include "pg_client.h"
#include "pg_lookups.h"
#include "pg_loss.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"

#define WORKER_BITS 6 /* WORKERS_MAX workers; the rest of the process id is the slot */

struct cancel_slot {
    /* The client; while free, the next free slot with the lowest bit set. */
    uintptr_t content;
};

#define FREE_BIT 1u

static struct pg_client *slot_client(const struct cancel_slot *slot)
{
    return slot->content & FREE_BIT ? NULL : (struct pg_client *)slot->content;
}

static struct cancel_slot slot_free(uint32_t next_free)
{
    return (struct cancel_slot){(uintptr_t)next_free << 1 | FREE_BIT};
}

/* A request on its way to the worker of the client that is meant, and back. */
struct cancel_request {
    struct mail mail;
    struct pg_cancel_notice notice;
    struct worker *origin;
    struct pg_client *canceller; /* NULL when it has gone meanwhile; the origin's */
    uint32_t process_id, secret;
};

void pg_cancels_slot_take(struct pg_client *client)
{
    struct worker *worker = client->worker;

    if (worker->slot_free == 0) {
        uint32_t count = worker->slot_count ? worker->slot_count * 2 : 1024;

        ensure(count < 1u << (31 - WORKER_BITS));
        worker->slots = memory_resize(worker->slots, count * sizeof(worker->slots[0]));
        /* Slot 0 is never given out: it ends the chain of free ones. */
        for (uint32_t slot = count; slot-- > (worker->slot_count ? worker->slot_count : 1);) {
            worker->slots[slot] = slot_free(worker->slot_free);
            worker->slot_free = slot;
        }
        worker->slot_count = count;
    }
    client->slot = worker->slot_free;
    worker->slot_free = (uint32_t)(worker->slots[client->slot].content >> 1);
    worker->slots[client->slot].content = (uintptr_t)client;
    ensure(secret_random(&client->secret, sizeof(client->secret)));
}

void pg_cancels_slot_give(struct pg_client *client)
{
    struct worker *worker = client->worker;

    if (client->state == PG_CLIENT_CANCELLING)
        client->cancelling->canceller = NULL;
    if (client->slot == 0)
        return;
    worker->slots[client->slot] = slot_free(worker->slot_free);
    worker->slot_free = client->slot;
    client->slot = 0;
}

uint32_t pg_cancels_process_id(const struct pg_client *client)
{
    return client->slot << WORKER_BITS | client->worker->index;
}

/* Back on the canceller's worker. */
static void cancel_returned(struct mail *mail, void *receiver)
{
    struct cancel_request *request = container_of(mail, struct cancel_request, mail);

    if (request->canceller)
        pg_client_close(request->canceller, NULL);
    free(request);
}

static void cancel_over(struct pg_cancel_notice *notice)
{
    struct cancel_request *request = container_of(notice, struct cancel_request, notice);

    request->mail.deliver = cancel_returned;
    mailbox_send(&request->origin->mailbox, &request->mail);
}

static struct pg_client *cancel_target(const struct worker *worker,
                                       const struct cancel_request *request)
{
    uint32_t slot = request->process_id >> WORKER_BITS;
    struct pg_client *client =
        slot > 0 && slot < worker->slot_count ? slot_client(&worker->slots[slot]) : NULL;

    if (!client || !secret_equal(&client->secret, &request->secret, sizeof(client->secret)))
        return NULL;
    return client;
}

/* On the worker of the client that is meant. */
static void cancel_delivered(struct mail *mail, void *receiver)
{
    struct cancel_request *request = container_of(mail, struct cancel_request, mail);
    struct pg_client *client = cancel_target(receiver, request);

    if (client && client->state == PG_CLIENT_ACTIVE &&
        !pg_pipeline_idle(&client->server->pipeline)) {
        pg_server_cancel(client->server, &request->notice);
        return;
    }
    if (client && (client->state == PG_CLIENT_WAITING || client->state == PG_CLIENT_ASKED)) {
        counter_add(&client->pool->counters.cancel_count, 1);
        pg_lookups_leave(client);
        pool_unwait(client->pool, &client->waiter);
        pg_loss_refuse(client, pg_error_row(PG_ERROR_CANCELLED));
    }
    cancel_over(&request->notice);
}

/* On the main thread, whose the console is. */
static void console_cancel_delivered(struct mail *mail, void *receiver)
{
    struct cancel_request *request = container_of(mail, struct cancel_request, mail);
    struct process *process = request->origin->process;

    process->console_cancel(process, request->process_id, request->secret);
    cancel_over(&request->notice);
}

void pg_cancels_request(struct pg_client *canceller, uint32_t process_id, uint32_t secret)
{
    struct process *process = canceller->worker->process;
    unsigned worker = process_id & ((1u << WORKER_BITS) - 1);
    bool console = worker >= process->registry.worker_count;
    struct cancel_request *request;

    request = memory_new(sizeof(*request));
    request->origin = canceller->worker;
    request->canceller = canceller;
    request->process_id = process_id;
    request->secret = secret;
    request->notice.over = cancel_over;
    request->mail.deliver = console ? console_cancel_delivered : cancel_delivered;
    canceller->cancelling = request;
    pg_client_move(canceller, PG_CLIENT_CANCELLING);
    mailbox_send(console ? process->main_mailbox : &process->workers[worker].mailbox,
                 &request->mail);
}

void pg_cancels_run(struct pg_client *canceller)
{
    ssize_t got =
        stream_read(&canceller->stream, canceller->worker->loop.scratch, LOOP_SCRATCH_BYTES);

    if (got < 0)
        pg_client_close(canceller, NULL);
    else if (got > 0)
        stream_again(&canceller->stream);
}

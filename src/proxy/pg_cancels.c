#include "pg_cancels.h"

#include <stdlib.h>
#include <string.h>

#include "pg_client.h"
#include "pg_lookups.h"
#include "pg_loss.h"
#include "pg_multiplex.h"
#include "pg_peers.h"
#include "sluice/auth/digest.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/proxy/console_client.h"
#include "sluice/wire/pg.h"

/* A process id: worker, slot, random bits; the highest is 0, since many take it for a number. */
#define WORKER_BITS 6
#define SLOT_BITS 20
#define RANDOM_SHIFT (WORKER_BITS + SLOT_BITS)
#define SLOTS_MAX (1u << SLOT_BITS)
/* A secret, where there are peers: the number of the process is in its highest bits. */
#define PEER_SHIFT 18

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

struct cancel_key {
    uint32_t process_id, secret;
    uint8_t rest[PG_CANCEL_REST_BYTES];
    bool longer; /* rest is there */
};

/* A request on its way to the worker of the client that is meant, and back. */
struct cancel_request {
    struct mail mail;
    struct pg_cancel_notice notice;
    struct pg_peers_notice peers_notice;
    struct worker *origin;
    struct pg_client *canceller; /* NULL when it has gone meanwhile; the origin's */
    struct cancel_key key;
};

static uint32_t slot_of(uint32_t process_id)
{
    return process_id >> WORKER_BITS & (SLOTS_MAX - 1);
}

static void slots_grow(struct worker *worker)
{
    uint32_t count = worker->slot_count ? worker->slot_count * 2 : 1024;

    if (count > SLOTS_MAX)
        return;
    worker->slots = memory_resize(worker->slots, count * sizeof(worker->slots[0]));
    /* Slot 0 is never given out: it ends the chain of free ones. */
    for (uint32_t slot = count; slot-- > (worker->slot_count ? worker->slot_count : 1);) {
        worker->slots[slot] = slot_free(worker->slot_free);
        worker->slot_free = slot;
    }
    worker->slot_count = count;
}

/* What follows the short secret: the process' own key, hashed with the rest of the client's. */
static void key_rest(const struct process *process, uint32_t process_id, uint32_t secret,
                     uint8_t rest[PG_CANCEL_REST_BYTES])
{
    uint8_t text[sizeof(process->auth_key.bytes) + 8], digest[DIGEST_BYTES];

    memcpy(text, process->auth_key.bytes, sizeof(process->auth_key.bytes));
    pg_put_u32(text + sizeof(process->auth_key.bytes), process_id);
    pg_put_u32(text + sizeof(process->auth_key.bytes) + 4, secret);
    digest_of(text, sizeof(text), digest);
    memcpy(rest, digest, PG_CANCEL_REST_BYTES);
    secret_wipe(text, sizeof(text));
}

void pg_cancels_slot_take(struct pg_client *client, struct pg_writer *writer)
{
    struct worker *worker = client->worker;
    int64_t peer = worker->conf->peer_id;
    uint8_t rest[PG_CANCEL_REST_BYTES];
    uint32_t random[2], slot;

    if (worker->slot_free == 0)
        slots_grow(worker);
    /* With a million clients on one worker further ones get slot 0, which cancels nothing. */
    slot = worker->slot_free;
    if (slot > 0) {
        worker->slot_free = (uint32_t)(worker->slots[slot].content >> 1);
        worker->slots[slot].content = (uintptr_t)client;
    }
    ensure(secret_random(random, sizeof(random)));
    client->process_id =
        (random[0] << RANDOM_SHIFT | slot << WORKER_BITS | worker->index) & INT32_MAX;
    client->secret = random[1];
    if (peer > 0)
        client->secret = (uint32_t)peer << PEER_SHIFT | random[1] >> (32 - PEER_SHIFT);
    pg_begin(writer, PG_BACKEND_KEY);
    pg_write_u32(writer, client->process_id);
    pg_write_u32(writer, client->secret);
    if (client->long_key) {
        key_rest(worker->process, client->process_id, client->secret, rest);
        pg_write_bytes(writer, rest, sizeof(rest));
    }
    pg_end(writer);
}

void pg_cancels_slot_give(struct pg_client *client)
{
    struct worker *worker = client->worker;
    uint32_t slot = slot_of(client->process_id);

    if (client->state == PG_CLIENT_CANCELLING)
        client->cancelling->canceller = NULL;
    if (slot == 0)
        return;
    worker->slots[slot] = slot_free(worker->slot_free);
    worker->slot_free = slot;
    client->process_id = 0;
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

static struct pg_client *cancel_target(const struct worker *worker, const struct cancel_key *key)
{
    uint32_t slot = slot_of(key->process_id);
    struct pg_client *client =
        slot > 0 && slot < worker->slot_count ? slot_client(&worker->slots[slot]) : NULL;
    uint8_t rest[PG_CANCEL_REST_BYTES];

    if (!client || client->process_id != key->process_id || client->long_key != key->longer ||
        !secret_equal(&client->secret, &key->secret, sizeof(client->secret)))
        return NULL;
    if (!client->long_key)
        return client;
    key_rest(worker->process, client->process_id, client->secret, rest);
    return secret_equal(rest, key->rest, sizeof(rest)) ? client : NULL;
}

/* On the worker of the client that is meant. */
static void cancel_delivered(struct mail *mail, void *receiver)
{
    struct cancel_request *request = container_of(mail, struct cancel_request, mail);
    struct pg_client *client = cancel_target(receiver, &request->key);

    if (client && client->state == PG_CLIENT_ACTIVE &&
        !pg_pipeline_idle(&client->server->pipeline)) {
        pg_server_cancel(client->server, &request->notice);
        return;
    }
    if (client && client->state == PG_CLIENT_SHARING &&
        pg_multiplex_cancel(client, &request->notice))
        return;
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

    process->console_cancel(process, request->key.process_id, request->key.secret);
    cancel_over(&request->notice);
}

/* At the peer, or given up; on the canceller's worker. */
static void cancel_forwarded(struct pg_peers_notice *notice)
{
    cancel_returned(&container_of(notice, struct cancel_request, peers_notice)->mail, NULL);
}

/* Reads a CancelRequest. False: its length is none of ours. */
static bool key_read(struct cancel_key *key, const uint8_t *request, size_t bytes, bool *forwarded)
{
    size_t rest = bytes >= 16 ? bytes - 16 : SIZE_MAX;

    *forwarded = rest == 1 || rest == PG_CANCEL_REST_BYTES + 1;
    key->longer = rest - *forwarded == PG_CANCEL_REST_BYTES;
    if (rest != (key->longer ? PG_CANCEL_REST_BYTES : 0) + *forwarded)
        return false;
    key->process_id = pg_u32(request + 8);
    key->secret = pg_u32(request + 12);
    if (key->longer)
        memcpy(key->rest, request + 16, PG_CANCEL_REST_BYTES);
    return true;
}

/* Whose client is meant, if it is a peer's. A request goes on once at most: two processes that take
 * each other for a third one do not play ball with it. */
static const struct conf_peer *key_peer(const struct conf *conf, const struct cancel_key *key,
                                        bool forwarded)
{
    unsigned id = key->secret >> PEER_SHIFT;

    return conf->peer_id > 0 && id != (unsigned)conf->peer_id && !forwarded
               ? conf_find_peer(conf, id)
               : NULL;
}

void pg_cancels_request(struct pg_client *canceller, const uint8_t *bytes, size_t length)
{
    struct worker *worker = canceller->worker;
    struct process *process = worker->process;
    struct cancel_request *request;
    const struct conf_peer *peer;
    struct cancel_key key;
    bool forwarded, console;
    unsigned index;

    if (!key_read(&key, bytes, length, &forwarded)) {
        pg_client_close(canceller, "invalid length of cancel request");
        return;
    }
    index = key.process_id & ((1u << WORKER_BITS) - 1);
    /* The console's keys have no number of a process. */
    console = index == PG_CANCEL_CONSOLE && slot_of(key.process_id) == 0;
    peer = console ? NULL : key_peer(worker->conf, &key, forwarded);
    console |= !peer && index >= process->registry.worker_count;
    request = memory_new(sizeof(*request));
    request->origin = worker;
    request->canceller = canceller;
    request->key = key;
    request->notice.over = cancel_over;
    request->peers_notice.over = cancel_forwarded;
    request->mail.deliver = console ? console_cancel_delivered : cancel_delivered;
    canceller->cancelling = request;
    pg_client_move(canceller, PG_CLIENT_CANCELLING);
    if (!peer) {
        mailbox_send(console ? process->main_mailbox : &process->workers[index].mailbox,
                     &request->mail);
    } else {
        uint8_t onward[PG_CANCEL_REQUEST_BYTES] = {0};

        memcpy(onward, bytes, length);
        pg_put_u32(onward, (uint32_t)length + 1);
        if (!pg_peers_send(worker, peer, onward, length + 1, &request->peers_notice))
            cancel_returned(&request->mail, NULL);
    }
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

/* Shared connections: each pool's part has one at a time, which carries the commands of all its
 * clients. What they send in one turn of the loop is gathered and goes out in one system call at
 * its end; replies go back in the order in which the commands went. When the connection is to be
 * given up (its time is over, somebody else waits for it, WAIT holds it) it takes nothing more, and
 * the next one takes over; a client with replies due from the old one waits for them first. */
#include <stdlib.h>
#include <string.h>

#include "redis_batch.h"
#include "redis_lease.h"
#include "redis_shared.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pools_orders.h"

/* Commands gathered, or on their way, beyond which clients have to wait. */
#define UNSENT_BYTES_MAX (1024u * 1024u)
#define OWED_MAX 65536u
/* Beyond so many bytes that the server has not taken, nothing more is sent to it. */
#define SERVER_PENDING_MAX (256u * 1024u)
/* Commands, and bytes of them, that wait for no more (max_delay). */
#define DELAYED_MAX 256u
#define DELAYED_BYTES_MAX (16u * 1024u)
#define PAUSE_LOOK_US (50 * US_PER_MS)

/* ---- CLIENT PAUSE: what it holds back must not get in front of others' commands ---- */

static uint64_t pause_until_us(const struct redis_shared *shared)
{
    return atomic_load_explicit(&shared->pool->totals->database_usage->paused_until_us,
                                memory_order_relaxed);
}

static bool pause_holds(struct redis_shared *shared, const struct redis_call *call)
{
    struct usage *usage = shared->pool->totals->database_usage;
    uint64_t until_us = pause_until_us(shared), now_us;

    if (until_us == 0)
        return false;
    now_us = loop_now_us(redis_shared_loop(shared));
    if (until_us <= now_us ||
        (!atomic_load(&usage->paused_all) && !(call->flags & (REDIS_WRITE | REDIS_MAY_REPLICATE)) &&
         call->class != REDIS_CLASS_BLOCK))
        return false;
    /* Another worker may end it. */
    timer_set_by(redis_shared_loop(shared), &shared->timer,
                 until_us < now_us + PAUSE_LOOK_US ? until_us : now_us + PAUSE_LOOK_US);
    return true;
}

/* ---- from clients ---- */

static bool shared_has_room(const struct redis_shared *shared, size_t length)
{
    uint32_t owed = shared->unsent_owed.length + (shared->server ? shared->server->owed.length : 0);

    return buffer_length(&shared->unsent) == 0 ||
           (buffer_length(&shared->unsent) + length <= UNSENT_BYTES_MAX && owed < OWED_MAX);
}

/* False when the client has to wait; *verdict says how. */
static bool shared_takes(struct redis_client *client, const struct redis_input *input,
                         enum redis_verdict *verdict)
{
    struct redis_shared *shared = client->pool->shared;

    if (client->inflight > 0 && (client->epoch != shared->epoch || client->batched)) {
        *verdict = REDIS_VERDICT_HOLD;
        return false;
    }
    if (shared_has_room(shared, input->length) && !pause_holds(shared, &input->call))
        return true;
    *verdict = REDIS_VERDICT_STAY;
    redis_client_move(client, REDIS_CLIENT_STALLED);
    list_push_back(&shared->stalled, &client->stalled);
    return false;
}

static struct redis_owed *shared_owe(struct redis_client *client,
                                     const struct redis_command *command, size_t bytes,
                                     enum redis_action action)
{
    struct redis_shared *shared = client->pool->shared;
    struct redis_owed *owed = redis_owed_push(&shared->unsent_owed);

    *owed = (struct redis_owed){.client = client,
                                .command = command,
                                .since_us = loop_now_us(redis_shared_loop(shared)),
                                .bytes = (uint32_t)bytes,
                                .action = (uint8_t)action};
    client->inflight++;
    client->epoch = shared->epoch;
    return owed;
}

static void shared_gather(struct redis_client *client, const void *bytes, size_t length)
{
    struct redis_shared *shared = client->pool->shared;

    buffer_append(&shared->unsent, &redis_shared_loop(shared)->buffers, bytes, length);
    loop_defer(redis_shared_loop(shared), &shared->flush);
}

enum redis_verdict redis_shared_push(struct redis_client *client, struct redis_input *input)
{
    struct redis_shared *shared = client->pool->shared;
    struct redis_owed *owed;
    enum redis_verdict verdict;

    if (!shared_takes(client, input, &verdict))
        return verdict;
    owed = shared_owe(client, input->call.command, input->length, redis_client_action(client));
    owed->batch = (uint8_t)redis_batch_kind(shared, input);
    shared->joinable += owed->batch != REDIS_BATCH_NONE;
    shared_gather(client, input->bytes, input->length);
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_shared_push_block(struct redis_client *client, struct redis_input *input,
                                           uint32_t count, size_t length)
{
    enum redis_verdict verdict;
    struct resp_request_parser parser;
    size_t at = 0;

    if (!shared_takes(client, input, &verdict))
        return verdict;
    resp_request_parser_init(&parser, false);
    while (count-- > 0) {
        struct resp_request request;
        struct redis_owed *owed;

        ensure(resp_request_next(&parser, input->bytes + at, length - at, &request) ==
               RESP_REQUEST_WHOLE);
        owed = shared_owe(client, redis_command_classify(input->bytes + at, &request).command,
                          request.bytes, REDIS_PASS);
        owed->bound = at > 0;
        at += request.bytes;
    }
    shared_gather(client, input->bytes, length);
    input->request.bytes = length;
    return REDIS_VERDICT_DONE;
}

bool redis_shared_wait_abandoned(struct redis_server *redis)
{
    /* A reply that has begun is about to end, or its connection to be given up by who looks at it.
     */
    if (!redis->waiting || redis->begun || redis->owed.length != 1 ||
        redis_owed_at(&redis->owed, 0)->client)
        return false;
    redis->base.holder = NULL;
    server_close(&redis->base, "its client left while it was in use");
    return true;
}

void redis_shared_forget(struct redis_client *client)
{
    struct redis_shared *shared = client->pool->shared;

    if (list_node_linked(&client->stalled))
        list_remove(&shared->stalled, &client->stalled);
    if (client->inflight == 0)
        return;
    client->inflight -= redis_owed_forget(&shared->unsent_owed, client, client->inflight);
    LIST_EACH_SAFE (&shared->pool->servers[SERVER_SHARED], node, next) {
        struct redis_server *redis = redis_server_of(container_of(node, struct server, node));

        client->inflight -= redis_owed_forget(&redis->owed, client, client->inflight);
        /* Not now: this client may be going while that server's replies are walked. */
        if (redis->waiting)
            stream_again(&redis->base.stream);
    }
    ensure(client->inflight == 0);
}

/* There may be room again. */
void redis_shared_resume_stalled(struct redis_shared *shared)
{
    struct list_node *node;

    if (pause_until_us(shared) > loop_now_us(redis_shared_loop(shared)))
        return; /* the timer will look again */
    while (shared_has_room(shared, 0) && (node = list_pop_front(&shared->stalled))) {
        struct redis_client *client = container_of(node, struct redis_client, stalled);

        redis_client_move(client, REDIS_CLIENT_READY);
        redis_client_resume(client);
    }
}

/* ---- connections come and go ---- */

static void shared_fail_unsent(struct redis_shared *shared, const struct pool_failure *failure)
{
    uint8_t text[REDIS_ERROR_BYTES];
    size_t length = redis_failure_text(failure, text);
    struct worker *worker = container_of(redis_shared_pools(shared), struct worker, pools);

    buffer_clear(&shared->unsent, &redis_shared_loop(shared)->buffers);
    shared->joinable = 0;
    redis_replies_fail(&shared->unsent_owed, shared->unsent_owed.length, text, length);
    redis_replies_flush(worker);
    redis_shared_resume_stalled(shared);
}

static void shared_attach(struct redis_shared *shared, struct server *server)
{
    struct redis_server *redis = redis_server_of(server);

    ensure(redis->owed.length == 0 && buffer_length(&redis->asked) == 0 && !shared->server);
    server_move(server, SERVER_SHARED);
    server->holder = shared;
    server->holder_ready = redis_replies_ready;
    server->holder_overdue = redis_replies_overdue;
    server->holder_due_us = UINT64_MAX;
    redis->retiring = redis->waiting = false;
    redis->progress_us = loop_now_us(redis_shared_loop(shared));
    shared->limited = redis->noauth;
    shared->server = redis;
}

/* The server takes no new commands. */
void redis_shared_detach(struct redis_shared *shared)
{
    shared->server = NULL;
    shared->epoch++;
}

void redis_shared_end(struct redis_server *redis)
{
    struct redis_shared *shared = redis->base.holder;

    if (shared->server == redis)
        redis_shared_detach(shared);
    redis->retiring = redis->waiting = false;
    redis->base.holder = NULL;
    redis->base.holder_ready = NULL;
    redis->base.holder_overdue = NULL;
    server_ready(&redis->base);
}

static void shared_granted(struct waiter *waiter, struct server *server)
{
    struct redis_shared *shared = container_of(waiter, struct redis_shared, waiter);

    shared_attach(shared, server);
    loop_defer(redis_shared_loop(shared), &shared->flush);
}

static void shared_refused(struct waiter *waiter, const struct pool_failure *failure)
{
    shared_fail_unsent(container_of(waiter, struct redis_shared, waiter), failure);
}

static const struct waiter_kind shared_waiter = {.granted = shared_granted,
                                                 .refused = shared_refused};

/* Gets a connection, now or by waiting for it. False: not now. */
static bool shared_connect(struct redis_shared *shared)
{
    const struct pool_failure *failure;
    struct server *server;

    if (list_node_linked(&shared->waiter.node))
        return false;
    server = pool_take(shared->pool, NULL);
    if (server) {
        shared_attach(shared, server);
        return true;
    }
    shared->waiter.priority = shared->pool->settings.priority;
    if (!pool_wait(shared->pool, &shared->waiter, &failure))
        shared_fail_unsent(shared, failure);
    else if (shared->pool->settings.query_wait_timeout_us)
        timer_set_by(redis_shared_loop(shared), &shared->timer,
                     loop_now_us(redis_shared_loop(shared)) +
                         shared->pool->settings.query_wait_timeout_us);
    return false;
}

static void shared_waited(struct timer *timer)
{
    static const struct pool_failure too_long = {
        .sqlstate = "REDIS",
        .message = "ERR wait timeout: no server connection became free in time",
    };
    struct redis_shared *shared = container_of(timer, struct redis_shared, timer);
    uint64_t limit_us = shared->pool->settings.query_wait_timeout_us;
    uint64_t paused_us = pause_until_us(shared), now_us = loop_now_us(redis_shared_loop(shared));

    if (list_contains_any(&shared->stalled) && paused_us > now_us)
        timer_set_by(redis_shared_loop(shared), timer,
                     paused_us < now_us + PAUSE_LOOK_US ? paused_us : now_us + PAUSE_LOOK_US);
    redis_shared_resume_stalled(shared);
    if (!list_node_linked(&shared->waiter.node) || !limit_us)
        return;
    if (shared->waiter.since_us + limit_us > loop_now_us(redis_shared_loop(shared))) {
        timer_set_by(redis_shared_loop(shared), timer, shared->waiter.since_us + limit_us);
        return;
    }
    counter_add(&shared->pool->counters.wait_timeouts, 1);
    pool_unwait(shared->pool, &shared->waiter);
    shared_fail_unsent(shared, &too_long);
}

/* What is about to go out has waited for others, where that is wanted. */
static void shared_measure_delays(const struct redis_shared *shared)
{
    const struct conf_redis *conf = shared->pool->redis;
    uint64_t now_us;

    if (!conf || (conf->max_delay_us == 0 && !conf->batch_keys))
        return;
    now_us = loop_now_us(redis_shared_loop(shared));
    for (uint32_t i = 0; i < shared->unsent_owed.length; i++)
        latency_add(&shared->pool->latencies, LATENCY_batch_delay,
                    now_us - redis_owed_at(&shared->unsent_owed, i)->since_us);
}

/* Writes what is unsent. False: nothing of it was written, since the connection is lost. */
static bool shared_write(struct redis_shared *shared, struct redis_server *redis)
{
    uint32_t count = shared->unsent_owed.length;
    bool joined = redis_batch_join(shared);
    const struct buffer *bytes = joined ? redis_batch_bytes(shared) : &shared->unsent;

    stream_write(&redis->base.stream, buffer_bytes(bytes), buffer_length(bytes));
    if (redis->base.stream.error) {
        if (joined)
            redis_batch_drop(shared);
        return false; /* it goes elsewhere when the loss is found */
    }
    shared_measure_delays(shared);
    buffer_clear(&shared->unsent, &redis_shared_loop(shared)->buffers);
    shared->joinable = 0;
    shared->last_sent = count;
    if (joined)
        redis_batch_sent(shared, redis);
    else
        redis_owed_move(&redis->owed, &shared->unsent_owed);
    return true;
}

/* True while a question of several keys can grow: until the reply to the last one is there. */
static bool shared_grows(const struct redis_shared *shared, const struct redis_server *redis)
{
    return redis->owed.length > 0 && shared->joinable == shared->unsent_owed.length &&
           shared->joinable < REDIS_BATCH_KEYS_MAX;
}

/* True while commands wait for more of them (max_delay): if the last write carried several, so that
 * one client that asks again and again waits for nobody. */
static bool shared_delays(struct redis_shared *shared)
{
    const struct conf_redis *conf = shared->pool->redis;
    uint64_t due_us;

    if (!conf || conf->max_delay_us == 0 || shared->last_sent < 2 ||
        shared->unsent_owed.length >= DELAYED_MAX ||
        buffer_length(&shared->unsent) >= DELAYED_BYTES_MAX)
        return false;
    due_us = redis_owed_at(&shared->unsent_owed, 0)->since_us + conf->max_delay_us;
    if (due_us <= loop_now_us(redis_shared_loop(shared)))
        return false;
    timer_set_by(redis_shared_loop(shared), &shared->delay, due_us);
    return true;
}

/* What was gathered goes out. */
static void shared_send(struct redis_shared *shared, bool may_grow)
{
    struct redis_server *redis = shared->server;
    uint64_t timeout_us = shared->pool->settings.query_timeout_us;

    if (redis && (redis->retiring || redis->base.close_needed || pool_stopped(shared->pool))) {
        redis_shared_detach(shared);
        if (redis->owed.length == 0)
            redis_shared_end(redis);
        redis = NULL;
    }
    if (buffer_length(&shared->unsent) == 0) {
        if (redis && redis->owed.length == 0)
            redis_shared_end(redis);
        return;
    }
    if (!redis) {
        if (!shared_connect(shared))
            return;
        redis = shared->server;
    }
    if (stream_pending(&redis->base.stream) > SERVER_PENDING_MAX || redis->base.stream.error)
        return; /* goes on when the server has taken that, or is found to be lost */
    if (may_grow && (shared_grows(shared, redis) || shared_delays(shared)))
        return;
    if (redis->owed.length == 0)
        redis->progress_us = loop_now_us(redis_shared_loop(shared));
    if (!shared_write(shared, redis))
        return;
    if (timeout_us && redis->base.holder_due_us == UINT64_MAX && redis->owed.length > 0) {
        redis->base.holder_due_us = redis_owed_at(&redis->owed, 0)->since_us + timeout_us;
        server_watch(&redis->base);
    }
    redis_shared_resume_stalled(shared);
}

/* At the end of the turn. */
static void shared_flush(struct task *task)
{
    shared_send(container_of(task, struct redis_shared, flush), true);
}

static void shared_delayed(struct timer *timer)
{
    struct redis_shared *shared = container_of(timer, struct redis_shared, delay);

    loop_defer(redis_shared_loop(shared), &shared->flush);
}

/* The connection that carried the client's last write, if it is still there for all. */
static struct redis_server *server_of_last_write(const struct redis_client *client)
{
    static const enum server_state where[] = {SERVER_SHARED, SERVER_IDLE};

    for (unsigned i = 0; i < 2; i++)
        LIST_EACH_SAFE (&client->pool->servers[where[i]], node, next) {
            struct server *server = container_of(node, struct server, node);

            if (server->id == client->write_server && !redis_server_of(server)->retiring)
                return redis_server_of(server);
        }
    return NULL;
}

enum redis_verdict redis_shared_push_wait(struct redis_client *client, struct redis_input *input)
{
    struct redis_shared *shared = client->pool->shared;
    struct redis_server *redis, *current;
    enum redis_verdict verdict;

    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    if (!shared_takes(client, input, &verdict))
        return verdict;
    loop_undefer(redis_shared_loop(shared), &shared->flush);
    shared_send(shared, false);
    redis = server_of_last_write(client);
    current = shared->server;
    if (!redis || buffer_length(&shared->unsent) > 0)
        return redis_lease_want(client, true);
    if (redis->base.state == SERVER_IDLE) {
        server_move(&redis->base, SERVER_LEASED);
        shared->server = NULL;
        shared_attach(shared, &redis->base);
        shared->server = current;
    } else if (redis == current) {
        redis_shared_detach(shared);
    }
    shared_owe(client, input->call.command, input->length, redis_client_action(client));
    client->epoch = shared->epoch - 1;
    redis_owed_move(&redis->owed, &shared->unsent_owed);
    stream_write(&redis->base.stream, input->bytes, input->length);
    redis->retiring = redis->waiting = true;
    return REDIS_VERDICT_DONE;
}

static void shared_abandon(struct pool *pool)
{
    static const struct pool_failure nobody = {.sqlstate = "REDIS", .message = "ERR abandoned"};
    struct redis_shared *shared = pool->shared;

    if (!shared)
        return; /* nobody has used it */
    pool_unwait(pool, &shared->waiter);
    shared_fail_unsent(shared, &nobody);
    if (shared->server)
        redis_shared_detach(shared);
    LIST_EACH_SAFE (&pool->servers[SERVER_SHARED], node, next) {
        struct server *server = container_of(node, struct server, node);

        server->holder = NULL;
        server_close(server, "its clients have gone");
    }
}

void redis_shared_abandon(struct pools *pools, const char *name)
{
    struct pool *pool, *following;

    HASH_ITER(hh, pools->by_key, pool, following)
    if (pool->kind == &redis_server_kind && pool_is_named(pool, name))
        shared_abandon(pool);
}

static void shared_free(struct pool *pool)
{
    struct redis_shared *shared = pool->shared;

    ensure(!shared->server && !list_contains_any(&shared->stalled));
    timer_cancel(redis_shared_loop(shared), &shared->timer);
    timer_cancel(redis_shared_loop(shared), &shared->delay);
    loop_undefer(redis_shared_loop(shared), &shared->flush);
    buffer_clear(&shared->unsent, &redis_shared_loop(shared)->buffers);
    redis_owed_fini(&shared->unsent_owed);
    redis_batch_free(shared);
    free(shared);
}

void redis_shared_new(struct pool *pool)
{
    struct redis_shared *shared = memory_new(sizeof(*shared));

    shared->pool = pool;
    shared->flush.run = shared_flush;
    shared->timer.expired = shared_waited;
    shared->delay.expired = shared_delayed;
    shared->waiter.kind = &shared_waiter;
    list_init(&shared->stalled);
    /* One that min_pool_size has opened. */
    LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next)
        shared->limited |= redis_server_of(container_of(node, struct server, node))->noauth;
    pool->shared = shared;
    pool->shared_free = shared_free;
}

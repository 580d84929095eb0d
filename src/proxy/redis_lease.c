/* Connections of a client's own: for an open MULTI, WATCH, subscriptions, blocking commands,
 * scripts and whatever may leave a connection in another state. While a client has one, all that it
 * sends goes there; it is given back, clean, when nothing is owed and nothing keeps it. */
#include <string.h>

#include "redis_lease.h"
#include "redis_local.h"
#include "redis_shared.h"
#include "redis_slow.h"
#include "sluice/base/log.h"

#define READS_PER_TURN 8
/* Beyond so many bytes that the client has not taken, its own server is not read. */
#define CLIENT_PENDING_MAX (128u * 1024u)

static void lease_ready(struct server *server, unsigned what);
static void lease_overdue(struct server *server);

static bool serves_resp3(const struct redis_client *client)
{
    return redis_pool_version(client->server->base.pool) == 3;
}

/* In RESP2 a subscriber may say little else. */
static bool in_subscriber_mode(const struct redis_client *client)
{
    return (client->server->subscribed || client->server->shards) && !serves_resp3(client);
}

/* ---- getting one and giving it back ---- */

static void lease_attach(struct redis_client *client, struct server *server)
{
    struct redis_server *redis = redis_server_of(server);

    ensure(redis->owed.length == 0 && redis->dirt == 0 && !redis_server_kept(redis));
    client->server = redis;
    client->pool->shared->limited = redis->noauth;
    server->holder = client;
    server->holder_ready = lease_ready;
    server->holder_overdue = lease_overdue;
    server->holder_due_us = UINT64_MAX;
    redis->progress_us = loop_now_us(&client->worker->loop);
    redis->begun = false;
    redis_client_move(client, REDIS_CLIENT_LEASED);
}

enum redis_verdict redis_lease_want(struct redis_client *client, bool apart)
{
    struct pool *pool = client->pool;
    const struct pool_failure *failure;
    struct server *server;

    if (client->inflight > 0)
        return REDIS_VERDICT_HOLD;
    if (apart)
        pool = redis_pool_get(&client->worker->pools, pool->database_name, pool->user_name,
                              pool->totals->variant | VARIANT_REDIS_APART);
    if (apart && client->pool->password)
        redis_pool_set_password(pool, client->pool->password);
    client->whole = true;
    server = pool_take(pool, NULL);
    if (server) {
        lease_attach(client, server);
        redis_client_resume(client);
        return REDIS_VERDICT_STAY;
    }
    redis_client_move(client, REDIS_CLIENT_WAITING);
    client->queue = pool;
    client->wants_apart = apart;
    client->waiter.priority = pool->settings.priority;
    if (pool_wait(pool, &client->waiter, &failure)) {
        redis_client_watch(client);
        return REDIS_VERDICT_STAY;
    }
    redis_lease_refused(&client->waiter, failure);
    return REDIS_VERDICT_STAY;
}

static void lease_granted(struct waiter *waiter, struct server *server)
{
    struct redis_client *client = container_of(waiter, struct redis_client, waiter);

    counter_add(&client->pool->counters.wait_time,
                loop_now_us(&client->worker->loop) - waiter->since_us);
    lease_attach(client, server);
    redis_client_resume(client);
}

/* The request at the start of `in` (or of what is being walked) fails: skipped in a later turn,
 * with the error as its reply. */
void redis_lease_refused(struct waiter *waiter, const struct pool_failure *failure)
{
    struct redis_client *client = container_of(waiter, struct redis_client, waiter);

    redis_client_move(client, REDIS_CLIENT_READY);
    client->refusal = failure;
    redis_client_resume(client);
}

const struct waiter_kind redis_lease_waiter = {.granted = lease_granted,
                                               .refused = redis_lease_refused};

/* Nothing keeps the server any more. */
bool redis_lease_over(struct redis_client *client)
{
    struct redis_server *redis = client->server;

    if (redis->owed.length > 0 || redis_server_kept(redis) || client->session)
        return false;
    redis_slow_end(redis);
    client->server = NULL;
    redis->base.holder_overdue = NULL;
    redis_client_move(client, REDIS_CLIENT_READY);
    pool_release(&redis->base);
    return true;
}

void redis_lease_drop(struct redis_client *client)
{
    struct redis_server *redis = client->server;

    redis_slow_end(redis);
    client->server = NULL;
    redis->base.holder_overdue = NULL;
    pool_drain(&redis->base);
}

/* ---- requests ---- */

void redis_lease_pass(struct redis_client *client, const void *bytes, size_t length)
{
    stream_write(&client->server->base.stream, bytes, length);
}

void redis_lease_send(struct redis_client *client, const void *bytes, size_t length,
                      const struct redis_command *command, enum redis_action action)
{
    struct redis_server *redis = client->server;
    uint64_t timeout_us = redis->base.pool->settings.query_timeout_us;
    struct redis_owed *owed;

    if (redis->owed.length == 0)
        redis->progress_us = loop_now_us(&client->worker->loop);
    owed = redis_owed_push(&redis->owed);
    *owed = (struct redis_owed){.client = client,
                                .command = command,
                                .since_us = loop_now_us(&client->worker->loop),
                                .bytes = (uint32_t)length,
                                .action = (uint8_t)action};
    stream_queue(&redis->base.stream, bytes, length);
    if (timeout_us && redis->base.holder_due_us == UINT64_MAX) {
        redis->base.holder_due_us = owed->since_us + timeout_us;
        server_watch(&redis->base);
    }
}

/* WAIT on another connection than that of the client's last write: a server counts from the last
 * command of a connection, since 7.2 from the last that it replicated. This is one that nobody
 * notices. */
static void lease_catch_up(struct redis_client *client)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    static const char spublish[] = "*3\r\n$8\r\nSPUBLISH\r\n$11\r\nsluice:wait\r\n$0\r\n\r\n";

    redis_lease_send(client, ping, sizeof(ping) - 1, redis_command_find("ping", 4), REDIS_DROP);
    redis_lease_send(client, spublish, sizeof(spublish) - 1, redis_command_find("spublish", 8),
                     REDIS_DROP);
}

/* Sends the request as it is, or the part of it that is here. */
static enum redis_verdict lease_forward(struct redis_client *client, struct redis_input *input,
                                        enum redis_action action)
{
    struct redis_server *redis = client->server;
    const struct redis_call *call = &input->call;

    if (call->flags & REDIS_STATE && !(call->flags & REDIS_SCRIPT) &&
        call->class != REDIS_CLASS_LEASE)
        redis->dirt |= call->command->id == REDIS_COMMAND_SELECT ? REDIS_DIRT_DB : REDIS_DIRT_ALL;
    if (input->request.odd)
        redis->dirt |= REDIS_DIRT_ALL;
    if (call->class == REDIS_CLASS_WAIT && !redis->multi && !in_subscriber_mode(client) &&
        client->write_server && client->write_server != redis->base.id)
        lease_catch_up(client);
    if (input->request.bytes == 0) {
        /* Long: its bytes follow by redis_lease_pass(). */
        redis->part = true;
        redis_lease_send(client, NULL, 0, call->command, action);
    } else {
        redis_lease_send(client, input->bytes, input->length, call->command, action);
    }
    return REDIS_VERDICT_DONE;
}

/* Inside MULTI a refused command has to make the EXEC fail: one that no server knows does. */
static enum redis_verdict lease_refuse_queued(struct redis_client *client,
                                              struct redis_input *input)
{
    static const char unknown[] = "*1\r\n$14\r\nSLUICE.REFUSED\r\n";

    redis_lease_send(client, unknown, sizeof(unknown) - 1, input->call.command,
                     redis_client_action(client) == REDIS_PASS ? REDIS_REFUSE : REDIS_DROP);
    return REDIS_VERDICT_DONE;
}

/* Between MULTI and EXEC. Nothing is owed. */
static enum redis_verdict lease_queue(struct redis_client *client, struct redis_input *input)
{
    struct redis_server *redis = client->server;
    const struct redis_call *call = &input->call;

    if (redis_pubsub_is(call->command) || call->command->id == REDIS_COMMAND_CLIENT_REPLY ||
        call->command->id == REDIS_COMMAND_MONITOR)
        redis->queued_unframed = true;
    else if (call->flags & REDIS_STATE && !(call->flags & (REDIS_SCRIPT | REDIS_AT_ONCE)))
        redis->queued_state = true;
    if (redis->queued_unframed && call->command->id == REDIS_COMMAND_EXEC &&
        input->request.bytes > 0) {
        redis->unframed = true;
        stream_queue(&redis->base.stream, input->bytes, input->length);
        return REDIS_VERDICT_DONE;
    }
    return lease_forward(client, input, redis_client_action(client));
}

/* Commands after which framing or state is another one: they wait until nothing is owed. */
static bool needs_quiet(const struct redis_client *client, const struct redis_input *input)
{
    const struct redis_call *call = &input->call;
    const struct redis_server *redis = client->server;

    return call->class == REDIS_CLASS_LOCAL || call->class == REDIS_CLASS_REFUSE ||
           call->flags & REDIS_GATED || redis_session_is(call) || redis_pubsub_is(call->command) ||
           (call->command->id == REDIS_COMMAND_EXEC && redis->queued_unframed);
}

/* SUBSCRIBE and the like: one reply for each channel. */
static enum redis_verdict lease_subscribe(struct redis_client *client, struct redis_input *input)
{
    struct redis_server *redis = client->server;

    redis->frames_left = redis_pubsub_frames(redis, input);
    redis->refusal_dropped = redis_client_action(client) == REDIS_DROP;
    if (input->request.bytes > 0)
        stream_queue(&redis->base.stream, input->bytes, input->length);
    else
        redis->part = true; /* its bytes follow by redis_lease_pass() */
    return REDIS_VERDICT_DONE;
}

/* Where replies cannot be told apart no answer of ours can stand among them. */
static enum redis_verdict lease_unframed(struct redis_client *client, struct redis_input *input)
{
    const struct redis_call *call = &input->call;

    if (redis_client_may_not(client, call) || call->command->id == REDIS_COMMAND_RESET) {
        redis_client_close(client, "a command that may not pass, behind a SUBSCRIBE inside MULTI");
        return REDIS_VERDICT_GONE;
    }
    if (input->request.bytes > 0)
        stream_queue(&client->server->base.stream, input->bytes, input->length);
    else
        client->server->part = true;
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_lease_request(struct redis_client *client, struct redis_input *input)
{
    struct redis_server *redis = client->server;
    const struct redis_call *call = &input->call;
    enum redis_command_id id = call->command->id;

    if (redis->unframed)
        return lease_unframed(client, input);
    if (!redis_client_quiet(client) &&
        (needs_quiet(client, input) || client->session || redis->frames_left || redis->monitor ||
         (redis_lease_apart(call) && !redis_pool_apart(redis->base.pool))))
        return REDIS_VERDICT_HOLD;
    if (call->class == REDIS_CLASS_LOCAL && id == REDIS_COMMAND_QUIT)
        return redis_local_quit(client);
    if (call->class == REDIS_CLASS_LOCAL && id == REDIS_COMMAND_RESET)
        return redis_local_reset(client);
    if (redis_client_may_not(client, call))
        return redis->multi ? lease_refuse_queued(client, input)
                            : redis_local_refuse(client, call->command);
    if (redis_session_tells_redirect(client, call) && input->request.bytes > 0)
        return redis_client_quiet(client) ? redis_session_redirect_request(client, input)
                                          : REDIS_VERDICT_HOLD;
    if (needs_quiet(client, input) && redis->multi)
        return lease_queue(client, input);
    if (redis_pubsub_is(call->command))
        return lease_subscribe(client, input);
    if (redis_session_is(call) && !in_subscriber_mode(client))
        return redis_session_request(client, input);
    if (call->class == REDIS_CLASS_LOCAL && !in_subscriber_mode(client))
        return redis_local_request(client, input);
    return lease_forward(client, input, redis_client_action(client));
}

/* ---- replies ---- */

/* What the reply to a client's command says about the connection. */
static void lease_learn(struct redis_server *redis, const struct redis_command *command)
{
    bool failed = resp_reply_failed(&redis->parser);

    switch ((int)command->id) {
    case REDIS_COMMAND_MULTI:
        redis->multi |= !failed;
        break;
    case REDIS_COMMAND_EXEC:
        /* A wrong number of arguments leaves all as it is. */
        if (!failed || strcmp(redis->parser.code, "ERR") != 0)
            redis->multi = redis->watch = false;
        break;
    case REDIS_COMMAND_DISCARD:
        if (!failed)
            redis->multi = redis->watch = redis->queued_state = redis->queued_unframed = false;
        break;
    case REDIS_COMMAND_WATCH:
        redis->watch |= !failed && !redis->multi;
        break;
    case REDIS_COMMAND_UNWATCH:
        if (!failed && !redis->multi)
            redis->watch = false;
        break;
    default:
        break;
    }
}

static void lease_send_refusal(struct redis_client *client, const struct redis_command *command)
{
    uint8_t bytes[256];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    resp_write_error(&writer, RESP_ERROR_NOPERM, command->name, NULL);
    stream_queue(&client->stream, bytes, writer.length);
}

/* A piece of the first reply that is owed, `whole` if it ends here. False: the client has gone, or
 * has lost its server. */
static bool lease_reply(struct redis_client *client, const uint8_t *bytes, size_t length,
                        bool whole)
{
    struct redis_server *redis = client->server;
    struct redis_owed owed = *redis_owed_at(&redis->owed, 0);

    switch ((enum redis_action)owed.action) {
    case REDIS_PASS:
        stream_queue(&client->stream, bytes, length);
        redis->begun = !whole;
        break;
    case REDIS_DROP:
        break;
    case REDIS_REFUSE:
        if (whole)
            lease_send_refusal(client, owed.command);
        break;
    case REDIS_SESSION:
    case REDIS_INQUIRE:
        if (whole)
            redis_owed_pop(&redis->owed);
        return redis_session_reply(client, bytes, length, whole);
    }
    if (!whole)
        return true;
    redis_owed_pop(&redis->owed);
    counter_add(&client->pool->counters.query_count, 1);
    counter_add(&client->pool->counters.query_time,
                loop_now_us(&client->worker->loop) - owed.since_us);
    latency_add(&client->pool->latencies, LATENCY_query,
                loop_now_us(&client->worker->loop) - owed.since_us);
    lease_learn(redis, owed.command);
    client->write_server = redis->base.id;
    if (owed.command->id == REDIS_COMMAND_EXEC && redis->queued_state && !redis->multi)
        redis_session_inquire(client);
    return true;
}

/* A span that belongs to a push, or in RESP2 to what a subscriber is told. */
static void lease_push(struct redis_client *client, const uint8_t *bytes, size_t length, bool whole)
{
    struct redis_server *redis = client->server;

    stream_queue(&client->stream, bytes, length);
    redis_pubsub_see(redis, bytes, length);
    if (whole)
        redis_pubsub_frame(redis);
}

/* True if what begins with this byte need not be the next reply that is owed. */
static bool may_be_told(const struct redis_client *client)
{
    const struct redis_server *redis = client->server;

    if (redis->first == '>')
        return true;
    return redis->first == '*' && !serves_resp3(client) &&
           (redis->subscribed || redis->shards || redis->frames_left);
}

/* One event of the parser. False: as lease_reply(). */
static bool lease_event(struct redis_client *client, enum resp_reply_event event,
                        const uint8_t *bytes, size_t length)
{
    struct redis_server *redis = client->server;
    bool whole = event == RESP_REPLY_WHOLE || event == RESP_REPLY_PUSH;

    if (may_be_told(client)) {
        lease_push(client, bytes, length, whole);
        /* "pong", the only array that answers something else to a subscriber. */
        if (whole && redis->first == '*' && redis->owed.length > 0 && redis->frame_was_reply)
            redis_owed_pop(&redis->owed);
        return true;
    }
    if (redis->frames_left > 0 && redis->owed.length == 0) {
        /* The SUBSCRIBE was refused. */
        if (!redis->refusal_dropped)
            stream_queue(&client->stream, bytes, length);
        if (whole)
            redis->frames_left = 0;
        return true;
    }
    if (redis->monitor && redis->owed.length == 0) {
        stream_queue(&client->stream, bytes, length);
        return true;
    }
    if (redis->owed.length == 0) {
        redis_loss_lease(client, RESP_ERROR_SERVER_GARBLED, false);
        return false;
    }
    return lease_reply(client, bytes, length, whole);
}

/* Walks what was read. False: as lease_reply(). */
static bool lease_walk(struct redis_client *client, const uint8_t *bytes, size_t length)
{
    struct redis_server *redis = client->server;
    size_t at = 0, took;

    while (at < length) {
        enum resp_reply_event event;

        if (redis->unframed) {
            stream_queue(&client->stream, bytes + at, length - at);
            return true;
        }
        if (resp_reply_idle(&redis->parser))
            redis->first = bytes[at];
        event = resp_reply_feed(&redis->parser, bytes + at, length - at, &took);
        if (event == RESP_REPLY_BAD) {
            redis_loss_lease(client, RESP_ERROR_SERVER_GARBLED, false);
            return false;
        }
        at += took;
        if (!lease_event(client, event, bytes + at - took, took))
            return false;
    }
    return true;
}

static void lease_ready(struct server *server, unsigned what)
{
    struct redis_server *redis = redis_server_of(server);
    struct redis_client *client = server->holder;
    struct loop *loop = &client->worker->loop;

    if (what & STREAM_DRAINED)
        redis_client_resume(client);
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        ssize_t got;

        /* Of a subscriber that does not read, too much is kept sooner or later. */
        if (!redis->subscribed && !redis->shards && !redis->monitor &&
            redis_slow_stops(redis, client, CLIENT_PENDING_MAX))
            return; /* goes on when the client has taken that */
        got = stream_read(&server->stream, loop->scratch, LOOP_SCRATCH_BYTES);

        if (got == 0)
            break;
        if (got < 0) {
            redis_loss_lease(client, RESP_ERROR_SERVER_LOST, false);
            return;
        }
        redis->progress_us = loop_now_us(loop);
        counter_add(&client->pool->counters.bytes_sent, (uint64_t)got);
        if (!lease_walk(client, loop->scratch, (size_t)got))
            return;
        stream_recheck(&server->stream);
        stream_flush(&client->stream);
        if (redis_client_overflows(client))
            return;
    }
    if (server->stream.readable)
        stream_again(&server->stream);
    if (stream_pending(&server->stream) > 0)
        stream_flush(&server->stream); /* a question that a reply led to */
    /* One that left a request half sent may have had its last reply. */
    if (redis_lease_over(client) || redis_client_quiet(client) || client->long_request)
        redis_client_resume(client);
}

/* ---- time ---- */

static void lease_overdue(struct server *server)
{
    struct redis_server *redis = redis_server_of(server);
    struct redis_client *client = server->holder;
    uint64_t timeout_us = server->pool->settings.query_timeout_us, due_us;

    server->holder_due_us = UINT64_MAX;
    if (redis->slow_client) {
        redis_slow_look(redis);
        return;
    }
    if (!timeout_us || redis->owed.length == 0 ||
        redis_owed_at(&redis->owed, 0)->command->flags & REDIS_BLOCKING)
        return;
    due_us = redis_owed_at(&redis->owed, 0)->since_us + timeout_us;
    if (due_us > loop_now_us(&client->worker->loop) || redis->begun) {
        server->holder_due_us =
            redis->begun ? loop_now_us(&client->worker->loop) + timeout_us : due_us;
        server_watch(server);
        return;
    }
    counter_add(&client->pool->counters.query_timeouts, 1);
    redis_loss_lease(client, RESP_ERROR_COMMAND_TIMEOUT, true);
}

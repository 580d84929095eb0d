#include "redis_lease.h"
#include "redis_local.h"
#include "redis_shared.h"
#include "redis_slow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"

#define BIT(state) (1u << (state))

/* Which states may follow each. Clients are on one list whatever their state, since most go from
 * one state to another with each command. */
static const unsigned states[REDIS_CLIENT_STATE_COUNT] = {
    [REDIS_CLIENT_READY] = BIT(REDIS_CLIENT_STALLED) | BIT(REDIS_CLIENT_WAITING) |
                           BIT(REDIS_CLIENT_LEASED) | BIT(REDIS_CLIENT_TOURING) |
                           BIT(REDIS_CLIENT_LEAVING) | BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_STALLED] = BIT(REDIS_CLIENT_READY) | BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_WAITING] =
        BIT(REDIS_CLIENT_READY) | BIT(REDIS_CLIENT_LEASED) | BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_LEASED] = BIT(REDIS_CLIENT_READY) | BIT(REDIS_CLIENT_TOURING) |
                            BIT(REDIS_CLIENT_LEAVING) | BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_TOURING] = BIT(REDIS_CLIENT_READY) | BIT(REDIS_CLIENT_LEASED) |
                             BIT(REDIS_CLIENT_LEAVING) | BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_LEAVING] = BIT(REDIS_CLIENT_CLOSED),
    [REDIS_CLIENT_CLOSED] = 0,
};

bool redis_client_state_may_follow(enum redis_client_state from, enum redis_client_state to)
{
    return states[from] & BIT(to);
}

void redis_client_move(struct redis_client *client, enum redis_client_state state)
{
    ensure(redis_client_state_may_follow(client->state, state));
    client->state = (uint8_t)state;
}

bool redis_client_quiet(const struct redis_client *client)
{
    return client->inflight == 0 && (!client->server || (client->server->owed.length == 0 &&
                                                         client->server->frames_left == 0));
}

void redis_client_log(const struct redis_client *client, int level, const char *format, ...)
{
    char subject[768], host[ADDRESS_TEXT_BYTES];
    va_list list;

    if (!log_enabled((enum log_level)level))
        return;
    snprintf(subject, sizeof(subject), "C-%#llx: %s/%s@%s:%u", (unsigned long long)client->id,
             client->pool->database_name, client->pool->user_name,
             address_text(&client->from, host), address_port(&client->from));
    va_start(list, format);
    log_write_list((enum log_level)level, subject, format, list);
    va_end(list);
}

size_t redis_failure_text(const struct pool_failure *failure, uint8_t bytes[REDIS_ERROR_BYTES])
{
    struct resp_writer writer = resp_writer_of(bytes, REDIS_ERROR_BYTES, 2);
    char text[REDIS_ERROR_BYTES - 16];

    if (strcmp(failure->sqlstate, "REDIS") == 0)
        snprintf(text, sizeof(text), "%s", failure->message);
    else
        snprintf(text, sizeof(text), "ERR %s", failure->message);
    resp_write_error_line(&writer, text, strlen(text));
    return writer.length;
}

/* When its present state has lasted too long; UINT64_MAX = never. */
static uint64_t client_deadline(const struct redis_client *client)
{
    const struct pool_settings *settings = &client->pool->settings;

    switch ((enum redis_client_state)client->state) {
    case REDIS_CLIENT_WAITING:
        if (settings->query_wait_timeout_us)
            return client->waiter.since_us + settings->query_wait_timeout_us;
        break;
    case REDIS_CLIENT_READY:
        if (settings->client_idle_timeout_us && client->inflight == 0)
            return client->request_us + settings->client_idle_timeout_us;
        break;
    case REDIS_CLIENT_LEAVING:
        return client->unread_since_us + REDIS_SLOW_ALONE_US;
    case REDIS_CLIENT_LEASED:
        /* Who listens is not idle; who keeps a transaction open is, or a request half sent. */
        if (settings->client_idle_timeout_us &&
            (redis_client_quiet(client) || client->long_request) && !client->server->subscribed &&
            !client->server->shards && !client->server->monitor && !client->server->unframed &&
            !client->server->tracking)
            return client->request_us + settings->client_idle_timeout_us;
        break;
    default:
        break;
    }
    return UINT64_MAX;
}

void redis_client_watch(struct redis_client *client)
{
    uint64_t due_us = client_deadline(client);
    uint64_t idle_us = client->pool->settings.client_idle_timeout_us;

    /* One that is busy now may be idle later. */
    if (due_us == UINT64_MAX && idle_us)
        due_us = loop_now_us(&client->worker->loop) + idle_us;
    if (due_us != UINT64_MAX)
        timer_set_by(&client->worker->loop, &client->timer, due_us);
}

static void client_expired(struct timer *timer)
{
    static const struct pool_failure too_long = {
        .sqlstate = "REDIS",
        .message = "ERR wait timeout: no server connection became free in time",
    };
    struct redis_client *client = container_of(timer, struct redis_client, timer);

    if (client_deadline(client) > loop_now_us(&client->worker->loop)) {
        redis_client_watch(client);
    } else if (client->state == REDIS_CLIENT_WAITING) {
        counter_add(&client->pool->counters.wait_timeouts, 1);
        pool_unwait(client->queue, &client->waiter);
        redis_lease_refused(&client->waiter, &too_long);
    } else if (client->state == REDIS_CLIENT_LEAVING) {
        if (!redis_slow_takes(client, 1)) {
            redis_client_close(client, "it does not read the last that it was sent");
            return;
        }
        client->unread_since_us = loop_now_us(&client->worker->loop);
        redis_client_watch(client);
    } else {
        counter_add(&client->pool->counters.client_idle_timeouts, 1);
        redis_client_close(client, "client_idle_timeout");
    }
}

static void client_ready(struct stream *stream, unsigned what)
{
    struct redis_client *client = container_of(stream, struct redis_client, stream);

    if (what & STREAM_DRAINED) {
        redis_replies_taken(client);
        if (client->server && client->server->base.stream.readable)
            stream_again(&client->server->base.stream);
    }
    switch ((enum redis_client_state)client->state) {
    case REDIS_CLIENT_READY:
    case REDIS_CLIENT_LEASED:
    case REDIS_CLIENT_STALLED:
    case REDIS_CLIENT_WAITING:
    case REDIS_CLIENT_TOURING:
        redis_requests_run(client);
        return;
    case REDIS_CLIENT_LEAVING:
        if (stream_pending(stream) == 0 || stream->peer_closed || stream->error)
            redis_client_close(client, NULL);
        return;
    case REDIS_CLIENT_CLOSED:
    case REDIS_CLIENT_STATE_COUNT:
        ensure(!"a client that is closed became ready");
    }
}

/* Tells a client that it is not let in. */
static void client_turn_away(struct redis_client *client, enum resp_error error)
{
    redis_client_answer_error(client, error, NULL, NULL);
    stream_flush(&client->stream);
    redis_client_close(client, resp_error_text(error));
}

void redis_client_new(struct worker *worker, int fd, const struct address *from, const char *line)
{
    struct registry *registry = &worker->process->registry;
    const struct conf_redis *redis = conf_find_redis(worker->conf, line);
    struct redis_client *client;
    struct limit *limit;

    if (!redis) {
        close(fd);
        worker_client_gone(worker);
        return;
    }
    client = memory_new(sizeof(*client));
    client->worker = worker;
    client->from = *from;
    client->id = atomic_fetch_add(&registry->next_id, 1);
    client->connected_us = client->request_us = loop_now_us(&worker->loop);
    client->timer.expired = client_expired;
    client->waiter.kind = &redis_lease_waiter;
    resp_request_parser_init(&client->parser, false);
    list_push_back(&worker->redis_clients, &client->node);
    stream_open(&client->stream, &worker->loop, fd, client_ready);
    redis_client_set_pool(client,
                          redis_pool_get(&worker->pools, line, redis_line_user(redis),
                                         redis_pool_variant((uint32_t)redis->db, 2, false, false)));
    if (atomic_load(&client->pool->totals->database_usage->disabled)) {
        client_turn_away(client, RESP_ERROR_DISABLED);
        return;
    }
    limit = &client->pool->totals->database_usage->clients;
    atomic_store(&limit->max, redis->max_clients);
    if (!limit_take(limit)) {
        client_turn_away(client, RESP_ERROR_CLIENTS_MAX);
        return;
    }
    client->counted = true;
    if (!limit_take(&registry->clients)) {
        limit_give(limit);
        client->counted = false;
        client_turn_away(client, RESP_ERROR_CLIENTS_MAX);
        return;
    }
    if (worker->conf->log_connections)
        redis_client_log(client, LOG_LEVEL_INFO, "new client");
    redis_client_watch(client);
}

void redis_client_set_pool(struct redis_client *client, struct pool *pool)
{
    ensure(client->inflight == 0);
    if (client->pool == pool)
        return;
    if (client->pool)
        pool_client_left(client->pool);
    client->pool = pool;
    client->place = 0;
    pool_client_joined(pool);
    if (!pool->shared)
        redis_shared_new(pool);
}

void redis_client_close(struct redis_client *client, const char *reason)
{
    struct worker *worker = client->worker;
    uint64_t age_us = loop_now_us(&worker->loop) - client->connected_us;

    if (worker->conf->log_disconnections && reason)
        redis_client_log(client, LOG_LEVEL_INFO, "closing because: %s (age=%llus)", reason,
                         (unsigned long long)(age_us / US_PER_S));
    if (client->state == REDIS_CLIENT_WAITING)
        pool_unwait(client->queue, &client->waiter);
    if (client->server)
        redis_lease_drop(client);
    redis_replies_taken(client);
    redis_shared_forget(client);
    redis_client_move(client, REDIS_CLIENT_CLOSED);
    if (client->counted) {
        limit_give(
            &registry_redis(&worker->process->registry, client->pool->database_name, 0)->clients);
        limit_give(&worker->process->registry.clients);
    }
    pool_client_left(client->pool);
    list_remove(&worker->redis_clients, &client->node);
    if (list_node_linked(&client->unflushed))
        list_remove(&worker->redis_unflushed, &client->unflushed);
    timer_cancel(&worker->loop, &client->timer);
    stream_close(&client->stream);
    buffer_clear(&client->in, &worker->loop.buffers);
    redis_session_free(client);
    free(client->name);
    free(client);
    worker_client_gone(worker);
}

void redis_client_leave(struct redis_client *client, const char *reason)
{
    stream_flush_now(&client->stream);
    if (stream_pending(&client->stream) == 0) {
        redis_client_close(client, reason);
        return;
    }
    if (client->server)
        redis_lease_drop(client);
    redis_client_move(client, REDIS_CLIENT_LEAVING);
    redis_slow_takes(client, 1);
    client->unread_since_us = loop_now_us(&client->worker->loop);
    redis_client_watch(client);
}

void redis_client_resume(struct redis_client *client)
{
    client->held = false;
    client->whole = true;
    stream_again(&client->stream);
}

/* What only waits for the end of the turn is not yet the client's fault. */
bool redis_client_leaves(struct redis_client *client, uint64_t bytes)
{
    if (stream_pending(&client->stream) < bytes)
        return false;
    stream_flush_now(&client->stream);
    return stream_pending(&client->stream) >= bytes;
}

bool redis_client_overflows(struct redis_client *client)
{
    const struct conf_redis *line = client->pool->redis;

    if (!line || !redis_client_leaves(client, line->client_output_limit_bytes + 1))
        return false;
    redis_client_close(client, "it does not read its replies (client_output_limit)");
    return true;
}

bool redis_client_may_not(const struct redis_client *client, const struct redis_call *call)
{
    const struct conf_redis *line = client->pool->redis;

    return call->class == REDIS_CLASS_REFUSE ||
           (call->flags & REDIS_GATED && !(line && line->admin_commands));
}

enum redis_action redis_client_action(struct redis_client *client)
{
    switch ((enum redis_reply_mode)client->reply_mode) {
    case REDIS_REPLY_ON:
        return REDIS_PASS;
    case REDIS_REPLY_SKIP:
        client->reply_mode = REDIS_REPLY_ON;
        return REDIS_DROP;
    case REDIS_REPLY_OFF:
        break;
    }
    return REDIS_DROP;
}

void redis_client_answer(struct redis_client *client, const void *bytes, size_t length)
{
    if (redis_client_action(client) == REDIS_PASS)
        stream_queue(&client->stream, bytes, length);
}

void redis_client_answer_simple(struct redis_client *client, const char *text)
{
    uint8_t bytes[64];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    resp_write_simple(&writer, text);
    redis_client_answer(client, bytes, writer.length);
}

void redis_client_answer_error(struct redis_client *client, enum resp_error error,
                               const char *first, const char *second)
{
    uint8_t bytes[REDIS_ERROR_BYTES];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    resp_write_error(&writer, error, first, second);
    redis_client_answer(client, bytes, writer.length);
}

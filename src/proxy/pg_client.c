#include "pg_client.h"
#include "pg_cancels.h"
#include "pg_lookups.h"
#include "pg_loss.h"
#include "pg_multiplex.h"
#include "pg_startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define BIT(state) (1u << (state))
#define ERROR_BYTES 2048
/* One client too many is told so when its startup packet is here; that may take so long, and so
 * many may wait for it. */
#define REFUSED_US US_PER_S
#define REFUSED_MAX 64

/* Which list a state is kept on, and which states may follow it. */
static const struct {
    const char *name;
    enum worker_clients list;
    unsigned next;
} states[PG_CLIENT_STATE_COUNT] = {
    [PG_CLIENT_STARTUP] = {"startup", CLIENTS_LOGIN,
                           BIT(PG_CLIENT_LOGIN) | BIT(PG_CLIENT_CANCELLING) |
                               BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_CANCELLING] = {"cancelling", CLIENTS_LOGIN, BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_LOGIN] = {"login", CLIENTS_LOGIN,
                         BIT(PG_CLIENT_MOVING) | BIT(PG_CLIENT_WELCOME) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_MOVING] = {"moving", CLIENTS_LOGIN, BIT(PG_CLIENT_WELCOME) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_WELCOME] = {"welcome", CLIENTS_LOGIN, BIT(PG_CLIENT_IDLE) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_IDLE] = {"idle", CLIENTS_IDLE,
                        BIT(PG_CLIENT_WAITING) | BIT(PG_CLIENT_SHARING) | BIT(PG_CLIENT_ACTIVE) |
                            BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_WAITING] = {"waiting", CLIENTS_WAITING,
                           BIT(PG_CLIENT_IDLE) | BIT(PG_CLIENT_ASKED) | BIT(PG_CLIENT_SHARING) |
                               BIT(PG_CLIENT_ACTIVE) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_ASKED] = {"asked", CLIENTS_ACTIVE,
                         BIT(PG_CLIENT_IDLE) | BIT(PG_CLIENT_WAITING) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_SHARING] = {"sharing", CLIENTS_ACTIVE,
                           BIT(PG_CLIENT_IDLE) | BIT(PG_CLIENT_WAITING) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_ACTIVE] = {"active", CLIENTS_ACTIVE, BIT(PG_CLIENT_IDLE) | BIT(PG_CLIENT_CLOSED)},
    [PG_CLIENT_CLOSED] = {"closed", CLIENTS_LOGIN, 0},
};

bool pg_client_state_may_follow(enum pg_client_state from, enum pg_client_state to)
{
    return states[from].next & BIT(to);
}

int64_t pg_client_turns(const struct pg_client *client)
{
    int64_t turns = client->worker->conf->sbuf_loopcnt;

    return turns > 0 ? turns : INT64_MAX;
}

void pg_client_move(struct pg_client *client, enum pg_client_state state)
{
    enum worker_clients from = states[client->state].list, to = states[state].list;

    ensure(pg_client_state_may_follow(client->state, state));
    if (from != to) {
        list_remove(&client->worker->clients[from], &client->node);
        list_push_back(&client->worker->clients[to], &client->node);
    }
    pg_client_log(client, LOG_LEVEL_NOISE, "%s -> %s", states[client->state].name,
                  states[state].name);
    client->state = (uint8_t)state;
}

const char *pg_client_address(const struct pg_client *client, char text[ADDRESS_TEXT_BYTES])
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    uint16_t port = (uint16_t)client->worker->conf->listen_port;

    /* For a Unix socket the process id stands in for the address, as PgBouncer has it. */
    if (client->from.family == AF_UNIX && stream_is_open(&client->stream) &&
        getsockopt(client->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        snprintf(text, ADDRESS_TEXT_BYTES, "unix(%ld):%u", (long)peer.pid, port);
    else
        address_port_text(&client->from, port, text);
    return text;
}

void pg_client_log(const struct pg_client *client, int level, const char *format, ...)
{
    char subject[768], where[ADDRESS_TEXT_BYTES];
    const char *database = "(nodb)", *user = "(nouser)";
    va_list list;

    if (!log_enabled((enum log_level)level))
        return;
    if (client->pool) {
        database = client->pool->database_name;
        user = client->pool->user_name;
    }
    if (client->login && client->login->user[0]) {
        database = client->login->database;
        user = client->login->user;
    }
    snprintf(subject, sizeof(subject), "C-%#llx: %s/%s@%s", (unsigned long long)client->id,
             database, user, pg_client_address(client, where));
    va_start(list, format);
    log_write_list((enum log_level)level, subject, format, list);
    va_end(list);
}

/* When its present state has lasted too long, and why; UINT64_MAX = never. */
static uint64_t client_deadline(const struct pg_client *client, enum pg_error_code *why)
{
    const struct pool_settings *settings = client->pool ? &client->pool->settings : NULL;
    uint64_t due_us = UINT64_MAX, limit_us = 0;

    switch ((enum pg_client_state)client->state) {
    case PG_CLIENT_WELCOME:
        if (client->login->variant) {
            /* It waits for the server that it keeps, where others wait with their first query. */
            *why = PG_ERROR_QUERY_WAIT_TIMEOUT;
            limit_us = settings->query_wait_timeout_us;
            return limit_us ? client->connected_us + limit_us : UINT64_MAX;
        }
        /* fallthrough */
    case PG_CLIENT_STARTUP:
    case PG_CLIENT_CANCELLING:
    case PG_CLIENT_LOGIN:
        *why = PG_ERROR_LOGIN_TIMEOUT;
        if (client->login->refused)
            return client->connected_us + REFUSED_US;
        limit_us = client->worker->conf->client_login_timeout_us;
        return limit_us ? client->connected_us + limit_us : UINT64_MAX;
    case PG_CLIENT_IDLE:
        *why = PG_ERROR_CLIENT_IDLE_TIMEOUT;
        limit_us = settings->client_idle_timeout_us;
        break;
    case PG_CLIENT_WAITING:
        *why = PG_ERROR_QUERY_WAIT_TIMEOUT;
        limit_us = settings->query_wait_timeout_us;
        break;
    case PG_CLIENT_ASKED:
    case PG_CLIENT_SHARING:
        *why = PG_ERROR_QUERY_TIMEOUT;
        limit_us = settings->query_timeout_us;
        if (settings->transaction_timeout_us &&
            (!limit_us || settings->transaction_timeout_us < limit_us)) {
            *why = PG_ERROR_TRANSACTION_TIMEOUT;
            limit_us = settings->transaction_timeout_us;
        }
        break;
    case PG_CLIENT_ACTIVE:
        if (client->server->overdue) {
            *why = (enum pg_error_code)client->server->overdue;
            limit_us = client->worker->conf->cancel_wait_timeout_us;
            break;
        }
        if (settings->transaction_timeout_us) {
            *why = PG_ERROR_TRANSACTION_TIMEOUT;
            due_us = client->server->transaction_us + settings->transaction_timeout_us;
        }
        limit_us = settings->query_timeout_us;
        if (pg_pipeline_idle(&client->server->pipeline)) {
            limit_us = pg_client_keeps_server(client) && client->server->status == 'I'
                           ? settings->client_idle_timeout_us
                           : settings->idle_transaction_timeout_us;
            if (client->server->status == 'I')
                due_us = UINT64_MAX;
        }
        if (limit_us && client->request_us + limit_us < due_us) {
            *why = !pg_pipeline_idle(&client->server->pipeline) ? PG_ERROR_QUERY_TIMEOUT
                   : client->server->status == 'I'              ? PG_ERROR_CLIENT_IDLE_TIMEOUT
                                                                : PG_ERROR_IDLE_TRANSACTION_TIMEOUT;
            due_us = client->request_us + limit_us;
        }
        return due_us;
    case PG_CLIENT_MOVING:
    case PG_CLIENT_CLOSED:
    case PG_CLIENT_STATE_COUNT:
        break;
    }
    return limit_us ? client->request_us + limit_us : UINT64_MAX;
}

/* When query_wait_notify is due, for a client that waits; UINT64_MAX = never, or done. */
static uint64_t client_notify_at(const struct pg_client *client)
{
    uint64_t after_us = client->worker->conf->query_wait_notify_us;

    if (client->state != PG_CLIENT_WAITING || client->notified || !after_us)
        return UINT64_MAX;
    return client->request_us + after_us;
}

void pg_client_watch(struct pg_client *client)
{
    enum pg_error_code why;
    uint64_t due_us = client_deadline(client, &why);
    uint64_t notify_us = client_notify_at(client);

    if (notify_us < due_us)
        due_us = notify_us;
    if (due_us != UINT64_MAX)
        timer_set_by(&client->worker->loop, &client->timer, due_us);
}

static void client_notify(struct pg_client *client)
{
    uint8_t bytes[256];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    client->notified = true;
    pg_write_error(&writer, PG_NOTICE, "NOTICE", "00000",
                   "No server connection available in postgres backend, client being queued", NULL,
                   NULL);
    stream_write(&client->stream, bytes, writer.length);
}

/* A statement has run too long. Usually the client loses its server at once, and the server is
 * cancelled by itself. In session mode, and while the client has half a message, the cancel goes
 * first: the server's own answer to it, or the end of the message, is awaited. */
static void client_stop_statement(struct pg_client *client, enum pg_error_code why)
{
    const struct pool_failure *failure = pg_error_row(why);
    struct pg_server *pg = client->server;
    bool half = pg->body_left > 0 && !pg->skip_body;
    bool running = !pg_pipeline_idle(&pg->pipeline);

    if (client->server->overdue) {
        pg_loss_server(client, failure, false); /* the cancel did not help */
        return;
    }
    pg_client_log(client, LOG_LEVEL_WARNING, "%s", failure->message);
    if (!half && !(running && pg_client_keeps_server(client))) {
        pg_loss_server(client, failure, true);
        return;
    }
    client->server->overdue = (uint8_t)why;
    client->request_us = loop_now_us(&client->worker->loop);
    pg_server_cancel(pg, NULL);
    pg_client_watch(client);
}

static void client_overdue(struct pg_client *client, enum pg_error_code why)
{
    const struct pool_failure *failure = pg_error_row(why);
    struct counters *counters = client->pool ? &client->pool->counters : NULL;

    switch (why) {
    case PG_ERROR_QUERY_WAIT_TIMEOUT:
        counter_add(&counters->wait_timeouts, 1);
        if (client->state == PG_CLIENT_WELCOME) {
            pg_client_close_failed(client, failure);
            return;
        }
        pg_lookups_leave(client);
        pool_unwait(client->pool, &client->waiter);
        pg_loss_refuse(client, failure);
        return;
    case PG_ERROR_QUERY_TIMEOUT:
    case PG_ERROR_TRANSACTION_TIMEOUT:
        counter_add(&counters->query_timeouts, 1);
        break;
    case PG_ERROR_IDLE_TRANSACTION_TIMEOUT:
        counter_add(&counters->idle_transaction_timeouts, 1);
        break;
    default:
        if (why == PG_ERROR_CLIENT_IDLE_TIMEOUT)
            counter_add(&counters->client_idle_timeouts, 1);
        pg_client_close_failed(client, failure);
        return;
    }
    if (client->state == PG_CLIENT_SHARING) {
        if (pg_multiplex_half_told(client)) {
            pg_client_close(client, failure->message);
            return;
        }
        pg_multiplex_leave(client);
        pg_loss_fail(client, failure);
        return;
    }
    if (client->key) {
        pg_lookups_leave(client);
        pg_loss_refuse(client, failure);
        return;
    }
    client_stop_statement(client, why);
}

static void client_expired(struct timer *timer)
{
    struct pg_client *client = container_of(timer, struct pg_client, timer);
    uint64_t now_us = loop_now_us(&client->worker->loop);
    enum pg_error_code why = PG_ERROR_COUNT;

    if (client_deadline(client, &why) <= now_us) {
        client_overdue(client, why);
        return;
    }
    if (client_notify_at(client) <= now_us)
        client_notify(client);
    pg_client_watch(client);
}

static void client_ready(struct stream *stream, unsigned what)
{
    struct pg_client *client = container_of(stream, struct pg_client, stream);

    switch ((enum pg_client_state)client->state) {
    case PG_CLIENT_STARTUP:
    case PG_CLIENT_LOGIN:
        pg_startup_run(client);
        return;
    case PG_CLIENT_CANCELLING:
        pg_cancels_run(client);
        return;
    case PG_CLIENT_SHARING:
        if (what & STREAM_DRAINED)
            pg_multiplex_taken(client);
        pg_requests_run(client);
        return;
    case PG_CLIENT_WELCOME:
    case PG_CLIENT_WAITING:
    case PG_CLIENT_ASKED:
    case PG_CLIENT_IDLE:
        pg_requests_run(client);
        return;
    case PG_CLIENT_ACTIVE:
        /* The client took what was kept for it: the server may be read again. */
        if ((what & STREAM_DRAINED) && client->server->base.stream.readable)
            stream_again(&client->server->base.stream);
        pg_requests_run(client);
        return;
    case PG_CLIENT_MOVING:
    case PG_CLIENT_CLOSED:
    case PG_CLIENT_STATE_COUNT:
        ensure(!"a client that is not on this loop became ready");
    }
}

void pg_client_new(struct worker *worker, int fd, const struct address *from)
{
    struct limit *limit = &worker->process->registry.clients;
    bool refused = !limit_take(limit);
    struct pg_client *client;

    if (refused && atomic_load(&worker->client_count) > atomic_load(&limit->max) + REFUSED_MAX) {
        close(fd);
        worker_client_gone(worker);
        return;
    }
    client = memory_new(sizeof(*client));
    client->worker = worker;
    client->from = *from;
    client->id = atomic_fetch_add(&worker->process->registry.next_id, 1);
    client->connected_us = client->request_us = loop_now_us(&worker->loop);
    client->timer.expired = client_expired;
    client->login = memory_new(sizeof(*client->login));
    client->login->refused = refused;
    list_push_back(&worker->clients[CLIENTS_LOGIN], &client->node);
    stream_open(&client->stream, &worker->loop, fd, client_ready);
    pg_client_watch(client);
    /* With tcp_defer_accept the startup packet is there already. */
    if (client->from.family != AF_UNIX && worker->conf->tcp_defer_accept > 0) {
        stream_recheck(&client->stream);
        pg_startup_run(client);
    }
}

void pg_client_leave(struct pg_client *client)
{
    struct worker *worker = client->worker;

    timer_cancel(&worker->loop, &client->timer);
    list_remove(&worker->clients[CLIENTS_LOGIN], &client->node);
    stream_detach(&client->stream);
    if (client->login->wanted)
        client->login->wanted = params_leave(&worker->pools.params, client->login->wanted);
    worker_client_gone(worker);
}

void pg_client_join(struct pg_client *client, struct worker *worker)
{
    client->worker = worker;
    list_push_back(&worker->clients[CLIENTS_LOGIN], &client->node);
    atomic_fetch_add(&worker->client_count, 1);
    stream_attach(&client->stream, &worker->loop);
    if (client->login->wanted)
        client->login->wanted = params_join(&worker->pools.params, client->login->wanted);
    pg_client_watch(client);
}

/* Gives its server back, whatever it is in the middle of. */
static void client_drop_server(struct pg_client *client)
{
    struct pg_server *pg = client->server;

    if (!pg)
        return;
    pg_statements_abandon(client);
    pg_session_leave(client);
    client->server = NULL;
    if (client->body_left > 0 && !client->skip_body)
        server_close(&pg->base, "client left in the middle of a message");
    else
        pool_drain(&pg->base);
}

void pg_client_close(struct pg_client *client, const char *reason)
{
    struct worker *worker = client->worker;
    struct registry *registry = &worker->process->registry;
    uint64_t age_us = loop_now_us(&worker->loop) - client->connected_us;

    if (worker->conf->log_disconnections && reason)
        pg_client_log(client, LOG_LEVEL_INFO, "closing because: %s (age=%llus)", reason,
                      (unsigned long long)(age_us / US_PER_S));
    pg_multiplex_leave(client);
    pg_lookups_leave(client);
    client_drop_server(client);
    if (client->pool) {
        pool_unwait(client->pool, &client->waiter);
        if (client->user_usage) {
            limit_give(&client->pool->totals->database_usage->clients);
            limit_give(&client->user_usage->clients);
            registry_usage_drop(registry, client->user_usage);
        }
        params_drop(&worker->pools.params, client->waiter.startup);
        pool_client_left(client->pool);
    }
    if (!client->login || !client->login->refused)
        limit_give(&registry->clients);
    pg_cancels_slot_give(client);
    pg_client_move(client, PG_CLIENT_CLOSED);
    list_remove(&worker->clients[CLIENTS_LOGIN], &client->node);
    timer_cancel(&worker->loop, &client->timer);
    stream_close(&client->stream);
    buffer_clear(&client->in, &worker->loop.buffers);
    params_drop(&worker->pools.params, client->params);
    pg_statements_free(client);
    pg_session_free(client);
    pg_startup_free(client);
    free(client->lost);
    free(client);
    worker_client_gone(worker);
}

void pg_client_tell(struct pg_client *client, const char *severity,
                    const struct pool_failure *failure)
{
    uint8_t bytes[ERROR_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_write_error(&writer, PG_ERROR, severity, failure->sqlstate, failure->message,
                   failure->detail[0] ? failure->detail : NULL,
                   failure->hint[0] ? failure->hint : NULL);
    stream_queue(&client->stream, bytes, writer.length);
}

void pg_client_close_failed(struct pg_client *client, const struct pool_failure *failure)
{
    pg_multiplex_leave(client);
    pg_lookups_leave(client);
    pg_client_tell(client, "FATAL", failure);
    stream_flush(&client->stream);
    if (client->worker->conf->log_pooler_errors)
        pg_client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", failure->message);
    pg_client_close(client, failure->message);
}

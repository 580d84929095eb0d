#include "sluice/pool/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"

#define BIT(state) (1u << (state))

/* The states as SHOW SERVERS names them, and which states may follow each. */
static const struct {
    const char *name;
    unsigned next;
} states[SERVER_STATE_COUNT] = {
    [SERVER_CONNECTING] = {"new", BIT(SERVER_LOGIN) | BIT(SERVER_CLOSED)},
    [SERVER_LOGIN] = {"new", BIT(SERVER_IDLE) | BIT(SERVER_CLOSED)},
    [SERVER_IDLE] = {"idle", BIT(SERVER_LEASED) | BIT(SERVER_CHECKING) | BIT(SERVER_MOVING) |
                                 BIT(SERVER_CLOSED)},
    [SERVER_LEASED] = {"active", BIT(SERVER_IDLE) | BIT(SERVER_SHARED) | BIT(SERVER_CHECKING) |
                                     BIT(SERVER_DRAINING) | BIT(SERVER_CLOSED)},
    [SERVER_SHARED] = {"active", BIT(SERVER_IDLE) | BIT(SERVER_CHECKING) | BIT(SERVER_DRAINING) |
                                     BIT(SERVER_CLOSED)},
    [SERVER_CHECKING] = {"tested", BIT(SERVER_IDLE) | BIT(SERVER_CLOSED)},
    [SERVER_DRAINING] = {"being_canceled",
                         BIT(SERVER_IDLE) | BIT(SERVER_CHECKING) | BIT(SERVER_CLOSED)},
    [SERVER_MOVING] = {"idle", BIT(SERVER_IDLE) | BIT(SERVER_CLOSED)},
    [SERVER_CLOSED] = {"closed", 0},
};

const char *server_state_name(enum server_state state)
{
    return states[state].name;
}

bool server_state_may_follow(enum server_state from, enum server_state to)
{
    return states[from].next & BIT(to);
}

void server_move(struct server *server, enum server_state state)
{
    struct pool *pool = server->pool;

    ensure(server_state_may_follow(server->state, state));
    server_log(server, LOG_LEVEL_NOISE, "%s -> %s", states[server->state].name, states[state].name);
    list_remove(&pool->servers[server->state], &server->node);
    server->state = state;
    server->state_since_us = loop_now_us(pool->pools->loop);
    /* The front of the idle list is what is lent next: the one used last, unless round-robin. */
    if (state == SERVER_IDLE && !pool->pools->conf->server_round_robin)
        list_push_front(&pool->servers[state], &server->node);
    else
        list_push_back(&pool->servers[state], &server->node);
}

const char *server_subject(const struct server *server, char text[SERVER_SUBJECT_BYTES])
{
    char where[ADDRESS_TEXT_BYTES] = "(not resolved)";
    struct address address = address_from(&server->address.any);
    const struct conf_database *database = server->pool->database;

    if (server->address_bytes)
        address_port_text(&address, database ? (uint16_t)database->port : 0, where);
    snprintf(text, SERVER_SUBJECT_BYTES, "S-%#llx: %s/%s@%s", (unsigned long long)server->id,
             server->pool->database_name, server->pool->user_name, where);
    return text;
}

void server_log(const struct server *server, int level, const char *format, ...)
{
    char subject[SERVER_SUBJECT_BYTES];
    va_list list;

    if (!log_enabled((enum log_level)level))
        return;
    va_start(list, format);
    log_write_list((enum log_level)level, server_subject(server, subject), format, list);
    va_end(list);
}

/* When something has to be done about the server at the latest; UINT64_MAX = never. */
static uint64_t server_deadline_us(const struct server *server)
{
    const struct pool_settings *settings = &server->pool->settings;
    const struct conf *conf = server->pool->pools->conf;
    uint64_t due_us = UINT64_MAX;

    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
        if (settings->connect_timeout_us)
            due_us = server->created_us + settings->connect_timeout_us;
        break;
    case SERVER_CHECKING:
        if (settings->connect_timeout_us)
            due_us = server->state_since_us + settings->connect_timeout_us;
        break;
    case SERVER_DRAINING:
        if (conf->cancel_wait_timeout_us)
            due_us = server->state_since_us + conf->cancel_wait_timeout_us;
        break;
    case SERVER_IDLE:
        if (settings->idle_timeout_us)
            due_us = server->state_since_us + settings->idle_timeout_us;
        /* A lifetime of 0 means one use, however late that comes. */
        if (server->lifetime_us && server->created_us + server->lifetime_us < due_us)
            due_us = server->created_us + server->lifetime_us;
        break;
    case SERVER_LEASED:
    case SERVER_SHARED:
        if (server->holder_overdue)
            due_us = server->holder_due_us;
        break;
    case SERVER_MOVING:
    case SERVER_CLOSED:
    case SERVER_STATE_COUNT:
        break;
    }
    return due_us;
}

static void server_overdue(struct server *server)
{
    static const struct pool_failure timeout = {
        .sqlstate = "08006",
        .message = "server connection could not be made in time (server_connect_timeout)",
    };
    struct pool *pool = server->pool;

    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
        pool_login_failed(server, &timeout);
        return;
    case SERVER_CHECKING:
        server_close(server, "the server did not answer a check or reset in time");
        return;
    case SERVER_DRAINING:
        server_close(server, "cancel_wait_timeout");
        return;
    case SERVER_IDLE:
        if (server->lifetime_us &&
            loop_now_us(pool->pools->loop) >= server->created_us + server->lifetime_us) {
            server_close(server, "server lifetime over");
        } else if (atomic_load(&pool->totals->servers) > pool->settings.size_min) {
            server_close(server, "server idle timeout");
        } else {
            /* min_pool_size keeps it; look again after as long a time. */
            timer_set(pool->pools->loop, &server->timer,
                      loop_now_us(pool->pools->loop) + pool->settings.idle_timeout_us);
        }
        return;
    case SERVER_LEASED:
    case SERVER_SHARED:
        server->holder_overdue(server);
        return;
    case SERVER_MOVING:
    case SERVER_CLOSED:
    case SERVER_STATE_COUNT:
        return;
    }
}

static void server_expired(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, timer);
    struct loop *loop = server->pool->pools->loop;
    uint64_t due_us = server_deadline_us(server);

    if (due_us <= loop_now_us(loop))
        server_overdue(server);
    else if (due_us != UINT64_MAX)
        timer_set(loop, &server->timer, due_us);
}

void server_watch(struct server *server)
{
    uint64_t due_us = server_deadline_us(server);

    if (due_us != UINT64_MAX)
        timer_set_by(server->pool->pools->loop, &server->timer, due_us);
}

/* Some percent less than the setting, so that servers opened together do not close together. */
static uint64_t lifetime_with_jitter(uint64_t lifetime_us, uint64_t id)
{
    uint64_t spread = (id * 2654435761u) % 1024;

    return lifetime_us - lifetime_us / 10 * spread / 1024;
}

void server_init(struct server *server, struct pool *pool, const struct server_kind *kind)
{
    struct pools *pools = pool->pools;

    server->pool = pool;
    server->kind = kind;
    server->id = atomic_fetch_add(&pools->registry->next_id, 1);
    server->state = SERVER_CONNECTING;
    server->created_us = server->state_since_us = loop_now_us(pools->loop);
    server->lifetime_us = lifetime_with_jitter(pool->settings.lifetime_us, server->id);
    server->timer.expired = server_expired;
    list_push_back(&pool->servers[SERVER_CONNECTING], &server->node);
    server_watch(server);
}

bool server_ready(struct server *server)
{
    struct pool *pool = server->pool;
    uint64_t now_us = loop_now_us(pool->pools->loop);

    if (server->close_needed || pool->disabled || pool->paused || pool->pools->paused) {
        server_close(server, server->close_needed ? "replaced by newer settings"
                                                  : "the pool is paused or closing");
        return false;
    }
    if (server->state != SERVER_LOGIN && now_us >= server->created_us + server->lifetime_us) {
        server_close(server, "server lifetime over");
        return false;
    }
    server_move(server, SERVER_IDLE);
    server_watch(server);
    pool_stir(pool);
    return true;
}

void server_close(struct server *server, const char *reason)
{
    struct pool *pool = server->pool;
    uint64_t age_us = loop_now_us(pool->pools->loop) - server->created_us;

    if (pool->pools->conf->log_disconnections)
        server_log(server, LOG_LEVEL_INFO, "closing because: %s (age=%llus)", reason,
                   (unsigned long long)(age_us / US_PER_S));
    server_move(server, SERVER_CLOSED);
    list_remove(&pool->servers[SERVER_CLOSED], &server->node);
    timer_cancel(pool->pools->loop, &server->timer);
    server->kind->free(server);
    pool_slot_give(pool);
    pool_stir(pool);
}

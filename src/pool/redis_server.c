#include "sluice/pool/redis_server.h"

#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "redis_login.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/redis_command.h"

/* Reads of one server in one turn, while it finishes what a lost client asked. */
#define READS_PER_TURN 8

static void lease_forget(struct redis_server *redis)
{
    redis->dirt = 0;
    redis->multi = redis->watch = redis->queued_state = redis->queued_unframed = false;
    redis->tracking = redis->no_evict = redis->no_touch = redis->monitor = false;
    redis->redirect = 0;
    redis->retiring = redis->waiting = false;
    redis->subscribed = redis->patterns = redis->shards = 0;
}

static void server_check(struct server *server)
{
    redis_login_ask_one(redis_server_of(server), REDIS_QUESTION_PING);
}

/* Has the connection become what its pool wants it to be; see enum redis_dirt. */
static void server_clean(struct redis_server *redis)
{
    bool only_db = redis->dirt == REDIS_DIRT_DB;

    lease_forget(redis);
    if (only_db)
        redis_login_ask_one(redis, REDIS_QUESTION_SELECT);
    else
        redis_login_ask(redis, REDIS_QUESTION_RESET);
}

static bool server_reset(struct server *server)
{
    struct redis_server *redis = redis_server_of(server);

    ensure(redis->owed.length == 0 && !redis_server_kept(redis));
    if (!redis->dirt || server->close_needed) {
        lease_forget(redis);
        return false;
    }
    server_clean(redis);
    return true;
}

/* True if what the client left behind can only be ended by closing: a blocked command might still
 * take an element that nobody would get, messages of a subscription cannot be told from replies,
 * and RESET of Redis 7.0 leaves NO-EVICT as it is. */
static bool must_close(const struct redis_server *redis)
{
    if (redis->part || redis->unframed || redis->monitor || redis->subscribed || redis->shards ||
        redis->frames_left || redis->tracking || redis->no_evict || redis->no_touch ||
        redis->queued_state)
        return true;
    for (uint32_t i = 0; i < redis->owed.length; i++) {
        const struct redis_owed *owed = redis_owed_at(&redis->owed, i);
        const struct redis_command *command = owed->command;

        if (!command || owed->action == REDIS_INQUIRE || command->flags & REDIS_BLOCKING ||
            command->class == REDIS_CLASS_LEASE)
            return true;
    }
    return false;
}

static void server_drain(struct server *server)
{
    struct redis_server *redis = redis_server_of(server);

    if (must_close(redis)) {
        server_close(server, "its client left while it was in use");
        return;
    }
    for (uint32_t i = 0; i < redis->owed.length; i++)
        redis_owed_at(&redis->owed, i)->client = NULL;
    redis->dirt |= REDIS_DIRT_ALL;
    server_clean(redis);
    stream_again(&server->stream);
}

static void server_free(struct server *server)
{
    struct redis_server *redis = redis_server_of(server);

    stream_close(&server->stream);
    redis_login_free(redis);
    redis_owed_fini(&redis->owed);
    buffer_clear(&redis->asked, &server->pool->pools->loop->buffers);
    buffer_clear(&redis->held, &server->pool->pools->loop->buffers);
    free(redis);
}

static void server_leave(struct server *server)
{
    ensure(redis_server_of(server)->owed.length == 0);
}

static void server_arrive(struct server *server)
{
}

/* Shared connections are asked to make room when somebody waits whom nothing else will serve. */
static void pool_yield(struct pool *pool)
{
    struct limit *limit = &pool->totals->database_usage->servers;
    uint64_t wanted_us = atomic_load(&limit->wanted_since_us);
    struct waiter *first = pool_first_waiter(pool);
    size_t coming = pool->servers[SERVER_CONNECTING].length + pool->servers[SERVER_LOGIN].length +
                    pool->servers[SERVER_CHECKING].length + pool->servers[SERVER_LEASED].length +
                    pool->servers[SERVER_DRAINING].length + pool->servers[SERVER_IDLE].length;
    bool elsewhere = wanted_us && (!first || wanted_us < first->since_us);

    if (elsewhere || (first && coming == 0))
        LIST_EACH_SAFE (&pool->servers[SERVER_SHARED], node, next)
            redis_server_of(container_of(node, struct server, node))->retiring = true;
}

const struct server_kind redis_server_kind = {
    .open = redis_login_open,
    .check = server_check,
    .reset = server_reset,
    .yield = pool_yield,
    .probe = probe_begin,
    .drain = server_drain,
    .free = server_free,
    .leave = server_leave,
    .arrive = server_arrive,
};

/* ---- replies to ourselves ---- */

/* The error line in `reply`, as text. */
static const char *reply_error(struct redis_server *redis)
{
    char *end;

    redis->reply[redis->reply_bytes] = '\0';
    end = strpbrk(redis->reply, "\r\n");
    if (end)
        *end = '\0';
    return redis->reply[0] ? redis->reply + 1 : "";
}

/* A question has been answered. False: the server has been closed. */
static bool question_answered(struct redis_server *redis)
{
    enum redis_question question = redis->questions[0];
    bool failed = resp_reply_failed(&redis->parser);

    memmove(redis->questions, redis->questions + 1, --redis->question_count);
    if (question == REDIS_QUESTION_CLIENT_ID && redis->parser.type == ':')
        redis->client_id = (uint64_t)redis->parser.number;
    if (question == REDIS_QUESTION_CLIENT_ID && failed)
        redis->noauth = strcmp(redis->parser.code, "NOAUTH") == 0;
    if (failed && question != REDIS_QUESTION_CLIENT_ID && question != REDIS_QUESTION_PING) {
        if (redis->login)
            redis_login_refused(redis, reply_error(redis));
        else
            server_close(&redis->base, reply_error(redis));
        return false;
    }
    if (redis->question_count > 0)
        return true;
    return redis->login ? redis_login_done(redis) : server_ready(&redis->base);
}

/* A whole reply has come while nobody has the server. False: it has been closed. */
static bool server_reply(struct redis_server *redis)
{
    if (redis->owed.length > 0) {
        redis_owed_pop(&redis->owed);
        return true;
    }
    if (redis->question_count > 0)
        return question_answered(redis);
    server_close(&redis->base, "the server sent a reply that nobody asked for");
    return false;
}

static bool server_walk(struct redis_server *redis, const uint8_t *bytes, size_t length)
{
    size_t at = 0, took;

    while (at < length) {
        enum resp_reply_event event;
        size_t room = REDIS_REPLY_SEEN - 1 - redis->reply_bytes;

        if (resp_reply_idle(&redis->parser)) {
            redis->reply_bytes = 0;
            room = REDIS_REPLY_SEEN - 1;
        }
        event = resp_reply_feed(&redis->parser, bytes + at, length - at, &took);
        if (event == RESP_REPLY_BAD) {
            if (redis->login)
                redis_login_lost(redis, "the server does not speak Redis' protocol");
            else
                server_close(&redis->base, "the server broke the protocol");
            return false;
        }
        memcpy(redis->reply + redis->reply_bytes, bytes + at, took < room ? took : room);
        redis->reply_bytes += (uint8_t)(took < room ? took : room);
        at += took;
        if (event == RESP_REPLY_WHOLE && !server_reply(redis))
            return false;
    }
    return true;
}

static void server_lost(struct redis_server *redis)
{
    int error = redis->base.stream.error;

    if (redis->login)
        redis_login_lost(redis,
                         error ? strerror(error) : "server closed the connection unexpectedly");
    else
        server_close(&redis->base, error ? strerror(error) : "the server closed the connection");
}

static void server_read(struct redis_server *redis)
{
    struct loop *loop = redis->base.pool->pools->loop;

    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        ssize_t got = stream_read(&redis->base.stream, loop->scratch, LOOP_SCRATCH_BYTES);

        if (got == 0)
            return;
        if (got < 0) {
            server_lost(redis);
            return;
        }
        if (!server_walk(redis, loop->scratch, (size_t)got))
            return;
    }
    stream_again(&redis->base.stream);
}

void redis_server_stream_ready(struct stream *stream, unsigned what)
{
    struct server *server = container_of(stream, struct server, stream);

    if (what & STREAM_CONNECTED)
        redis_login_connected(redis_server_of(server));
    else if (server->state == SERVER_LEASED || server->state == SERVER_SHARED)
        server->holder_ready(server, what);
    else
        server_read(redis_server_of(server));
}

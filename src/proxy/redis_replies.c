/* Shared connections, the way back: replies to the clients whose they are, in the order in which
 * the commands went; large ones stream. And what is done when a connection is lost or late:
 * commands that it was not sent go to the next one, the others are answered with an error. */
#include <string.h>

#include "redis_batch.h"
#include "redis_client.h"
#include "redis_shared.h"
#include "redis_slow.h"

#define READS_PER_TURN 8
/* A reply of which so much has been passed on is a large one. */
#define LARGE_BYTES (16u * 1024u)
#define SLOW_BYTES (1024u * 1024u)

/* ---- to clients ---- */

void redis_replies_count(struct redis_client *client)
{
    ensure(client->inflight > 0);
    if (--client->inflight > 0)
        return;
    client->batched = client->again = false;
    if (client->held)
        redis_client_resume(client);
}

void redis_replies_send(struct redis_client *client, const uint8_t *bytes, size_t length)
{
    if (client->inflight == 0) {
        stream_write(&client->stream, bytes, length);
    } else {
        stream_queue(&client->stream, bytes, length);
        if (!list_node_linked(&client->unflushed))
            list_push_back(&client->worker->redis_unflushed, &client->unflushed);
    }
    redis_client_overflows(client);
}

void redis_replies_flush(struct worker *worker)
{
    struct list_node *node;

    while ((node = list_pop_front(&worker->redis_unflushed)))
        stream_flush(&container_of(node, struct redis_client, unflushed)->stream);
}

static void owed_fail(struct redis_owed owed, const uint8_t *text, size_t length)
{
    if (!owed.client)
        return;
    redis_replies_count(owed.client);
    if (owed.action != REDIS_DROP)
        redis_replies_send(owed.client, text, length);
}

/* Answers the first `count` of a ring with an error. */
void redis_replies_fail(struct redis_owed_ring *ring, uint32_t count, const uint8_t *text,
                        size_t length)
{
    while (count-- > 0) {
        struct redis_owed owed = *redis_owed_at(ring, 0);

        redis_owed_pop(ring);
        owed_fail(owed, text, length);
    }
}

/* ---- a connection is lost ---- */

/* Takes the commands that the server has not been sent back to those that wait to be. Returns how
 * many replies it does owe. */
static uint32_t shared_take_back(struct redis_shared *shared, struct redis_server *redis)
{
    struct stream *stream = &redis->base.stream;
    size_t pending, bytes = 0;
    uint32_t count = redis->owed.length;
    struct buffer together = {0};
    struct redis_owed_ring ring = {0};
    struct buffer_cache *cache = &redis_shared_loop(shared)->buffers;

    /* Else what waits for the end of the turn would be sent twice: when this one is closed, too. */
    stream_flush_now(stream);
    pending = stream_pending(stream);
    while (count > 0 && bytes + redis_owed_at(&redis->owed, count - 1)->bytes <= pending)
        bytes += redis_owed_at(&redis->owed, --count)->bytes;
    /* The rest of a transaction is no command of its own. */
    for (; count < redis->owed.length && redis_owed_at(&redis->owed, count)->bound; count++)
        bytes -= redis_owed_at(&redis->owed, count)->bytes;
    if (bytes == 0)
        return count;
    redis_batch_take_back(shared, redis, count, buffer_bytes(&stream->out) + pending - bytes, &ring,
                          &together);
    buffer_append(&together, cache, buffer_bytes(&shared->unsent), buffer_length(&shared->unsent));
    redis->owed.length = count;
    redis_owed_move(&ring, &shared->unsent_owed);
    redis_owed_fini(&shared->unsent_owed);
    buffer_clear(&shared->unsent, cache);
    shared->unsent = together;
    shared->unsent_owed = ring;
    return count;
}

/* ---- large replies ----
 * A large reply streams: beyond SLOW_BYTES (or half of what the client may leave unread) that its
 * client has not taken the connection is not read until it has. Others go on: they get another
 * shared connection; only those with replies behind it wait, or for whom there is no other one, and
 * not for long (redis_slow.h). */

void redis_replies_taken(struct redis_client *client)
{
    if (client->slow)
        redis_slow_end(client->slow);
}

static size_t slow_bytes(const struct redis_client *client)
{
    const struct conf_redis *line = client->pool->redis;
    uint64_t half = line ? line->client_output_limit_bytes / 2 : SLOW_BYTES;

    return half < SLOW_BYTES ? (size_t)half : SLOW_BYTES;
}

static bool server_is_slowed(struct redis_server *redis)
{
    bool slowed = redis->slow_client != NULL;
    uint32_t same;

    if (slowed || !redis->begun || redis->passed_bytes < LARGE_BYTES || redis->owed.length == 0)
        return slowed;
    same = redis_owed_at(&redis->owed, 0)->same;
    for (uint32_t i = 0; i <= same && !slowed; i++) {
        struct redis_client *client = redis_owed_at(&redis->owed, i)->client;

        slowed = client && redis_slow_stops(redis, client, slow_bytes(client));
    }
    redis->retiring |= slowed;
    return slowed;
}

static void server_gone(struct redis_server *redis, enum resp_error error, const char *reason)
{
    struct redis_shared *shared = redis->base.holder;
    struct worker *worker = container_of(redis_shared_pools(shared), struct worker, pools);
    uint8_t text[REDIS_ERROR_BYTES];
    struct resp_writer writer = resp_writer_of(text, sizeof(text), 2);
    uint32_t count = shared_take_back(shared, redis);

    redis_slow_end(redis);
    counter_add(&shared->pool->counters.server_lost_count, 1);
    if (shared->server == redis)
        redis_shared_detach(shared);
    resp_write_error(&writer, error, NULL, NULL);
    /* Half a reply cannot be mended. */
    if (redis->begun && count > 0) {
        uint32_t same = redis_owed_at(&redis->owed, 0)->same;

        for (uint32_t i = 0; i <= same; i++) {
            struct redis_client *client = redis_owed_at(&redis->owed, i)->client;

            if (client)
                redis_client_close(client, "its reply was cut off by the loss of the server");
        }
    }
    redis_replies_fail(&redis->owed, count, text, writer.length);
    redis->base.holder = NULL;
    server_close(&redis->base, reason);
    redis_replies_flush(worker);
    if (buffer_length(&shared->unsent) > 0)
        loop_defer(redis_shared_loop(shared), &shared->flush);
    redis_shared_resume_stalled(shared);
}

/* ---- replies ---- */

/* Spans of replies to one client that lie together are sent together. */
struct run {
    struct redis_client *client;
    const uint8_t *bytes;
    size_t length;
};

static void run_send(struct run *run)
{
    if (run->client)
        redis_replies_send(run->client, run->bytes, run->length);
    run->client = NULL;
    run->length = 0;
}

static void run_add(struct run *run, struct redis_client *client, const uint8_t *bytes,
                    size_t length)
{
    if (run->client != client) {
        run_send(run);
        run->client = client;
        run->bytes = bytes;
    }
    run->length += length;
}

/* Walks what was read; replies may begin and end anywhere in it. False: not RESP. */
static bool replies_walk(struct redis_server *redis, const uint8_t *bytes, size_t length,
                         struct counters *counters)
{
    struct run run = {0};
    uint64_t now_us = loop_now_us(redis->base.pool->pools->loop), time_us = 0, count = 0;
    size_t at = 0, took;

    while (at < length) {
        struct redis_owed *owed;
        enum resp_reply_event event;

        if (resp_reply_idle(&redis->parser)) {
            redis->begun = false;
            redis->passed_bytes = 0;
            redis->first = bytes[at];
            redis_batch_expect(redis);
        }
        event = resp_reply_feed(&redis->parser, bytes + at, length - at, &took);
        if (event == RESP_REPLY_BAD || (redis->owed.length == 0 && redis->first != '>')) {
            run_send(&run);
            return false;
        }
        at += took;
        if (redis->first == '>')
            continue; /* nobody on a shared connection has asked to be told anything */
        owed = redis_owed_at(&redis->owed, 0);
        if (redis_batch_owes(redis)) {
            run_send(&run);
            if (!redis_batch_reply(redis, event, bytes + at - took, took, &count, &time_us))
                return false;
        } else if (event == RESP_REPLY_WHOLE) {
            struct redis_owed done = *owed;

            redis_owed_pop(&redis->owed);
            redis->begun = false;
            count++;
            time_us += now_us - done.since_us;
            latency_add(&redis->base.pool->latencies, LATENCY_query, now_us - done.since_us);
            if (!done.client)
                continue;
            if (done.command->flags & (REDIS_WRITE | REDIS_MAY_REPLICATE) ||
                done.command->id == REDIS_COMMAND_EXEC)
                done.client->write_server = redis->base.id;
            /* Counted before anything is sent: who is sent too much is closed, and then must not
             * have replies due that nobody knows of. */
            if (done.action == REDIS_DROP) {
                redis_replies_count(done.client);
                run_send(&run);
                continue;
            }
            /* The run is sent after its last reply is counted. */
            if (run.client != done.client)
                run_send(&run);
            redis_replies_count(done.client);
            run_add(&run, done.client, bytes + at - took, took);
        } else {
            redis->begun = true;
            redis->passed_bytes += took;
            if (owed->client && owed->action != REDIS_DROP)
                run_add(&run, owed->client, bytes + at - took, took);
        }
    }
    run_send(&run);
    counter_add(&counters->query_count, count);
    counter_add(&counters->xact_count, count);
    counter_add(&counters->query_time, time_us);
    counter_add(&counters->bytes_sent, length);
    return true;
}

void redis_replies_ready(struct server *server, unsigned what)
{
    struct redis_server *redis = redis_server_of(server);
    struct redis_shared *shared = server->holder;
    struct loop *loop = redis_shared_loop(shared);
    struct worker *worker = container_of(redis_shared_pools(shared), struct worker, pools);
    int turns = READS_PER_TURN;
    ssize_t got = 0;

    if (what & STREAM_DRAINED)
        loop_defer(loop, &shared->flush);
    while (turns-- > 0) {
        if (server_is_slowed(redis))
            break;
        got = stream_read(&server->stream, loop->scratch, LOOP_SCRATCH_BYTES);
        if (got <= 0)
            break;
        redis->progress_us = loop_now_us(loop);
        if (!replies_walk(redis, loop->scratch, (size_t)got, &shared->pool->counters)) {
            server_gone(redis, RESP_ERROR_SERVER_GARBLED, "the server broke the protocol");
            return;
        }
        if (redis->owed.length > 0)
            stream_recheck(&server->stream);
        if (!server->stream.readable)
            break;
    }
    if (got < 0) {
        server_gone(redis, RESP_ERROR_SERVER_LOST,
                    server->stream.error ? strerror(server->stream.error)
                                         : "the server closed the connection");
        return;
    }
    redis_replies_flush(worker);
    if (redis_shared_wait_abandoned(redis))
        return;
    if (server->stream.readable && !redis->slow_client)
        stream_again(&server->stream);
    if (list_contains_any(&shared->stalled))
        redis_shared_resume_stalled(shared);
    if (redis->owed.length == 0 || redis->retiring) {
        if (shared->server == redis)
            loop_defer(loop, &shared->flush);
        else if (redis->owed.length == 0)
            redis_shared_end(redis);
    }
}

/* ---- time ---- */

/* Answers those of a ring whose time is up; their late replies are nobody's. redis: who owes them;
 * NULL: they are unsent. Returns when the next one's time is up. */
static uint64_t ring_overdue(struct redis_shared *shared, struct redis_owed_ring *ring,
                             const struct redis_server *redis)
{
    uint64_t now_us = loop_now_us(redis_shared_loop(shared));
    uint64_t timeout_us = shared->pool->settings.query_timeout_us, next_us = UINT64_MAX;
    uint8_t text[REDIS_ERROR_BYTES];
    struct resp_writer writer = resp_writer_of(text, sizeof(text), 2);

    resp_write_error(&writer, RESP_ERROR_COMMAND_TIMEOUT, NULL, NULL);
    for (uint32_t i = 0; i < ring->length; i++) {
        struct redis_owed *owed = redis_owed_at(ring, i);
        struct redis_owed late = *owed;

        /* Not quite in order: a read that was asked again has waited since before. */
        if (owed->since_us + timeout_us > now_us) {
            if (owed->since_us + timeout_us < next_us)
                next_us = owed->since_us + timeout_us;
            continue;
        }
        /* WAIT brings its own limit; half a reply is on its way. */
        if (!owed->client || (redis && redis->waiting && i + 1 == ring->length) ||
            (redis && redis->begun && i <= redis_owed_at(ring, 0)->same))
            continue;
        counter_add(&shared->pool->counters.query_timeouts, 1);
        owed->client = NULL;
        owed_fail(late, text, writer.length);
    }
    return next_us;
}

void redis_replies_overdue(struct server *server)
{
    struct redis_server *redis = redis_server_of(server);
    struct redis_shared *shared = server->holder;
    uint64_t now_us = loop_now_us(redis_shared_loop(shared));
    uint64_t timeout_us = shared->pool->settings.query_timeout_us;
    uint64_t next_us = UINT64_MAX, unsent_us = UINT64_MAX;

    if (redis->slow_client) {
        redis_slow_look(redis);
        return;
    }
    if (timeout_us) {
        next_us = ring_overdue(shared, &redis->owed, redis);
        if (shared->server == redis)
            unsent_us = ring_overdue(shared, &shared->unsent_owed, NULL);
        if (unsent_us < next_us)
            next_us = unsent_us;
    }
    redis_replies_flush(container_of(redis_shared_pools(shared), struct worker, pools));
    if (timeout_us && redis->owed.length > 0) {
        /* No progress at all for as long again: it is lost. */
        uint64_t lost_us = redis->progress_us + 2 * timeout_us;

        if (lost_us <= now_us && !redis->waiting) {
            server_gone(redis, RESP_ERROR_COMMAND_TIMEOUT, "no reply for too long");
            return;
        }
        if (lost_us > now_us && lost_us < next_us)
            next_us = lost_us;
    }
    server->holder_due_us = next_us;
    server_watch(server);
}

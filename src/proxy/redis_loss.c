/* A connection of a client's own that is lost, or takes too long. What it owes is answered with an
 * error, never asked again. The client stays if it need not notice more than that: watched keys
 * count as touched, a transaction as discarded. Subscriptions and the like were on that connection
 * and cannot be had back: the client is closed, as it would be without us. */
#include "redis_lease.h"
#include "redis_local.h"
#include "redis_slow.h"

static void loss_answer(struct redis_client *client, enum resp_error error)
{
    struct redis_server *redis = client->server;
    uint8_t bytes[REDIS_ERROR_BYTES];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    resp_write_error(&writer, error, NULL, NULL);
    for (uint32_t i = 0; i < redis->owed.length; i++)
        if (redis_owed_at(&redis->owed, i)->action != REDIS_DROP)
            stream_queue(&client->stream, bytes, writer.length);
}

/* What the client has to be told later, by what it had asked. */
static enum redis_lost loss_of(const struct redis_server *redis)
{
    bool multi = redis->multi, watch = redis->watch;

    for (uint32_t i = 0; i < redis->owed.length; i++) {
        switch ((int)redis_owed_at(&redis->owed, i)->command->id) {
        case REDIS_COMMAND_MULTI:
            multi = true; /* what it was sent with is not for itself, although it fails */
            break;
        case REDIS_COMMAND_WATCH:
            watch = true;
            break;
        case REDIS_COMMAND_EXEC:
        case REDIS_COMMAND_DISCARD:
            multi = watch = false;
            break;
        default:
            break;
        }
    }
    if (multi)
        return REDIS_LOST_MULTI;
    return watch ? REDIS_LOST_WATCH : REDIS_LOST_NOTHING;
}

/* True if nobody knows whether the client takes a transaction for open: it has sent nothing behind
 * a MULTI that fails, but more may be on its way. */
static bool loss_is_unclear(const struct redis_client *client)
{
    const struct redis_owed_ring *owed = &client->server->owed;

    return owed->length > 0 && buffer_length(&client->in) == 0 &&
           redis_owed_at(owed, owed->length - 1)->command->id == REDIS_COMMAND_MULTI;
}

bool redis_loss_lease(struct redis_client *client, enum resp_error error, bool usable)
{
    struct redis_server *redis = client->server;
    const char *reason = resp_error_text(error);
    bool close = redis->begun || redis->part || redis->unframed || redis->monitor ||
                 redis->subscribed || redis->shards || redis->frames_left || redis->tracking ||
                 redis->no_evict || redis->no_touch || client->session || loss_is_unclear(client);

    counter_add(&client->pool->counters.server_lost_count, 1);
    if (!redis->begun)
        loss_answer(client, error);
    client->lost = (uint8_t)loss_of(redis);
    redis_session_free(client);
    redis_slow_end(redis);
    client->server = NULL;
    redis->base.holder_overdue = NULL;
    if (usable)
        pool_drain(&redis->base);
    else
        server_close(&redis->base, reason);
    redis_client_move(client, REDIS_CLIENT_READY);
    if (close) {
        redis_client_leave(client, reason);
        return false;
    }
    stream_flush(&client->stream);
    redis_client_resume(client);
    return true;
}

static enum redis_verdict lost_exec(struct redis_client *client)
{
    uint8_t bytes[16];
    struct resp_writer writer =
        resp_writer_of(bytes, sizeof(bytes), (uint8_t)redis_client_version(client));

    if (client->lost == REDIS_LOST_MULTI) {
        redis_client_answer_error(client, RESP_ERROR_EXECABORT, NULL, NULL);
    } else {
        resp_write_null_array(&writer);
        redis_client_answer(client, bytes, writer.length);
    }
    client->lost = REDIS_LOST_NOTHING;
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_loss_request(struct redis_client *client, struct redis_input *input)
{
    enum redis_command_id id = input->call.command->id;
    bool multi = client->lost != REDIS_LOST_WATCH;

    if (input->call.class == REDIS_CLASS_LOCAL &&
        (id == REDIS_COMMAND_QUIT || id == REDIS_COMMAND_RESET))
        return REDIS_VERDICT_STAY;
    if (!multi && id != REDIS_COMMAND_MULTI && id != REDIS_COMMAND_UNWATCH)
        return REDIS_VERDICT_STAY; /* as any other */
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    switch ((int)id) {
    case REDIS_COMMAND_EXEC:
        return lost_exec(client);
    case REDIS_COMMAND_DISCARD:
    case REDIS_COMMAND_UNWATCH:
        if (multi && id == REDIS_COMMAND_UNWATCH)
            break;
        client->lost = REDIS_LOST_NOTHING;
        redis_client_answer_simple(client, "OK");
        return REDIS_VERDICT_DONE;
    case REDIS_COMMAND_MULTI:
        if (multi) {
            redis_client_answer_error(client, RESP_ERROR_MULTI_NESTED, NULL, NULL);
        } else {
            client->lost = REDIS_LOST_WATCH_MULTI;
            redis_client_answer_simple(client, "OK");
        }
        return REDIS_VERDICT_DONE;
    default:
        break;
    }
    redis_client_answer_simple(client, "QUEUED");
    return REDIS_VERDICT_DONE;
}

/* Asking together, the way back: a question's array is taken apart, and each element is the reply
 * of those who asked for that key. What must be asked again, alone, goes to the unsent ones. */
#include <string.h>

#include "redis_batch.h"

/* A reply that says nothing is at most so long ("$-1", CR, LF): before, nothing is passed on. */
#define NULL_BYTES_MAX 5u
/* Several clients get the same bytes up to so many; beyond, each is asked for alone, since they may
 * take them at different speeds. */
#define LARGE_BYTES (16u * 1024u)
/* How long a kind of question is not put, after the server has refused it. */
#define ALONE_US (10 * US_PER_S)

void redis_batch_expect(struct redis_server *redis)
{
    if (redis->elements == 0 && redis->owed.length > 0 && redis_owed_at(&redis->owed, 0)->keys > 0)
        resp_reply_split(&redis->parser);
}

/* ---- what is asked again ---- */

/* Has an entry of the first group asked again, alone; here it is nobody's from now on. */
static void entry_again(struct redis_server *redis, struct redis_owed *owed, uint16_t asked)
{
    struct redis_shared *shared = redis->base.holder;
    struct redis_owed *again = redis_owed_push(&shared->unsent_owed);

    *again = *owed;
    again->bytes = asked;
    again->same = again->keys = again->asked = 0;
    again->client->again = true;
    again->client->epoch = shared->epoch;
    owed->client = NULL;
    buffer_append(&shared->unsent, &redis_shared_loop(shared)->buffers, buffer_bytes(&redis->asked),
                  asked);
    loop_defer(redis_shared_loop(shared), &shared->flush);
    counter_add(&shared->pool->counters.batch_again, 1);
}

/* Of the first group: all are asked again, or those for whom something in front of it is. */
static void group_again(struct redis_server *redis, bool all)
{
    struct redis_owed first = *redis_owed_at(&redis->owed, 0);

    for (uint32_t i = 0; i <= first.same; i++) {
        struct redis_owed *owed = redis_owed_at(&redis->owed, i);

        if (owed->client && (all || owed->client->again))
            entry_again(redis, owed, first.asked);
    }
}

/* Of the first group, whose reply is large: one gets it, the others are asked for alone. */
static void group_part_company(struct redis_server *redis)
{
    struct redis_owed first = *redis_owed_at(&redis->owed, 0);
    bool found = false;

    for (uint32_t i = 0; i <= first.same; i++) {
        struct redis_owed *owed = redis_owed_at(&redis->owed, i);

        if (owed->client && found)
            entry_again(redis, owed, first.asked);
        found |= owed->client != NULL;
    }
}

/* The question was answered by an error: each key is asked alone, and has its own. */
static void question_failed(struct redis_server *redis)
{
    struct redis_shared *shared = redis->base.holder;
    const struct redis_owed *front = redis_owed_at(&redis->owed, 0);

    if (strcmp(redis->parser.code, "WRONGTYPE") != 0)
        shared->alone_until_us[front->command->batch] =
            loop_now_us(redis_shared_loop(shared)) + ALONE_US;
    counter_add(&shared->pool->counters.batch_errors, 1);
    for (uint32_t keys = front->keys; keys > 0; keys--) {
        struct redis_owed first = *redis_owed_at(&redis->owed, 0);

        group_again(redis, true);
        for (uint32_t i = 0; i <= first.same; i++)
            redis_owed_pop(&redis->owed);
        buffer_consume(&redis->asked, &redis->base.stream.loop->buffers, first.asked);
    }
}

/* ---- what is told ---- */

static void held_send(struct redis_server *redis, struct redis_client *client, const uint8_t *bytes,
                      size_t length)
{
    if (buffer_length(&redis->held) > 0)
        stream_queue(&client->stream, buffer_bytes(&redis->held), buffer_length(&redis->held));
    redis_replies_send(client, bytes, length);
}

/* A reply of the first group ends here. */
static void group_whole(struct redis_server *redis, const uint8_t *bytes, size_t length,
                        uint64_t *count, uint64_t *time_us)
{
    struct redis_shared *shared = redis->base.holder;
    struct pool *pool = shared->pool;
    struct buffer_cache *cache = &redis_shared_loop(shared)->buffers;
    struct redis_owed first = *redis_owed_at(&redis->owed, 0);
    uint64_t now_us = loop_now_us(redis_shared_loop(shared));
    bool nil =
        redis->elements > 0 && redis->parser.null && first.command->batch == REDIS_BATCH_MGET;

    if (!redis->begun)
        group_again(redis, nil);
    counter_add(&pool->counters.batch_nils, nil);
    if (redis->passed_bytes + length > LARGE_BYTES)
        redis_batch_note_large(shared, first.command->batch, buffer_bytes(&redis->asked),
                               first.asked);
    redis->elements -= redis->elements > 0;
    /* One may be closed while it is told, and its entries are looked for then: so each is taken off
     * before it is told. */
    for (uint32_t i = 0; i <= first.same; i++) {
        struct redis_owed done = *redis_owed_at(&redis->owed, 0);

        redis_owed_pop(&redis->owed);
        if (!done.client)
            continue;
        ++*count;
        *time_us += now_us - done.since_us;
        latency_add(&pool->latencies, LATENCY_query, now_us - done.since_us);
        redis_replies_count(done.client);
        if (done.action != REDIS_DROP)
            held_send(redis, done.client, bytes, length);
    }
    buffer_clear(&redis->held, cache);
    buffer_consume(&redis->asked, cache, first.asked);
    redis->begun = false;
}

/* A part of it, with more to come. */
static void group_part(struct redis_server *redis, const uint8_t *bytes, size_t length)
{
    struct buffer_cache *cache = &redis->base.stream.loop->buffers;
    uint16_t same = redis_owed_at(&redis->owed, 0)->same;

    redis->passed_bytes += length;
    if (!redis->begun) {
        if (redis->passed_bytes < (same > 0 ? LARGE_BYTES : NULL_BYTES_MAX)) {
            buffer_append(&redis->held, cache, bytes, length);
            return;
        }
        group_again(redis, false);
        group_part_company(redis);
        redis->begun = true;
    }
    for (uint32_t i = 0; i <= same; i++) {
        const struct redis_owed *owed = redis_owed_at(&redis->owed, i);

        if (owed->client && owed->action != REDIS_DROP)
            held_send(redis, owed->client, bytes, length);
    }
    buffer_clear(&redis->held, cache);
}

bool redis_batch_reply(struct redis_server *redis, enum resp_reply_event event,
                       const uint8_t *bytes, size_t length, uint64_t *count, uint64_t *time_us)
{
    uint32_t keys = redis_owed_at(&redis->owed, 0)->keys;

    if (keys == 0 || redis->elements > 0) {
        if (event == RESP_REPLY_WHOLE)
            group_whole(redis, bytes, length, count, time_us);
        else
            group_part(redis, bytes, length);
        return true;
    }
    if (event == RESP_REPLY_HEAD) {
        redis->elements = keys;
        return redis->parser.number == (int64_t)keys;
    }
    if (event == RESP_REPLY_WHOLE) {
        if (!resp_reply_failed(&redis->parser))
            return false;
        question_failed(redis);
    }
    return true;
}

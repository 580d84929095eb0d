/* What a subscriber is told: frames that no command asked for at that moment, and confirmations,
 * one for each channel. Their first element says what they are, their last how many subscriptions
 * remain: that decides when a connection is free again. */
#include <string.h>

#include "redis_lease.h"

bool redis_pubsub_is(const struct redis_command *command)
{
    switch ((int)command->id) {
    case REDIS_COMMAND_SUBSCRIBE:
    case REDIS_COMMAND_PSUBSCRIBE:
    case REDIS_COMMAND_SSUBSCRIBE:
    case REDIS_COMMAND_UNSUBSCRIBE:
    case REDIS_COMMAND_PUNSUBSCRIBE:
    case REDIS_COMMAND_SUNSUBSCRIBE:
        return true;
    default:
        return false;
    }
}

uint32_t redis_pubsub_frames(const struct redis_server *redis, const struct redis_input *input)
{
    uint32_t all = 1;

    if (input->request.argc > 1)
        return input->request.argc - 1;
    switch ((int)input->call.command->id) {
    case REDIS_COMMAND_UNSUBSCRIBE:
        all = redis->subscribed - redis->patterns;
        break;
    case REDIS_COMMAND_PUNSUBSCRIBE:
        all = redis->patterns;
        break;
    case REDIS_COMMAND_SUNSUBSCRIBE:
        all = redis->shards;
        break;
    default:
        break;
    }
    return all > 0 ? all : 1;
}

void redis_pubsub_see(struct redis_server *redis, const uint8_t *bytes, size_t length)
{
    struct redis_frame *frame = &redis->frame;
    size_t room = REDIS_FRAME_HEAD - frame->head_bytes, take = length < room ? length : room;
    size_t keep;

    memcpy(frame->head + frame->head_bytes, bytes, take);
    frame->head_bytes += (uint8_t)take;
    if (length >= REDIS_FRAME_TAIL) {
        memcpy(frame->tail, bytes + length - REDIS_FRAME_TAIL, REDIS_FRAME_TAIL);
        frame->tail_bytes = REDIS_FRAME_TAIL;
        return;
    }
    keep = REDIS_FRAME_TAIL - length;
    if (keep > frame->tail_bytes)
        keep = frame->tail_bytes;
    memmove(frame->tail, frame->tail + frame->tail_bytes - keep, keep);
    memcpy(frame->tail + keep, bytes, length);
    frame->tail_bytes = (uint8_t)(keep + length);
}

/* The integer that the frame ends with; 0 when it ends otherwise. */
static uint32_t frame_count(const struct redis_frame *frame)
{
    uint32_t count = 0, place = 1;
    int at = frame->tail_bytes - 3; /* before CR LF */

    for (; at >= 0 && frame->tail[at] >= '0' && frame->tail[at] <= '9' && place <= 100000000;
         at--, place *= 10)
        count += (uint32_t)(frame->tail[at] - '0') * place;
    return at >= 0 && frame->tail[at] == ':' ? count : 0;
}

/* True if the frame's first element is this word. */
static bool frame_is(const struct redis_frame *frame, const char *word)
{
    const char *head = frame->head;
    size_t at = 0, length = strlen(word);

    /* "*3", CR LF, "$9", CR LF, the word, CR LF */
    for (unsigned lines = 0; at < frame->head_bytes && lines < 2; at++)
        lines += head[at] == '\n';
    return at + length + 2 <= frame->head_bytes && memcmp(head + at, word, length) == 0 &&
           head[at + length] == '\r';
}

static void confirmed(struct redis_server *redis)
{
    if (redis->frames_left > 0)
        redis->frames_left--;
}

void redis_pubsub_frame(struct redis_server *redis)
{
    static const char *const channels[] = {"subscribe", "unsubscribe"};
    static const char *const patterns[] = {"psubscribe", "punsubscribe"};
    static const char *const shards[] = {"ssubscribe", "sunsubscribe"};
    struct redis_frame *frame = &redis->frame;
    uint32_t count = frame_count(frame);

    for (unsigned i = 0; i < 2; i++) {
        if (frame_is(frame, channels[i])) {
            redis->subscribed = count;
            confirmed(redis);
        } else if (frame_is(frame, patterns[i])) {
            redis->patterns += count - redis->subscribed;
            redis->subscribed = count;
            confirmed(redis);
        } else if (frame_is(frame, shards[i])) {
            redis->shards = count;
            confirmed(redis);
        }
    }
    redis->frame_was_reply = frame_is(frame, "pong");
    frame->head_bytes = frame->tail_bytes = 0;
}

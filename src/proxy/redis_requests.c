/* What a client sends: bytes are read once, requests are found where they lie, and each goes its
 * way: onto the shared connection, to a connection of the client's own, or it is answered here.
 * Only half requests, and those that have to wait, are kept. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "redis_lease.h"
#include "redis_local.h"
#include "redis_shared.h"
#include "sluice/base/memory.h"

/* Room that is made for more of a request of which a part is kept. */
#define READ_MORE_BYTES (16u * 1024u)
/* Beyond so many bytes that a client's own server has not taken, the client is not read. */
#define SERVER_PENDING_MAX (256u * 1024u)
/* A line of words becomes at most so many times as long in the ordinary form. */
#define INLINE_GROWTH 4u
#define INLINE_EXTRA 64u

bool redis_arg_is(const struct redis_input *input, uint32_t index, const char *word)
{
    struct resp_span arg;

    if (index >= input->request.seen)
        return false;
    arg = redis_arg(input, index);
    return arg.length == strlen(word) &&
           strncasecmp((const char *)input->bytes + arg.offset, word, arg.length) == 0;
}

char *redis_arg_text(const struct redis_input *input, uint32_t index)
{
    struct resp_span arg = redis_arg(input, index);

    return memory_text((const char *)input->bytes + arg.offset, arg.length);
}

/* Finds the end of a block that is all there: MULTI to EXEC or DISCARD, or ASKING and its command.
 * *count: its requests. Returns its bytes; 0 when it needs a connection of its own. */
static size_t block_length(const struct redis_client *client, const struct redis_input *input,
                           uint32_t *count)
{
    struct resp_request_parser parser;
    size_t at = input->length;
    bool asking = input->call.command->id == REDIS_COMMAND_ASKING;

    resp_request_parser_init(&parser, false);
    for (*count = 1; at < input->available;) {
        struct resp_request request;
        struct redis_call call;
        enum redis_command_id id;

        if (resp_request_next(&parser, input->bytes + at, input->available - at, &request) !=
                RESP_REQUEST_WHOLE ||
            request.odd)
            return 0;
        call = redis_command_classify(input->bytes + at, &request);
        id = call.command->id;
        at += request.bytes;
        ++*count;
        if (asking)
            return call.class == REDIS_CLASS_SHARED ? at : 0;
        if (call.class == REDIS_CLASS_BLOCK &&
            (id == REDIS_COMMAND_EXEC || id == REDIS_COMMAND_DISCARD))
            return at;
        if (call.flags & (REDIS_STATE | REDIS_SCRIPT) || redis_client_may_not(client, &call) ||
            (call.flags & REDIS_AT_ONCE && id != REDIS_COMMAND_MULTI))
            return 0;
    }
    return 0;
}

static enum redis_verdict request_block(struct redis_client *client, struct redis_input *input)
{
    enum redis_command_id id = input->call.command->id;
    size_t length;
    uint32_t count;

    if (id == REDIS_COMMAND_EXEC || id == REDIS_COMMAND_DISCARD)
        return redis_shared_push(client, input);
    length = block_length(client, input, &count);
    if (length == 0 || client->reply_mode != REDIS_REPLY_ON)
        return redis_lease_want(client, false);
    return redis_shared_push_block(client, input, count, length);
}

/* A client without a connection of its own. */
static enum redis_verdict request_ready(struct redis_client *client, struct redis_input *input)
{
    const struct redis_call *call = &input->call;

    if (client->lost) {
        enum redis_verdict verdict = redis_loss_request(client, input);

        if (verdict != REDIS_VERDICT_STAY)
            return verdict;
    }
    if (input->request.odd)
        return redis_lease_want(client, false);
    switch (call->class) {
    case REDIS_CLASS_SHARED:
        return redis_shared_push(client, input);
    case REDIS_CLASS_BLOCK:
        return request_block(client, input);
    case REDIS_CLASS_LEASE:
    case REDIS_CLASS_SINGLE:
    case REDIS_CLASS_CONTROL:
        return redis_lease_want(client, redis_lease_apart(call));
    case REDIS_CLASS_WAIT:
        return redis_shared_push_wait(client, input);
    case REDIS_CLASS_LOCAL:
        if (redis_session_is(call))
            return redis_lease_want(client, false);
        return redis_local_request(client, input);
    case REDIS_CLASS_REFUSE:
        break;
    }
    return redis_local_refuse(client, call->command);
}

/* No connection could be had for it. What a transaction has behind a MULTI that is refused is not
 * for itself. */
static void request_refused(struct redis_client *client, const struct redis_input *input)
{
    uint8_t text[REDIS_ERROR_BYTES];
    size_t length = redis_failure_text(client->refusal, text);

    client->refusal = NULL;
    if (input->call.command->id == REDIS_COMMAND_MULTI && input->available > input->length)
        client->lost = REDIS_LOST_MULTI;
    redis_client_answer(client, text, length);
}

static enum redis_verdict request_whole(struct redis_client *client, struct redis_input *input)
{
    const struct redis_call *call = &input->call;

    input->call = redis_command_classify(input->bytes, &input->request);
    client->last = call->command;
    if (client->state == REDIS_CLIENT_LEASED)
        return redis_lease_request(client, input);
    if (client->refusal) {
        request_refused(client, input);
        return REDIS_VERDICT_DONE;
    }
    if (redis_client_may_not(client, call))
        return redis_local_refuse(client, call->command);
    return request_ready(client, input);
}

static enum redis_verdict request_inline(struct redis_client *client, struct redis_input *input)
{
    size_t room = input->length * INLINE_GROWTH + INLINE_EXTRA;
    uint8_t *encoded = memory_resize(NULL, room);
    struct redis_input whole = {.bytes = encoded};
    struct resp_request_parser parser;
    enum redis_verdict verdict = REDIS_VERDICT_DONE;

    whole.length = whole.available = resp_inline_encode(input->bytes, input->length, encoded, room);
    ensure(whole.length > 0);
    resp_request_parser_init(&parser, false);
    if (resp_request_next(&parser, encoded, whole.length, &whole.request) == RESP_REQUEST_WHOLE)
        verdict = request_whole(client, &whole);
    free(encoded);
    return verdict;
}

/* A request that is no request: tells it behind the replies that are due. */
static enum redis_verdict request_bad(struct redis_client *client, const struct redis_input *input,
                                      bool hangup)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    client->reply_mode = REDIS_REPLY_ON;
    if (!hangup)
        redis_client_answer_error(client, input->request.error, input->request.got, NULL);
    redis_client_leave(client, "protocol error");
    return REDIS_VERDICT_GONE;
}

/* A long request that has to be seen whole, since it is refused, or may change who the client is:
 * nothing that means well is ever so long. The rest of it is not read. */
static enum redis_verdict request_absurd(struct redis_client *client, const struct redis_call *call)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    if (redis_client_may_not(client, call))
        redis_client_answer_error(client, RESP_ERROR_NOPERM, call->command->name, NULL);
    redis_client_leave(client, "a request of absurd length");
    return REDIS_VERDICT_GONE;
}

/* The beginning of a request that is too long to be held: to a connection of its own. */
static enum redis_verdict request_long(struct redis_client *client, struct redis_input *input)
{
    const struct redis_call *call = &input->call;
    enum redis_verdict verdict;

    input->call = redis_command_classify(input->bytes, &input->request);
    client->last = call->command;
    if (redis_client_may_not(client, call) || call->class == REDIS_CLASS_LOCAL ||
        redis_session_is(call)) {
        verdict = request_absurd(client, call);
    } else if (client->state == REDIS_CLIENT_LEASED) {
        verdict = redis_lease_request(client, input);
    } else if (client->refusal) {
        request_refused(client, input);
        redis_client_leave(client, "no server for a large request");
        return REDIS_VERDICT_GONE;
    } else {
        verdict = redis_lease_want(client, redis_lease_apart(call));
    }
    if (verdict == REDIS_VERDICT_DONE)
        client->long_request = true;
    else if (verdict != REDIS_VERDICT_GONE)
        resp_request_parser_init(&client->parser, false);
    return verdict;
}

/* More of a long request. *done: how many bytes of it there were. */
static enum redis_verdict request_more(struct redis_client *client, const uint8_t *bytes,
                                       size_t length, size_t *done)
{
    struct resp_request request;

    switch (resp_request_stream(&client->parser, bytes, length, &request)) {
    case RESP_REQUEST_WHOLE:
        redis_lease_pass(client, bytes, request.bytes);
        client->long_request = client->server->part = false;
        *done = request.bytes;
        return REDIS_VERDICT_DONE;
    case RESP_REQUEST_PART:
        redis_lease_pass(client, bytes, length);
        *done = length;
        return REDIS_VERDICT_DONE;
    default:
        /* The server would say it, and close. */
        client->reply_mode = REDIS_REPLY_ON;
        redis_client_answer_error(client, request.error, request.got, NULL);
        redis_client_leave(client, "protocol error");
        return REDIS_VERDICT_GONE;
    }
}

static bool may_go_on(const struct redis_client *client)
{
    if (client->state == REDIS_CLIENT_LEASED &&
        stream_pending(&client->server->base.stream) > SERVER_PENDING_MAX)
        return false; /* goes on when the server has taken that */
    return !client->held &&
           (client->state == REDIS_CLIENT_READY || client->state == REDIS_CLIENT_LEASED);
}

/* Deals with what was read. Returns how many bytes are done with, or -1 when the client has gone.
 */
static ssize_t requests_walk(struct redis_client *client, const uint8_t *bytes, size_t length)
{
    size_t at = 0;

    client->parser.limited = client->pool->shared->limited;
    while (at < length) {
        struct redis_input input = {.bytes = bytes + at, .available = length - at};
        enum redis_verdict verdict = REDIS_VERDICT_DONE;
        size_t done = 0;

        if (client->long_request) {
            if (request_more(client, bytes + at, length - at, &done) == REDIS_VERDICT_GONE)
                return -1;
            at += done;
            continue;
        }
        switch (resp_request_next(&client->parser, bytes + at, length - at, &input.request)) {
        case RESP_REQUEST_WHOLE:
            input.length = input.request.bytes;
            verdict = request_whole(client, &input);
            break;
        case RESP_REQUEST_INLINE:
            input.length = input.request.bytes;
            verdict = request_inline(client, &input);
            break;
        case RESP_REQUEST_EMPTY:
            break;
        case RESP_REQUEST_PART:
            client->whole = false;
            return (ssize_t)at;
        case RESP_REQUEST_LONG:
            input.length = length - at;
            verdict = request_long(client, &input);
            if (verdict == REDIS_VERDICT_DONE)
                continue; /* request_more() takes the bytes */
            break;
        case RESP_REQUEST_BAD:
            verdict = request_bad(client, &input, false);
            break;
        case RESP_REQUEST_HANGUP:
            verdict = request_bad(client, &input, true);
            break;
        }
        switch (verdict) {
        case REDIS_VERDICT_DONE:
            /* A block may have been more than this request. */
            at += input.request.bytes;
            if (!may_go_on(client))
                return (ssize_t)at;
            break;
        case REDIS_VERDICT_HOLD:
            client->held = true;
            return (ssize_t)at;
        case REDIS_VERDICT_STAY:
            return (ssize_t)at;
        case REDIS_VERDICT_GONE:
            return -1;
        }
    }
    client->whole = false;
    return (ssize_t)at;
}

/* True if a client that has said its last word still gets replies: as with Redis, unless the
 * command waits for others, since then nobody may be there any more. */
static bool replies_due(const struct redis_client *client)
{
    const struct redis_server *redis = client->server;

    if (client->inflight == 1 && !client->held && client->last->class == REDIS_CLASS_WAIT)
        return false;
    if (client->state != REDIS_CLIENT_LEASED)
        return client->inflight > 0 || client->state == REDIS_CLIENT_STALLED ||
               client->state == REDIS_CLIENT_TOURING ||
               (client->state == REDIS_CLIENT_WAITING && !client->wants_apart);
    /* The rest of a request that is half sent never comes, nor its reply. */
    return redis->owed.length > client->long_request && !redis->unframed && !redis->monitor &&
           !(redis_owed_at(&redis->owed, 0)->command->flags & REDIS_BLOCKING);
}

/* What came of a read. */
enum progress {
    PROGRESS_MORE, /* go on */
    PROGRESS_STOP, /* nothing more to do now */
    PROGRESS_GONE, /* the client has gone */
};

static enum progress requests_ended(struct redis_client *client)
{
    if (!client->stream.error && replies_due(client)) {
        client->held = true;
        return PROGRESS_STOP;
    }
    redis_client_close(client, client->stream.error ? strerror(client->stream.error)
                                                    : "the client closed the connection");
    return PROGRESS_GONE;
}

static enum progress requests_read(struct redis_client *client)
{
    struct loop *loop = &client->worker->loop;
    struct buffer *in = &client->in;
    bool kept = buffer_length(in) > 0;
    uint8_t *place = kept ? buffer_reserve(in, &loop->buffers, READ_MORE_BYTES) : loop->scratch;
    ssize_t got = stream_read(&client->stream, place, kept ? READ_MORE_BYTES : LOOP_SCRATCH_BYTES);
    ssize_t done;

    if (got == 0)
        return PROGRESS_STOP;
    if (got < 0)
        return requests_ended(client);
    counter_add(&client->pool->counters.bytes_received, (uint64_t)got);
    client->request_us = loop_now_us(loop);
    client->whole = true;
    if (kept) {
        buffer_grew(in, (size_t)got);
        done = requests_walk(client, buffer_bytes(in), buffer_length(in));
        if (done < 0)
            return PROGRESS_GONE;
        buffer_consume(in, &loop->buffers, (size_t)done);
    } else {
        done = requests_walk(client, loop->scratch, (size_t)got);
        if (done < 0)
            return PROGRESS_GONE;
        buffer_append(in, &loop->buffers, loop->scratch + done, (size_t)(got - done));
    }
    return may_go_on(client) ? PROGRESS_MORE : PROGRESS_STOP;
}

/* What was kept because it had to wait. */
static enum progress requests_kept(struct redis_client *client)
{
    struct buffer *in = &client->in;
    ssize_t done;

    if (!client->whole || buffer_length(in) == 0)
        return PROGRESS_MORE;
    done = requests_walk(client, buffer_bytes(in), buffer_length(in));
    if (done < 0)
        return PROGRESS_GONE;
    buffer_consume(in, &client->worker->loop.buffers, (size_t)done);
    return may_go_on(client) ? PROGRESS_MORE : PROGRESS_STOP;
}

void redis_requests_run(struct redis_client *client)
{
    int64_t turns = client->worker->conf->sbuf_loopcnt;
    enum progress progress;

    if (!may_go_on(client)) {
        if (client->stream.error || (client->stream.peer_closed && !replies_due(client)))
            requests_ended(client);
        return;
    }
    progress = requests_kept(client);
    while (progress == PROGRESS_MORE && client->stream.readable && --turns != -1)
        progress = requests_read(client);
    if (progress == PROGRESS_GONE)
        return;
    if (stream_pending(&client->stream) > 0)
        stream_flush(&client->stream);
    if (client->state == REDIS_CLIENT_LEASED && stream_pending(&client->server->base.stream) > 0)
        stream_flush(&client->server->base.stream);
    if (progress == PROGRESS_MORE && client->stream.readable)
        stream_again(&client->stream);
}

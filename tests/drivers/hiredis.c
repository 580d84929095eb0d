/* The tour of hiredis: its blocking connections, and its asynchronous ones on libevent. */
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED 1000

static int port, answered;

static void expect(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "not as expected: %s\n", what);
    exit(EXIT_FAILURE);
}

static redisContext *client_open(void)
{
    redisContext *context = redisConnect("127.0.0.1", port);

    expect(context && !context->err, "connect");
    return context;
}

static redisReply *ask(redisContext *context, const char *format, const char *first,
                       const char *second)
{
    redisReply *reply = redisCommand(context, format, first, second);

    expect(reply != NULL, format);
    return reply;
}

static void asks(redisContext *context, const char *format, const char *first, const char *second,
                 const char *expected)
{
    redisReply *reply = ask(context, format, first, second);

    expect(reply->str && strcmp(reply->str, expected) == 0, format);
    freeReplyObject(reply);
}

static void plain(void)
{
    redisContext *context = client_open();
    size_t size = 3000000;
    char *big = calloc(1, size);
    redisReply *reply;

    asks(context, "SELECT 10", NULL, NULL, "OK");
    asks(context, "SET hiredis:a %s", "1", NULL, "OK");
    asks(context, "GET hiredis:a", NULL, NULL, "1");
    reply = redisCommand(context, "SET hiredis:big %b", big, size);
    expect(reply && reply->type == REDIS_REPLY_STATUS, "SET of a large value");
    freeReplyObject(reply);
    reply = ask(context, "GET hiredis:big", NULL, NULL);
    expect(reply->len == size && memcmp(reply->str, big, size) == 0, "GET of a large value");
    freeReplyObject(reply);
    free(big);
    reply = ask(context, "LPUSH hiredis:a x", NULL, NULL);
    expect(reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0, "error");
    freeReplyObject(reply);
    redisFree(context);
}

static void pipeline(void)
{
    redisContext *context = client_open();

    for (int i = 0; i < ASKED; i++)
        redisAppendCommand(context, "ECHO %d", i);
    for (int i = 0; i < ASKED; i++) {
        redisReply *reply;

        expect(redisGetReply(context, (void **)&reply) == REDIS_OK, "a reply");
        expect(atoi(reply->str) == i, "replies in order");
        freeReplyObject(reply);
    }
    redisFree(context);
}

static void transaction(void)
{
    redisContext *context = client_open();
    redisReply *reply;

    asks(context, "MULTI", NULL, NULL, "OK");
    asks(context, "SET hiredis:t 7", NULL, NULL, "QUEUED");
    asks(context, "INCR hiredis:t", NULL, NULL, "QUEUED");
    reply = ask(context, "EXEC", NULL, NULL);
    expect(reply->elements == 2 && reply->element[1]->integer == 8, "EXEC");
    freeReplyObject(reply);
    redisFree(context);
}

static void on_reply(redisAsyncContext *context, void *reply, void *data)
{
    redisReply *answer = reply;

    expect(answer && answer->str && atoi(answer->str) == (int)(intptr_t)data, "a reply, in order");
    expect((int)(intptr_t)data == answered++, "order");
    if (answered == ASKED)
        redisAsyncDisconnect(context);
}

static void asynchronous(void)
{
    struct event_base *base = event_base_new();
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", port);

    expect(context && !context->err && redisLibeventAttach(context, base) == REDIS_OK, "attach");
    for (int i = 0; i < ASKED; i++)
        expect(redisAsyncCommand(context, on_reply, (void *)(intptr_t)i, "ECHO %d", i) == REDIS_OK,
               "asynchronous command");
    event_base_dispatch(base);
    expect(answered == ASKED, "all asynchronous replies");
    event_base_free(base);
}

static void on_message(redisAsyncContext *context, void *reply, void *data)
{
    redisReply *answer = reply;

    if (!answer)
        return;
    expect(answer->elements == 3, "a message");
    if (strcmp(answer->element[0]->str, "subscribe") == 0) {
        redisContext *other = client_open();
        redisReply *count = ask(other, "PUBLISH hiredis:news %s", "hello", NULL);

        expect(count->integer == 1, "PUBLISH");
        freeReplyObject(count);
        redisFree(other);
    } else {
        expect(strcmp(answer->element[2]->str, "hello") == 0, "what was published");
        *(bool *)data = true;
        redisAsyncFree(context);
    }
}

static void subscription(void)
{
    struct event_base *base = event_base_new();
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", port);
    bool heard = false;

    expect(context && !context->err && redisLibeventAttach(context, base) == REDIS_OK, "attach");
    redisAsyncCommand(context, on_message, &heard, "SUBSCRIBE hiredis:news");
    event_base_dispatch(base);
    expect(heard, "a message");
    event_base_free(base);
}

int main(void)
{
    redisContext *context;

    port = atoi(getenv("SLUICE_TOUR_PORT") ? getenv("SLUICE_TOUR_PORT") : "0");
    plain();
    pipeline();
    transaction();
    asynchronous();
    subscription();
    context = client_open();
    asks(context, "SELECT 10", NULL, NULL, "OK");
    asks(context, "FLUSHDB", NULL, NULL, "OK");
    redisFree(context);
    return EXIT_SUCCESS;
}

#include "harness/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/suite.h"

static bool answers(uint16_t port)
{
    redisContext *context = redisConnect("127.0.0.1", port);
    redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
    bool good = reply != NULL;

    if (reply)
        freeReplyObject(reply);
    if (context)
        redisFree(context);
    return good;
}

void redis_again(struct redis *redis)
{
    char *arguments[] = {text("redis-server"), redis->conf, NULL};

    redis->pid = process_start("/usr/bin/redis-server", arguments,
                               text("%s/output", redis->directory), NULL, SIGKILL);
    await(answers(redis->port), 20);
}

void redis_start(struct redis *redis, const char *settings)
{
    redis->directory = process_directory();
    redis->port = process_free_port();
    redis->conf = text("%s/redis.conf", redis->directory);
    file_write(redis->conf, text("bind 127.0.0.1\nport %u\ndir %s\nsave \"\"\nappendonly no\n"
                                 "maxclients 2000\n%s",
                                 redis->port, redis->directory, settings ? settings : ""));
    file_write(text("%s/output", redis->directory), "");
    redis_again(redis);
}

void redis_end(struct redis *redis)
{
    kill(redis->pid, SIGKILL);
    process_await(redis->pid, 20);
    redis->pid = 0;
}

uint16_t redis_pooled(struct sluice *sluice, const struct redis *redis, const char *keys,
                      const char *settings)
{
    uint16_t port = process_free_port();

    sluice_start(
        sluice, .settings = settings ? settings : "",
        .redis = text("cache = host=127.0.0.1 port=%u listen_port=%u listen_addr=127.0.0.1 %s\n",
                      redis->port, port, keys ? keys : ""));
    return port;
}

redisContext *redis_open(uint16_t port)
{
    redisContext *context = redisConnect("127.0.0.1", port);
    struct timeval limit = {.tv_sec = (time_t)(20 * slow_factor())};

    ck_assert_ptr_nonnull(context);
    ck_assert_msg(context->err == 0, "port %u: %s", port, context->errstr);
    redisSetTimeout(context, limit);
    return context;
}

static char *reply_text(const redisReply *reply)
{
    char *all = text("%s", "");

    if (!reply)
        return text("lost");
    switch (reply->type) {
    case REDIS_REPLY_ERROR:
        return text("-%s", reply->str);
    case REDIS_REPLY_INTEGER:
        return text("%lld", reply->integer);
    case REDIS_REPLY_NIL:
        return text("nil");
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++)
            all = text("%s%s%s", all, i ? " " : "", reply_text(reply->element[i]));
        return text("[%s]", all);
    default:
        return text("%.*s", (int)reply->len, reply->str);
    }
}

char *redis_do(redisContext *context, const char *format, ...)
{
    redisReply *reply;
    char *result;
    va_list list;

    va_start(list, format);
    reply = redisvCommand(context, format, list);
    va_end(list);
    result = reply_text(reply);
    if (reply)
        freeReplyObject(reply);
    return result;
}

char *redis_next(redisContext *context)
{
    void *reply = NULL;
    char *result;

    if (redisGetReply(context, &reply) != REDIS_OK)
        return text("lost");
    result = reply_text(reply);
    freeReplyObject(reply);
    return result;
}

long redis_connections(const struct redis *redis, const char *holding)
{
    redisContext *context = redis_open(redis->port);
    char *list = redis_do(context, "CLIENT LIST"),
         *own = text("id=%s ", redis_do(context, "CLIENT ID"));
    long count = 0;

    for (char *line = strtok_r(list, "\n", &list); line; line = strtok_r(NULL, "\n", &list))
        count += strncmp(line, own, strlen(own)) != 0 && strstr(line, holding);
    redisFree(context);
    return count;
}

int raw_open(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void raw_send(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        ck_assert_int_gt(sent, 0);
        at += sent;
        length -= (size_t)sent;
    }
}

char *raw_receive(int fd, size_t expected, int quiet_ms, size_t *length)
{
    static const char end[] = "<end>";
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char *bytes = NULL;

    *length = 0;
    for (;;) {
        ssize_t got;

        bytes = realloc(bytes, *length + 65536);
        ck_assert_ptr_nonnull(bytes);
        if (poll(&poller, 1, *length < expected ? (int)(10000 * slow_factor()) : quiet_ms) == 0)
            break;
        got = recv(fd, bytes + *length, 65000, 0);
        if (got <= 0) {
            memcpy(bytes + *length, end, sizeof(end) - 1);
            *length += sizeof(end) - 1;
            break;
        }
        *length += (size_t)got;
    }
    bytes[*length] = '\0';
    return bytes;
}

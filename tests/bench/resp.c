/* How fast requests and replies are framed and commands looked up, on one core, in millions a
 * second. Usage: bench_resp [seconds for each row] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sluice/base/ensure.h"
#include "sluice/wire/redis_command.h"
#include "sluice/wire/resp.h"

#define SPAN_BYTES 65536u

static uint8_t span[SPAN_BYTES];
static size_t span_bytes;

static double cpu_s(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void span_fill(const char *message)
{
    size_t length = strlen(message);

    for (span_bytes = 0; length > 0 && span_bytes + length <= SPAN_BYTES; span_bytes += length)
        memcpy(span + span_bytes, message, length);
}

static size_t requests_walk(bool classify)
{
    struct resp_request_parser parser;
    struct resp_request request;
    size_t count = 0, shared = 0;

    resp_request_parser_init(&parser, false);
    for (size_t at = 0; at < span_bytes; at += request.bytes, count++) {
        ensure(resp_request_next(&parser, span + at, span_bytes - at, &request) ==
               RESP_REQUEST_WHOLE);
        if (classify)
            shared += redis_command_classify(span + at, &request).class == REDIS_CLASS_SHARED;
    }
    ensure(!classify || shared == count);
    return count;
}

static size_t requests_only(void)
{
    return requests_walk(false);
}

static size_t requests_classified(void)
{
    return requests_walk(true);
}

static size_t replies(void)
{
    struct resp_reply_parser parser;
    size_t count = 0, bytes;

    resp_reply_parser_init(&parser);
    for (size_t at = 0; at < span_bytes; at += bytes, count++)
        ensure(resp_reply_feed(&parser, span + at, span_bytes - at, &bytes) == RESP_REPLY_WHOLE);
    return count;
}

static size_t lookups(void)
{
    static const char *const names[] = {"GET",   "set",    "HGETALL", "zrangebyscore",
                                        "INCR",  "EXPIRE", "lpush",   "GEORADIUSBYMEMBER_RO",
                                        "HMGET", "MSET",   "nosuch",  "XREADGROUP"};
    size_t found = 0, count = sizeof(names) / sizeof(names[0]);

    for (size_t i = 0; i < count; i++)
        found += redis_command_find(names[i], strlen(names[i])) != NULL;
    ensure(found == count - 1);
    return count;
}

static void row_run(const char *name, const char *message, size_t (*walk)(void), double seconds)
{
    double begin, end;
    size_t count = 0;

    span_fill(message);
    walk();
    begin = cpu_s();
    do
        for (int i = 0; i < 100; i++)
            count += walk();
    while ((end = cpu_s()) - begin < seconds);
    printf("%-36s %8.1f M/s %8.2f ns\n", name, (double)count / (end - begin) / 1e6,
           (end - begin) * 1e9 / (double)count);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;

    row_run("request GET", "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n", requests_only,
            seconds);
    row_run("request GET, classified", "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n",
            requests_classified, seconds);
    row_run("request SET, classified",
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$16\r\n0123456789abcdef\r\n",
            requests_classified, seconds);
    row_run("reply +OK", "+OK\r\n", replies, seconds);
    row_run("reply bulk of 16", "$16\r\n0123456789abcdef\r\n", replies, seconds);
    row_run("reply nil", "$-1\r\n", replies, seconds);
    row_run("reply integer", ":12345\r\n", replies, seconds);
    row_run("reply error", "-ERR no such key\r\n", replies, seconds);
    row_run("reply array of 3", "*3\r\n$1\r\na\r\n$1\r\nb\r\n:7\r\n", replies, seconds);
    row_run("look-up of a name", "", lookups, seconds);
    return 0;
}

/* The same bytes to Redis and to the pooler before it: what comes back must be the same. Each row
 * is what one or several clients send, step by step. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/redis.h"
#include "harness/suite.h"

#define STEPS 8
#define CLIENTS 3

struct step {
    int client;
    const char *bytes; /* NULL: only look what comes */
};

struct script {
    const char *name;
    struct step steps[STEPS];
};

#define HELLO3 "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"

static const struct script scripts[] = {
#include "redis_same.def"
};

static struct sluice sluice;
static struct redis direct;

static void wipe(void)
{
    redisContext *context = redis_open(direct.port);

    redis_do(context, "CLIENT UNPAUSE");
    redis_do(context, "SCRIPT FLUSH");
    redis_do(context, "CONFIG RESETSTAT");
    ck_assert_str_eq(redis_do(context, "FLUSHALL"), "OK");
    redisFree(context);
}

/* The bytes as text, to be freed. Numbers behind "id", CR LF, ":" are another with each connection:
 * one sign stands for each. */
static char *shown(const char *bytes, size_t length)
{
    static const char key[] = "$2\r\nid\r\n:";
    char *result = malloc(length * 4 + 1);
    size_t written = 0;

    ck_assert_ptr_nonnull(result);
    for (size_t at = 0; at < length; at++) {
        written += (size_t)sprintf(result + written, bytes[at] >= ' ' ? "%c" : "\\%02x", bytes[at]);
        if (at + 1 >= sizeof(key) - 1 &&
            memcmp(bytes + at + 2 - sizeof(key), key, sizeof(key) - 1) == 0) {
            while (at + 1 < length && bytes[at + 1] != '\r')
                at++;
            result[written++] = '#';
        }
    }
    result[written] = '\0';
    return result;
}

/* The bytes behind a text in which "\\0d" is one. */
static size_t raw_length(const char *text_of)
{
    size_t length = 0;

    for (; *text_of; text_of += *text_of == '\\' ? 3 : 1)
        length++;
    return length;
}

/* True if replies come only after some time: then silence has to last. */
static bool takes_time(const struct script *script)
{
    static const char *const slow[] = {"BLPOP", "wait", "pause", "debug"};

    for (int i = 0; i < STEPS && script->steps[i].bytes; i++)
        for (size_t j = 0; j < sizeof(slow) / sizeof(slow[0]); j++)
            if (strstr(script->steps[i].bytes, slow[j]))
                return true;
    return false;
}

/* Redis answers what it has, then reads again: when it has answered somebody else several times, it
 * has sent all that it will. */
static void await_direct(size_t sent)
{
    redisContext *context = redis_open(direct.port);

    for (size_t turns = 3 + sent / 4096; turns > 0; turns--)
        ck_assert_str_eq(redis_do(context, "PING"), "PONG");
    redisFree(context);
}

/* Runs the script; the answers, one for each step, are to be freed. wanted: what Redis answered, or
 * NULL: it is Redis. */
static void run(const struct script *script, uint16_t port, const char *wanted[STEPS],
                char *answers[STEPS])
{
    int fds[CLIENTS] = {0};
    int quiet_ms = takes_time(script) ? 250 : 5;

    wipe();
    for (int i = 0; i < STEPS && (i == 0 || script->steps[i].client || script->steps[i].bytes);
         i++) {
        const struct step *step = &script->steps[i];
        size_t length;
        char *bytes;

        if (!fds[step->client])
            fds[step->client] = raw_open(port);
        if (step->bytes)
            raw_send(fds[step->client], step->bytes, strlen(step->bytes));
        if (!wanted)
            await_direct(step->bytes ? strlen(step->bytes) : 0);
        bytes = raw_receive(fds[step->client], wanted ? raw_length(wanted[i]) : 0,
                            wanted ? 20 : quiet_ms, &length);
        answers[i] = shown(bytes, length);
        free(bytes);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (fds[i])
            close(fds[i]);
}

static void compare(const struct script *script, const uint16_t ports[], size_t count)
{
    char *wanted[STEPS] = {0};

    run(script, direct.port, NULL, wanted);
    for (size_t port = 0; port < count; port++) {
        char *got[STEPS] = {0};

        run(script, ports[port], (const char **)wanted, got);
        for (int i = 0; i < STEPS && wanted[i]; i++) {
            ck_assert_msg(strcmp(wanted[i], got[i]) == 0,
                          "%s, step %d:\n  Redis:  %s\n  Sluice %zu: %s", script->name, i + 1,
                          wanted[i], port + 1, got[i]);
            free(got[i]);
        }
    }
    for (int i = 0; i < STEPS; i++)
        free(wanted[i]);
}

START_TEST(every_row_of_the_table_answers_as_redis_does)
{
    struct sluice few;
    uint16_t ports[2];

    redis_start(&direct, "enable-debug-command yes\n");
    ports[0] = redis_pooled(&sluice, &direct, "admin_commands=yes", "workers = 2\n");
    ports[1] = redis_pooled(&few, &direct, "pool_size=2 admin_commands=yes", "workers = 1\n");
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
        compare(&scripts[i], ports, 2);
    sluice_stop(&few);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_same");

    suite_add(suite, SUITE_OURS, 120, every_row_of_the_table_answers_as_redis_does);
    return suite_finish(suite);
}

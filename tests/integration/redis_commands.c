/* Every command of Redis 7.0 in every situation that a connection can be in: alone, in RESP3, in a
 * transaction that comes whole or in steps, with watched keys, in a subscription, with CLIENT REPLY
 * OFF and SKIP. The same bytes go to Redis and to the pooler before it, and the same must come
 * back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/redis.h"
#include "harness/suite.h"

enum how { HOW_SAME, HOW_ALIKE, HOW_ELSEWHERE };

static const struct row {
    enum how how;
    const char *line;
} rows[] = {
#define SAME(line) {HOW_SAME, line},
#define ALIKE(line) {HOW_ALIKE, line},
#define ELSEWHERE(name, where) {HOW_ELSEWHERE, name},
#include "redis_commands.def"
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* What HELLO says has another length each time (an id): what follows it is waited for. */
#define HELLO3 "hello 3\r\necho in-version-3\r\n"
#define HELLO3_END "$12\r\nin-version-3\r\n"

/* Steps before the command and after it; each is sent when what came before is answered. */
static const struct situation {
    const char *name, *before[3], *after[2];
} situations[] = {
    {"alone", {NULL}, {NULL}},
    {"in RESP3", {HELLO3}, {NULL}},
    {"in another database", {"select 2\r\n"}, {NULL}},
    {"in a transaction that comes whole", {NULL}, {NULL}}, /* see WHOLE */
    {"in a transaction in steps", {"multi\r\n"}, {"exec\r\n"}},
    {"in a transaction in steps, in RESP3", {HELLO3, "multi\r\n"}, {"exec\r\n"}},
    {"in a discarded transaction", {"multi\r\n"}, {"discard\r\n"}},
    {"with a watched key", {"watch w\r\n"}, {"multi\r\nget w\r\nexec\r\n"}},
    {"in a subscription", {"subscribe sub\r\n"}, {"unsubscribe\r\n"}},
    {"in a subscription, in RESP3", {HELLO3, "subscribe sub\r\n"}, {"unsubscribe\r\n"}},
    {"with CLIENT REPLY SKIP", {"client reply skip\r\n"}, {NULL}},
    {"with CLIENT REPLY SKIP and a watched key", {"watch w\r\n", "client reply skip\r\n"}, {NULL}},
    {"with CLIENT REPLY OFF", {"client reply off\r\n"}, {"client reply on\r\n"}},
    {"with CLIENT TRACKING, in RESP3", {HELLO3, "client tracking on\r\nget s\r\n"}, {NULL}},
};

#define SITUATIONS (sizeof(situations) / sizeof(situations[0]))
#define WHOLE 3

static struct sluice sluice, few;
static struct redis direct;
static redisContext *filler;

static void fill(void)
{
    static const char *const lines[] = {
        "FLUSHALL",         "FUNCTION FLUSH",     "SCRIPT FLUSH",
        "CONFIG RESETSTAT", "SELECT 2",           "SET s 2",
        "SELECT 0",         "SET s 10",           "SET t hello",
        "RPUSH l a b c",    "RPUSH l2 x",         "SADD e a",
        "SADD i 1 2 3",     "SADD j 2 3 4",       "HSET h f 1 g two",
        "HSET one f v",     "ZADD z 1 a 2 b 3 c", "ZADD y 2 b 9 d",
        "XADD x 1-1 f v",   "XADD x 2-1 f w",     "XGROUP CREATE x grp 0",
        "PFADD p a b",      "GEOADD G 1 2 m",     "SETBIT b 3 1"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        redisAppendCommand(filler, lines[i]);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_int_ne(redis_next(filler)[0], '-');
}

/* True once nobody blocks and nothing is saved in the background. */
static bool direct_is_quiet(void)
{
    return !strstr(redis_do(filler, "CLIENT LIST"), "flags=b") &&
           !strstr(redis_do(filler, "INFO persistence"), "in_progress:1");
}

/* All that Redis answers to this. Having answered somebody else three times it has said it all. */
static char *answer_of_direct(int fd, size_t *length)
{
    if (!direct_is_quiet())
        await(direct_is_quiet(), 20);
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(redis_do(filler, "PING"), "PONG");
    return raw_receive(fd, 0, 0, length);
}

struct answer {
    char *bytes;
    size_t length;
};

static struct answer hello_answered(int fd)
{
    char bytes[1024];
    size_t length = 0;

    while (length < strlen(HELLO3_END) || strcmp(bytes + length - strlen(HELLO3_END), HELLO3_END)) {
        ssize_t got = recv(fd, bytes + length, sizeof(bytes) - 1 - length, 0);

        ck_assert_int_gt(got, 0);
        length += (size_t)got;
        bytes[length] = '\0';
    }
    return (struct answer){calloc(1, 1), 0};
}

/* Runs one line in one situation; wanted: what Redis answered to each step, or NULL: it is Redis.
 */
static unsigned run(uint16_t port, const struct situation *situation, const char *line,
                    const struct answer *wanted, struct answer *got)
{
    char *steps[8];
    unsigned count = 0;
    int fd;

    fill();
    for (int i = 0; i < 3 && situation->before[i]; i++)
        steps[count++] = text("%s", situation->before[i]);
    steps[count++] = situation == &situations[WHOLE]
                         ? text("multi\r\nget s\r\n%s\r\nget t\r\nexec\r\n", line)
                         : text("%s\r\n", line);
    for (int i = 0; i < 2 && situation->after[i]; i++)
        steps[count++] = text("%s", situation->after[i]);
    steps[count++] = text("%s", "get s\r\n");
    steps[count++] = text("%s", "ping\r\n");
    fd = raw_open(port);
    for (unsigned i = 0; i < count; i++) {
        raw_send(fd, steps[i], strlen(steps[i]));
        if (strcmp(steps[i], HELLO3) == 0)
            got[i] = hello_answered(fd);
        else if (wanted)
            got[i].bytes = raw_receive(fd, wanted[i].length, 0, &got[i].length);
        else
            got[i].bytes = answer_of_direct(fd, &got[i].length);
    }
    close(fd);
    return count;
}

static unsigned differences;

static void compare(const struct situation *situation, const char *line, const uint16_t ports[],
                    size_t count)
{
    struct answer wanted[8], got[8];
    unsigned steps = run(direct.port, situation, line, NULL, wanted);

    for (size_t port = 0; port < count; port++) {
        bool same = true;

        run(ports[port], situation, line, wanted, got);
        for (unsigned i = 0; i < steps; i++) {
            if (same && (wanted[i].length != got[i].length ||
                         memcmp(wanted[i].bytes, got[i].bytes, got[i].length) != 0)) {
                fprintf(stderr, "%s %s, step %u, port %zu\n  Redis:  %s\n  Sluice: %s\n", line,
                        situation->name, i + 1, port + 1, wanted[i].bytes, got[i].bytes);
                differences++;
                same = false;
            }
            free(got[i].bytes);
        }
    }
    for (unsigned i = 0; i < steps; i++)
        free(wanted[i].bytes);
}

static void begin(uint16_t ports[2])
{
    redis_start(&direct, "enable-debug-command yes\n");
    filler = redis_open(direct.port);
    ports[0] = redis_pooled(&sluice, &direct, "admin_commands=yes", "workers = 2\n");
    ports[1] = redis_pooled(&few, &direct, "pool_size=2 admin_commands=yes batch_keys=on",
                            "workers = 1\n");
}

static void end(void)
{
    sluice_stop(&few);
    sluice_stop(&sluice);
}

START_TEST(each_command_answers_as_redis_does)
{
    uint16_t ports[2];
    size_t first = _i > WHOLE ? (size_t)_i % 2 : 0, count = _i > WHOLE ? 1 : 2;

    begin(ports);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].how == HOW_SAME)
            compare(&situations[_i], rows[i].line, ports + first, count);
    ck_assert_uint_eq(differences, 0);
    end();
}
END_TEST

/* The first bytes of what a line is answered with: its type. */
static char *type_of_answer(uint16_t port, const char *before, const char *line)
{
    static const char mark[] = "the-end\r\n";
    char *ask = text("%s%s\r\necho the-end\r\n", before, line), *all = calloc(1, 1 << 20);
    size_t length = 0;
    int fd = raw_open(port);

    ck_assert_ptr_nonnull(all);
    raw_send(fd, ask, strlen(ask));
    while (length < strlen(mark) || strcmp(all + length - strlen(mark), mark) != 0) {
        ssize_t got = recv(fd, all + length, (1 << 20) - 1 - length, 0);

        ck_assert_int_gt(got, 0);
        length += (size_t)got;
    }
    close(fd);
    all[1] = '\0';
    return all;
}

START_TEST(what_redis_answers_otherwise_each_time_has_its_type)
{
    static const char *const befores[] = {"", "select 1\r\n"};
    uint16_t ports[2];

    begin(ports);
    for (size_t i = 0; i < ROWS * 2; i++) {
        const struct row *row = &rows[i / 2];
        char *wanted;

        if (row->how != HOW_ALIKE)
            continue;
        await(direct_is_quiet(), 20);
        fill();
        wanted = type_of_answer(direct.port, befores[i % 2], row->line);
        for (int port = 0; port < 2; port++) {
            await(direct_is_quiet(), 20);
            ck_assert_msg(strcmp(wanted, type_of_answer(ports[port], befores[i % 2], row->line)) ==
                              0,
                          "%s", row->line);
        }
    }
    end();
}
END_TEST

/* True if a row is about the command (or "command|subcommand"). */
static bool is_shown(const char *command)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *line = rows[i].line, *bar = strchr(command, '|');
        size_t word = bar ? (size_t)(bar - command) : strlen(command);

        if (strcmp(line, command) == 0 && rows[i].how == HOW_ELSEWHERE)
            return true;
        if (strncmp(line, command, word) != 0 || (line[word] != ' ' && line[word] != '\0'))
            continue;
        if (!bar)
            return true;
        if (line[word] == ' ' && strncmp(line + word + 1, bar + 1, strlen(bar + 1)) == 0 &&
            strchr(" ", line[word + 1 + strlen(bar + 1)]))
            return true;
    }
    return false;
}

START_TEST(every_command_of_the_server_is_shown)
{
    redisReply *list;

    redis_start(&direct, NULL);
    filler = redis_open(direct.port);
    list = redisCommand(filler, "COMMAND LIST");
    ck_assert_int_gt(list->elements, 300);
    if (strstr(redis_do(filler, "INFO server"), "redis_version:7.0."))
        for (size_t i = 0; i < list->elements; i++)
            ck_assert_msg(is_shown(list->element[i]->str), "no row shows %s",
                          list->element[i]->str);
    freeReplyObject(list);
}
END_TEST

START_TEST(a_monitor_is_told_what_others_ask)
{
    uint16_t ports[2];
    redisContext *monitor, *other;
    char *told;

    begin(ports);
    monitor = redis_open(ports[0]);
    other = redis_open(ports[0]);
    ck_assert_str_eq(redis_do(monitor, "MONITOR"), "OK");
    ck_assert_str_eq(redis_do(other, "SET monitored 1"), "OK");
    do
        told = redis_next(monitor);
    while (!strstr(told, "monitored"));
    ck_assert_ptr_nonnull(strstr(told, "\"SET\" \"monitored\" \"1\""));
    redisFree(monitor);
    await(redis_connections(&direct, "flags=O") == 0, 20);
    ck_assert_str_eq(redis_do(other, "GET monitored"), "1");
    end();
}
END_TEST

START_TEST(what_is_refused_is_refused_everywhere)
{
    static const char *const refused[] = {"PSYNC ? -1", "SYNC", "REPLCONF listening-port 1",
                                          "SCRIPT DEBUG YES"};
    uint16_t ports[2];
    redisContext *context;

    begin(ports);
    context = redis_open(ports[0]);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ck_assert_ptr_nonnull(strstr(redis_do(context, refused[i]), "-NOPERM this user has no"));
        ck_assert_str_eq(redis_do(context, "WATCH w"), "OK");
        ck_assert_ptr_nonnull(strstr(redis_do(context, refused[i]), "-NOPERM this user has no"));
        ck_assert_str_eq(redis_do(context, "MULTI"), "OK");
        ck_assert_ptr_nonnull(strstr(redis_do(context, refused[i]), "-NOPERM this user has no"));
        ck_assert_str_eq(redis_do(context, "EXEC"),
                         "-EXECABORT Transaction discarded because of previous errors.");
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_commands");

    suite_add_loop(suite, SUITE_OURS, 60, each_command_answers_as_redis_does, SITUATIONS);
    suite_add(suite, SUITE_OURS, 30, what_redis_answers_otherwise_each_time_has_its_type);
    suite_add(suite, SUITE_OURS, 20, every_command_of_the_server_is_shown);
    suite_add(suite, SUITE_OURS, 20, a_monitor_is_told_what_others_ask);
    suite_add(suite, SUITE_OURS, 20, what_is_refused_is_refused_everywhere);
    return suite_finish(suite);
}

/* The table against what a real redis-server's COMMAND says: SLUICE_REDIS_PORT names it; without
 * it, or if the server is no 7.0, there is nothing to compare and the test is skipped (status 77).
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluice/wire/redis_command.h"
#include "wire/redis_command_table.h"

static uint8_t reply[4u << 20];
static size_t reply_bytes;

/* Asks one question; the whole reply is then in `reply`. */
static void ask(int server, const char *question)
{
    struct resp_reply_parser parser;
    enum resp_reply_event event = RESP_REPLY_PART;

    ck_assert_int_eq(write(server, question, strlen(question)), (ssize_t)strlen(question));
    resp_reply_parser_init(&parser);
    for (reply_bytes = 0; event == RESP_REPLY_PART;) {
        ssize_t got = read(server, reply + reply_bytes, sizeof(reply) - reply_bytes);
        size_t bytes;

        ck_assert_int_gt(got, 0);
        event = resp_reply_feed(&parser, reply + reply_bytes, (size_t)got, &bytes);
        ck_assert_int_eq(event == RESP_REPLY_PART || event == RESP_REPLY_WHOLE, 1);
        ck_assert_uint_eq(bytes, (size_t)got);
        reply_bytes += bytes;
    }
}

static int server_connect(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(server, (struct sockaddr *)&address, sizeof(address)), 0);
    return server;
}

/* What COMMAND's reply is made of, read from front to back. */
static const char *at;

static long number(char type)
{
    long value;
    char *end;

    ck_assert_msg(*at == type, "expected %c: %.40s", type, at);
    value = strtol(at + 1, &end, 10);
    at = end + 2;
    return value;
}

static void text(char *word, size_t size)
{
    char type = *at;
    size_t length;

    if (type == '$') {
        length = (size_t)number('$');
    } else {
        ck_assert_int_eq(type, '+');
        at++;
        length = strcspn(at, "\r");
    }
    ck_assert_uint_lt(length, size);
    memcpy(word, at, length);
    word[length] = '\0';
    at += length + 2;
}

static void skip(void)
{
    struct resp_reply_parser parser;
    size_t bytes;

    resp_reply_parser_init(&parser);
    ck_assert_int_eq(resp_reply_feed(&parser, (const uint8_t *)at,
                                     reply_bytes - (size_t)(at - (const char *)reply), &bytes),
                     RESP_REPLY_WHOLE);
    at += bytes;
}

static const struct {
    const char *name;
    uint32_t flag;
} flags[] = {
    {"write", REDIS_WRITE},       {"readonly", REDIS_READONLY},
    {"blocking", REDIS_BLOCKING}, {"pubsub", REDIS_PUBSUB},
    {"admin", REDIS_ADMIN},       {"no_auth", REDIS_NO_AUTH},
    {"no_multi", REDIS_NO_MULTI}, {"movablekeys", REDIS_MOVABLE_KEYS},
};

static bool noscript; /* of the command whose flags were read last */

static uint32_t flags_read(void)
{
    uint32_t all = 0;
    char word[64];

    noscript = false;
    for (long count = number('*'); count > 0; count--) {
        text(word, sizeof(word));
        noscript |= strcmp(word, "noscript") == 0;
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            if (strcmp(flags[i].name, word) == 0)
                all |= flags[i].flag;
    }
    return all;
}

static const struct redis_command *row_of(const char *name)
{
    const char *bar = strchr(name, '|');
    const struct redis_command *row = redis_command_find(name, strcspn(name, "|"));

    return row && bar ? redis_subcommand_find(row, bar + 1, strlen(bar + 1)) : row;
}

/* True if the name is one of these, or begins with one that ends in a bar. */
static bool is_among(const char *name, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(words[i]);

        if (strncmp(name, words[i], length) == 0 &&
            (words[i][length - 1] == '|' || name[length] == '\0'))
            return true;
    }
    return false;
}

/* Where a command runs, against what the server says of it. */
static void class_check(const struct redis_command *row)
{
    /* What scripts may not run leaves its connection in another state, or is one of these, which
     * are about the server or its connection's user. */
    static const char *const stateless[] = {
        "latency|", "config|", "function|", "acl|",         "module|", "script|", "cluster|",
        "save",     "bgsave",  "slaveof",   "bgrewriteaof", "role",    "unwatch", "replicaof"};
    /* The gate does not reach into scripts: those may run nothing that it is for, but these of a
     * cluster's node (docs/redis.md says so). */
    static const char *const in_scripts[] = {"cluster|"};
    size_t length = strlen(row->name);
    bool shared = row->class == REDIS_CLASS_SHARED;

    ck_assert_msg(!(row->flags & (REDIS_BLOCKING | REDIS_NO_AUTH)) || !shared, "%s is shared",
                  row->name);
    if (length > 9 && strcmp(row->name + length - 9, "subscribe") == 0)
        ck_assert_msg(row->class == REDIS_CLASS_LEASE, "%s subscribes", row->name);
    if (noscript && shared)
        ck_assert_msg(is_among(row->name, stateless, sizeof(stateless) / sizeof(stateless[0])),
                      "%s is shared, but no script may run it", row->name);
    if (row->flags & REDIS_GATED && !(row->flags & REDIS_CONTAINER) && !noscript)
        ck_assert_msg(is_among(row->name, in_scripts, 1), "any script may run %s", row->name);
}

/* Reads and compares one command and its subcommands; returns how many these are. */
static int command_compare(void)
{
    const uint32_t compared = REDIS_WRITE | REDIS_READONLY | REDIS_BLOCKING | REDIS_PUBSUB |
                              REDIS_ADMIN | REDIS_NO_AUTH | REDIS_NO_MULTI | REDIS_MOVABLE_KEYS;
    const struct redis_command *row;
    char name[64];
    int count = 1;
    uint32_t told;
    long subcommands;

    ck_assert_int_eq(number('*'), 10);
    text(name, sizeof(name));
    row = row_of(name);
    ck_assert_msg(row != NULL, "%s is not in the table", name);
    ck_assert_str_eq(row->name, name);
    ck_assert_msg(number(':') == row->arity, "%s: arity", name);
    told = flags_read();
    if (row->class == REDIS_CLASS_WAIT)
        told |= REDIS_BLOCKING; /* before 7.2 the server did not say it */
    ck_assert_msg(told == (row->flags & compared), "%s: flags", name);
    class_check(row);
    ck_assert_msg(number(':') == row->first_key, "%s: first key", name);
    ck_assert_msg(number(':') == row->last_key, "%s: last key", name);
    ck_assert_msg(number(':') == row->key_step, "%s: key step", name);
    for (int i = 0; i < 3; i++) /* ACL categories, tips, key specifications */
        skip();
    subcommands = number('*');
    ck_assert_msg((subcommands > 0) == !!(row->flags & REDIS_CONTAINER), "%s: container", name);
    for (; subcommands > 0; subcommands--)
        count += command_compare();
    return count;
}

static bool compared;

START_TEST(the_table_is_what_the_server_says)
{
    int server = server_connect(getenv("SLUICE_REDIS_PORT")), count = 0;

    ask(server, "INFO server\r\n");
    compared = memmem(reply, reply_bytes, "redis_version:7.0.", 18) != NULL;
    if (compared) {
        ask(server, "COMMAND\r\n");
        at = (const char *)reply;
        for (long commands = number('*'); commands > 0; commands--)
            count += command_compare();
        ck_assert_ptr_eq(at, reply + reply_bytes);
        ck_assert_int_gt(count, 360);
    }
    close(server);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tcase;
    SRunner *runner;
    int failed;

    if (!getenv("SLUICE_REDIS_PORT")) {
        puts("skipped: SLUICE_REDIS_PORT is not set (tests/servers sets it)");
        return 77;
    }
    suite = suite_create("redis_command_server");
    tcase = tcase_create("redis_command_server");
    runner = srunner_create(suite);
    tcase_add_test(tcase, the_table_is_what_the_server_says);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (!failed && !compared) {
        puts("skipped: the server is not Redis 7.0");
        return 77;
    }
    return failed != 0;
}

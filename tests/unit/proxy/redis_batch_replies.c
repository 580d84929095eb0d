/* Replies to reads that were asked together, cut at every byte: each client gets its own bytes, and
 * what has to be asked again is asked again. The test is the server and the clients, and turns the
 * loop between them. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/redis_shared.h"

#define CLIENTS 4

static struct process process;
static struct worker worker;
static struct conf *conf;
static char folder[64];
static int listener, server = -1, clients[CLIENTS];
static struct redis_client *ours[CLIENTS];

static void listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 5), 0);
}

static void configure(void)
{
    struct conf_report report;
    char path[80], text[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/ini", folder);
    snprintf(text, sizeof(text),
             "[sluice]\nredis_min_pool_size = 0\nlog_connections = 0\n"
             "log_disconnections = 0\n[redis]\n"
             "cut = host=%s/s listen_port=1 batch_keys=on pool_size=1\n",
             folder);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    conf_report_init(&report);
    conf = conf_load(path, &report);
    conf_report_print(&report, stdout);
    conf_report_fini(&report);
    unlink(path);
    ck_assert_ptr_nonnull(conf);
}

static void client_open(int index)
{
    const struct address from = {.family = AF_UNIX};
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    redis_client_new(&worker, pair[1], &from, "cut");
    clients[index] = pair[0];
    ours[index] = container_of(list_last(&worker.redis_clients), struct redis_client, node);
}

static void setup(void)
{
    char path[80];

    server = -1;
    memset(&worker, 0, sizeof(worker));
    memset(&process, 0, sizeof(process));
    strcpy(folder, "/tmp/sluice-redis-batch.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    listen_at(path);
    configure();
    registry_init(&process.registry, 1);
    atomic_store(&process.registry.clients.max, CLIENTS);
    process.workers = &worker;
    worker.process = &process;
    worker.conf = conf;
    loop_init(&worker.loop);
    mailbox_init(&worker.mailbox, &worker.loop, &worker);
    list_init(&worker.redis_clients);
    list_init(&worker.redis_unflushed);
    worker.pools.loop = &worker.loop;
    worker.pools.mailbox = &worker.mailbox;
    worker.pools.registry = &process.registry;
    worker.pools.conf = conf;
    pools_init(&worker.pools);
    process.registry.workers[0] = &worker.pools;
    for (int i = 0; i < CLIENTS; i++)
        client_open(i);
}

static void teardown(void)
{
    char path[80];

    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    while (list_contains_any(&worker.redis_clients))
        loop_turn(&worker.loop);
    pools_close(&worker.pools);
    mailbox_drain(&worker.mailbox);
    pools_fini(&worker.pools);
    mailbox_fini(&worker.mailbox);
    loop_fini(&worker.loop);
    registry_fini(&process.registry);
    conf_drop(conf);
    close(server);
    close(listener);
    snprintf(path, sizeof(path), "%s/s", folder);
    unlink(path);
    rmdir(folder);
}

/* Receives these very bytes, turning the loop until they are there. */
static void expect(int fd, const char *bytes)
{
    char got[1024];
    size_t length = 0;

    while (length < strlen(bytes)) {
        ssize_t part = recv(fd, got + length, sizeof(got) - 1 - length, 0);

        if (part < 0) {
            loop_turn(&worker.loop);
            continue;
        }
        ck_assert_int_gt(part, 0);
        length += (size_t)part;
        got[length] = '\0';
        ck_assert_msg(strncmp(got, bytes, length) == 0, "wanted %s\ngot %s", bytes, got);
    }
}

static struct pool *the_pool(void)
{
    return redis_pool_get(&worker.pools, "cut", "", redis_pool_variant(0, 2, false, false));
}

/* Sends a piece of a reply, and turns the loop until it has been read. */
static void reply(const char *bytes, size_t length)
{
    struct redis_shared *shared = the_pool()->shared;
    int left = 1;

    if (length == 0)
        return;
    ck_assert_int_eq(send(server, bytes, length, 0), (ssize_t)length);
    while (left > 0) {
        loop_turn(&worker.loop);
        left = 0;
        LIST_EACH_SAFE (&shared->pool->servers[SERVER_SHARED], node, next)
            ck_assert_int_eq(
                ioctl(container_of(node, struct server, node)->stream.fd, FIONREAD, &left), 0);
    }
}

static void log_in(void)
{
    while ((server = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        loop_turn(&worker.loop);
    expect(server, "*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n");
    ck_assert_int_eq(send(server, ":7\r\n", 4, 0), 4);
}

#define GET(key) "*2\r\n$3\r\nGET\r\n$1\r\n" key "\r\n"
#define HGET(field) "*3\r\n$4\r\nHGET\r\n$1\r\nh\r\n$1\r\n" field "\r\n"
#define PUSH ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"
#define ATTRIBUTE "|1\r\n+a\r\n:1\r\n"
#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

static const struct row {
    const char *asks[CLIENTS], *question, *reply, *again, *again_reply, *answers[CLIENTS];
} rows[] = {
    {{GET("a"), GET("b"), GET("a"), GET("c")},
     "*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
     "*3\r\n$3\r\nfoo\r\n$0\r\n\r\n$1\r\n\n\r\n",
     NULL,
     NULL,
     {"$3\r\nfoo\r\n", "$0\r\n\r\n", "$3\r\nfoo\r\n", "$1\r\n\n\r\n"}},
    {{GET("a"), GET("b"), GET("b"), GET("c")},
     "*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
     "*3\r\n$3\r\nfoo\r\n$-1\r\n$12\r\n$-1\r\n*3\r\n-X\r\r\n",
     GET("b") GET("b"),
     WRONGTYPE "$-1\r\n",
     {"$3\r\nfoo\r\n", WRONGTYPE, "$-1\r\n", "$12\r\n$-1\r\n*3\r\n-X\r\r\n"}},
    {{GET("a"), GET("b"), GET("a"), GET("c")},
     "*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
     "-NOPERM this user has no permissions to run the 'mget' command\r\n",
     GET("a") GET("a") GET("b") GET("c"),
     "$1\r\n1\r\n$1\r\n2\r\n-NOPERM b\r\n$-1\r\n",
     {"$1\r\n1\r\n", "-NOPERM b\r\n", "$1\r\n2\r\n", "$-1\r\n"}},
    {{HGET("f"), HGET("g"), HGET("f"), GET("a")},
     "*4\r\n$5\r\nHMGET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\ng\r\n" GET("a"),
     PUSH "*2\r\n" PUSH "$-1\r\n" PUSH "$1\r\nx\r\n" PUSH "$1\r\ny\r\n" PUSH,
     NULL,
     NULL,
     {"$-1\r\n", "$1\r\nx\r\n", "$-1\r\n", "$1\r\ny\r\n"}},
    {{HGET("f"), HGET("g"), HGET("f"), GET("a")},
     "*4\r\n$5\r\nHMGET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\ng\r\n" GET("a"),
     ATTRIBUTE "*2\r\n" ATTRIBUTE "$1\r\nx\r\n$1\r\ny\r\n" ATTRIBUTE "$1\r\nz\r\n",
     NULL,
     NULL,
     {ATTRIBUTE "$1\r\nx\r\n", "$1\r\ny\r\n", ATTRIBUTE "$1\r\nx\r\n", ATTRIBUTE "$1\r\nz\r\n"}},
    {{HGET("f"), HGET("g"), HGET("f"), GET("a")},
     "*4\r\n$5\r\nHMGET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\ng\r\n" GET("a"),
     WRONGTYPE "$1\r\nz\r\n",
     HGET("f") HGET("f") HGET("g"),
     WRONGTYPE WRONGTYPE WRONGTYPE,
     {WRONGTYPE, WRONGTYPE, WRONGTYPE, "$1\r\nz\r\n"}},
};

/* leaver: a client that goes when the first part has come; -1: none. */
static void run(const struct row *row, size_t cut, int leaver)
{
    /* A refused kind of question is not put again for some time. */
    memset(the_pool()->shared->alone_until_us, 0, sizeof(the_pool()->shared->alone_until_us));
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_gt(send(clients[i], row->asks[i], strlen(row->asks[i]), 0), 0);
    if (server < 0)
        log_in();
    expect(server, row->question);
    reply(row->reply, cut);
    if (leaver >= 0) {
        /* As CLIENT KILL does; one that only says no more still gets its replies. */
        redis_client_close(ours[leaver], NULL);
        close(clients[leaver]);
    }
    reply(row->reply + cut, strlen(row->reply) - cut);
    if (row->again) {
        expect(server, row->again);
        reply(row->again_reply, strlen(row->again_reply) - 1);
        reply(row->again_reply + strlen(row->again_reply) - 1, 1);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (i != leaver)
            expect(clients[i], row->answers[i]);
    if (leaver >= 0)
        client_open(leaver);
}

START_TEST(each_client_gets_its_own_wherever_a_reply_is_cut)
{
    setup();
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
        for (size_t cut = 0; cut < strlen(rows[row].reply); cut++)
            run(&rows[row], cut, -1);
    teardown();
}
END_TEST

START_TEST(a_client_that_leaves_in_the_midst_of_a_reply_takes_only_its_own)
{
    setup();
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
        for (size_t cut = 0; cut < strlen(rows[row].reply) && !rows[row].again; cut++)
            for (int leaver = 0; leaver < CLIENTS; leaver++)
                run(&rows[row], cut, leaver);
    teardown();
}
END_TEST

START_TEST(a_reply_that_does_not_answer_the_question_is_an_error_for_all)
{
    static const char *const bad[] = {"*2\r\n",  "*4\r\n", "*0\r\n",  "*-1\r\n",
                                      "+OK\r\n", ":3\r\n", "_\r\n",   "%0\r\n",
                                      "$-1\r\n", "?",      "*$3\r\n", "*03\r\n"};
    static const char lost[] = "-ERR server connection closed: its reply was not understood\r\n";

    setup();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (int client = 0; client < CLIENTS; client++)
            ck_assert_int_gt(
                send(clients[client], rows[0].asks[client], strlen(rows[0].asks[client]), 0), 0);
        log_in();
        expect(server, rows[0].question);
        reply(bad[i], strlen(bad[i]));
        for (int client = 0; client < CLIENTS; client++)
            expect(clients[client], lost);
        close(server);
    }
    server = -1;
    run(&rows[0], 1, -1);
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_batch_replies");
    TCase *tcase = tcase_create("redis_batch_replies");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, each_client_gets_its_own_wherever_a_reply_is_cut);
    tcase_add_test(tcase, a_client_that_leaves_in_the_midst_of_a_reply_takes_only_its_own);
    tcase_add_test(tcase, a_reply_that_does_not_answer_the_question_is_an_error_for_all);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Clients that try what they may not, in the forms in which a request or its reply cannot be seen
 * whole, and servers that are lost at the worst moment. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/fake.h"
#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis;
static uint16_t port;

static void begin(const char *keys, const char *settings)
{
    redis_start(&redis, "enable-debug-command yes\n");
    port = redis_pooled(&sluice, &redis, keys, settings);
}

/* A request of these words, and then the last of them so often that it is longer than anything that
 * is kept. */
static char *long_request(unsigned words, const char *const word[])
{
    const unsigned more = 70000 / ((unsigned)strlen(word[words - 1]) + 6) + 1;
    char *request = text("%0120000d", 0), *at = request;

    at += sprintf(at, "*%u\r\n", words + more);
    for (unsigned i = 0; i < words + more; i++) {
        const char *each = word[i < words ? i : words - 1];

        at += sprintf(at, "$%zu\r\n%s\r\n", strlen(each), each);
    }
    return request;
}

#define LONG(...)                                                                   \
    long_request(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), \
                 (const char *const[]){__VA_ARGS__})

/* Sends steps, each ended by the reply that it must have. Returns the socket. */
static int say(const char *const steps[][2], unsigned count)
{
    int fd = raw_open(port);

    for (unsigned i = 0; i < count; i++) {
        size_t length;
        char *got;

        raw_send(fd, steps[i][0], strlen(steps[i][0]));
        got = raw_receive(fd, strlen(steps[i][1]), 0, &length);
        ck_assert_str_eq(got, steps[i][1]);
        free(got);
    }
    return fd;
}

static void check_nothing_was_done(void)
{
    redisContext *direct = redis_open(redis.port);

    ck_assert_str_eq(redis_do(direct, "ACL USERS"), "[default]");
    ck_assert_str_eq(redis_do(direct, "CONFIG GET maxmemory-samples"), "[maxmemory-samples 5]");
    ck_assert_ptr_null(strstr(redis_do(direct, "INFO replication"), "slave0"));
    redisFree(direct);
}

START_TEST(a_request_of_any_length_passes_the_gate_only_where_it_may)
{
    static const char *const before[][2] = {{"PING\r\n", "+PONG\r\n"},
                                            {"WATCH k\r\n", "+OK\r\n"},
                                            {"MULTI\r\n", "+OK\r\n"},
                                            {"SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n"
                                                                "$1\r\nc\r\n:1\r\n"}};
    char *requests[] = {
        LONG("ACL", "SETUSER", "evil", "on", "nopass", "~*", "+@all"),
        LONG("acl", "setuser", "evil", "on", "nopass", "~*", "+@all", "+@all", "+@all", "+@all"),
        LONG("CONFIG", "SET", "maxmemory-samples", "9", "maxmemory-samples", "9"),
        LONG("PSYNC", "?", "-1"), LONG("REPLCONF", "listening-port", "1")};

    begin(NULL, "workers = 1\n");
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        for (size_t j = 0; j < sizeof(before) / sizeof(before[0]); j++) {
            int fd = say(&before[j], 1);
            size_t length;
            char *got;

            raw_send(fd, requests[i], strlen(requests[i]));
            shutdown(fd, SHUT_WR);
            got = raw_receive(fd, 1u << 30, 0, &length);
            /* The rest of the request is not read, so a reset may take the error away. */
            if (strcmp(got, "<end>") != 0)
                ck_assert_ptr_nonnull(strstr(got, "-NOPERM this user has no permissions to run"));
            free(got);
            close(fd);
            check_nothing_was_done();
        }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_whose_replies_cannot_be_told_apart_passes_no_gate)
{
    static const char *const queue[] = {"client reply skip\r\n", "subscribe c\r\n"};
    static const char *const tries[] = {"config set maxmemory-samples 9\r\n",
                                        "acl setuser evil on nopass ~* +@all\r\n", "sync\r\n"};

    begin(NULL, "workers = 1\n");
    for (size_t i = 0; i < 2 * 3; i++) {
        int fd = raw_open(port);
        size_t length;
        char *got;

        raw_send(fd, "MULTI\r\n", 7);
        raw_send(fd, queue[i % 2], strlen(queue[i % 2]));
        raw_send(fd, "EXEC\r\n", 6);
        raw_send(fd, tries[i / 2], strlen(tries[i / 2]));
        raw_send(fd, tries[i / 2], strlen(tries[i / 2]));
        got = raw_receive(fd, 1u << 30, 0, &length);
        ck_assert_ptr_nonnull(strstr(got, "<end>"));
        free(got);
        close(fd);
        check_nothing_was_done();
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_whose_replies_cannot_be_told_apart_stays_who_it_is)
{
    redisContext *direct;
    size_t length;
    int fd;
    char *got;

    redis_start(&redis, NULL);
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER worker on >pw ~w* &* +@all"), "OK");
    ck_assert_str_eq(redis_do(direct, "SET secret hidden"), "OK");
    port = redis_pooled(&sluice, &redis, "user=worker password=pw", "workers = 1\n");
    fd = raw_open(port);
    raw_send(fd, "MULTI\r\n", 7);
    raw_send(fd, "subscribe c\r\n", 13);
    raw_send(fd, "EXEC\r\n", 6);
    raw_send(fd, "RESET\r\nget secret\r\n", 19);
    got = raw_receive(fd, 1u << 30, 0, &length);
    ck_assert_ptr_nonnull(strstr(got, "<end>"));
    ck_assert_ptr_null(strstr(got, "hidden"));
    free(got);
    close(fd);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_user_whose_name_is_too_long_for_a_pool_is_refused)
{
    char *user = text("%03000d", 0), *usual = text("%01000d", 0);
    redisContext *direct, *context;

    begin(NULL, "workers = 1\n");
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER %s on >pw ~* &* +@all", user), "OK");
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER %s on >pw ~* &* +@all", usual), "OK");
    context = redis_open(port);
    ck_assert_str_eq(redis_do(context, "AUTH %s pw", user),
                     "-WRONGPASS invalid username-password pair or user is disabled.");
    ck_assert_str_eq(redis_do(context, "HELLO 3 AUTH %s pw", user),
                     "-WRONGPASS invalid username-password pair or user is disabled.");
    ck_assert_str_eq(redis_do(context, "ACL WHOAMI"), "default");
    ck_assert_str_eq(redis_do(context, "AUTH %s pw", usual), "OK");
    ck_assert_str_eq(redis_do(context, "ACL WHOAMI"), usual);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(half_a_long_request_keeps_no_connection)
{
    char *half = text("*2\r\n$4\r\nECHO\r\n$90000\r\n%080000d", 0), *got;
    size_t length;
    int fd;

    begin("pool_size=1", "workers = 1\n");
    for (int i = 0; i < 2; i++) {
        fd = say((const char *const[][2]){{"WATCH k\r\n", "+OK\r\n"}}, 1);
        if (i == 1)
            raw_send(fd, "GET k\r\n", 7);
        raw_send(fd, half, strlen(half));
        shutdown(fd, SHUT_WR);
        got = raw_receive(fd, 1u << 20, 0, &length);
        ck_assert_str_eq(got, i == 1 ? "$-1\r\n<end>" : "<end>");
        free(got);
        close(fd);
    }
    fd = raw_open(port);
    raw_send(fd, half, strlen(half));
    shutdown(fd, SHUT_WR);
    ck_assert_str_eq(redis_do(redis_open(port), "PING"), "PONG");
    close(fd);
    sluice_stop(&sluice);
}
END_TEST

/* Counts a word among bytes. */
static unsigned count_of(const char *bytes, const char *word)
{
    unsigned count = 0;

    for (; (bytes = strstr(bytes, word)); bytes += strlen(word))
        count++;
    return count;
}

/* Receives until what came ends like this; to be freed. */
static char *receive_until(int fd, const char *end)
{
    size_t length = 0, size = 1u << 20;
    char *bytes = calloc(1, size);

    ck_assert_ptr_nonnull(bytes);
    while (length < strlen(end) || strcmp(bytes + length - strlen(end), end) != 0) {
        ssize_t got = recv(fd, bytes + length, size - 1 - length, 0);

        ck_assert_int_gt(got, 0);
        length += (size_t)got;
    }
    return bytes;
}

START_TEST(a_subscription_of_any_length_is_counted)
{
    const unsigned channels = 5000;
    char *request = text("%0200000d", 0), *at = request, *got;

    begin("pool_size=2", "workers = 1\n");
    at += sprintf(at, "*%u\r\n$9\r\nSUBSCRIBE\r\n", channels + 1);
    for (unsigned i = 0; i < channels; i++)
        at += sprintf(at, "$16\r\nchannel-%08u\r\n", i);
    for (int version = 2; version <= 3; version++) {
        int fd = raw_open(port);
        char *hello = text("HELLO %d\r\nECHO hello\r\n", version);

        raw_send(fd, hello, strlen(hello));
        free(receive_until(fd, "$5\r\nhello\r\n"));
        raw_send(fd, request, strlen(request));
        got = receive_until(fd, text("$16\r\nchannel-%08u\r\n:%u\r\n", channels - 1, channels));
        ck_assert_uint_eq(count_of(got, "subscribe\r\n"), channels);
        free(got);
        raw_send(fd, "UNSUBSCRIBE\r\nGET nokey\r\n", 24);
        got = receive_until(fd, version == 3 ? ":0\r\n_\r\n" : ":0\r\n$-1\r\n");
        ck_assert_uint_eq(count_of(got, "unsubscribe\r\n"), channels);
        free(got);
        close(fd);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_refused_subscription_takes_nothing_along)
{
    redisContext *direct, *context;
    static const char all[] = "SUBSCRIBE secret\r\nLRANGE l 0 -1\r\nCLIENT GETNAME\r\nPING\r\n";
    static const char wanted[] = "-NOPERM this user has no permissions to access one of the "
                                 "channels used as arguments\r\n"
                                 "*2\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n+PONG\r\n";
    size_t length;
    char *got;
    int fd;

    begin(NULL, "workers = 1\n");
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER a on >pa ~* resetchannels &mine +@all"), "OK");
    ck_assert_str_eq(redis_do(direct, "RPUSH l a b"), "2");
    fd = say((const char *const[][2]){{"AUTH a pa\r\n", "+OK\r\n"}}, 1);
    raw_send(fd, all, sizeof(all) - 1);
    got = raw_receive(fd, sizeof(wanted) - 1, 0, &length);
    ck_assert_str_eq(got, wanted);
    free(got);
    raw_send(fd, "CLIENT REPLY SKIP\r\nSUBSCRIBE secret\r\nPING\r\n", 43);
    got = raw_receive(fd, 7, 20, &length);
    ck_assert_str_eq(got, "+PONG\r\n");
    free(got);
    close(fd);
    context = redis_open(port);
    ck_assert_str_eq(redis_do(context, "PING"), "PONG");
    sluice_stop(&sluice);
}
END_TEST

/* ---- half a transaction ---- */

#define CROWD 8

/* Logs in who comes, looks at the first command that is no question of the pooler, and resets the
 * connection when much of what follows has been written. The counter becomes 1 when a connection
 * began in the middle of a transaction. */
static void lose_each(struct fake *fake, int fd)
{
    char bytes[512] = "";
    size_t seen = 0;

    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes) - 1, 0);

        if (got <= 0)
            return;
        bytes[got] = '\0';
        if (!strstr(bytes, "CLIENT"))
            break;
        fake_write(fd, ":7\r\n", 4);
    }
    if (strncmp(bytes, "*1\r\n$5\r\nMULTI\r\n", 15) != 0)
        atomic_store(&fake->counter, 1);
    /* Those who need a connection of their own wait for replies first: then no more comes. */
    while (seen < 65536 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 20) > 0) {
        char part[4096];
        ssize_t got = recv(fd, part, sizeof(part), 0);

        if (got <= 0)
            return;
        seen += (size_t)got;
    }
    fake_reset(fd);
}

struct sender {
    int fd;
    size_t sent; /* of the present block */
};

/* Sends on as far as that goes, throws away what comes. */
static void sender_go_on(struct sender *sender, const char *block, size_t length)
{
    char dropped[4096];
    ssize_t count;

    while ((count = recv(sender->fd, dropped, sizeof(dropped), MSG_DONTWAIT)) > 0)
        ;
    if (count == 0) {
        close(sender->fd);
        *sender = (struct sender){.fd = raw_open(port)};
    }
    count =
        send(sender->fd, block + sender->sent, length - sender->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0)
        sender->sent = (sender->sent + (size_t)count) % length;
}

START_TEST(the_rest_of_a_transaction_is_not_sent_elsewhere)
{
    struct fake fake;
    struct sender senders[CROWD];
    /* All of one has arrived at once, mostly, or only a part of it. */
    const int value_bytes = _i ? 9000 : 300, buffer_bytes = 8192;
    char *set, *block;

    fake_start(&fake, lose_each, NULL);
    setsockopt(fake.listener, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    port = process_free_port();
    sluice_start(&sluice, .settings = "workers = 1\ntcp_socket_buffer = 16384\n",
                 .redis = text("cache = host=127.0.0.1 port=%u listen_port=%u min_pool_size=0 "
                               "pool_size=1 listen_addr=127.0.0.1\n",
                               fake.port, port));
    set = text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%0*d\r\n", value_bytes, value_bytes, 0);
    block = text("*1\r\n$5\r\nMULTI\r\n%s%s%s*1\r\n$4\r\nEXEC\r\n", set, set, set);
    for (int i = 0; i < CROWD; i++)
        senders[i] = (struct sender){.fd = raw_open(port)};
    for (int i = 0; atomic_load(&fake.accepted) < 100; i = (i + 1) % CROWD)
        sender_go_on(&senders[i], block, strlen(block));
    ck_assert_int_eq(atomic_load(&fake.counter), 0);
    fake_stop(&fake);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_hostile");

    suite_add(suite, SUITE_OURS, 30, a_request_of_any_length_passes_the_gate_only_where_it_may);
    suite_add(suite, SUITE_OURS, 30, a_client_whose_replies_cannot_be_told_apart_passes_no_gate);
    suite_add(suite, SUITE_OURS, 30, a_client_whose_replies_cannot_be_told_apart_stays_who_it_is);
    suite_add(suite, SUITE_OURS, 30, a_user_whose_name_is_too_long_for_a_pool_is_refused);
    suite_add(suite, SUITE_OURS, 30, half_a_long_request_keeps_no_connection);
    suite_add(suite, SUITE_OURS, 30, a_subscription_of_any_length_is_counted);
    suite_add(suite, SUITE_OURS, 30, a_refused_subscription_takes_nothing_along);
    suite_add_loop(suite, SUITE_OURS, 30, the_rest_of_a_transaction_is_not_sent_elsewhere, 2);
    return suite_finish(suite);
}

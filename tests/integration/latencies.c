/* Everything that waits is measured: what SHOW LATENCY and /metrics tell of batches and of names.
 * (Queries, transactions, connects and the queue: stats_port.c.) */
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/http.h"
#include "harness/process.h"
#include "harness/redis.h"
#include "lookups_crowd.h"

/* What the tests have others wait for, and what is to be measured of it at least. */
#define WAIT_S 0.06
#define WAIT_US 59000

static uint16_t port;

static const char *stats_listen(const char *settings)
{
    port = process_free_port();
    return text("stats_listen = 127.0.0.1:%u\n%s", port, settings);
}

/* A column of the only row of SHOW LATENCY for it; the quantiles of each row are in order. */
static long latency(const char *name, const char *column)
{
    static const char *const quantiles[] = {"p50_us", "p90_us", "p99_us", "p999_us", "max_us"};
    PGconn *console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    PGresult *result = PQexec(console, "SHOW LATENCY");
    long found = -1;

    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(console));
    for (int row = 0; row < PQntuples(result); row++) {
        long least = 0;

        for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
            long value = atol(PQgetvalue(result, row, PQfnumber(result, quantiles[i])));

            ck_assert_int_ge(value, least);
            least = value;
        }
        if (strcmp(PQgetvalue(result, row, PQfnumber(result, "latency")), name) != 0)
            continue;
        ck_assert_int_eq(found, -1);
        found = atol(PQgetvalue(result, row, PQfnumber(result, column)));
    }
    PQclear(result);
    PQfinish(console);
    ck_assert_msg(found >= 0, "SHOW LATENCY has no %s", name);
    return found;
}

/* The value of a line of /metrics that begins so. */
static long metric(const char *line)
{
    const char *page = http_get(port, "/metrics"), *at = strstr(page, text("\n%s ", line));

    ck_assert_msg(at, "no %s in %s", line, page);
    return atol(at + strlen(line) + 2);
}

static void let_wait(void)
{
    double since = seconds_now();

    await(seconds_now() - since > WAIT_S, 20);
}

/* A text has to come twice before it is looked at. */
static void introduce_once(void)
{
    client_send(&holder, lookup(LOOKUP, "1"));
    client_answer(&holder);
}

START_TEST(a_lookup_waits_for_others_until_its_batch_is_full)
{
    start(stats_listen(text("max_delay = 60\nmax_batch_size = %d\n", CROWD)));
    introduce_once();
    for (int i = 0; i < CROWD - 1; i++)
        ask(i, LOOKUP, text("%d", 1 + i));
    settle();
    let_wait();
    ask(CROWD - 1, LOOKUP, text("%d", CROWD));
    answers_each(1, 0);
    ck_assert_int_eq(latency("batch_delay", "count"), CROWD);
    ck_assert_int_ge(latency("batch_delay", "p50_us"), WAIT_US);
    ck_assert_int_ge(latency("batch_delay", "mean_us"), WAIT_US * (CROWD - 1) / CROWD);
    ck_assert_int_eq(metric("sluice_pool_batch_delay_seconds_count{database=\"p\","
                            "user=\"bench\"}"),
                     CROWD);
    ck_assert_int_le(metric("sluice_pool_batch_delay_seconds_bucket{database=\"p\","
                            "user=\"bench\",le=\"0.05\"}"),
                     1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lookup_waits_for_others_no_shorter_than_max_delay)
{
    start(stats_listen("max_delay = 0.05\n"));
    introduce_once();
    sluice_pause(&sluice);
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, text("%d", 1 + i));
    sluice_signal(&sluice, SIGCONT);
    answers_each(1, 0);
    ck_assert_int_eq(latency("batch_delay", "count"), CROWD);
    ck_assert_int_ge(latency("batch_delay", "max_us"), 50000);
    ck_assert_int_ge(latency("batch_delay", "p50_us"), 49000);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(redis_commands_wait_for_others_until_they_are_enough)
{
    struct redis redis;
    redisContext *context, *other, *direct;
    uint16_t redis_port;

    redis_start(&redis, NULL);
    redis_port = redis_pooled(&sluice, &redis, "max_delay=60 pool_size=1",
                              stats_listen("workers = 1\nstats_users = user1\n"));
    context = redis_open(redis_port);
    other = redis_open(redis_port);
    direct = redis_open(redis.port);
    redisAppendCommand(context, "SET k 1");
    redisAppendCommand(context, "GET k");
    ck_assert_str_eq(redis_next(context), "OK");
    ck_assert_str_eq(redis_next(context), "1");
    redisAppendCommand(context, "GET k");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(context, &done), REDIS_OK);
    await(console_sum(&sluice, "SHOW REDIS_POOLS", "cl_active") > 0, 20);
    let_wait();
    ck_assert_str_eq(redis_do(direct, "CONFIG RESETSTAT"), "OK");
    for (int i = 0; i < 255; i++)
        redisAppendCommand(other, "GET k");
    for (int i = 0; i < 255; i++)
        ck_assert_str_eq(redis_next(other), "1");
    ck_assert_str_eq(redis_next(context), "1");
    ck_assert_ptr_nonnull(strstr(redis_do(direct, "INFO commandstats"), "cmdstat_get:calls=256,"));
    ck_assert_int_ge(latency("batch_delay", "count"), 256);
    ck_assert_int_ge(latency("batch_delay", "max_us"), WAIT_US);
    ck_assert_int_eq(metric("sluice_redis_pool_batch_delay_seconds_count{pool=\"cache\"}"),
                     latency("batch_delay", "count"));
    sluice_stop(&sluice);
}
END_TEST

/* --- names --- */

enum { TYPE_A = 1, DNS_BYTES = 512, HEADER_BYTES = 12 };

/* One question of the pooler: answers it with 127.0.0.1 if it is for addresses of that kind, else
 * with nothing (RFC 1035, 4.1). True if it was. */
static bool answer_name(int server)
{
    static const unsigned char record[] = {0xc0, HEADER_BYTES, 0, TYPE_A, 0,   1, 0, 0,
                                           0,    60,           0, 4,      127, 0, 0, 1};
    unsigned char bytes[DNS_BYTES + sizeof(record)];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t got = recvfrom(server, bytes, DNS_BYTES, 0, (struct sockaddr *)&from, &size);
    size_t end = HEADER_BYTES;
    bool wanted;

    ck_assert_int_gt(got, HEADER_BYTES);
    while (end < (size_t)got && bytes[end] != 0)
        end += 1u + bytes[end];
    end += 5; /* the last label, type and class */
    ck_assert_uint_le(end, (size_t)got);
    wanted = bytes[end - 3] == TYPE_A;
    bytes[2] = 0x81; /* an answer */
    bytes[3] = 0x80;
    memset(bytes + 6, 0, 6);
    bytes[7] = wanted;
    if (wanted)
        memcpy(bytes + end, record, sizeof(record));
    end += wanted ? sizeof(record) : 0;
    ck_assert_int_eq(sendto(server, bytes, end, 0, (struct sockaddr *)&from, size), (ssize_t)end);
    return wanted;
}

START_TEST(look_ups_of_names_are_measured)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    char *resolv_conf = text("%s/resolv.conf", process_directory()), byte;
    struct client client;

    ck_assert_int_eq(bind(server, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(server, (struct sockaddr *)&address, &size), 0);
    file_write(resolv_conf, text("nameserver 127.0.0.1:%u\noptions timeout:20 attempts:1\n",
                                 ntohs(address.sin_port)));
    sluice_start(&sluice,
                 .databases = text("p = host=db.example.test port=%u dbname=%s\n",
                                   postgres_shared()->port, postgres_shared()->database),
                 .settings = stats_listen(
                     text("workers = 1\nadmin_users = user1\nresolv_conf = %s\n", resolv_conf)));
    client_open(&client, &sluice);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_int_eq(recv(server, &byte, 1, MSG_PEEK), 1);
    let_wait();
    while (!answer_name(server))
        ;
    client_answer(&client);
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    ck_assert_int_eq(latency("dns", "count"), 1);
    ck_assert_int_ge(latency("dns", "p50_us"), WAIT_US);
    ck_assert_int_ge(latency("dns", "max_us"), WAIT_US);
    ck_assert_int_eq(metric("sluice_dns_lookup_seconds_count"), 1);
    ck_assert_int_eq(metric("sluice_dns_lookup_seconds_bucket{le=\"0.05\"}"), 0);
    ck_assert_int_eq(metric("sluice_dns_lookup_seconds_bucket{le=\"+Inf\"}"), 1);
    client_close(&client);
    close(server);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("latencies");

    suite_add(suite, SUITE_OURS, 20, a_lookup_waits_for_others_until_its_batch_is_full);
    suite_add(suite, SUITE_OURS, 20, a_lookup_waits_for_others_no_shorter_than_max_delay);
    suite_add(suite, SUITE_OURS, 20, redis_commands_wait_for_others_until_they_are_enough);
    suite_add(suite, SUITE_OURS, 20, look_ups_of_names_are_measured);
    return suite_finish(suite);
}

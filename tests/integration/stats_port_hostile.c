/* The stats port among clients that are slow, broken or malicious: they get an error or the end of
 * their connection, and nobody else notices. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static uint16_t port;
static PGconn *client;

static void start(void)
{
    port = process_free_port();
    sluice_start(&sluice, .settings = text("pool_mode = transaction\n"
                                           "stats_listen = 127.0.0.1:%u\n",
                                           port));
    client = sluice_connect(&sluice, "user=user1 dbname=p");
}

/* The others go on. */
static void end(void)
{
    sql_do(client, "SELECT 1");
    ck_assert_ptr_nonnull(strstr(http_get(port, "/healthz"), " 200 OK"));
    PQfinish(client);
    sluice_stop(&sluice);
}

static bool answered(const char *answer, const char *status)
{
    return strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, status, strlen(status)) == 0;
}

static const struct {
    const char *request;
    const char *status; /* NULL: the end, or an error; never 200 */
} requests[] = {
    {"GET /healthz HTTP/1.0\r\n\r\n", " 200"},
    {"GET /healthz HTTP/1.1\nHost: x\n\n", " 200"},
    {"GET /healthz?x=1&y=%00 HTTP/1.1\r\n\r\n", " 200"},
    {"HEAD /nothing HTTP/1.1\r\n\r\n", " 404"},
    {"GET // HTTP/1.1\r\n\r\n", NULL},
    {"GET /healthz/ HTTP/1.1\r\n\r\n", " 404"},
    {"GET /%68ealthz HTTP/1.1\r\n\r\n", NULL},
    {"GET /../../etc/passwd HTTP/1.1\r\n\r\n", " 404"},
    {"GET /history.json?after=99999999999999999999999 HTTP/1.1\r\n\r\n", " 200"},
    {"GET /history.json?after=-1 HTTP/1.1\r\n\r\n", " 200"},
    {"GET * HTTP/1.1\r\n\r\n", NULL},
    {"GET http://[::1 HTTP/1.1\r\n\r\n", NULL},
    {"GET  HTTP/1.1\r\n\r\n", NULL},
    {"GET /healthz HTTP/9.9\r\n\r\n", NULL},
    {"GET /healthz SPDY/1\r\n\r\n", NULL},
    {"GET\r\n\r\n", NULL},
    {"\r\n\r\n\r\n", NULL},
    {"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", NULL},
    {"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", NULL},
    {"PUT /metrics HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", NULL},
    {"POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n", NULL},
    {"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", NULL},
    {"POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", NULL},
    {"OPTIONS * HTTP/1.1\r\n\r\n", NULL},
    {"TRACE / HTTP/1.1\r\n\r\n", NULL},
    {"CONNECT example.org:443 HTTP/1.1\r\n\r\n", NULL},
    {"PATCH / HTTP/1.1\r\n\r\n", NULL},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", NULL},
};

/* _i: a request. The test ends its side: what is incomplete is not waited for. */
START_TEST(odd_requests_are_answered_or_ended)
{
    const char *answer;

    start();
    answer = http_ask_and_end(port, requests[_i].request);
    if (requests[_i].status)
        ck_assert_msg(answered(answer, requests[_i].status), "%s", answer);
    else
        ck_assert_msg(!answered(answer, " 200"), "%s", answer);
    end();
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[64] = "";
    int fd, on = 1;

    start();
    fd = http_open(port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (size_t i = 0; i < sizeof(request) - 1; i++)
        ck_assert_int_eq(write(fd, request + i, 1), 1);
    ck_assert_int_gt(read(fd, answer, sizeof(answer) - 1), 0);
    ck_assert_msg(answered(answer, " 200"), "%s", answer);
    close(fd);
    end();
}
END_TEST

/* One answer a connection, which then ends. */
START_TEST(of_pipelined_requests_the_first_is_answered)
{
    char *requests_of = text("%s", ""), *answer;

    start();
    for (int i = 0; i < 50; i++)
        requests_of = text("%sGET /metrics HTTP/1.1\r\n\r\n", requests_of);
    answer = http_ask(port, requests_of);
    ck_assert_msg(answered(answer, " 200"), "%s", answer);
    ck_assert_ptr_null(strstr(answer + 1, "HTTP/1.1 "));
    end();
}
END_TEST

/* Sends the same again and again until the other side has had enough: it closes, or does not read
 * on for so long. */
static size_t flood(const char *first, const char *again, size_t limit)
{
    size_t sent = strlen(first), length = strlen(again);
    struct timeval patience = {.tv_sec = 1};
    int fd = http_open(port);
    ssize_t done;

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    ck_assert_int_eq(write(fd, first, sent), (ssize_t)sent);
    while (sent < limit && (done = send(fd, again, length, MSG_NOSIGNAL)) > 0)
        sent += (size_t)done;
    close(fd);
    return sent;
}

static const struct {
    const char *first, *again;
} floods[] = {
    {"GET /", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"GET / HTTP/1.1\r\n", "X-Another: header\r\n"},
    {"GET / HTTP/1.1\r\nX: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"GET / HTTP/1.1\r\nX: y\r\n", " folded line, folded line, folded line, folded line\r\n"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nabcde\r\n"},
    {"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"GET / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
};

/* _i: of what. */
START_TEST(floods_are_cut_off)
{
    const size_t limit = 64u << 20;
    long before;

    start();
    before = sluice_resident_kb(&sluice);
    ck_assert_uint_lt(flood(floods[_i].first, floods[_i].again, limit), limit);
    ck_assert_int_lt(sluice_resident_kb(&sluice), before + (long)(8192 * slow_factor()));
    end();
}
END_TEST

/* As many as are let in ask for all there is and read nothing: they are closed in time. */
START_TEST(clients_that_do_not_read_are_closed)
{
    int silent[64], small = 1024;
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";

    start();
    for (size_t i = 0; i < 64; i++) {
        silent[i] = http_open(port);
        setsockopt(silent[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        ck_assert_int_eq(write(silent[i], request, sizeof(request) - 1), sizeof(request) - 1);
    }
    sql_do(client, "SELECT 1");
    end(); /* waits for its turn */
    for (size_t i = 0; i < 64; i++)
        close(silent[i]);
}
END_TEST

/* The pooler has no descriptor left: it goes on with what it has, tells so about once a second, and
 * answers when there are some again. */
START_TEST(without_descriptors_nothing_spins)
{
    enum { DESCRIPTORS = 120 };
    struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
    int idle[DESCRIPTORS - 20], fd;
    char answer[16] = "";

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    start();
    sql_do(client, "SELECT 1");
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        idle[i] = http_open(sluice.port); /* a client that does not say who it is */
    sluice_await_log(&sluice, "WARNING accept failed");
    fd = http_open(port);
    ck_assert_int_gt(write(fd, "GET /healthz HTTP/1.1\r\n\r\n", 25), 0);
    await(sluice_log_count(&sluice, "stats_listen: accept failed") >= 2, 20);
    sql_do(client, "SELECT 1");
    ck_assert_uint_le(sluice_log_count(&sluice, "stats_listen: accept failed"),
                      2 + (size_t)(20 * slow_factor()));
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        close(idle[i]);
    ck_assert_int_gt(read(fd, answer, sizeof(answer) - 1), 0);
    ck_assert_msg(answered(answer, " 200"), "%s", answer);
    close(fd);
    end();
}
END_TEST

/* What was asked for while the pooler could not look is answered by the same page: the workers are
 * not asked by each. */
START_TEST(those_who_ask_at_once_share_a_page)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    enum { ASKERS = 12 }; /* no more than may wait for accept() */
    char *uptimes[ASKERS];
    unsigned pages = 0;
    int asker[ASKERS];

    start();
    sluice_signal(&sluice, SIGSTOP);
    for (unsigned i = 0; i < ASKERS; i++) {
        asker[i] = http_open(port);
        ck_assert_int_eq(write(asker[i], request, sizeof(request) - 1), sizeof(request) - 1);
    }
    sluice_signal(&sluice, SIGCONT);
    for (unsigned i = 0; i < ASKERS; i++) {
        char *answer = http_rest(asker[i]), *uptime = strstr(answer, "\nsluice_uptime_seconds ");
        bool known = false;

        ck_assert_msg(answered(answer, " 200") && uptime, "%s", answer);
        uptimes[i] = text("%.40s", uptime);
        for (unsigned j = 0; j < i; j++)
            known |= strcmp(uptimes[j], uptimes[i]) == 0;
        pages += !known;
    }
    ck_assert_uint_le(pages, ASKERS / 2);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats_port_hostile");

    suite_add_loop(suite, SUITE_OURS, 20, odd_requests_are_answered_or_ended,
                   sizeof(requests) / sizeof(requests[0]));
    suite_add(suite, SUITE_OURS, 20, a_request_may_come_byte_by_byte);
    suite_add(suite, SUITE_OURS, 20, of_pipelined_requests_the_first_is_answered);
    suite_add_loop(suite, SUITE_OURS, 60, floods_are_cut_off, sizeof(floods) / sizeof(floods[0]));
    suite_add(suite, SUITE_OURS, 30, without_descriptors_nothing_spins);
    suite_add(suite, SUITE_OURS, 30, those_who_ask_at_once_share_a_page);
    suite_add(suite, SUITE_OURS, 60, clients_that_do_not_read_are_closed);
    return suite_finish(suite);
}

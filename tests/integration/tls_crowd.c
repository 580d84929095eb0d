/* Ten thousand clients who begin TLS and do not go on: others are served meanwhile, memory stays in
 * bounds, and nothing is left when their time is up. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"
#include "harness/tls.h"

#define CROWD 10000
#define OWN_DESCRIPTORS 200 /* that this program needs itself */
/* OpenSSL holds about 50 of a handshake that has begun. */
#define KB_EACH_MAX 100

static struct client crowd[CROWD];

/* As many as this process may have open. */
static int crowd_size(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > CROWD + OWN_DESCRIPTORS ? CROWD : (int)limit.rlim_cur - OWN_DESCRIPTORS;
}

static void served(const struct sluice *sluice)
{
    PGconn *connection = sluice_connect(sluice, "user=user1 dbname=p sslmode=require");

    ck_assert_str_eq(sql_value(connection, "SELECT 1"), "1");
    PQfinish(connection);
}

START_TEST(ten_thousand_half_handshakes_disturb_nobody)
{
    /* A handshake record of which all is missing but its header and the header of ClientHello. */
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc";
    struct sluice sluice;
    int count = crowd_size();
    long before_kb, descriptors;

    sluice_start(&sluice, .settings = text("max_client_conn = 12000\nclient_login_timeout = 600\n"
                                           "workers = 2\nlog_connections = 0\n"
                                           "log_disconnections = 0\n%s",
                                           client_tls("require", "server")));
    served(&sluice);
    before_kb = sluice_resident_kb(&sluice);
    descriptors = sluice_descriptors(&sluice);
    for (int i = 0; i < count; i++) {
        char answer;

        client_open(&crowd[i], &sluice);
        client_send(&crowd[i], put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
        ck_assert_int_eq(recv(crowd[i].fd, &answer, 1, 0), 1);
        ck_assert_int_eq(answer, 'S');
        client_send(&crowd[i], put_bytes(put_new(), hello, sizeof(hello) - 1));
    }
    served(&sluice);
    ck_assert_int_ge(sluice_descriptors(&sluice), count);
    if (slow_factor() == 1) /* a sanitizer's memory says nothing */
        ck_assert_int_lt((sluice_resident_kb(&sluice) - before_kb) / count, KB_EACH_MAX);
    /* Half of them by a reset. */
    for (int i = 0; i < count; i++) {
        if (i % 2)
            client_abort(&crowd[i]);
        else
            client_close(&crowd[i]);
    }
    served(&sluice);
    await(sluice_descriptors(&sluice) <= descriptors + 2, 60); /* idle servers come and go */
    sluice_stop(&sluice);
}
END_TEST

static bool ended(const struct client *client)
{
    char bytes[4096];
    ssize_t got;

    do
        got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (got > 0);
    return got == 0 || errno != EAGAIN;
}

/* Each byte is progress, and none of them wins time: neither in a ClientHello as long as OpenSSL
 * takes it, nor in a startup packet behind a handshake. The other is asked between any two. */
START_TEST(a_slow_handshake_has_its_time_and_holds_up_nobody)
{
    enum { MESSAGE_BYTES = 130000, RECORD_BYTES = 1000 };
    struct sluice sluice;
    struct client slow, other;
    size_t sent = 0;

    sluice_start(&sluice, .settings = text("client_login_timeout = 2\nworkers = 1\n%s",
                                           client_tls("prefer", "server")));
    client_login(&other, &sluice, "user1", "p");
    client_open(&slow, &sluice);
    if (_i == 0) {
        static const unsigned char record[] = {0x16, 3, 1, RECORD_BYTES >> 8, RECORD_BYTES & 255};
        static const unsigned char hello[] = {
            1, MESSAGE_BYTES >> 16, MESSAGE_BYTES >> 8 & 255, MESSAGE_BYTES & 255, 3, 3};

        client_send(&slow, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
        ck_assert_int_eq(recv(slow.fd, &(char){0}, 1, 0), 1);
        client_send(&slow,
                    put_bytes(put_bytes(put_new(), record, sizeof(record)), hello, sizeof(hello)));
        sent = sizeof(hello);
    } else {
        client_secure(&slow, 1);
        client_send(&slow, put_int32(put_int32(put_new(), 9000), PROTOCOL_3_0));
    }
    while (!ended(&slow)) {
        static const unsigned char record[] = {0x16, 3, 1, RECORD_BYTES >> 8, RECORD_BYTES & 255};

        if (_i == 0 && sent % RECORD_BYTES == 0)
            client_send(&slow, put_bytes(put_new(), record, sizeof(record)));
        if (_i == 0 ? sent < MESSAGE_BYTES - 1 : sent < 8000)
            client_send(&slow, put_bytes(put_new(), "x", 1));
        sent++;
        ck_assert_str_eq(client_query(&other, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    }
    ck_assert_uint_gt(sent, 100);
    ck_assert_uint_ge(sluice_log_count(&sluice, "client_login_timeout"), 1);
    client_close(&slow);
    client_close(&other);
    sluice_stop(&sluice);
}
END_TEST

/* OpenSSL's buffers, of about 16 kB for each direction, and ours are given back between records. */
START_TEST(idle_clients_hold_no_buffers)
{
    enum { IDLE = 300, IDLE_KB_MAX = 30 };
    static PGconn *clients[IDLE];
    struct sluice sluice;
    long before_kb;

    sluice_start(
        &sluice,
        .settings = text(
            "pool_mode = transaction\nworkers = 1\nmax_client_conn = 1000\nlog_connections = 0\n"
            "log_disconnections = 0\n%s",
            client_tls("require", "server")));
    served(&sluice);
    before_kb = sluice_resident_kb(&sluice);
    for (int i = 0; i < IDLE; i++) {
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
        ck_assert_uint_eq(strlen(sql_value(clients[i], "SELECT repeat('x', 40000)")), 40000);
    }
    if (slow_factor() == 1)
        ck_assert_int_lt((sluice_resident_kb(&sluice) - before_kb) / IDLE, IDLE_KB_MAX);
    for (int i = 0; i < IDLE; i++)
        PQfinish(clients[i]);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls_crowd");

    suite_add(suite, SUITE_OURS, 120, ten_thousand_half_handshakes_disturb_nobody);
    suite_add_loop(suite, SUITE_OURS, 40, a_slow_handshake_has_its_time_and_holds_up_nobody, 2);
    suite_add(suite, SUITE_OURS, 60, idle_clients_hold_no_buffers);
    return suite_finish(suite);
}

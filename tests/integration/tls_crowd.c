/* Ten thousand clients who begin TLS and do not go on: others are served meanwhile, memory stays in
 * bounds, and nothing is left when their time is up. */
#include <check.h>
#include <stdlib.h>
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

int main(void)
{
    Suite *suite = suite_create("tls_crowd");

    suite_add(suite, SUITE_OURS, 120, ten_thousand_half_handshakes_disturb_nobody);
    return suite_finish(suite);
}

/* Each timeout: it fails what lasts too long, on the server too, and nothing else; the client stays
 * where the protocol allows it. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client;

static void start(const char *settings)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = text("pool_mode = transaction\n%s", settings));
    client_login(&client, &sluice, "user1", "p");
}

/* The client goes on as if nothing had happened. */
static void stop(void)
{
    ck_assert_str_eq(client_query(&client, "SELECT 'still here'"),
                     "T(?column?) D(still here) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}

/* The answer tells this SQLSTATE, then ReadyForQuery in this state, and nothing else. */
static void check_failure(const char *answer, const char *sqlstate, char state)
{
    size_t length = strlen(answer);

    ck_assert_msg(strncmp(answer, text("E(%s ", sqlstate), strlen(sqlstate) + 3) == 0 &&
                      !strstr(answer, " E(") && length > 4 &&
                      strcmp(answer + length - 4, text("Z(%c)", state)) == 0,
                  "\"%s\" should be E(%s ...) Z(%c)", answer, sqlstate, state);
}

START_TEST(a_statement_beyond_query_timeout_is_cancelled_on_the_server_too)
{
    start("query_timeout = 1\n");
    check_failure(client_query(&client, SQL_SLEEP), "57014", 'I');
    postgres_await_backends(sluice.postgres, 0, "wait_event = 'PgSleep'");
    stop();
}
END_TEST

START_TEST(a_batch_beyond_query_timeout_fails_up_to_its_sync)
{
    char *answer;

    start("query_timeout = 1\n");
    client_send(&client, put_sync(put_extended(put_new(), "SELECT pg_sleep(600)", NULL)));
    answer = client_answer(&client);
    ck_assert_msg(strstr(answer, "E(57014 ") && strstr(answer, " Z(I)"), "%s", answer);
    postgres_await_backends(sluice.postgres, 0, "wait_event = 'PgSleep'");
    stop();
}
END_TEST

START_TEST(a_statement_beyond_query_timeout_aborts_its_transaction)
{
    start("query_timeout = 1\n");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE t (a int)"), "C(CREATE TABLE) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN; INSERT INTO t VALUES (1)"),
                     "C(BEGIN) C(INSERT 0 1) Z(T)");
    check_failure(client_query(&client, SQL_SLEEP), "57014", 'E');
    check_failure(client_query(&client, "INSERT INTO t VALUES (2)"), "25P02", 'E');
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(rows_already_sent_do_not_hide_the_timeout)
{
    char *answer;

    start("query_timeout = 1\n");
    answer = client_query(&client, "SELECT repeat('x', 50000), pg_sleep(CASE WHEN i = 3 THEN 600 "
                                   "ELSE 0 END) FROM generate_series(1, 3) AS i");
    ck_assert_msg(strstr(answer, "E(57014 ") && strstr(answer, " Z(I)"), "%s", answer);
    stop();
}
END_TEST

START_TEST(the_server_serves_nobody_until_the_cancel_is_over)
{
    struct client other;

    start("query_timeout = 1\n");
    client_login(&other, &sluice, "user1", "p");
    for (int i = 0; i < 3; i++) {
        client_send(&client, put_query(put_new(), SQL_SLEEP));
        postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
        client_send(&other,
                    put_query(put_new(), "SELECT count(*) FROM generate_series(1, 300000)"));
        check_failure(client_answer(&client), "57014", 'I');
        ck_assert_str_eq(client_answer(&other), "T(count) D(300000) C(SELECT 1) Z(I)");
        ck_assert_int_le(postgres_backends(sluice.postgres, "true"), 1);
    }
    client_close(&other);
    stop();
}
END_TEST

START_TEST(a_user_may_have_a_query_timeout_of_its_own)
{
    struct client other;

    sluice_start(&sluice, .users = "user2 = query_timeout=1\n",
                 .settings = "pool_mode = transaction\n");
    client_login(&client, &sluice, "user1", "p");
    client_login(&other, &sluice, "user2", "p");
    client_send(&client, put_query(put_new(), "SELECT pg_sleep(2)"));
    check_failure(client_query(&other, SQL_SLEEP), "57014", 'I');
    ck_assert_str_eq(client_answer(&client), "T(pg_sleep) D() C(SELECT 1) Z(I)");
    client_close(&other);
    stop();
}
END_TEST

START_TEST(in_session_mode_too_the_statement_is_cancelled_on_the_server)
{
    sluice_start(&sluice, .settings = "pool_mode = session\nquery_timeout = 1\n");
    client_login(&client, &sluice, "user1", "p");
    ck_assert_ptr_nonnull(strstr(client_query(&client, SQL_SLEEP), "E(57014 "));
    postgres_await_backends(sluice.postgres, 0, "wait_event = 'PgSleep'");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_idle_transaction_ends_and_the_next_statement_is_told)
{
    start("idle_transaction_timeout = 1\n");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE t (a int)"), "C(CREATE TABLE) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN; INSERT INTO t VALUES (1)"),
                     "C(BEGIN) C(INSERT 0 1) Z(T)");
    postgres_await_backends(sluice.postgres, 0, "state LIKE 'idle in transaction%'");
    check_failure(client_query(&client, "INSERT INTO t VALUES (2)"), "25P03", 'E');
    check_failure(client_query(&client, "INSERT INTO t VALUES (3)"), "25P02", 'E');
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(an_idle_transactions_server_serves_others)
{
    struct client other;
    char *answer;

    start("idle_transaction_timeout = 1\n");
    client_login(&other, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&other, "SELECT pg_current_xact_id_if_assigned()"),
                     "T(pg_current_xact_id_if_assigned) D(null) C(SELECT 1) Z(I)");
    client_close(&other);
    /* COMMIT of a transaction that is lost must not look like a success. */
    answer = client_query(&client, "COMMIT");
    ck_assert_msg(strncmp(answer, "E(25P03 ", 8) == 0 && !strstr(answer, "C("), "%s", answer);
    ck_assert_ptr_nonnull(strstr(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)"));
    stop();
}
END_TEST

START_TEST(a_busy_transaction_is_not_idle)
{
    start("idle_transaction_timeout = 1\n");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&client, "SELECT pg_sleep(2)"),
                     "T(pg_sleep) D() C(SELECT 1) Z(T)");
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(COMMIT) Z(I)");
    stop();
}
END_TEST

START_TEST(a_transaction_beyond_transaction_timeout_is_aborted)
{
    start("transaction_timeout = 1\n");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    check_failure(client_query(&client, SQL_SLEEP), "25P04", 'E');
    postgres_await_backends(sluice.postgres, 0, "wait_event = 'PgSleep'");
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    stop();
}
END_TEST

START_TEST(transaction_timeout_counts_from_the_transactions_beginning)
{
    char *answer = text("%s", "");

    start("transaction_timeout = 1\n");
    for (int i = 0; i < 4; i++) /* each transaction is short */
        ck_assert_str_eq(client_query(&client, "SELECT pg_sleep(0.4)"),
                         "T(pg_sleep) D() C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    for (int i = 0; i < 100 && !strstr(answer, "E("); i++)
        answer = client_query(&client, "SELECT pg_sleep(0.1)");
    check_failure(answer, "25P04", 'E');
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    stop();
}
END_TEST

START_TEST(an_idle_client_is_sent_away_after_client_idle_timeout)
{
    char *answer;

    start("client_idle_timeout = 1\n");
    ck_assert_str_eq(client_query(&client, "SELECT pg_sleep(1.5)"),
                     "T(pg_sleep) D() C(SELECT 1) Z(I)"); /* that was not idle */
    answer = client_answer(&client);
    ck_assert_msg(strstr(answer, "client_idle_timeout) EOF"), "%s", answer);
    if (!suite_reference())
        ck_assert_str_eq(answer, "E(57P05 client_idle_timeout) EOF");
    sluice_stop(&sluice);
}
END_TEST

static void serve_silence(struct fake *fake, int fd)
{
    fake_await_close(fd);
}

START_TEST(a_server_that_never_answers_the_login_is_given_up)
{
    struct fake fake;
    char *answer;

    fake_start(&fake, serve_silence, NULL);
    sluice_start(&sluice, .databases = text("p = %s\n", fake_address(&fake)),
                 .settings = "server_connect_timeout = 1\nserver_login_retry = 1\n"
                             "query_wait_timeout = 5\n");
    client_open(&client, &sluice);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    answer = client_answer(&client);
    ck_assert_msg(strstr(answer, "E("), "%s", answer);
    await(fake.accepted >= 1 && fake.open == 0, 20);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

static void serve_then_silence(struct fake *fake, int fd)
{
    char type, payload[100];

    if (!fake_login(fd))
        return;
    if (fake->counter++ > 0) /* the first connection only falls silent */
        fake_serve(fake, fd);
    else if (fake_read(fd, &type, payload, sizeof(payload)))
        fake_await_close(fd);
}

START_TEST(a_server_that_falls_silent_is_dropped_and_the_next_one_works)
{
    struct fake fake;

    fake_start(&fake, serve_then_silence, NULL);
    sluice_start(&sluice, .databases = text("p = %s pool_size=1\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\nquery_timeout = 1\ncancel_wait_timeout = 1\n"
                             "server_check_delay = 600\n");
    client_login(&client, &sluice, "user1", "p");
    check_failure(client_query(&client, "SELECT"), "57014", 'I');
    client.patience = 60;
    ck_assert_str_eq(client_query(&client, "SELECT"), "T(f) D(fake) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timeouts");

    suite_add(suite, SUITE_OURS, 20,
              a_statement_beyond_query_timeout_is_cancelled_on_the_server_too);
    suite_add(suite, SUITE_OURS, 20, a_batch_beyond_query_timeout_fails_up_to_its_sync);
    suite_add(suite, SUITE_OURS, 20, a_statement_beyond_query_timeout_aborts_its_transaction);
    suite_add(suite, SUITE_OURS, 20, rows_already_sent_do_not_hide_the_timeout);
    suite_add(suite, SUITE_OURS, 30, the_server_serves_nobody_until_the_cancel_is_over);
    suite_add(suite, SUITE_OURS, 20, a_user_may_have_a_query_timeout_of_its_own);
    suite_add(suite, SUITE_OURS, 20, in_session_mode_too_the_statement_is_cancelled_on_the_server);
    suite_add(suite, SUITE_OURS, 20, an_idle_transaction_ends_and_the_next_statement_is_told);
    suite_add(suite, SUITE_OURS, 20, an_idle_transactions_server_serves_others);
    suite_add(suite, SUITE_SAME, 20, a_busy_transaction_is_not_idle);
    suite_add(suite, SUITE_OURS, 20, a_transaction_beyond_transaction_timeout_is_aborted);
    suite_add(suite, SUITE_OURS, 20, transaction_timeout_counts_from_the_transactions_beginning);
    suite_add(suite, SUITE_SAME, 20, an_idle_client_is_sent_away_after_client_idle_timeout);
    suite_add(suite, SUITE_SAME, 30, a_server_that_never_answers_the_login_is_given_up);
    suite_add(suite, SUITE_OURS, 60, a_server_that_falls_silent_is_dropped_and_the_next_one_works);
    return suite_finish(suite);
}

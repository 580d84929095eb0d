/* Autocommit statements of several clients on one server: every client gets its own answers. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/load.h"
#include "multiplex_crowd.h"

START_TEST(two_hundred_clients_read_back_their_own_tokens_through_a_few_servers)
{
    struct load load = {
        .sluice = &sluice, .options = "user=user1 dbname=p", .clients = 200, .transactions = 30000};

    start(_i ? 8 : 2, text("workers = %d\n", _i + 1));
    load_run(&load);
    ck_assert_uint_eq(load.done, 30000);
    ck_assert_int_gt(told("statements"), 10000);
    ck_assert_int_le(postgres_backends(sluice.postgres, "query !~ 'SELECT 1$'"), _i ? 9 : 3);
    sluice_stop(&sluice);
}
END_TEST

#define TEN(key) key, key, key, key, key, key, key, key, key, key

/* One of several kinds of requests, and what has to come for it. */
static struct packet *request(int kind, int value, const char **expected)
{
    const char *key = text("%d", value);
    struct packet *packet = put_new();

    switch (kind) {
    case 0:
        *expected = text("T(?column?) D(%d) C(SELECT 1) Z(I)", value);
        return put_query(packet, text("SELECT %d", value));
    case 1:
        *expected = text("1 2 T(n,t) D(%d,thing %d) C(SELECT 1) Z(I)", value, value);
        return put_sync(put_extended(packet, "SELECT n, t FROM things WHERE n = $1", key));
    case 2:
        *expected = text("2 D(%d,thing %d) C(SELECT 1) Z(I)", value, value);
        return put_sync(put_execute(put_bind(packet, "", "mine", key), "", 0));
    case 3:
        *expected = text("t(1) T(n,t) 2 T(n,t) D(%d,thing %d) C(SELECT 1) Z(I)", value, value);
        return put_sync(put_execute(
            put_describe(put_bind(put_describe(packet, 'S', "mine"), "", "mine", key), 'P', ""), "",
            0));
    case 4:
        *expected = "1 2 T(?column?) E(22012 division by zero) Z(I)";
        return put_sync(put_extended(packet, "SELECT n / (n - n) FROM things WHERE n = $1", key));
    case 5:
        *expected = "E(22P02 invalid input syntax for type integer: \"x\") Z(I)";
        return put_sync(put_execute(put_bind(packet, "", "mine", "x"), "", 0));
    case 6:
        *expected = text("E(42P01 relation \"none%d\" does not exist) Z(I)", value);
        return put_query(packet, text("SELECT * FROM none%d", value));
    case 7:
        *expected = text(
            "T(repeat) D(%s...[%zu]) C(SELECT 1) Z(I)",
            text("%.60s", text("%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s", TEN(key), TEN(key))),
            strlen(key) * 9000);
        return put_query(packet, text("SELECT repeat('%s', 9000)", key));
    case 8:
        *expected = text("C(INSERT 0 1) Z(I)");
        return put_query(packet, text("INSERT INTO made VALUES (%d)", value));
    case 9:
        *expected = "1 2 n C(DELETE 0) Z(I)";
        return put_sync(put_extended(packet, "DELETE FROM things WHERE n = -$1::int", key));
    case 10:
        *expected = "C(BEGIN) Z(T)";
        return put_query(packet, "BEGIN");
    default:
        *expected = "1 2 T(n) C(SELECT 0) Z(I)";
        return put_sync(put_extended(packet, "SELECT n FROM things WHERE n = -$1::int", key));
    }
}

START_TEST(requests_of_every_kind_get_their_own_answers)
{
    enum { CLIENTS = 30, ROUNDS = 60, KINDS = 12 };
    struct client clients[CLIENTS];
    const char *expected[CLIENTS];

    start(_i ? 8 : 2, text("workers = %d\nmultiplex_stall = 0\n", _i + 1));
    postgres_value(sluice.postgres,
                   "CREATE TABLE things (n int PRIMARY KEY, t text); CREATE TABLE made (n int);"
                   "INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(0, 5000) i;"
                   "GRANT ALL ON things, made TO PUBLIC");
    for (int i = 0; i < CLIENTS; i++) {
        client_login(&clients[i], &sluice, "user1", "p");
        client_send(&clients[i],
                    put_sync(put_parse(put_new(), "mine", "SELECT n, t FROM things WHERE n = $1")));
        ck_assert_str_eq(client_answer(&clients[i]), "1 Z(I)");
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            client_send(&clients[i],
                        request((i * 7 + round) % KINDS, round * CLIENTS + i + 1000, &expected[i]));
        for (int i = 0; i < CLIENTS; i++) {
            const char *answer = client_answer(&clients[i]);

            ck_assert_msg(strcmp(answer, expected[i]) == 0, "%.200s and not %.200s", answer,
                          expected[i]);
            if (strcmp(expected[i], "C(BEGIN) Z(T)") == 0) {
                ck_assert_str_eq(client_query(&clients[i], "SELECT 5"), text("%s", "T(?column?) "
                                                                                   "D(5) C(SELECT "
                                                                                   "1) Z(T)"));
                ck_assert_str_eq(client_query(&clients[i], "COMMIT"), "C(COMMIT) Z(I)");
            }
        }
    }
    ck_assert_int_gt(told("statements"), ROUNDS * CLIENTS / 2);
    ck_assert_int_eq(told("in_flight"), 0);
    ck_assert_int_eq(postgres_number(sluice.postgres, "SELECT count(*) FROM made"),
                     ROUNDS * CLIENTS / KINDS);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(session_parameters_stay_apart)
{
    static const char *const zones[] = {"Asia/Tokyo", "Europe/Paris", "UTC"};

    start(2, "");
    for (int i = 0; i < CROWD; i++)
        ck_assert_ptr_nonnull(
            strstr(client_query(&crowd[i], text("SET timezone = '%s'", zones[i % 3])), "C(SET)"));
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < CROWD; i++)
            ask(i, round % 2 ? "SHOW timezone" : "SELECT current_setting('timezone')");
        for (int i = 0; i < CROWD; i++)
            answers(i, text("T(%s) D(%s) C(S%s) Z(I)", round % 2 ? "TimeZone" : "current_setting",
                            zones[i % 3], round % 2 ? "HOW" : "ELECT 1"));
    }
    ck_assert_int_gt(told("statements"), 200);
    sluice_stop(&sluice);
}
END_TEST

/* A process that asks without end. */
static pid_t busy_client(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        if (strcmp(client_query(&crowd[0], "SELECT 3"), number(3)) != 0)
            _exit(1);
    }
}

START_TEST(who_needs_a_lease_is_not_starved)
{
    enum { BUSY = 6 };
    pid_t pids[BUSY];

    start(1, "");
    for (int i = 0; i < BUSY; i++) {
        crowd[0] = crowd[i + 1];
        pids[i] = busy_client();
    }
    for (int i = 0; i < 200; i++) {
        ck_assert_str_eq(client_query(&crowd[7], "BEGIN"), "C(BEGIN) Z(T)");
        ck_assert_str_eq(client_query(&crowd[7], "COMMIT"), "C(COMMIT) Z(I)");
    }
    for (int i = 0; i < BUSY; i++) {
        int status;

        kill(pids[i], SIGKILL);
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFSIGNALED(status));
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_slow_statement_delays_only_those_behind_it)
{
    start(2, "");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, SQL_LONG);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    for (int round = 0; round < 20; round++) {
        for (int i = 1; i < CROWD; i++)
            ask(i, text("SELECT %d", i));
        for (int i = 1; i < CROWD; i++)
            answers(i, number(i));
    }
    client_cancel(&crowd[0], &sluice);
    answers(0, "T(count) " CANCELLED);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(after_multiplex_stall_a_server_takes_no_more)
{
    start(1, "");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, SQL_LONG);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    while (told("stalls") == 0) {
        ask(1, "SELECT 1"); /* in time still: behind it */
        settle();
        client_cancel(&crowd[1], &sluice);
        answers(1, CANCELLED);
    }
    ask(2, "SELECT 2");
    settle();
    ck_assert_int_eq(told("in_flight"), 1);
    client_cancel(&crowd[0], &sluice);
    answers(0, "T(count) " CANCELLED);
    answers(2, number(2));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(nobody_is_behind_a_statement_that_waits_for_a_lock)
{
    start(2, "multiplex_stall = 0\n");
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); INSERT INTO t VALUES (1);"
                                    "GRANT ALL ON t TO PUBLIC");
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(client_query(&crowd[1], "UPDATE t SET n = n + 1"), "C(UPDATE 1) Z(I)");
    ck_assert_str_eq(client_query(&ping, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&ping, "UPDATE t SET n = 10"), "C(UPDATE 1) Z(T)");
    ask(1, "UPDATE t SET n = n + 1");
    postgres_await_backends(sluice.postgres, 1, "wait_event_type = 'Lock'");
    /* Whoever has the lock waits for these. */
    for (int round = 0; round < 20; round++)
        for (int i = 2; i < CROWD; i++)
            ck_assert_str_eq(client_query(&crowd[i], text("SELECT %d", i)), number(i));
    ck_assert_str_eq(client_query(&ping, "COMMIT"), "C(COMMIT) Z(I)");
    answers(1, "C(UPDATE 1) Z(I)");
    ck_assert_int_eq(postgres_number(sluice.postgres, "SELECT n FROM t"), 11);
    sluice_stop(&sluice);
}
END_TEST

/* One that reads may have others behind it, and waits for an ACCESS EXCLUSIVE lock all the same:
 * those that came in time wait with it, and nobody else. */
START_TEST(a_read_that_waits_for_a_lock_delays_those_behind_it_only)
{
    double since;

    start(2, "workers = 1\n");
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); INSERT INTO t VALUES (1);"
                                    "GRANT ALL ON t TO PUBLIC");
    introduce(&crowd[1], "SELECT n FROM t");
    ck_assert_str_eq(client_query(&ping, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&ping, "LOCK TABLE t"), "C(LOCK TABLE) Z(T)");
    ask(1, "SELECT n FROM t");
    postgres_await_backends(sluice.postgres, 1, "wait_event_type = 'Lock'");
    since = seconds_now();
    await(seconds_now() - since > 0.006, 5); /* multiplex_stall */
    for (int round = 0; round < 20; round++) {
        for (int i = 2; i < CROWD; i++)
            ask(i, text("SELECT %d", i));
        for (int i = 2; i < CROWD; i++)
            answers(i, number(i));
    }
    ck_assert_str_eq(client_query(&ping, "COMMIT"), "C(COMMIT) Z(I)");
    answers(1, "T(n) D(1) C(SELECT 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(without_multiplex_nothing_is_shared)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nadmin_users = user1\n");
    for (int i = 0; i < CROWD; i++)
        client_login(&crowd[i], &sluice, "user1", "p");
    for (int i = 0; i < CROWD; i++)
        ask(i, text("SELECT %d", i));
    for (int i = 0; i < CROWD; i++)
        answers(i, number(i));
    ck_assert_int_eq(told("statements"), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_console_tells_why_statements_were_not_shared)
{
    start(1, "");
    ck_assert_str_eq(client_query(&crowd[1], "SHOW work_mem"), "T(work_mem) D(4MB) C(SHOW) Z(I)");
    ck_assert_int_eq(told("not_statement"), 0);
    ck_assert_int_ge(told("not_known"), 2);
    client_query(&crowd[1], "SHOW work_mem");
    ck_assert_int_eq(told("not_statement"), 1);
    client_send(&crowd[1], put_query(put_query(put_new(), "SELECT 1"), "SELECT 2"));
    ck_assert_str_eq(client_answers(&crowd[1], 2), text("%s %s", number(1), number(2)));
    ck_assert_int_ge(told("not_request"), 1);
    ck_assert_int_ge(told("statements"), 1);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multiplex");

    suite_add_loop(suite, SUITE_OURS, 120,
                   two_hundred_clients_read_back_their_own_tokens_through_a_few_servers, 2);
    suite_add_loop(suite, SUITE_OURS, 60, requests_of_every_kind_get_their_own_answers, 2);
    suite_add(suite, SUITE_OURS, 30, session_parameters_stay_apart);
    suite_add(suite, SUITE_OURS, 60, who_needs_a_lease_is_not_starved);
    suite_add(suite, SUITE_OURS, 30, a_slow_statement_delays_only_those_behind_it);
    suite_add(suite, SUITE_OURS, 30, after_multiplex_stall_a_server_takes_no_more);
    suite_add(suite, SUITE_OURS, 30, nobody_is_behind_a_statement_that_waits_for_a_lock);
    suite_add(suite, SUITE_OURS, 30, a_read_that_waits_for_a_lock_delays_those_behind_it_only);
    suite_add(suite, SUITE_OURS, 30, without_multiplex_nothing_is_shared);
    suite_add(suite, SUITE_OURS, 30, the_console_tells_why_statements_were_not_shared);
    return suite_finish(suite);
}

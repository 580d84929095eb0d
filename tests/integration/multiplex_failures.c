/* What goes wrong with one statement among others is its own client's business. */
#include "harness/load.h"
#include "multiplex_crowd.h"

START_TEST(a_client_that_vanishes_takes_nobody_with_it)
{
    start_behind(SQL_WHILE);
    client_abort(&crowd[0]);
    client_abort(&crowd[2]);
    answers(1, number(1));
    answers(3, number(3));
    for (int i = 3; i < CROWD; i++)
        ck_assert_str_eq(client_query(&crowd[i], text("SELECT %d", i)), number(i));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(when_all_have_vanished_the_server_is_cancelled)
{
    start_behind(SQL_LONG);
    for (int i = 0; i < 4; i++)
        client_abort(&crowd[i]);
    postgres_await_backends(sluice.postgres, 0, RUNS_LONG);
    ck_assert_str_eq(client_query(&crowd[5], "SELECT 5"), number(5));
    sluice_stop(&sluice);
}
END_TEST

/* The second leaves while the first is served: nobody waits for what the server runs then. */
static void leave_behind(void)
{
    start(1, "multiplex_stall = 0\nworkers = 1\n");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, SQL_WHILE);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    ask(1, SQL_LONG);
    settle();
    ck_assert_int_eq(told("in_flight"), 2);
    client_abort(&crowd[1]);
    settle();
}

START_TEST(what_the_last_to_leave_has_left_behind_is_cancelled)
{
    leave_behind();
    answers(0, "T(count) D(1500000) C(SELECT 1) Z(I)");
    postgres_await_backends(sluice.postgres, 0, RUNS_LONG);
    ck_assert_str_eq(client_query(&crowd[0], "SELECT 0"), number(0));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_daemon_ends_with_statements_that_nobody_waits_for)
{
    leave_behind();
    answers(0, "T(count) D(1500000) C(SELECT 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_of_the_first_hits_nobody_behind_it)
{
    start_behind(SQL_WHILE);
    client_cancel(&crowd[0], &sluice);
    answers(0, CANCELLED);
    behind_answer();
    ck_assert_str_eq(client_query(&crowd[0], "SELECT 0"), number(0));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_of_one_behind_hits_it_alone)
{
    start_behind(SQL_WHILE);
    client_cancel(&crowd[2], &sluice);
    answers(2, CANCELLED);
    answers(0, "T(count) D(1500000) C(SELECT 1) Z(I)");
    answers(1, number(1));
    answers(3, number(3));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_of_a_change_waits_for_its_turn)
{
    start(1, "multiplex_stall = 0\nworkers = 1\n");
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); GRANT ALL ON t TO PUBLIC");
    for (int i = 0; i < 2; i++)
        client_query(&crowd[1], "INSERT INTO t SELECT 1 FROM pg_sleep(0)");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, SQL_WHILE);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    ask(1, "INSERT INTO t SELECT 1 FROM pg_sleep(600)");
    settle();
    ck_assert_int_eq(told("in_flight"), 2);
    client_send(&crowd[3], put_query(put_new(), "SELECT 3"));
    client_open(&crowd[4], &sluice);
    client_send(&crowd[4], put_cancel(put_new(), &crowd[1]));
    answers(0, "T(count) D(1500000) C(SELECT 1) Z(I)");
    answers(1, CANCELLED);
    answers(3, number(3));
    ck_assert_int_eq(postgres_number(sluice.postgres, "SELECT count(*) FROM t"), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(cancels_in_a_race_never_hit_a_neighbour)
{
    enum { ROUNDS = 1000, ASKERS = 2 };
    struct client requests[ASKERS];
    int hits = 0;

    start(_i ? 8 : 2, text("workers = %d\n", _i + 1));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CROWD; i++)
            ask(i, text("SELECT %d", i));
        for (int i = 0; i < ASKERS; i++) {
            client_open(&requests[i], &sluice);
            client_send(&requests[i], put_cancel(put_new(), &crowd[i]));
        }
        for (int i = ASKERS; i < CROWD; i++)
            answers(i, number(i));
        for (int i = 0; i < ASKERS; i++) {
            const char *answer = client_answer(&crowd[i]);
            bool hit = strstr(answer, CANCELLED) != NULL;

            hits += hit;
            if (!hit)
                ck_assert_str_eq(answer, number(i));
            client_close(&requests[i]);
        }
    }
    ck_assert_int_gt(hits, 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lost_server_fails_those_on_their_way_and_nobody_else)
{
    static const char lost[] = "server conn crashed?";

    start_behind(SQL_LONG);
    ask(5, "BEGIN");
    settle();
    postgres_terminate(sluice.postgres, RUNS_LONG);
    for (int i = 0; i < 4; i++) {
        const char *answer = client_answer(&crowd[i]);

        ck_assert_msg(strstr(answer, "E(57P01 ") || strstr(answer, lost), "%s", answer);
        ck_assert_ptr_nonnull(strstr(answer, "Z(I)"));
    }
    answers(5, "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&crowd[5], "COMMIT"), "C(COMMIT) Z(I)");
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(client_query(&crowd[i], text("SELECT %d", i)), number(i));
    sluice_stop(&sluice);
}
END_TEST

/* Each kill can fail eight statements at most, and mixes nothing up. */
START_TEST(killed_servers_mix_nothing_up)
{
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p",
                        .clients = 100,
                        .transactions = 12000,
                        .failures_allowed = true,
                        .disturb = load_kill_one,
                        .disturb_every = 300};

    start(_i ? 8 : 3, text("server_login_retry = 1\nworkers = %d\n", _i + 1));
    load_run(&load);
    ck_assert_uint_eq(load.done + load.failed, 12000);
    ck_assert_uint_le(load.failed, 8 * 40);
    ck_assert_uint_eq(load.lost, 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_timeout_ends_only_the_statement_that_took_too_long)
{
    start(1, "multiplex_stall = 0\nworkers = 1\nquery_timeout = 1.5\n");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, SQL_LONG);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    answers(0, "E(57014 query timeout) Z(I)");
    postgres_await_backends(sluice.postgres, 0, RUNS_LONG);
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(client_query(&crowd[i], text("SELECT %d", i)), number(i));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_does_not_read_keeps_nobody)
{
    start(1, "multiplex_stall = 0\nworkers = 1\n");
    introduce(&crowd[0], SQL_WHILE);
    introduce(&crowd[0], "SELECT repeat('x', 100000) FROM generate_series(1, 1)");
    /* Behind something that lasts, so that its neighbours are there when its reply comes. */
    ask(1, SQL_WHILE);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    ask(0, "SELECT repeat('x', 100000) FROM generate_series(1, 300)");
    settle();
    for (int i = 2; i < CROWD; i++)
        ask(i, text("SELECT %d", i));
    settle();
    answers(1, "T(count) D(1500000) C(SELECT 1) Z(I)");
    for (int i = 2; i < CROWD; i++)
        answers(i, number(i));
    sluice_await_log(&sluice, "it does not read its reply, and others wait behind it");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_alone_may_read_as_late_as_it_likes)
{
    uint64_t bytes;

    start(1, "workers = 1\n");
    introduce(&crowd[0], "SELECT repeat('x', 100000) FROM generate_series(1, 1)");
    ask(0, "SELECT repeat('x', 100000) FROM generate_series(1, 300)");
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'ClientWrite'");
    ask(1, "SELECT 1");
    ck_assert(client_silent(&crowd[1], 1.5));
    bytes = client_drain(&crowd[0]);
    ck_assert_uint_gt(bytes, 300u * 100000u);
    answers(1, number(1));
    /* Its replies are long: it goes by itself from now on. */
    ask(0, "SELECT repeat('x', 100000) FROM generate_series(1, 2)");
    client_drain(&crowd[0]);
    ck_assert_int_eq(told("not_long"), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(those_behind_a_changed_session_fail)
{
    start(1, "multiplex_stall = 0\nworkers = 1\n");
    postgres_value(sluice.postgres, "CREATE FUNCTION zone() RETURNS text LANGUAGE sql VOLATILE AS "
                                    "$$SELECT set_config('TimeZone', 'Asia/Tokyo', false)$$;"
                                    "CREATE VIEW zones AS SELECT zone() z;"
                                    "GRANT ALL ON zones TO PUBLIC");
    introduce(&crowd[0], SQL_WHILE);
    introduce(&crowd[5], "SELECT z FROM zones WHERE z <> 'x'");
    client_query(&crowd[5], "RESET timezone");
    ask(0, SQL_WHILE);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    for (int i = 1; i < 4; i++)
        ask(i, i == 2 ? "SELECT z FROM zones" : text("SELECT %d", i));
    settle();
    answers(0, "T(count) D(1500000) C(SELECT 1) Z(I)");
    answers(1, number(1));
    ck_assert_ptr_nonnull(strstr(client_answer(&crowd[2]), "D(Asia/Tokyo)"));
    client_answer(&crowd[3]);
    for (int i = 3; i < CROWD; i++)
        ck_assert_ptr_null(
            strstr(client_query(&crowd[i], "SELECT current_setting('timezone')"), "Tokyo"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_prepared_statement_whose_table_changed_works_on)
{
    start(1, "");
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); INSERT INTO t VALUES (1);"
                                    "GRANT ALL ON t TO PUBLIC");
    for (int i = 0; i < CROWD; i++) {
        client_send(&crowd[i], put_sync(put_parse(put_new(), "mine", "SELECT * FROM t")));
        answers(i, "1 Z(I)");
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CROWD; i++)
            client_send(
                &crowd[i],
                put_sync(put_execute(
                    put_describe(put_message(put_new(), 'B', "\0mine\0\0\0\0\0\0\0", 12), 'P', ""),
                    "", 0)));
        for (int i = 0; i < CROWD; i++)
            answers(i, round < 2 ? "2 T(n) D(1) C(SELECT 1) Z(I)"
                                 : "2 T(n,m) D(1,7) C(SELECT 1) Z(I)");
        if (round == 1)
            postgres_value(sluice.postgres, "ALTER TABLE t ADD m int DEFAULT 7");
    }
    ck_assert_int_gt(told("statements"), CROWD);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multiplex_failures");

    suite_add(suite, SUITE_OURS, 30, a_client_that_vanishes_takes_nobody_with_it);
    suite_add(suite, SUITE_OURS, 30, when_all_have_vanished_the_server_is_cancelled);
    suite_add(suite, SUITE_OURS, 30, what_the_last_to_leave_has_left_behind_is_cancelled);
    suite_add(suite, SUITE_OURS, 30, the_daemon_ends_with_statements_that_nobody_waits_for);
    suite_add(suite, SUITE_OURS, 30, a_cancel_of_the_first_hits_nobody_behind_it);
    suite_add(suite, SUITE_OURS, 30, a_cancel_of_one_behind_hits_it_alone);
    suite_add(suite, SUITE_OURS, 30, a_cancel_of_a_change_waits_for_its_turn);
    suite_add_loop(suite, SUITE_OURS, 90, cancels_in_a_race_never_hit_a_neighbour, 2);
    suite_add(suite, SUITE_OURS, 30, a_lost_server_fails_those_on_their_way_and_nobody_else);
    suite_add_loop(suite, SUITE_OURS, 90, killed_servers_mix_nothing_up, 2);
    suite_add(suite, SUITE_OURS, 30, a_timeout_ends_only_the_statement_that_took_too_long);
    suite_add(suite, SUITE_OURS, 30, a_client_that_does_not_read_keeps_nobody);
    suite_add(suite, SUITE_OURS, 30, a_client_alone_may_read_as_late_as_it_likes);
    suite_add(suite, SUITE_OURS, 30, those_behind_a_changed_session_fail);
    suite_add(suite, SUITE_OURS, 30, a_prepared_statement_whose_table_changed_works_on);
    return suite_finish(suite);
}

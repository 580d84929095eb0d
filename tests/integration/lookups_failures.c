/* Lookups on their way together: a cancel, a timeout, the end of a client, a long answer is nobody
 * else's. */
#include "lookups_crowd.h"

/* --- on their way: a lock holds the batch up on the server --- */

static void lock(void)
{
    postgres_value(sluice.postgres, "BEGIN; LOCK TABLE things");
}

static void unlock(void)
{
    postgres_value(sluice.postgres, "COMMIT");
}

static void await_locked(void)
{
    await(postgres_number(sluice.postgres, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
                                           "relation = 'things'::regclass") > 0,
          20);
}

/* All of the crowd ask for their number; a batch of them stands before the lock. */
static void ask_before_lock(void)
{
    introduce(LOOKUP);
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, text("%d", i + 1));
    settle();
    lock();
    release();
    await_locked();
}

START_TEST(a_cancel_is_only_the_asker_s)
{
    simple = _i;
    start("");
    ask_before_lock();
    client_cancel(&crowd[0], &sluice);
    answers(0, "E(57014 canceling statement due to user request) Z(I)");
    unlock();
    answers_each(1, 1);
    ask(0, LOOKUP, "9");
    answers(0, thing(9));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_while_waiting_is_only_the_asker_s)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, text("%d", i + 1));
    settle();
    client_cancel(&crowd[0], &sluice);
    answers(0, "E(57014 canceling statement due to user request) Z(I)");
    release();
    answers_each(1, 1);
    ck_assert_int_eq(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_goes_takes_only_its_own_key)
{
    simple = _i;
    start("");
    ask_before_lock();
    client_abort(&crowd[0]);
    client_close(&crowd[1]);
    settle();
    unlock();
    answers_each(1, 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(when_all_have_gone_the_server_is_freed)
{
    simple = _i;
    start("");
    ask_before_lock();
    for (int i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    ck_assert_str_eq(client_query(&holder, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    unlock();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_statement_that_lasts_too_long_ends_for_each)
{
    simple = _i;
    start("query_timeout = 1\n");
    ask_before_lock();
    for (int i = 0; i < CROWD; i++)
        answers(i, "E(57014 query timeout) Z(I)");
    unlock();
    ask(0, LOOKUP, "9");
    answers(0, thing(9));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_statement_timeout_of_the_server_is_each_one_s_own)
{
    simple = _i;
    start("");
    for (int i = 0; i < CROWD; i++) {
        client_query(&crowd[i], "SET statement_timeout = 100");
        for (int round = 0; round < 2; round++) {
            ask(i, LOOKUP, "1");
            client_answer(&crowd[i]);
        }
    }
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, text("%d", i + 1));
    settle();
    lock();
    release();
    for (int i = 0; i < CROWD; i++)
        answers(i, "E(57014 canceling statement due to statement timeout) Z(I)");
    unlock();
    for (int i = 0; i < CROWD; i++)
        client_query(&crowd[i], "SET statement_timeout = 0");
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lost_server_fails_each_and_nothing_more)
{
    simple = _i;
    start("");
    ask_before_lock();
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "wait_event_type = 'Lock'"), 1);
    for (int i = 0; i < CROWD; i++)
        ck_assert_ptr_nonnull(strstr(client_answer(&crowd[i]), "E(57P01 "));
    unlock();
    ask(0, LOOKUP, "9");
    answers(0, thing(9));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_lost_while_it_is_prepared_fails_nobody)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, text("%d", i + 1));
    settle();
    lock();
    release();
    await_locked();
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "wait_event_type = 'Lock'"), 1);
    await_locked();
    unlock();
    answers_each(1, 0);
    ck_assert_int_eq(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

/* --- notices --- */

START_TEST(a_notice_reaches_the_client_that_has_it_alone)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    for (int i = 0; i < CROWD; i++) {
        client_query(&crowd[i], "SET client_min_messages = debug5");
        ask(i, LOOKUP, "1");
        client_answer(&crowd[i]);
    }
    for (int round = 0; round < 2; round++) {
        ask_each(LOOKUP, 1);
        for (int i = 0; i < CROWD; i++) {
            const char *answer = client_answer(&crowd[i]);

            ck_assert_ptr_nonnull(strstr(answer, "N("));
            ck_assert_ptr_nonnull(strstr(answer, text("D(%d,thing %d)", i + 1, i + 1)));
        }
    }
    sluice_stop(&sluice);
}
END_TEST

/* --- long answers --- */

START_TEST(a_table_too_wide_to_be_described_is_asked_alone)
{
    static const char sql[] = "SELECT * FROM wide WHERE id = $1";

    start("");
    postgres_value(sluice.postgres,
                   "DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || "
                   "(SELECT string_agg('a_column_with_quite_a_long_name_' || i || ' int', ', ') "
                   "FROM generate_series(1, 1000) i) || ')'; END $$;"
                   "INSERT INTO wide SELECT generate_series(1, 10); GRANT ALL ON wide TO PUBLIC");
    introduce(sql);
    for (int round = 0; round < 2; round++) {
        ask_each(sql, 1);
        for (int i = 0; i < CROWD; i++) {
            const char *answer = client_answer(&crowd[i]);

            ck_assert_ptr_nonnull(strstr(answer, text("D(%d,null,", i + 1)));
            ck_assert_ptr_nonnull(strstr(answer, "C(SELECT 1) Z(I)"));
        }
    }
    ck_assert_int_eq(batches(), 0);
    ck_assert_uint_eq(sluice_log_count(&sluice, "broke"), 0);
    sluice_stop(&sluice);
}
END_TEST

#define BIG "SELECT big FROM things WHERE id = $1"

static void big_create(void)
{
    postgres_value(sluice.postgres, "UPDATE things SET big = repeat(id::text, 100000) "
                                    "WHERE id IN (1, 2, 3, 4)");
}

static void big_answers(int i)
{
    struct message message;
    size_t bytes = 0;

    while ((message = client_read(&crowd[i])).type != 'Z')
        if (message.type == 'D')
            bytes += message.size;
    ck_assert_uint_eq(bytes, i == 7 ? 6 : 6 + 100000);
}

START_TEST(long_answers_come_whole_and_hold_nobody_up)
{
    simple = _i;
    start("");
    big_create();
    introduce(BIG);
    for (int round = 0; round < 3; round++) {
        hold();
        for (int i = 0; i < CROWD; i++)
            ask(i, BIG, i < 7 ? text("%d", i % 4 + 1) : "50");
        settle();
        release();
        /* Nobody reads but the last one. */
        for (int i = CROWD - 1; i >= 0; i--)
            big_answers(i);
    }
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(rows_of_megabytes_cut_the_batch)
{
    static const char sql[] =
        "SELECT id, repeat('x', CASE WHEN id = 4 THEN 5000000 ELSE id END) AS r "
        "FROM things WHERE id = $1";

    simple = _i;
    start("");
    introduce(sql);
    ask_each(sql, 1);
    for (int i = CROWD - 1; i >= 0; i--) {
        struct message message;
        size_t bytes = 0;

        while ((message = client_read(&crowd[i])).type != 'Z') {
            ck_assert_int_ne(message.type, 'E');
            if (message.type == 'D')
                bytes += message.size;
        }
        ck_assert_uint_eq(bytes, 2 + 4 + 1 + 4 + (i == 3 ? 5000000 : (size_t)i + 1));
    }
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_failures");

    suite_add_loop(suite, SUITE_OURS, 20, a_cancel_is_only_the_asker_s, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_cancel_while_waiting_is_only_the_asker_s, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_client_that_goes_takes_only_its_own_key, 2);
    suite_add_loop(suite, SUITE_OURS, 20, when_all_have_gone_the_server_is_freed, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_statement_that_lasts_too_long_ends_for_each, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_statement_timeout_of_the_server_is_each_one_s_own, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_lost_server_fails_each_and_nothing_more, 2);
    suite_add_loop(suite, SUITE_OURS, 30, a_server_lost_while_it_is_prepared_fails_nobody, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_notice_reaches_the_client_that_has_it_alone, 2);
    suite_add(suite, SUITE_OURS, 20, a_table_too_wide_to_be_described_is_asked_alone);
    suite_add_loop(suite, SUITE_OURS, 20, long_answers_come_whole_and_hold_nobody_up, 2);
    suite_add_loop(suite, SUITE_OURS, 20, rows_of_megabytes_cut_the_batch, 2);
    return suite_finish(suite);
}

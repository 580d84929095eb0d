/* Lookups of many clients asked together: every client gets what it would have got alone. */
#include "harness/process.h"
#include "lookups_crowd.h"

START_TEST(lookups_that_wait_together_are_asked_together)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    ck_assert_int_eq(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lookup_that_waits_alone_goes_unchanged)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    hold();
    ask(0, LOOKUP, "7");
    settle();
    release();
    answers(0, thing(7));
    ask(0, LOOKUP, "8");
    answers(0, thing(8));
    ck_assert_int_eq(batches(), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_key_may_be_missing_null_or_asked_twice)
{
    static const char *const keys[CROWD] = {"1", NULL, "1", "-5", "100", "101", "1", "2"};

    simple = _i;
    start("");
    introduce(LOOKUP);
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, LOOKUP, keys[i]);
    settle();
    release();
    for (int i = 0; i < CROWD; i++) {
        bool found = keys[i] && atoi(keys[i]) > 0 && atoi(keys[i]) <= 100;

        answers(i, found ? thing(atoi(keys[i])) : "1 2 T(id,name) C(SELECT 0) Z(I)");
    }
    ck_assert_int_eq(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(named_statements_are_asked_together_described_or_not)
{
    start("");
    for (int i = 0; i < CROWD; i++) {
        client_send(&crowd[i], put_sync(put_parse(put_new(), text("mine%d", i), LOOKUP)));
        answers(i, "1 Z(I)");
    }
    for (int round = 0; round < 2; round++) {
        hold();
        for (int i = 0; i < CROWD; i++) {
            const char *name = text("mine%d", i);
            struct packet *packet = put_new();

            if (i % 4 == 1)
                put_describe(packet, 'S', name);
            put_bind(packet, "", name, text("%d", i + 1));
            if (i % 4 == 2)
                put_describe(packet, 'P', "");
            client_send(&crowd[i], put_sync(put_execute(packet, "", 0)));
        }
        settle();
        release();
        for (int i = 0; i < CROWD; i++)
            answers(i, text("%s2 %sD(%d,thing %d) C(SELECT 1) Z(I)",
                            i % 4 == 1 ? "t(1) T(id,name) " : "", i % 4 == 2 ? "T(id,name) " : "",
                            i + 1, i + 1));
    }
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(many_rows_keep_their_order_and_limit)
{
    static const char sql[] = "SELECT id FROM things WHERE id > $1 ORDER BY id DESC LIMIT 3";

    simple = _i;
    start("");
    introduce(sql);
    ask_each(sql, 92);
    for (int i = 0; i < CROWD; i++)
        answers(i, text("1 2 T(id) %s%s%sC(SELECT %d) Z(I)", i < 8 ? "D(100) " : "",
                        i < 7 ? "D(99) " : "", i < 6 ? "D(98) " : "",
                        i < 6    ? 3
                        : i == 6 ? 2
                                 : 1));
    ck_assert_int_eq(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_error_is_only_the_client_s_whose_key_it_is)
{
    static const char sql[] = "SELECT id, 100 / (id - 5) AS n FROM things WHERE id = $1";

    simple = _i;
    start("");
    introduce(sql);
    for (int round = 0; round < 3; round++) {
        hold();
        for (int i = 0; i < CROWD; i++)
            ask(i, sql, i == 3 && round == 2 ? "five" : text("%d", i + 2));
        settle();
        release();
        for (int i = 0; i < CROWD; i++) {
            if (i != 3)
                answers(i, text("1 2 T(id,n) D(%d,%d) C(SELECT 1) Z(I)", i + 2, 100 / (i - 3)));
            else if (round < 2)
                answers(i, "1 2 T(id,n) E(22012 division by zero) Z(I)");
            else
                answers(i, "1 E(22P02 invalid input syntax for type integer: \"five\") Z(I)");
        }
    }
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(formats_of_another_number_of_columns_are_an_error_as_alone)
{
    static const unsigned char bind[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 1, '1', 0, 3, 0, 0, 0, 0, 0, 0};

    start("");
    for (int round = 0; round < 2; round++) {
        if (round)
            hold();
        for (int i = 0; i < CROWD; i++)
            client_send(&crowd[i],
                        put_sync(put_execute(
                            put_message(put_parse(put_new(), "", LOOKUP), 'B', bind, sizeof(bind)),
                            "", 0)));
        if (round) {
            settle();
            release();
        }
        for (int i = 0; i < CROWD; i++)
            answers(i, "1 E(08P01 bind message has 3 result formats but query has 2 columns) Z(I)");
    }
    ck_assert_int_eq(batches(), 0);
    sluice_stop(&sluice);
}
END_TEST

/* --- tables that change --- */

START_TEST(a_changed_table_is_seen_as_it_would_be_alone)
{
    static const char sql[] = "SELECT * FROM things WHERE id = $1";
    static const struct {
        const char *change, *answer;
    } changes[] = {
        {"SELECT 1", "1 2 T(id,name,big) D(1,thing 1,null) C(SELECT 1) Z(I)"},
        {"ALTER TABLE things ADD more int DEFAULT 5",
         "1 2 T(id,name,big,more) D(1,thing 1,null,5) C(SELECT 1) Z(I)"},
        {"ALTER TABLE things DROP big", "1 2 T(id,name,more) D(1,thing 1,5) C(SELECT 1) Z(I)"},
        {"ALTER TABLE things ALTER more TYPE numeric(5,2)",
         "1 2 T(id,name,more) D(1,thing 1,5.00) C(SELECT 1) Z(I)"},
        {"ALTER TABLE things RENAME more TO less",
         "1 2 T(id,name,less) D(1,thing 1,5.00) C(SELECT 1) Z(I)"},
        {"DROP TABLE things", "E(42P01 relation \"things\" does not exist) Z(I)"},
        {"CREATE TABLE things (id int8, other text); INSERT INTO things VALUES (1, 'new');"
         "GRANT ALL ON things TO PUBLIC",
         "1 2 T(id,other) D(1,new) C(SELECT 1) Z(I)"},
    };

    simple = _i;
    start("");
    introduce(sql);
    ask_all(sql, "1");
    for (int i = 0; i < CROWD; i++)
        answers(i, changes[0].answer);
    for (size_t step = 0; step < sizeof(changes) / sizeof(changes[0]); step++) {
        postgres_value(sluice.postgres, "%s", changes[step].change);
        for (int round = 0; round < 2; round++) {
            ask_all(sql, "1");
            for (int i = 0; i < CROWD; i++)
                answers(i, changes[step].answer);
        }
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_statement_deallocated_unseen_is_prepared_again)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    for (int round = 0; round < 3; round++) {
        ask_all(LOOKUP, "1");
        for (int i = 0; i < CROWD; i++)
            answers(i, thing(1));
        client_query(&holder, "DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'");
    }
    sluice_stop(&sluice);
}
END_TEST

/* --- listed ones --- */

START_TEST(listed_lookups_are_batched_and_no_others)
{
    static const char other[] = "SELECT name FROM things WHERE id = $1";

    simple = _i;
    things_create();
    sluice_start(&sluice,
                 .databases = "p = {server} pool_size=1 user=bench password=bench\n"
                              "q = {server} batch_lookups=off\n"
                              "[lookups]\nthing = database=p query='" LOOKUP "' max_batch_size=4\n",
                 .settings = "pool_mode = transaction\nworkers = 1\nbatch_lookups = listed\n");
    logins();
    ask_all(other, "1");
    for (int i = 0; i < CROWD; i++)
        answers(i, "1 2 T(name) D(thing 1) C(SELECT 1) Z(I)");
    ck_assert_int_eq(batches(), 0);
    ask_all(LOOKUP, "1");
    for (int i = 0; i < CROWD; i++)
        answers(i, thing(1));
    ck_assert_int_eq(batches(), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_listed_statement_that_is_no_lookup_is_refused_at_start)
{
    char *ini = text("%s/lookups.ini", process_directory()), *output;
    char check[] = "--check", *arguments[] = {check, ini, NULL};

    file_write(ini, "[sluice]\nlisten_addr =\n[databases]\np =\n[lookups]\n"
                    "bad = database=p query='SELECT nextval($1) FROM t'\n");
    ck_assert_int_ne(sluice_run(arguments, &output), 0);
    ck_assert_msg(strstr(output, "lookup \"bad\" cannot be batched: a function that is not on the "
                                 "list of pure built-in functions: nextval"),
                  "%s", output);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups");

    suite_add_loop(suite, SUITE_OURS, 20, lookups_that_wait_together_are_asked_together, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_lookup_that_waits_alone_goes_unchanged, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_key_may_be_missing_null_or_asked_twice, 2);
    suite_add(suite, SUITE_OURS, 20, named_statements_are_asked_together_described_or_not);
    suite_add_loop(suite, SUITE_OURS, 20, many_rows_keep_their_order_and_limit, 2);
    suite_add_loop(suite, SUITE_OURS, 20, an_error_is_only_the_client_s_whose_key_it_is, 2);
    suite_add(suite, SUITE_OURS, 20, formats_of_another_number_of_columns_are_an_error_as_alone);
    suite_add_loop(suite, SUITE_OURS, 30, a_changed_table_is_seen_as_it_would_be_alone, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_statement_deallocated_unseen_is_prepared_again, 2);
    suite_add_loop(suite, SUITE_OURS, 20, listed_lookups_are_batched_and_no_others, 2);
    suite_add(suite, SUITE_OURS, 20, a_listed_statement_that_is_no_lookup_is_refused_at_start);
    return suite_finish(suite);
}

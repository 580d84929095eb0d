/* Lookups in the simple protocol: their literals are the keys. The laws are tested by the other
 * programs of lookups, in both protocols. */
#include "lookups_crowd.h"

#define QUERY "SELECT id, name FROM things WHERE id = "

static const char *row(int id)
{
    return text("T(id,name) D(%d,thing %d) C(SELECT 1) Z(I)", id, id);
}

/* A form has to come twice before it is looked at. */
static void introduce_query(const char *sql)
{
    for (int i = 0; i < 2; i++)
        client_query(&holder, sql);
}

/* Each asks the same in its own way: what differs by more than its keys is another lookup. */
START_TEST(a_literal_keeps_the_type_that_it_has_alone)
{
    static const struct {
        const char *condition, *answer;
    } asked[] = {
        {"id = 5", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = '5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = 5.0", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = 5.5", "T(id) C(SELECT 0) Z(I)"},
        {"id = 5000000000", "T(id) C(SELECT 0) Z(I)"},
        {"id = '5000000000'",
         "E(22003 value \"5000000000\" is out of range for type integer) Z(I)"},
        {"id = 99999999999999999999999", "T(id) C(SELECT 0) Z(I)"},
        {"id = -5", "T(id) C(SELECT 0) Z(I)"},
        {"id = - 5", "T(id) C(SELECT 0) Z(I)"},
        {"id < - -2", "T(id) D(1) C(SELECT 1) Z(I)"},
        {"id = '5'::int", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = E'5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = int '5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id = $$5$$", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"id IN (5, '6') ORDER BY 1", "T(id) D(5) D(6) C(SELECT 2) Z(I)"},
        {"id BETWEEN 5 AND '6' ORDER BY id DESC LIMIT 1", "T(id) D(6) C(SELECT 1) Z(I)"},
        {"name = 'thing 5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"name = 'it''s'", "T(id) C(SELECT 0) Z(I)"},
        {"name = '\\'", "T(id) C(SELECT 0) Z(I)"},
        {"name = 'thing 5' -- '6'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"name = /* 6 */ 'thing 5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"name = 'thing '\n'5'", "T(id) D(5) C(SELECT 1) Z(I)"},
        {"name = 5", "E(42883 operator does not exist: text = integer) Z(I)"},
        {"id = 'five'", "E(22P02 invalid input syntax for type integer: \"five\") Z(I)"},
    };

    start("");
    for (size_t step = 0; step < sizeof(asked) / sizeof(asked[0]); step++) {
        char *sql = strdup(text("SELECT id FROM things WHERE %s", asked[step].condition));

        introduce_query(sql);
        hold();
        for (int i = 0; i < CROWD; i++)
            ask_query(i, sql);
        settle();
        release();
        for (int i = 0; i < CROWD; i++)
            ck_assert_msg(strcmp(client_answer(&crowd[i]), asked[step].answer) == 0, "%s", sql);
        free(sql);
    }
    ck_assert_int_ge(batches(), 10);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(several_statements_are_never_joined)
{
    static const char *const queries[] = {
        QUERY "1; SELECT 2 AS two",
        "BEGIN; " QUERY "1; COMMIT",
        QUERY "1; UPDATE things SET name = name WHERE id = 2",
    };
    static const char *const expected[] = {
        "T(id,name) D(1,thing 1) C(SELECT 1) T(two) D(2) C(SELECT 1) Z(I)",
        "C(BEGIN) T(id,name) D(1,thing 1) C(SELECT 1) C(COMMIT) Z(I)",
        "T(id,name) D(1,thing 1) C(SELECT 1) C(UPDATE 1) Z(I)",
    };

    start("");
    for (size_t step = 0; step < 3; step++) {
        introduce_query(queries[step]);
        hold();
        for (int i = 0; i < CROWD; i++)
            ask_query(i, queries[step]);
        settle();
        release();
        for (int i = 0; i < CROWD; i++)
            answers(i, expected[step]);
    }
    ck_assert_int_eq(batches(), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_error_is_only_the_client_s_whose_literal_it_is)
{
    start("");
    introduce_query(QUERY "'1'");
    for (int round = 0; round < 2; round++) {
        hold();
        for (int i = 0; i < CROWD; i++)
            ask_query(i, i == 3 && round == 0 ? QUERY "'three'" : text(QUERY "'%d'", i + 1));
        settle();
        release();
        for (int i = 0; i < CROWD; i++)
            answers(i, i == 3 && round == 0
                           ? "E(22P02 invalid input syntax for type integer: \"three\") Z(I)"
                           : row(i + 1));
    }
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_query_and_a_bound_statement_each_get_their_own_messages)
{
    static const char sql[] = "SELECT id, name FROM things WHERE name = $1";

    start("");
    introduce(sql);
    introduce_query("SELECT id, name FROM things WHERE name = 'thing 1'");
    hold();
    for (int i = 0; i < CROWD; i++)
        if (i % 2)
            ask(i, sql, text("thing %d", i + 1));
        else
            ask_query(i, text("SELECT id, name FROM things WHERE name = 'thing %d'", i + 1));
    settle();
    release();
    for (int i = 0; i < CROWD; i++)
        answers(i, i % 2 ? thing(i + 1) : row(i + 1));
    ck_assert_int_ge(batches(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(without_standard_conforming_strings_queries_go_alone)
{
    static const char sql[] =
        "SELECT id FROM things WHERE name = 'a\\' AND id = ' OR true LIMIT 1'";
    struct client others[CROWD];

    start("");
    for (int i = 0; i < CROWD; i++) {
        client_open(&others[i], &sluice);
        client_send(&others[i], put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database",
                                            "p", "standard_conforming_strings", "off", NULL));
        client_answer(&others[i]);
        client_query(&others[i], sql);
    }
    hold();
    for (int i = 0; i < CROWD; i++)
        client_send(&others[i], put_query(put_new(), sql));
    settle();
    release();
    for (int i = 0; i < CROWD; i++)
        ck_assert_ptr_nonnull(strstr(client_answer(&others[i]), "Z(I)"));
    ck_assert_int_eq(batches(), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_is_refused_is_logged_once_and_without_its_literals)
{
    start("");
    for (int i = 0; i < 6; i++) {
        client_query(&crowd[0], text("SELECT now() FROM things WHERE name = 'secret %d'", i));
        client_query(&crowd[0], text("SELECT 'secret %d' FROM things LIMIT 1", i));
    }
    ck_assert_uint_eq(sluice_log_count(&sluice, "not batched"), 2);
    ck_assert_uint_eq(sluice_log_count(&sluice, "it reads the clock or asks who is connected: now: "
                                                "SELECT now() FROM things WHERE name = "),
                      1);
    ck_assert_uint_eq(sluice_log_count(&sluice, "WHERE compares no column with a literal: "
                                                "SELECT ? FROM things LIMIT ?"),
                      1);
    ck_assert_uint_eq(sluice_log_count(&sluice, "secret"), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_listed_lookup_is_met_by_queries_too)
{
    things_create();
    sluice_start(&sluice,
                 .databases = "p = {server} pool_size=1 user=bench password=bench\n"
                              "q = {server} batch_lookups=off\n"
                              "[lookups]\nthing = database=p query='" LOOKUP "'\n",
                 .settings = "pool_mode = transaction\nworkers = 1\nbatch_lookups = listed\n");
    logins();
    introduce_query("SELECT name FROM things WHERE id = 1");
    introduce_query(QUERY "1");
    for (int round = 0; round < 2; round++) {
        hold();
        for (int i = 0; i < CROWD; i++)
            ask_query(i, text(round ? QUERY "%d" : "SELECT name FROM things WHERE id = %d", i + 1));
        settle();
        release();
        for (int i = 0; i < CROWD; i++)
            answers(i, round ? row(i + 1) : text("T(name) D(thing %d) C(SELECT 1) Z(I)", i + 1));
        ck_assert_int_eq(batches(), round);
    }
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_simple");

    suite_add(suite, SUITE_OURS, 40, a_literal_keeps_the_type_that_it_has_alone);
    suite_add(suite, SUITE_OURS, 20, several_statements_are_never_joined);
    suite_add(suite, SUITE_OURS, 20, an_error_is_only_the_client_s_whose_literal_it_is);
    suite_add(suite, SUITE_OURS, 20, a_query_and_a_bound_statement_each_get_their_own_messages);
    suite_add(suite, SUITE_OURS, 20, without_standard_conforming_strings_queries_go_alone);
    suite_add(suite, SUITE_OURS, 20, what_is_refused_is_logged_once_and_without_its_literals);
    suite_add(suite, SUITE_OURS, 20, a_listed_lookup_is_met_by_queries_too);
    return suite_finish(suite);
}

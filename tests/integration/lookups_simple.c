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

/* Each of a type that PostgreSQL finds out. */
static const char *const conditions[] = {
    "id = 2147483647",
    "id = 2147483648",
    "id = -2147483648",
    "id > -2147483649 AND id < 3",
    "id < 9223372036854775807 AND id > 98",
    "id < 9223372036854775808 AND id > 98",
    "id > -9223372036854775809 AND id < 2",
    "id = 5e0",
    "id = .5e1",
    "id = 05",
    "id = +5",
    "5 = id",
    "id = (5)",
    "id = -(-5)",
    "id = ' 5 '",
    "id = '5.0'",
    "id = ''",
    "id = '5'||''",
    "id = '5'::text::int",
    "id = CAST('5' AS int)",
    "id = CAST(5 AS numeric)",
    "id = B'101'::int",
    "id = ANY ('{5,6}')",
    "id = ANY (ARRAY[5, 6])",
    "id IN ('5')",
    "id IN (5, 6.0, '7')",
    "id IN ('5', 'x')",
    "id NOT IN (1, 2) AND id < 4",
    "(id, name) = (5, 'thing 5')",
    "id BETWEEN SYMMETRIC 7 AND 5",
    "id = NULL",
    "id IS NOT DISTINCT FROM 5",
    "name = U&'thing \\0035'",
    "name = N'thing 5'",
    "name = $x$thing 5$x$",
    "name = E'thing\\x205'",
    "name = 'thing 5'::varchar(3)",
    "name = 'thing ' || 5",
    "name LIKE 'thing 9_'",
    "name ~ '^thing 9.$'",
    "name > 'thing 98' COLLATE \"C\"",
    "name = 'thing\n5'",
    "name = 'gr\xc3\xbc\xc3\x9f'",
    "name = 'now'",
    "length(name) = 7 AND id < 3",
    "id = 5 AND name = 'thing 5' OR id = 6 AND NOT name = 'thing 6'",
    "id = 5 LIMIT 1 OFFSET 0",
    "id < 4 ORDER BY 1 DESC",
    "id = 5/**/",
    "id=5--",
    "id = 5 AND true",
    "id = 5 AND 'a' = 'a'",
    "id = 5; ",
    "id = 5 5",
    "id = $1",
};

START_TEST(literals_of_every_notation_answer_as_alone)
{
    start("");
    for (size_t step = 0; step < sizeof(conditions) / sizeof(conditions[0]); step++) {
        char *sql = text("SELECT id, name FROM things WHERE %s", conditions[step]);

        for (int round = 0; round < 2; round++) {
            hold();
            for (int i = 0; i < CROWD; i++)
                ask_query(i, sql);
            settle();
            release();
            for (int i = 0; i < CROWD; i++) {
                const char *answer = client_answer(&crowd[i]), *alone = client_query(&ping, sql);

                ck_assert_msg(strcmp(answer, alone) == 0, "%s: %s and not %s", sql, answer, alone);
            }
        }
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
    suite_add(suite, SUITE_OURS, 40, literals_of_every_notation_answer_as_alone);
    suite_add(suite, SUITE_OURS, 20, several_statements_are_never_joined);
    suite_add(suite, SUITE_OURS, 20, an_error_is_only_the_client_s_whose_literal_it_is);
    suite_add(suite, SUITE_OURS, 20, a_query_and_a_bound_statement_each_get_their_own_messages);
    suite_add(suite, SUITE_OURS, 20, without_standard_conforming_strings_queries_go_alone);
    suite_add(suite, SUITE_OURS, 20, what_is_refused_is_logged_once_and_without_its_literals);
    suite_add(suite, SUITE_OURS, 20, a_listed_lookup_is_met_by_queries_too);
    return suite_finish(suite);
}

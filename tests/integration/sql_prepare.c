/* SQL's PREPARE, EXECUTE and DEALLOCATE in transaction and statement mode: they follow their client
 * to every server, as if it had one of its own. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client, neighbour;

#define DATABASES                      \
    "p = {server} pool_size=1\n"       \
    "two = {server} pool_size=2\n"     \
    "s = {server} pool_mode=session\n" \
    "each = {server} pool_mode=statement pool_size=1\n"

static void start(const char *database, const char *settings)
{
    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("pool_mode = transaction\nworkers = 1\n%s", settings));
    client_login(&client, &sluice, "user1", database);
    client_login(&neighbour, &sluice, "user1", database);
}

static void stop(void)
{
    client_close(&client);
    client_close(&neighbour);
    sluice_stop(&sluice);
}

static void run(struct client *who, const char *sql, const char *answer)
{
    ck_assert_str_eq(client_query(who, sql), answer);
}

static char *extended(struct client *who, const char *sql)
{
    client_send(who, put_sync(put_extended(put_new(), sql, NULL)));
    return client_answer(who);
}

static char *bound(struct client *who, const char *name, const char *parameter)
{
    client_send(who, put_sync(put_execute(put_bind(put_new(), "", name, parameter), "", 0)));
    return client_answer(who);
}

#define ROW(value) "T(x) D(" value ") C(SELECT 1) Z(I)"
#define UNKNOWN(name) "E(26000 prepared statement \"" name "\" does not exist) Z(I)"

START_TEST(a_name_means_the_same_on_every_server)
{
    struct client blocker;

    start("two", "");
    run(&client, "PREPARE q (int) AS SELECT $1 + 1 AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q(1)", ROW("2"));
    client_login(&blocker, &sluice, "user1", "two");
    for (int i = 0; i < 4; i++) {
        struct client *other = i % 2 ? &neighbour : &blocker;

        run(other, "BEGIN", "C(BEGIN) Z(T)");
        run(&client, "execute Q (2)", ROW("3"));
        run(other, "COMMIT", "C(COMMIT) Z(I)");
        run(i % 2 ? &blocker : &neighbour, "SELECT 1 AS x", ROW("1"));
    }
    run(&neighbour, "EXECUTE q(1)", UNKNOWN("q"));
    client_close(&blocker);
    stop();
}
END_TEST

START_TEST(names_belong_to_their_clients)
{
    static const char *const databases[] = {"p", "two", "each"};

    start(databases[_i], "");
    run(&client, "PREPARE q AS SELECT 'mine' AS x", "C(PREPARE) Z(I)");
    run(&neighbour, "PREPARE q AS SELECT 'other' AS x", "C(PREPARE) Z(I)");
    run(&neighbour, "PREPARE r AS SELECT 'mine' AS x;", "C(PREPARE) Z(I)");
    for (int i = 0; i < 3; i++) {
        run(&client, "EXECUTE q", ROW("mine"));
        run(&neighbour, "EXECUTE q;", ROW("other"));
        run(&neighbour, "EXECUTE r", ROW("mine"));
        run(&client, "EXECUTE r", UNKNOWN("r"));
    }
    run(&neighbour, "DEALLOCATE q", "C(DEALLOCATE) Z(I)");
    run(&neighbour, "EXECUTE q", UNKNOWN("q"));
    run(&client, "EXECUTE q", ROW("mine"));
    run(&client, "DEALLOCATE PREPARE ALL", "C(DEALLOCATE ALL) Z(I)");
    run(&client, "EXECUTE q", UNKNOWN("q"));
    run(&neighbour, "EXECUTE r", ROW("mine"));
    run(&client, "PREPARE q AS SELECT 'again' AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q", ROW("again"));
    run(&client, "DISCARD ALL", "C(DISCARD ALL) Z(I)");
    run(&client, "EXECUTE q", UNKNOWN("q"));
    run(&neighbour, "EXECUTE r", ROW("mine"));
    stop();
}
END_TEST

START_TEST(errors_are_those_of_the_server)
{
    start("p", "");
    run(&client, "PREPARE q AS SELECT missing", "E(42703 column \"missing\" does not exist) Z(I)");
    run(&client, "EXECUTE q", UNKNOWN("q"));
    run(&client, "PREPARE q AS SELECT 1 AS x", "C(PREPARE) Z(I)");
    run(&client, "PREPARE q AS SELECT 2 AS x",
        "E(42P05 prepared statement \"q\" already exists) Z(I)");
    run(&client, "EXECUTE q", ROW("1"));
    run(&client, "PREPARE r (int) AS SELECT 1 / $1 AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE r(5, 6)",
        "E(42601 wrong number of parameters for prepared statement \"r\") Z(I)");
    run(&client, "EXECUTE r(0)", "E(22012 division by zero) Z(I)");
    run(&client, "EXECUTE r(1)", ROW("1"));
    /* In a transaction: what is prepared stays, rolled back or not. */
    run(&client, "BEGIN", "C(BEGIN) Z(T)");
    run(&client, "PREPARE t AS SELECT 3 AS x", "C(PREPARE) Z(T)");
    run(&client, "EXECUTE t", "T(x) D(3) C(SELECT 1) Z(T)");
    run(&client, "PREPARE t AS SELECT 4 AS x",
        "E(42P05 prepared statement \"t\" already exists) Z(E)");
    run(&client, "PREPARE u AS SELECT 5 AS x",
        "E(25P02 current transaction is aborted, commands ignored until end of transaction block) "
        "Z(E)");
    run(&client, "EXECUTE t",
        "E(25P02 current transaction is aborted, commands ignored until end of transaction block) "
        "Z(E)");
    run(&client, "ROLLBACK", "C(ROLLBACK) Z(I)");
    run(&client, "EXECUTE t", ROW("3"));
    run(&client, "EXECUTE u", UNKNOWN("u"));
    stop();
}
END_TEST

START_TEST(a_server_that_lost_it_says_why_it_cannot_have_it_again)
{
    start("p", "max_prepared_statements = 1\n");
    run(&client, "CREATE TABLE lost AS SELECT 1 AS x", "C(SELECT 1) Z(I)");
    run(&client, "PREPARE q AS SELECT x FROM lost", "C(PREPARE) Z(I)");
    run(&client, "PREPARE r AS SELECT 2 AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q", ROW("1"));
    run(&client, "EXECUTE r", ROW("2"));
    run(&client, "DROP TABLE lost", "C(DROP TABLE) Z(I)");
    run(&client, "EXECUTE q", "E(42P01 relation \"lost\" does not exist) Z(I)");
    run(&client, "EXECUTE r", ROW("2"));
    run(&client, "BEGIN", "C(BEGIN) Z(T)");
    run(&client, "EXECUTE q", "E(42P01 relation \"lost\" does not exist) Z(E)");
    run(&client, "ROLLBACK", "C(ROLLBACK) Z(I)");
    run(&client, "CREATE TABLE lost AS SELECT 3 AS x", "C(SELECT 1) Z(I)");
    run(&client, "EXECUTE q", ROW("3"));
    run(&client, "PREPARE q AS SELECT 1", "E(42P05 prepared statement \"q\" already exists) Z(I)");
    run(&client, "SELECT count(*) AS x FROM pg_prepared_statements", ROW("1"));
    run(&client, "DROP TABLE lost", "C(DROP TABLE) Z(I)");
    stop();
}
END_TEST

START_TEST(one_that_cannot_be_prepared_again_holds_up_no_other)
{
    start("two", "");
    run(&client, "CREATE TABLE lost AS SELECT 1 AS x", "C(SELECT 1) Z(I)");
    run(&client, "PREPARE a AS SELECT 1 AS x", "C(PREPARE) Z(I)");
    run(&client, "PREPARE q AS SELECT x FROM lost", "C(PREPARE) Z(I)");
    run(&client, "PREPARE z AS SELECT 2 AS x", "C(PREPARE) Z(I)");
    run(&client, "DROP TABLE lost", "C(DROP TABLE) Z(I)");
    run(&neighbour, "BEGIN", "C(BEGIN) Z(T)"); /* on the server that has them */
    run(&client, "EXPLAIN (COSTS off) EXECUTE a", "T(QUERY PLAN) D(Result) C(EXPLAIN) Z(I)");
    run(&client, "EXPLAIN (COSTS off) EXECUTE q", UNKNOWN("q"));
    run(&client, "EXPLAIN (COSTS off) EXECUTE z", "T(QUERY PLAN) D(Result) C(EXPLAIN) Z(I)");
    run(&client, "DEALLOCATE q", "C(DEALLOCATE) Z(I)");
    run(&client, "PREPARE q AS SELECT 3 AS x", "C(PREPARE) Z(I)");
    run(&client, "SELECT 1 AS x; EXECUTE q", "T(x) D(1) C(SELECT 1) " ROW("3"));
    /* What failed before a Query makes the server ignore it. */
    client_send(&client, put_flush(put_parse(put_new(), "", "bad")));
    ck_assert_str_eq(client_message(&client), "E(42601 syntax error at or near \"bad\")");
    client_send(&client, put_query(put_sync(put_query(put_new(), "EXECUTE z")), "EXECUTE z"));
    ck_assert_str_eq(client_answer(&client), "Z(I)");
    ck_assert_str_eq(client_answer(&client), ROW("2"));
    run(&client, "EXECUTE z", ROW("2"));
    run(&neighbour, "COMMIT", "C(COMMIT) Z(I)");
    stop();
}
END_TEST

START_TEST(one_that_cannot_be_prepared_again_troubles_nobody_later)
{
    start("p", "max_prepared_statements = 1\n");
    run(&client, "CREATE TABLE lost AS SELECT 1 AS x", "C(SELECT 1) Z(I)");
    run(&client, "PREPARE q AS SELECT x FROM lost", "C(PREPARE) Z(I)");
    run(&neighbour, "PREPARE r AS SELECT 2 AS x", "C(PREPARE) Z(I)");
    run(&client, "DROP TABLE lost", "C(DROP TABLE) Z(I)");
    run(&client, "EXECUTE q", "E(42P01 relation \"lost\" does not exist) Z(I)");
    run(&neighbour, "DEALLOCATE r", "C(DEALLOCATE) Z(I)");
    run(&client, "DEALLOCATE q", "C(DEALLOCATE) Z(I)");
    run(&neighbour, "PREPARE r AS SELECT 3 AS x", "C(PREPARE) Z(I)");
    run(&neighbour, "EXECUTE r", ROW("3"));
    stop();
}
END_TEST

START_TEST(a_position_in_the_text_is_the_clients)
{
    static const char *const wrong[] = {
        "PREPARE q AS SELECT 1 + missing",
        "PREPARE \"a name that is longer than the one it has there, much longer\" AS SELECT "
        "missing",
        "  EXECUTE r(1, missing)",
    };
    struct client other;

    start("p", "");
    client_login(&other, &sluice, "user1", "s");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct client *both[] = {&client, &other};
        char position[2][16] = {"", ""};

        for (int j = 0; j < 2; j++) {
            struct message message;

            client_query(both[j], "PREPARE r (int, int) AS SELECT $1 + $2");
            client_send(both[j], put_query(put_new(), wrong[i]));
            message = client_read(both[j]);
            ck_assert_int_eq(message.type, 'E');
            for (const char *at = (const char *)message.payload; *at; at += strlen(at) + 1)
                if (*at == 'P')
                    strncpy(position[j], at + 1, sizeof(position[j]) - 1);
            client_drain(both[j]);
        }
        ck_assert_str_ne(position[0], "");
        ck_assert_str_eq(position[0], position[1]);
    }
    client_close(&other);
    stop();
}
END_TEST

START_TEST(protocol_and_sql_share_their_names)
{
    start("p", "max_prepared_statements = 1\n");
    client_send(&client, put_sync(put_parse(put_new(), "q", "SELECT $1::int + 1 AS x")));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    run(&client, "PREPARE r (text) AS SELECT upper($1) AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q(1)", ROW("2"));
    ck_assert_str_eq(bound(&client, "r", "word"), "2 D(WORD) C(SELECT 1) Z(I)");
    client_send(&client, put_sync(put_describe(put_new(), 'S', "r")));
    ck_assert_str_eq(client_answer(&client), "t(1) T(x) Z(I)");
    run(&client, "PREPARE q AS SELECT 1", "E(42P05 prepared statement \"q\" already exists) Z(I)");
    client_send(&client, put_sync(put_parse(put_new(), "r", "SELECT 1")));
    ck_assert_str_eq(client_answer(&client),
                     "E(42P05 prepared statement \"r\" already exists) Z(I)");
    client_send(&client, put_sync(put_close(put_new(), 'S', "r")));
    ck_assert_str_eq(client_answer(&client), "3 Z(I)");
    run(&client, "EXECUTE r('a')", UNKNOWN("r"));
    ck_assert_str_eq(bound(&client, "r", "word"), UNKNOWN("r"));
    /* An open portal stays open while it is prepared. */
    run(&client, "PREPARE r AS SELECT 'carried' AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q(1)", ROW("2"));
    client_send(&client, put_sync(put_execute(
                             put_execute(put_bind(put_execute(put_bind(put_parse(put_new(), "",
                                                                                 "SELECT 7 "
                                                                                 "UNION ALL "
                                                                                 "SELECT 8"),
                                                                       "", "", NULL),
                                                              "", 1),
                                                  "other", "r", NULL),
                                         "other", 0),
                             "", 1)));
    ck_assert_str_eq(client_answer(&client), "1 2 D(7) s 2 D(carried) C(SELECT 1) D(8) s Z(I)");
    stop();
}
END_TEST

START_TEST(many_in_one_write_are_answered_in_order)
{
    start("two", "");
    client_send(
        &client,
        put_query(put_query(put_sync(put_execute(
                                put_bind(put_query(put_query(put_query(put_new(), "PREPARE q AS "
                                                                                  "SELECT 1 AS x"),
                                                             "EXECUTE q"),
                                                   "BEGIN"),
                                         "", "q", NULL),
                                "", 0)),
                            "DEALLOCATE q; "),
                  "EXECUTE q"));
    ck_assert_str_eq(client_answers(&client, 6),
                     "C(PREPARE) Z(I) T(x) D(1) C(SELECT 1) Z(I) C(BEGIN) Z(T) 2 D(1) C(SELECT 1) "
                     "Z(T) C(DEALLOCATE) Z(T) E(26000 prepared statement \"q\" does not exist) "
                     "Z(E)");
    run(&client, "ROLLBACK", "C(ROLLBACK) Z(I)");
    client_send_pieces(
        &client, put_query(put_query(put_new(), "PREPARE q AS SELECT 1 AS x"), "EXECUTE q"), 1);
    ck_assert_str_eq(client_answers(&client, 2), "C(PREPARE) Z(I) " ROW("1"));
    /* What waits for the answer to DEALLOCATE does not wait for that of requests without a Sync. */
    client_send(&client, put_sync(put_parse(
                             put_extended(put_sync(put_extended(put_new(), "DEALLOCATE ALL", NULL)),
                                          "SELECT 1 AS x", NULL),
                             "q", "SELECT 2 AS x")));
    ck_assert_str_eq(client_answers(&client, 2),
                     "1 2 n C(DEALLOCATE ALL) Z(I) 1 2 T(x) D(1) C(SELECT 1) 1 Z(I)");
    /* One that fails, and what relied on it. */
    client_send(&client,
                put_query(put_query(put_new(), "PREPARE bad AS SELECT missing"), "EXECUTE bad"));
    ck_assert_str_eq(client_answers(&client, 2),
                     "E(42703 column \"missing\" does not exist) Z(I) " UNKNOWN("bad"));
    stop();
}
END_TEST

/* Settings of ours go in front of what the client sends first. */
START_TEST(the_first_message_behind_our_settings_is_rewritten_too)
{
    start("p", "");
    client_query(&client, "SET DateStyle = 'SQL'");
    client_query(&client, "SET work_mem = '1MB'");
    run(&client, "PREPARE q AS SELECT 1 AS x", "C(PREPARE) Z(I)");
    client_send(&client, put_sync(put_parse(put_new(), "r", "SELECT 1 AS x")));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    run(&neighbour, "SELECT 1 AS x", ROW("1"));
    run(&client, "EXECUTE q", ROW("1"));
    run(&neighbour, "SELECT 1 AS x", ROW("1"));
    run(&client, "DEALLOCATE q", "C(DEALLOCATE) Z(I)");
    run(&neighbour, "SELECT 1 AS x", ROW("1"));
    run(&client, "DEALLOCATE r", "C(DEALLOCATE) Z(I)");
    run(&neighbour, "SELECT 1 AS x", ROW("1"));
    run(&client, "PREPARE r AS SELECT 2 AS x", "C(PREPARE) Z(I)");
    run(&neighbour, "SELECT 1 AS x", ROW("1"));
    run(&client, "PREPARE r AS SELECT 2 AS x",
        "E(42P05 prepared statement \"r\" already exists) Z(I)");
    stop();
}
END_TEST

static void change_table(const char *type)
{
    client_query(&neighbour,
                 text("ALTER TABLE sql_changing ALTER x TYPE %s USING x::%s", type, type));
}

START_TEST(a_changed_table_is_not_noticed)
{
    start("two", "");
    run(&client, "CREATE TABLE sql_changing AS SELECT 1 AS x", "C(SELECT 1) Z(I)");
    run(&client, "PREPARE q AS SELECT * FROM sql_changing", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q", ROW("1"));
    change_table("text");
    run(&client, "EXECUTE q", ROW("1"));
    change_table("int");
    client_send(&client, put_query(put_query(put_new(), "SELECT 0 AS x"), "EXECUTE q"));
    ck_assert_str_eq(client_answers(&client, 2), ROW("0") " " ROW("1"));
    /* In a transaction it is told, and works the next time. */
    change_table("text");
    run(&client, "BEGIN", "C(BEGIN) Z(T)");
    run(&client, "EXECUTE q", "E(0A000 cached plan must not change result type) Z(E)");
    run(&client, "ROLLBACK", "C(ROLLBACK) Z(I)");
    run(&client, "EXECUTE q", ROW("1"));
    /* Deallocated where nobody sees it. */
    run(&neighbour, "DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'", "C(DO) Z(I)");
    run(&client, "EXECUTE q", ROW("1"));
    run(&client, "DROP TABLE sql_changing", "C(DROP TABLE) Z(I)");
    stop();
}
END_TEST

/* Texts that cannot be given other names: the client's own are on its server then, and stay. */
static const struct {
    const char *sql, *answer;
} hidden[] = {
    {"EXPLAIN (COSTS off) EXECUTE q(1)", "T(QUERY PLAN) D(Result) C(EXPLAIN) Z(I)"},
    {"SELECT 0 AS x; EXECUTE q(1)", "T(x) D(0) C(SELECT 1) " ROW("2")},
    {"CREATE TEMP TABLE made AS EXECUTE q(1)", "C(SELECT 1) Z(I)"},
    {"DEALLOCATE q; PREPARE q (int) AS SELECT $1 + 1 AS x; EXECUTE q(1)",
     "C(DEALLOCATE) C(PREPARE) " ROW("2")},
    {"DO 'BEGIN EXECUTE ''EXECUTE \"Odd \"\"name\"''; END'", "C(DO) Z(I)"},
    {"PREPARE other AS SELECT 1; PREPARE q AS SELECT 1",
     "C(PREPARE) E(42P05 prepared statement \"q\" already exists) Z(I)"},
};

START_TEST(what_cannot_be_carried_has_its_names_on_its_server)
{
    bool parsed = _i % 2;
    char *answer;

    start("two", "");
    run(&client, "PREPARE q (int) AS SELECT $1 + 1 AS x", "C(PREPARE) Z(I)");
    run(&client, "PREPARE \"Odd \"\"name\" AS SELECT 7 AS x", "C(PREPARE) Z(I)");
    run(&neighbour, "PREPARE q AS SELECT 'neighbour' AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE \"Odd \"\"name\"", ROW("7"));
    if (!parsed || strchr(hidden[_i / 2].sql, ';')) {
        run(&client, hidden[_i / 2].sql, hidden[_i / 2].answer);
    } else {
        answer = extended(&client, hidden[_i / 2].sql);
        ck_assert_msg(!strstr(answer, "E("), "%s", answer);
    }
    for (int i = 0; i < 3; i++) {
        run(&client, "EXECUTE q(1)", ROW("2"));
        run(&client, "EXECUTE \"Odd \"\"name\"", ROW("7"));
        run(&neighbour, "EXECUTE q", ROW("neighbour"));
    }
    run(&client, "PREPARE q AS SELECT 1", "E(42P05 prepared statement \"q\" already exists) Z(I)");
    run(&client, "DISCARD ALL", "C(DISCARD ALL) Z(I)");
    run(&client, "EXECUTE q(1)", UNKNOWN("q"));
    run(&client, "PREPARE q (int) AS SELECT $1 + 2 AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q(1)", ROW("3"));
    stop();
}
END_TEST

START_TEST(extended_execute_and_prepare_work)
{
    start("two", "");
    run(&client, "PREPARE q (int) AS SELECT $1 + 1 AS x", "C(PREPARE) Z(I)");
    ck_assert_str_eq(extended(&client, "EXECUTE q(1)"), "1 2 T(x) D(2) C(SELECT 1) Z(I)");
    ck_assert_str_eq(extended(&client, "EXECUTE q(2)"), "1 2 T(x) D(3) C(SELECT 1) Z(I)");
    ck_assert_str_eq(extended(&client, "PREPARE r AS SELECT 7 AS x"), "1 2 n C(PREPARE) Z(I)");
    run(&client, "EXECUTE r", ROW("7"));
    ck_assert_str_eq(extended(&client, "DEALLOCATE ALL"), "1 2 n C(DEALLOCATE ALL) Z(I)");
    run(&client, "EXECUTE q(1)", UNKNOWN("q"));
    /* Between other messages of a transaction. */
    run(&client, "PREPARE q (int) AS SELECT $1 + 1 AS x", "C(PREPARE) Z(I)");
    client_send(&client, put_sync(put_extended(put_extended(put_extended(put_new(), "BEGIN", NULL),
                                                            "EXECUTE q(1)", NULL),
                                               "COMMIT", NULL)));
    ck_assert_str_eq(client_answer(&client),
                     "1 2 n C(BEGIN) 1 2 T(x) D(2) C(SELECT 1) 1 2 n C(COMMIT) Z(I)");
    run(&client, "EXECUTE q(1)", ROW("2"));
    stop();
}
END_TEST

START_TEST(what_it_does_is_kept_from_others)
{
    start("p", "");
    run(&client, "PREPARE q (text) AS SELECT set_config('work_mem', $1, false) AS x",
        "C(PREPARE) Z(I)");
    run(&client, "PREPARE l AS SELECT $1 AS x", "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q('1234kB')", ROW("1234kB"));
    run(&neighbour, "SHOW work_mem", "T(work_mem) D(4MB) C(SHOW) Z(I)");
    run(&client, "SHOW work_mem", "T(work_mem) D(1234kB) C(SHOW) Z(I)");
    run(&client, "EXECUTE l(set_config('work_mem', '2345kB', false))", ROW("2345kB"));
    run(&neighbour, "SHOW work_mem", "T(work_mem) D(4MB) C(SHOW) Z(I)");
    run(&client, "SHOW work_mem", "T(work_mem) D(2345kB) C(SHOW) Z(I)");
    stop();
}
END_TEST

START_TEST(a_lost_server_takes_nothing_along)
{
    start("p", "");
    run(&client, "PREPARE q AS SELECT 1 AS x", "C(PREPARE) Z(I)");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    postgres_await_backends(sluice.postgres, 0, "true");
    await(strstr(client_query(&client, "EXECUTE q"), "D(1)"), 10);
    run(&client, "EXECUTE q", ROW("1"));
    stop();
}
END_TEST

/* As PostgreSQL takes them: 63 bytes count. Such a one is not carried, but works. */
START_TEST(long_names_work)
{
    char name[10001];

    start("two", "");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    run(&client, "PREPARE q AS SELECT 1 AS x", "C(PREPARE) Z(I)");
    ck_assert_ptr_nonnull(
        strstr(client_query(&client, text("PREPARE %s AS SELECT 2 AS x", name)), "C(PREPARE) Z"));
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(strstr(client_query(&client, text("EXECUTE %s", name)), ROW("2")));
        run(&client, "EXECUTE q", ROW("1"));
        run(&neighbour, "SELECT 1 AS x", ROW("1"));
    }
    ck_assert_ptr_nonnull(
        strstr(client_query(&client, text("DEALLOCATE %s", name)), "C(DEALLOCATE) Z(I)"));
    run(&client, "EXECUTE q", ROW("1"));
    stop();
}
END_TEST

START_TEST(more_than_a_client_may_have_are_forgotten_oldest_first)
{
    start("p", "client_statements_limit = 64kB\n");
    for (int i = 0; i < 2000; i++)
        run(&client, text("PREPARE q%d AS SELECT %d AS x", i, i), "C(PREPARE) Z(I)");
    run(&client, "EXECUTE q0", UNKNOWN("q0"));
    run(&client, "EXECUTE q1999", ROW("1999"));
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sql_prepare");

    suite_add(suite, SUITE_OURS, 20, a_name_means_the_same_on_every_server);
    suite_add_loop(suite, SUITE_OURS, 20, names_belong_to_their_clients, 3);
    suite_add(suite, SUITE_OURS, 20, errors_are_those_of_the_server);
    suite_add(suite, SUITE_OURS, 20, a_server_that_lost_it_says_why_it_cannot_have_it_again);
    suite_add(suite, SUITE_OURS, 20, one_that_cannot_be_prepared_again_holds_up_no_other);
    suite_add(suite, SUITE_OURS, 20, one_that_cannot_be_prepared_again_troubles_nobody_later);
    suite_add(suite, SUITE_OURS, 20, a_position_in_the_text_is_the_clients);
    suite_add(suite, SUITE_OURS, 20, protocol_and_sql_share_their_names);
    suite_add(suite, SUITE_OURS, 20, many_in_one_write_are_answered_in_order);
    suite_add(suite, SUITE_OURS, 20, the_first_message_behind_our_settings_is_rewritten_too);
    suite_add(suite, SUITE_OURS, 20, a_changed_table_is_not_noticed);
    suite_add_loop(suite, SUITE_OURS, 20, what_cannot_be_carried_has_its_names_on_its_server,
                   2 * (int)(sizeof(hidden) / sizeof(hidden[0])));
    suite_add(suite, SUITE_OURS, 20, extended_execute_and_prepare_work);
    suite_add(suite, SUITE_OURS, 20, what_it_does_is_kept_from_others);
    suite_add(suite, SUITE_OURS, 20, a_lost_server_takes_nothing_along);
    suite_add(suite, SUITE_OURS, 20, long_names_work);
    suite_add(suite, SUITE_OURS, 30, more_than_a_client_may_have_are_forgotten_oldest_first);
    return suite_finish(suite);
}

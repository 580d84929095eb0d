/* Tables that change under named prepared statements, in transaction mode: a client that reads rows
 * by what it was told of a statement gets the error that it would have got on a connection of its
 * own, on whichever server it is, and never rows of another shape; others notice nothing. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client, neighbour;

#define CHANGED "E(0A000 cached plan must not change result type)"
#define ALL "SELECT * FROM changing WHERE x::text <> $1"

/* s: as a connection of one's own. */
#define DATABASES                  \
    "one = {server} pool_size=1\n" \
    "two = {server} pool_size=2\n" \
    "s = {server} pool_mode=session\n"

static void start(const char *database, const char *settings)
{
    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("pool_mode = transaction\nworkers = 1\n%s", settings));
    client_login(&client, &sluice, "user1", database);
    client_login(&neighbour, &sluice, "user1", database);
    ck_assert_str_eq(client_query(&client, "CREATE TABLE changing AS SELECT 1 AS x, 2 AS y"),
                     "C(SELECT 1) Z(I)");
}

static void stop(void)
{
    client_close(&client);
    client_close(&neighbour);
    sluice_stop(&sluice);
}

/* By somebody who is not behind Sluice. */
static void change(const char *sql)
{
    postgres_value(sluice.postgres, "%s", sql);
}

/* Parse and Describe of the statement, as drivers do once. */
static char *prepare(struct client *who, const char *name, const char *sql)
{
    client_send(who, put_sync(put_describe(put_parse(put_new(), name, sql), 'S', name)));
    return client_answer(who);
}

/* Bind and Execute, by what was described before. */
static char *execute(struct client *who, const char *name)
{
    client_send(who, put_sync(put_execute(put_bind(put_new(), "", name, "none"), "", 0)));
    return client_answer(who);
}

/* The same with a Describe of the portal in between, as libpq does each time. */
static char *execute_described(struct client *who, const char *name)
{
    client_send(who, put_sync(put_execute(
                         put_describe(put_bind(put_new(), "", name, "none"), 'P', ""), "", 0)));
    return client_answer(who);
}

static char *backend(struct client *who)
{
    return client_query(who, "SELECT pg_backend_pid()");
}

static const struct {
    const char *change, *before, *described, *row;
} changes[] = {
    {"ALTER TABLE changing ADD z int DEFAULT 3", "D(1,2)", "T(x,y,z)", "D(1,2,3)"},
    {"ALTER TABLE changing ALTER y TYPE text USING 'two'", "D(1,2)", "T(x,y)", "D(1,two)"},
    {"ALTER TABLE changing DROP y", "D(1,2)", "T(x)", "D(1)"},
    {"ALTER TABLE changing RENAME y TO z", "D(1,2)", "T(x,z)", "D(1,2)"},
};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))

/* One connection of its own gives this; each pool must give the same. */
START_TEST(the_client_is_told_on_servers_that_have_the_statement)
{
    static const char *const databases[] = {"s", "one", "two"};

    for (size_t i = 0; i < 3; i++) {
        start(databases[i], "");
        ck_assert_str_eq(prepare(&client, "q", ALL), "1 t(1) T(x,y) Z(I)");
        if (i == 2) { /* the other server gets it too */
            client_query(&neighbour, "BEGIN");
            execute(&client, "q");
            client_query(&neighbour, "COMMIT");
        }
        ck_assert_str_eq(execute(&client, "q"), text("2 %s C(SELECT 1) Z(I)", changes[_i].before));
        change(changes[_i].change);
        for (int j = 0; j < 3; j++)
            ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(I)");
        ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
        ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(E)");
        ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
        /* So its driver prepares anew. */
        ck_assert_str_eq(prepare(&client, "r", ALL), text("1 t(1) %s Z(I)", changes[_i].described));
        for (int j = 0; j < 3; j++) {
            ck_assert_str_eq(execute(&client, "r"), text("2 %s C(SELECT 1) Z(I)", changes[_i].row));
            ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(I)");
        }
        change("DROP TABLE changing");
        stop();
    }
}
END_TEST

START_TEST(the_client_is_told_on_a_server_that_never_had_the_statement)
{
    char *first;

    start("two", "");
    ck_assert_str_eq(prepare(&client, "q", ALL), "1 t(1) T(x,y) Z(I)");
    first = backend(&client);
    change(changes[_i].change);
    ck_assert_str_eq(client_query(&neighbour, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    if (strncmp(backend(&client), first, strlen(first) - 2) == 0) {
        client_query(&client, "COMMIT");
        ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(I)");
        client_query(&neighbour, "COMMIT");
        ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    }
    ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(E)");
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    stop();
}
END_TEST

/* The first ErrorResponse to an execution, its fields but file and line. */
static char *error_fields(struct client *who)
{
    char *fields = text("%s", "");

    client_send(who, put_sync(put_execute(put_bind(put_new(), "", "q", "none"), "", 0)));
    for (;;) {
        struct message message = client_read(who);

        ck_assert_int_ne(message.type, 'Z');
        if (message.type != 'E')
            continue;
        for (const char *at = (const char *)message.payload; *at; at += strlen(at) + 1)
            if (*at != 'L')
                fields = text("%s%s\n", fields, at);
        ck_assert_str_eq(client_answer(who), "Z(I)");
        return fields;
    }
}

START_TEST(the_error_has_the_fields_of_PostgreSQLs)
{
    char *expected;

    start("s", "");
    prepare(&client, "q", ALL);
    client_login(&neighbour, &sluice, "user1", "one");
    prepare(&neighbour, "q", ALL);
    change(changes[0].change);
    expected = error_fields(&client);
    ck_assert_ptr_nonnull(strstr(expected, "RRevalidateCachedQuery"));
    ck_assert_str_eq(error_fields(&neighbour), expected);
    stop();
}
END_TEST

START_TEST(what_changes_no_result_is_not_noticed)
{
    static const char *const harmless[] = {
        "CREATE INDEX ON changing (x)",
        "ALTER TABLE changing ADD z int; ALTER TABLE changing DROP z",
        "DROP TABLE changing; CREATE TABLE changing AS SELECT 1 AS x, 2 AS y; "
        "GRANT ALL ON changing TO public",
    };

    start("two", "");
    ck_assert_str_eq(prepare(&client, "q", ALL), "1 t(1) T(x,y) Z(I)");
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        change(harmless[i]);
        for (int j = 0; j < 4; j++) {
            struct client *blocker = j % 2 ? &neighbour : NULL;

            if (blocker)
                ck_assert_str_eq(client_query(blocker, "BEGIN"), "C(BEGIN) Z(T)");
            ck_assert_str_eq(execute(&client, "q"), "2 D(1,2) C(SELECT 1) Z(I)");
            if (blocker)
                ck_assert_str_eq(client_query(blocker, "COMMIT"), "C(COMMIT) Z(I)");
        }
    }
    stop();
}
END_TEST

START_TEST(a_request_that_describes_its_portal_notices_nothing)
{
    start("two", "");
    client_send(&client, put_sync(put_parse(put_new(), "q", ALL)));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    ck_assert_str_eq(execute_described(&client, "q"), "2 T(x,y) D(1,2) C(SELECT 1) Z(I)");
    ck_assert_str_eq(execute(&client, "q"), "2 D(1,2) C(SELECT 1) Z(I)");
    change(changes[_i].change);
    /* Without Describe it would read them by the former one. */
    ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(I)");
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(execute_described(&client, "q"),
                         text("2 %s %s C(SELECT 1) Z(I)", changes[_i].described, changes[_i].row));
    ck_assert_str_eq(execute(&client, "q"), text("2 %s C(SELECT 1) Z(I)", changes[_i].row));
    ck_assert_str_eq(client_query(&neighbour, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(execute(&client, "q"), text("2 %s C(SELECT 1) Z(I)", changes[_i].row));
    stop();
}
END_TEST

START_TEST(single_bytes_mean_the_same)
{
    start("one", "");
    ck_assert_str_eq(prepare(&client, "q", ALL), "1 t(1) T(x,y) Z(I)");
    client_send(&neighbour, put_sync(put_parse(put_new(), "q", ALL)));
    ck_assert_str_eq(client_answer(&neighbour), "1 Z(I)");
    ck_assert_str_eq(execute_described(&neighbour, "q"), "2 T(x,y) D(1,2) C(SELECT 1) Z(I)");
    change(changes[0].change);
    client_send_pieces(&client, put_sync(put_execute(put_bind(put_new(), "", "q", "none"), "", 0)),
                       1);
    ck_assert_str_eq(client_answer(&client), CHANGED " Z(I)");
    client_send_pieces(
        &neighbour,
        put_sync(put_execute(put_describe(put_bind(put_new(), "", "q", "none"), 'P', ""), "", 0)),
        1);
    ck_assert_str_eq(client_answer(&neighbour), "2 T(x,y,z) D(1,2,3) C(SELECT 1) Z(I)");
    client_send_pieces(&neighbour, put_sync(put_describe(put_parse(put_new(), "r", ALL), 'S', "r")),
                       1);
    ck_assert_str_eq(client_answer(&neighbour), "1 t(1) T(x,y,z) Z(I)");
    stop();
}
END_TEST

/* Servers have the statement from before the change; a client that comes new is not told so. */
START_TEST(a_new_description_is_of_the_table_as_it_is)
{
    struct packet *packet = put_describe(put_parse(put_new(), "r", ALL), 'S', "r");

    start("one", "");
    ck_assert_str_eq(prepare(&client, "q", ALL), "1 t(1) T(x,y) Z(I)");
    change(changes[0].change);
    if (_i == 0) {
        client_send(&neighbour, put_sync(packet));
        ck_assert_str_eq(client_answer(&neighbour), "1 t(1) T(x,y,z) Z(I)");
    } else {
        client_send(&neighbour, put_flush(packet));
        ck_assert_str_eq(client_message(&neighbour), "1");
        ck_assert_str_eq(client_message(&neighbour), "t(1)");
        ck_assert_str_eq(client_message(&neighbour), "T(x,y,z)");
    }
    ck_assert_str_eq(execute(&neighbour, "r"), "2 D(1,2,3) C(SELECT 1) Z(I)");
    ck_assert_str_eq(execute(&client, "q"), CHANGED " Z(I)");
    stop();
}
END_TEST

START_TEST(nothing_around_a_refused_statement_is_done)
{
    static const char *const databases[] = {"s", "one"};

    for (size_t i = 0; i < 2; i++) {
        start(databases[i], "");
        prepare(&client, "q", ALL);
        prepare(&client, "add", "INSERT INTO changing (x) SELECT 5 WHERE $1 = 'none'");
        execute(&client, "q");
        change(changes[0].change);
        client_send(&client,
                    put_sync(put_execute(
                        put_bind(put_execute(put_bind(put_new(), "", "add", "none"), "", 0), "",
                                 "q", "none"),
                        "", 0)));
        ck_assert_str_eq(client_answer(&client), "2 C(INSERT 0 1) " CHANGED " Z(I)");
        client_send(&client, put_sync(put_execute(
                                 put_bind(put_execute(put_bind(put_new(), "", "q", "none"), "", 0),
                                          "", "add", "none"),
                                 "", 0)));
        ck_assert_str_eq(client_answer(&client), CHANGED " Z(I)");
        ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM changing"),
                         "T(count) D(1) C(SELECT 1) Z(I)");
        change("DROP TABLE changing");
        stop();
    }
}
END_TEST

START_TEST(a_hidden_deallocation_heals_where_the_result_is_the_same)
{
    start("one", "");
    prepare(&client, "q", ALL);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(client_query(&neighbour, "DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'"),
                         "C(DO) Z(I)");
        ck_assert_str_eq(execute(&client, "q"),
                         i == 0 ? "2 D(1,2) C(SELECT 1) Z(I)" : CHANGED " Z(I)");
        if (i == 0)
            change(changes[0].change);
    }
    stop();
}
END_TEST

/* Each client reads its own schema's table by the same text. */
START_TEST(one_text_may_mean_different_tables)
{
    start("one", "");
    change("CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS x; "
           "CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 'b' AS y, 'c' AS z; "
           "GRANT ALL ON SCHEMA a, b TO public; GRANT ALL ON a.t, b.t TO public");
    client_query(&client, "SET search_path = a");
    client_query(&neighbour, "SET search_path = b");
    ck_assert_str_eq(prepare(&client, "q", "SELECT * FROM t WHERE $1 = 'none'"),
                     "1 t(1) T(x) Z(I)");
    ck_assert_str_eq(prepare(&neighbour, "q", "SELECT * FROM t WHERE $1 = 'none'"),
                     "1 t(1) T(y,z) Z(I)");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(execute(&client, "q"), "2 D(1) C(SELECT 1) Z(I)");
        ck_assert_str_eq(execute(&neighbour, "q"), "2 D(b,c) C(SELECT 1) Z(I)");
    }
    client_query(&client, "BEGIN");
    ck_assert_str_eq(execute(&client, "q"), "2 D(1) C(SELECT 1) Z(T)");
    client_query(&client, "COMMIT");
    stop();
}
END_TEST

/* Lookups asked together know nothing of one client's statement. */
START_TEST(lookups_are_told_too)
{
    struct client *both[] = {&client, &neighbour};

    start("one", "batch_lookups = auto\n");
    change("CREATE TABLE looked AS SELECT k, 1 AS x FROM generate_series(1, 9) k; "
           "GRANT ALL ON looked TO public");
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(prepare(both[i], "q", "SELECT * FROM looked WHERE k = $1::int"),
                         "1 t(1) T(k,x) Z(I)");
    for (int round = 0; round < 12; round++) {
        if (round == 6)
            change("ALTER TABLE looked ADD z int DEFAULT 3");
        for (int i = 0; i < 2; i++)
            client_send(both[i], put_sync(put_execute(put_bind(put_new(), "", "q", "4"), "", 0)));
        for (int i = 0; i < 2; i++)
            ck_assert_str_eq(client_answer(both[i]),
                             round < 6 ? "2 D(4,1) C(SELECT 1) Z(I)" : CHANGED " Z(I)");
    }
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(prepare(both[i], "r", "SELECT * FROM looked WHERE k = $1::int"),
                         "1 t(1) T(k,x,z) Z(I)");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            client_send(both[i], put_sync(put_execute(put_bind(put_new(), "", "r", "4"), "", 0)));
        for (int i = 0; i < 2; i++)
            ck_assert_str_eq(client_answer(both[i]), "2 D(4,1,3) C(SELECT 1) Z(I)");
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("changed_tables");

    suite_add_loop(suite, SUITE_OURS, 30, the_client_is_told_on_servers_that_have_the_statement,
                   CHANGES);
    suite_add_loop(suite, SUITE_OURS, 20,
                   the_client_is_told_on_a_server_that_never_had_the_statement, CHANGES);
    suite_add(suite, SUITE_OURS, 20, the_error_has_the_fields_of_PostgreSQLs);
    suite_add(suite, SUITE_OURS, 20, what_changes_no_result_is_not_noticed);
    suite_add_loop(suite, SUITE_OURS, 20, a_request_that_describes_its_portal_notices_nothing,
                   CHANGES);
    suite_add(suite, SUITE_OURS, 20, single_bytes_mean_the_same);
    suite_add_loop(suite, SUITE_OURS, 20, a_new_description_is_of_the_table_as_it_is, 2);
    suite_add(suite, SUITE_OURS, 20, nothing_around_a_refused_statement_is_done);
    suite_add(suite, SUITE_OURS, 20, a_hidden_deallocation_heals_where_the_result_is_the_same);
    suite_add(suite, SUITE_OURS, 20, one_text_may_mean_different_tables);
    suite_add(suite, SUITE_OURS, 20, lookups_are_told_too);
    return suite_finish(suite);
}

/* Named prepared statements in transaction and statement mode: as if each client had a server of
 * its own. Many tests compare with session mode, where it has one. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client, neighbour;

#define SETTINGS "pool_mode = transaction\nworkers = 1\n"
/* p: one server in transaction mode; two: two servers; s: session mode; each: statement mode. */
#define DATABASES                      \
    "p = {server} pool_size=1\n"       \
    "two = {server} pool_size=2\n"     \
    "s = {server} pool_mode=session\n" \
    "each = {server} pool_mode=statement pool_size=1\n"

static void start(const char *settings)
{
    sluice_start(&sluice, .databases = DATABASES, .settings = text(SETTINGS "%s", settings));
    client_login(&client, &sluice, "user1", "p");
}

static void stop(void)
{
    client_close(&client);
    sluice_stop(&sluice);
}

static void open_neighbour(const char *database)
{
    client_login(&neighbour, &sluice, "user1", database);
}

static char *execute(struct client *who, const char *name, const char *parameter)
{
    client_send(who, put_sync(put_execute(put_bind(put_new(), "", name, parameter), "", 0)));
    return client_answer(who);
}

static char *prepare(struct client *who, const char *name, const char *sql)
{
    client_send(who, put_sync(put_parse(put_new(), name, sql)));
    return client_answer(who);
}

/* How many statements the server of p has prepared. */
static char *server_statements(void)
{
    return client_query(&client, "SELECT count(*) FROM pg_prepared_statements");
}

START_TEST(a_name_means_the_same_on_every_server)
{
    struct client blocker;

    start("");
    client_close(&client);
    client_login(&client, &sluice, "user1", "two");
    ck_assert_str_eq(prepare(&client, "s1", "SELECT $1::int + 1"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "s1", "1"), "2 D(2) C(SELECT 1) Z(I)");
    client_login(&blocker, &sluice, "user1", "two");
    ck_assert_str_eq(client_query(&blocker, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(execute(&client, "s1", "2"), "2 D(3) C(SELECT 1) Z(I)");
    open_neighbour("two");
    ck_assert_str_eq(client_query(&blocker, "COMMIT"), "C(COMMIT) Z(I)");
    ck_assert_str_eq(client_query(&neighbour, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(execute(&client, "s1", "3"), "2 D(4) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&neighbour, "COMMIT"), "C(COMMIT) Z(I)");
    client_send(&client, put_sync(put_describe(put_new(), 'S', "s1")));
    ck_assert_str_eq(client_answer(&client), "t(1) T(?column?) Z(I)");
    client_close(&blocker);
    client_close(&neighbour);
    stop();
}
END_TEST

START_TEST(names_belong_to_their_clients_and_texts_to_all)
{
    start("");
    open_neighbour("p");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 'mine'"), "1 Z(I)");
    ck_assert_str_eq(prepare(&neighbour, "s", "SELECT 'other'"), "1 Z(I)");
    ck_assert_str_eq(prepare(&neighbour, "t", "SELECT 'mine'"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(mine) C(SELECT 1) Z(I)");
    ck_assert_str_eq(execute(&neighbour, "s", NULL), "2 D(other) C(SELECT 1) Z(I)");
    ck_assert_str_eq(execute(&neighbour, "t", NULL), "2 D(mine) C(SELECT 1) Z(I)");
    ck_assert_str_eq(server_statements(), "T(count) D(2) C(SELECT 1) Z(I)");
    client_send(&neighbour, put_sync(put_close(put_new(), 'S', "t")));
    ck_assert_str_eq(client_answer(&neighbour), "3 Z(I)");
    ck_assert_str_eq(execute(&neighbour, "t", NULL),
                     "E(26000 prepared statement \"t\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(mine) C(SELECT 1) Z(I)");
    client_close(&neighbour);
    stop();
}
END_TEST

START_TEST(the_oldest_leaves_a_full_server)
{
    start("max_prepared_statements = 3\n");
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(prepare(&client, text("s%d", i), text("SELECT %d", i)), "1 Z(I)");
    ck_assert_str_eq(server_statements(), "T(count) D(3) C(SELECT 1) Z(I)");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10; i++)
            ck_assert_str_eq(execute(&client, text("s%d", i), NULL),
                             text("2 D(%d) C(SELECT 1) Z(I)", i));
    ck_assert_str_eq(server_statements(), "T(count) D(3) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_pipeline_may_need_more_than_a_server_holds)
{
    struct packet *packet = put_new();

    start("max_prepared_statements = 1\n");
    for (int i = 0; i < 5; i++)
        put_parse(packet, text("s%d", i), text("SELECT %d", i));
    for (int i = 0; i < 5; i++)
        put_execute(put_bind(packet, "", text("s%d", i), NULL), "", 0);
    for (int i = 4; i >= 0; i--)
        put_execute(put_bind(packet, "", text("s%d", i), NULL), "", 0);
    client_send(&client, put_sync(packet));
    ck_assert_str_eq(client_answer(&client),
                     "1 1 1 1 1 2 D(0) C(SELECT 1) 2 D(1) C(SELECT 1) 2 D(2) C(SELECT 1) 2 D(3) "
                     "C(SELECT 1) 2 D(4) C(SELECT 1) 2 D(4) C(SELECT 1) 2 D(3) C(SELECT 1) 2 D(2) "
                     "C(SELECT 1) 2 D(1) C(SELECT 1) 2 D(0) C(SELECT 1) Z(I)");
    ck_assert_str_eq(server_statements(), "T(count) D(1) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_failed_parse_leaves_nothing)
{
    start("");
    ck_assert_str_eq(prepare(&client, "s", "SELECT nothing_such"),
                     "E(42703 column \"nothing_such\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL),
                     "E(26000 prepared statement \"s\" does not exist) Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    /* Skipped after an error, and then done. */
    client_send(&client,
                put_sync(put_parse(put_bind(put_new(), "", "unknown", NULL), "t", "SELECT 2")));
    client_send(&client, put_sync(put_execute(put_bind(put_new(), "", "t", NULL), "", 0)));
    client_send(&client,
                put_sync(put_execute(put_bind(put_parse(put_new(), "t", "SELECT 3"), "", "t", NULL),
                                     "", 0)));
    ck_assert_str_eq(client_answers(&client, 3),
                     "E(26000 prepared statement \"unknown\" does not exist) Z(I) "
                     "E(26000 prepared statement \"t\" does not exist) Z(I) "
                     "1 2 D(3) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_name_in_use_is_refused)
{
    start("");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 2"),
                     "E(42P05 prepared statement \"s\" already exists) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    client_send(&client, put_sync(put_parse(put_close(put_new(), 'S', "s"), "s", "SELECT 2")));
    ck_assert_str_eq(client_answer(&client), "3 1 Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(2) C(SELECT 1) Z(I)");
    client_send(&client, put_sync(put_close(put_close(put_new(), 'S', "s"), 'S', "s")));
    ck_assert_str_eq(client_answer(&client), "3 3 Z(I)");
    stop();
}
END_TEST

START_TEST(errors_have_the_names_of_the_client)
{
    start("");
    ck_assert_str_eq(prepare(&client, "my name", "SELECT $1::text"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "my name", NULL),
                     "E(08P01 bind message supplies 0 parameters, but prepared statement \"my "
                     "name\" requires 1) Z(I)");
    stop();
}
END_TEST

START_TEST(deallocate_all_and_discard_all_forget)
{
    static const char *const commands[] = {"DEALLOCATE ALL", "DISCARD ALL"};

    start("");
    open_neighbour("p");
    ck_assert_str_eq(prepare(&neighbour, "s", "SELECT 'kept'"), "1 Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(client_query(&client, commands[_i]), text("C(%s) Z(I)", commands[_i]));
    ck_assert_str_eq(execute(&client, "s", NULL),
                     "E(26000 prepared statement \"s\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&neighbour, "s", NULL), "2 D(kept) C(SELECT 1) Z(I)");
    /* In one write, with what comes behind it. */
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    client_send(&client, put_sync(put_execute(
                             put_bind(put_query(put_new(), commands[_i]), "", "s", NULL), "", 0)));
    ck_assert_str_eq(
        client_answers(&client, 2),
        text("C(%s) Z(I) E(26000 prepared statement \"s\" does not exist) Z(I)", commands[_i]));
    client_close(&neighbour);
    stop();
}
END_TEST

START_TEST(deallocate_forgets_one_name)
{
    start("");
    open_neighbour("p");
    ck_assert_str_eq(prepare(&neighbour, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(prepare(&client, "t", "SELECT 2"), "1 Z(I)");
    ck_assert_str_eq(client_query(&client, "DEALLOCATE PREPARE S;"), "C(DEALLOCATE) Z(I)");
    ck_assert_str_eq(client_query(&client, "DEALLOCATE s"),
                     "E(26000 prepared statement \"s\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL),
                     "E(26000 prepared statement \"s\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&client, "t", NULL), "2 D(2) C(SELECT 1) Z(I)");
    ck_assert_str_eq(execute(&neighbour, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    /* In transactions, and in one write with what is around it. */
    client_send(
        &client,
        put_query(put_query(put_sync(put_execute(
                                put_bind(put_query(put_new(), "BEGIN"), "", "t", NULL), "", 0)),
                            "DEALLOCATE t"),
                  "COMMIT"));
    ck_assert_str_eq(client_answers(&client, 4), "C(BEGIN) Z(T) 2 D(2) C(SELECT 1) Z(T) "
                                                 "C(DEALLOCATE) Z(T) C(COMMIT) Z(I)");
    ck_assert_str_eq(execute(&client, "t", NULL),
                     "E(26000 prepared statement \"t\" does not exist) Z(I)");
    ck_assert_str_eq(prepare(&client, "u", "SELECT 3"), "1 Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&client, "SELECT 1/0"), "E(22012 division by zero) Z(E)");
    ck_assert_str_eq(client_query(&client, "DEALLOCATE u"),
                     "E(25P02 current transaction is aborted, commands ignored until end of "
                     "transaction block) Z(E)");
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(execute(&client, "u", NULL), "2 D(3) C(SELECT 1) Z(I)");
    client_close(&neighbour);
    stop();
}
END_TEST

START_TEST(hidden_deallocation_heals)
{
    start("");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    open_neighbour("p");
    ck_assert_str_eq(client_query(&neighbour, "SELECT 1; DEALLOCATE ALL"),
                     "T(?column?) D(1) C(SELECT 1) C(DEALLOCATE ALL) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&neighbour, "DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'"),
                     "C(DO) Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    client_close(&neighbour);
    stop();
}
END_TEST

/* The table changes: how the client executes its statement, and what it must get. */
static void change_table(struct client *who, const char *type)
{
    ck_assert_str_eq(client_query(who, text("ALTER TABLE changing ALTER x TYPE %s", type)),
                     "C(ALTER TABLE) Z(I)");
}

START_TEST(a_changed_result_type_is_not_noticed)
{
    start("");
    open_neighbour("p");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE changing AS SELECT 1::int AS x"),
                     "C(SELECT 1) Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT * FROM changing WHERE $1 = 'y'"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "s", "y"), "2 D(1) C(SELECT 1) Z(I)");
    change_table(&neighbour, "text");
    ck_assert_str_eq(execute(&client, "s", "y"), "2 D(1) C(SELECT 1) Z(I)");
    change_table(&neighbour, "int USING x::int");
    /* The description is the first that this client is given. */
    client_send(&client, put_sync(put_describe(put_new(), 'S', "s")));
    ck_assert_str_eq(client_answer(&client), "t(1) T(x) Z(I)");
    client_send(&client, put_sync(put_close(put_new(), 'S', "s")));
    ck_assert_str_eq(client_answer(&client), "3 Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT * FROM changing WHERE $1 = 'y'"), "1 Z(I)");
    change_table(&neighbour, "text");
    /* A client that comes new, with the same text. */
    client_send(&neighbour,
                put_sync(put_execute(
                    put_describe(
                        put_bind(put_parse(put_new(), "t", "SELECT * FROM changing WHERE $1 = 'y'"),
                                 "", "t", "y"),
                        'P', ""),
                    "", 0)));
    ck_assert_str_eq(client_answer(&neighbour), "1 2 T(x) D(1) C(SELECT 1) Z(I)");
    /* Inside a transaction the client has to be told, and the next use works. */
    change_table(&neighbour, "int USING x::int");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(execute(&client, "s", "y"),
                     "E(0A000 cached plan must not change result type) Z(E)");
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(execute(&client, "s", "y"), "2 D(1) C(SELECT 1) Z(T)");
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(COMMIT) Z(I)");
    client_query(&client, "DROP TABLE changing");
    ck_assert_str_eq(execute(&client, "s", "y"),
                     "E(42P01 relation \"changing\" does not exist) Z(I)");
    client_close(&neighbour);
    stop();
}
END_TEST

START_TEST(what_was_executed_before_a_stale_statement_is_not_repeated)
{
    start("");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE changing AS SELECT 1::int AS x; "
                                           "CREATE TABLE log (line text)"),
                     "C(SELECT 1) C(CREATE TABLE) Z(I)");
    ck_assert_str_eq(prepare(&client, "s", "SELECT * FROM changing"), "1 Z(I)");
    ck_assert_str_eq(prepare(&client, "log", "INSERT INTO log VALUES ('once')"), "1 Z(I)");
    change_table(&client, "text");
    client_send(&client, put_sync(put_execute(
                             put_bind(put_execute(put_bind(put_new(), "", "log", NULL), "", 0), "",
                                      "s", NULL),
                             "", 0)));
    ck_assert_str_eq(client_answer(&client),
                     "2 C(INSERT 0 1) E(0A000 cached plan must not change result type) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM log"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    client_send(&client, put_sync(put_execute(
                             put_bind(put_execute(put_bind(put_new(), "", "log", NULL), "", 0), "",
                                      "s", NULL),
                             "", 0)));
    ck_assert_str_eq(client_answer(&client), "2 C(INSERT 0 1) 2 D(1) C(SELECT 1) Z(I)");
    client_query(&client, "DROP TABLE changing, log");
    stop();
}
END_TEST

START_TEST(long_names_and_texts_work)
{
    char name[10001];
    char *sql = malloc(300001), *answer;

    start("");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ck_assert_str_eq(prepare(&client, name, "SELECT 'long'"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, name, NULL), "2 D(long) C(SELECT 1) Z(I)");
    name[0] = 'x';
    answer = execute(&client, name, NULL);
    ck_assert_str_eq(answer, text("E(26000 prepared statement \"%s\" does not exist) Z(I)", name));
    memset(sql, ' ', 300000);
    strcpy(sql + 299991, "SELECT 99");
    client_send_pieces(&client, put_sync(put_parse(put_new(), "big", sql)), 60000);
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "big", NULL), "2 D(99) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&client, "DEALLOCATE ALL"), "C(DEALLOCATE ALL) Z(I)");
    client_send_pieces(&client, put_sync(put_parse(put_new(), "big", sql)), 60000);
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "big", NULL), "2 D(99) C(SELECT 1) Z(I)");
    free(sql);
    stop();
}
END_TEST

START_TEST(large_parameters_stream_behind_the_name)
{
    size_t size = 3000000;
    char *large = malloc(size + 1);

    start("");
    memset(large, 'a', size);
    large[size] = '\0';
    ck_assert_str_eq(prepare(&client, "s", "SELECT length($1::text)"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "s", large), "2 D(3000000) C(SELECT 1) Z(I)");
    free(large);
    stop();
}
END_TEST

START_TEST(messages_in_single_bytes_mean_the_same)
{
    struct packet *packet = put_new();

    start("max_prepared_statements = 1\n");
    put_parse(put_parse(packet, "a", "SELECT $1::text"), "b", "SELECT 2");
    put_execute(put_bind(put_describe(packet, 'S', "a"), "", "a", "x"), "", 0);
    put_sync(put_close(put_execute(put_bind(packet, "", "b", NULL), "", 0), 'S', "a"));
    client_send_pieces(&client, packet, 1);
    ck_assert_str_eq(client_answer(&client),
                     "1 1 t(1) T(text) 2 D(x) C(SELECT 1) 2 D(2) C(SELECT 1) 3 Z(I)");
    stop();
}
END_TEST

START_TEST(too_many_statements_of_a_client_are_forgotten_oldest_first)
{
    const int count = 100000, batch = 500;
    long before;

    start("client_statements_limit = 1MB\n");
    ck_assert_str_eq(prepare(&client, "first", "SELECT 'first'"), "1 Z(I)");
    before = sluice_resident_kb(&sluice);
    for (int i = 0; i < count; i += batch) {
        struct packet *packet = put_new();

        for (int j = i; j < i + batch; j++)
            put_parse(packet, text("s%d", j), text("SELECT %d", j));
        client_send(&client, put_sync(packet));
        client_drain(&client);
    }
    /* A sanitizer keeps what is freed. */
    if (slow_factor() == 1)
        ck_assert_int_lt(sluice_resident_kb(&sluice) - before, 16 * 1024);
    ck_assert_str_eq(execute(&client, "first", NULL),
                     "E(26000 prepared statement \"first\" does not exist) Z(I)");
    ck_assert_str_eq(execute(&client, "s99999", NULL), "2 D(99999) C(SELECT 1) Z(I)");
    ck_assert_str_eq(server_statements(), "T(count) D(200) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_lost_server_takes_no_names_along)
{
    start("");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    postgres_await_backends(sluice.postgres, 0, "true");
    await(strstr(execute(&client, "s", NULL), "D(1)"), 10);
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(statement_mode_has_them_too)
{
    start("");
    client_close(&client);
    client_login(&client, &sluice, "user1", "each");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(execute(&client, "s", NULL), "2 D(1) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(zero_switches_it_off)
{
    start("max_prepared_statements = 0\n");
    ck_assert_str_eq(prepare(&client, "s", "SELECT 1"), "1 Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT name FROM pg_prepared_statements"),
                     "T(name) D(s) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

/* --- anything in any order, compared with session mode --- */

static unsigned random_next(unsigned *state, unsigned below)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 16) % below;
}

/* One message; only what names are there and which statements exist decides about the answers. */
static void put_random(struct packet *packet, unsigned *state)
{
    static const char *const names[] = {"a", "b", "c", ""};
    static const char *const texts[] = {
        "SELECT 1", "SELECT $1::text", "SELECT 'two', 2",      "SELECT missing", "BEGIN",
        "COMMIT",   "SELECT 1/0",      "VALUES (1), (2), (3)", "ROLLBACK"};
    const char *name = names[random_next(state, 4)];
    const char *sql = texts[random_next(state, 9)];
    const char *parameter = random_next(state, 4) ? NULL : "x";

    switch (random_next(state, 9)) {
    case 0:
    case 1:
        put_parse(packet, name, sql);
        break;
    case 2:
    case 3:
        put_execute(put_bind(packet, "", name, parameter), "", 0);
        break;
    case 4:
        put_describe(packet, 'S', name);
        break;
    case 5:
        put_close(packet, 'S', name);
        break;
    case 6:
        put_query(packet, sql);
        break;
    case 7:
        put_execute(put_bind(put_parse(packet, name, sql), "", name, parameter), "", 0);
        break;
    default:
        put_sync(packet);
        break;
    }
}

static struct packet *random_pipeline(unsigned seed)
{
    struct packet *packet = put_new();
    unsigned length = 1 + random_next(&seed, 12);

    for (unsigned i = 0; i < length; i++)
        put_random(packet, &seed);
    return put_query(put_query(put_sync(packet), "ROLLBACK"), "SELECT 'end'");
}

static char *answer_to_end(struct client *who)
{
    char *answer = client_answer(who);

    while (!strstr(answer, "D(end)") && !strstr(answer, "EOF"))
        answer = text("%s %s", answer, client_answer(who));
    return answer;
}

/* When two names mean the same text, or the name is closed meanwhile, the words of such an error
 * may have another name. */
static void mask_names(char *answer)
{
    static const char before[] = "but prepared statement \"";

    while ((answer = strstr(answer, before)) != NULL) {
        char *name = answer + sizeof(before) - 1, *end = strchr(name, '"');

        ck_assert_ptr_nonnull(end);
        memmove(name, end, strlen(end) + 1);
        answer = name;
    }
}

START_TEST(any_pipeline_is_answered_as_in_session_mode)
{
    struct client other;

    start("max_prepared_statements = 2\n");
    for (unsigned round = 0; round < 100; round++) {
        client_login(&neighbour, &sluice, "user1", "s");
        client_login(&other, &sluice, "user1", "p");
        for (unsigned i = 0; i < 8; i++) {
            unsigned seed = (unsigned)_i * 100000 + round * 100 + i;
            char *expected, *seen;

            client_send(&neighbour, random_pipeline(seed));
            expected = answer_to_end(&neighbour);
            client_send(&other, random_pipeline(seed));
            seen = answer_to_end(&other);
            mask_names(expected);
            mask_names(seen);
            ck_assert_msg(strcmp(expected, seen) == 0, "seed %u:\n%s\nbut\n%s", seed, expected,
                          seen);
            ck_assert_str_eq(client_query(&client, "SELECT 1"),
                             "T(?column?) D(1) C(SELECT 1) Z(I)");
        }
        client_close(&neighbour);
        client_close(&other);
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statements");

    suite_add(suite, SUITE_SAME, 20, a_name_means_the_same_on_every_server);
    suite_add(suite, SUITE_OURS, 20, names_belong_to_their_clients_and_texts_to_all);
    suite_add(suite, SUITE_OURS, 20, the_oldest_leaves_a_full_server);
    suite_add(suite, SUITE_OURS, 20, a_pipeline_may_need_more_than_a_server_holds);
    suite_add(suite, SUITE_OURS, 20, a_failed_parse_leaves_nothing);
    suite_add(suite, SUITE_OURS, 20, a_name_in_use_is_refused);
    suite_add(suite, SUITE_OURS, 20, errors_have_the_names_of_the_client);
    suite_add_loop(suite, SUITE_OURS, 20, deallocate_all_and_discard_all_forget, 2);
    suite_add(suite, SUITE_OURS, 20, deallocate_forgets_one_name);
    suite_add(suite, SUITE_OURS, 20, hidden_deallocation_heals);
    suite_add(suite, SUITE_OURS, 20, a_changed_result_type_is_not_noticed);
    suite_add(suite, SUITE_OURS, 20, what_was_executed_before_a_stale_statement_is_not_repeated);
    suite_add(suite, SUITE_OURS, 20, long_names_and_texts_work);
    suite_add(suite, SUITE_OURS, 20, large_parameters_stream_behind_the_name);
    suite_add(suite, SUITE_OURS, 20, messages_in_single_bytes_mean_the_same);
    suite_add(suite, SUITE_OURS, 60, too_many_statements_of_a_client_are_forgotten_oldest_first);
    suite_add(suite, SUITE_OURS, 20, a_lost_server_takes_no_names_along);
    suite_add(suite, SUITE_OURS, 20, statement_mode_has_them_too);
    suite_add(suite, SUITE_SAME, 20, zero_switches_it_off);
    suite_add_loop(suite, SUITE_OURS, 60, any_pipeline_is_answered_as_in_session_mode, 4);
    return suite_finish(suite);
}

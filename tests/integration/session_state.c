/* What a session leaves behind a transaction, in transaction mode: settings follow their client to
 * whichever server it gets, the rest pins the server, and nothing of a neighbour is ever seen. */
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client, neighbour;

/* p: one server; two: two; both in transaction mode. each: statement mode. */
#define DATABASES                                       \
    "p = {server} pool_size=1\n"                        \
    "two = {server} pool_size=2\n"                      \
    "own = {server} pool_mode=session\n"                \
    "each = {server} pool_mode=statement pool_size=1\n" \
    "super = {server} pool_size=2 user=postgres password=postgres\n"

static void start(const char *database, const char *settings)
{
    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("pool_mode = transaction\nworkers = 1\n"
                                  "admin_users = user1\nquery_wait_timeout = 60\n%s",
                                  settings));
    client_login(&client, &sluice, "user1", database);
    client_login(&neighbour, &sluice, "user1", database);
}

static void stop(void)
{
    client_close(&client);
    client_close(&neighbour);
    sluice_stop(&sluice);
}

/* The one value that a statement answers. */
static char *value(struct client *who, const char *sql)
{
    char *answer = client_query(who, sql);
    char *begin = strstr(answer, "D("), *end = strstr(answer, ") C(SELECT 1) Z(");

    if (!begin || !end)
        return answer;
    *end = '\0';
    return begin + 2;
}

static char *shown(struct client *who, const char *name)
{
    return value(who, text("SELECT current_setting('%s')", name));
}

static void run(struct client *who, const char *sql, const char *tag)
{
    ck_assert_str_eq(client_query(who, sql), text("C(%s) Z(I)", tag));
}

static char *pinned(void)
{
    PGconn *console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    PGresult *result = PQexec(console, "SHOW PINNED");
    char *reasons = text("%s", "");

    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(console));
    for (int i = 0; i < PQntuples(result); i++)
        reasons = text("%s%s%s", reasons, i ? "; " : "",
                       PQgetvalue(result, i, PQfnumber(result, "reason")));
    PQclear(result);
    PQfinish(console);
    return reasons;
}

/* The server tells it after the client has been answered. */
static void await_pinned(const char *reasons)
{
    await(strcmp(pinned(), reasons) == 0, 5);
}

START_TEST(settings_follow_their_client)
{
    start("p", "");
    run(&client, "SET work_mem = '12MB'", "SET");
    run(&client, "SET search_path = \"$user\", \"with, comma\", pg_catalog", "SET");
    run(&client, "SET app.tenant = 'it''s \\ \303\274'", "SET");
    run(&neighbour, "SET lock_timeout = '3s'", "SET");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&neighbour, "search_path"), "\"$user\", public");
    ck_assert_str_eq(shown(&neighbour, "app.tenant"), "");
    ck_assert_str_eq(shown(&client, "work_mem"), "12MB");
    ck_assert_str_eq(shown(&client, "search_path"), "\"$user\", \"with, comma\", pg_catalog");
    ck_assert_str_eq(shown(&client, "app.tenant"), "it's \\ \\c3\\bc");
    ck_assert_str_eq(shown(&client, "lock_timeout"), "0");
    ck_assert_str_eq(shown(&neighbour, "lock_timeout"), "3s");
    run(&client, "RESET work_mem", "RESET");
    ck_assert_str_eq(shown(&client, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&client, "app.tenant"), "it's \\ \\c3\\bc");
    run(&client, "RESET ALL", "RESET");
    ck_assert_str_eq(shown(&client, "app.tenant"), "");
    ck_assert_str_eq(shown(&client, "search_path"), "\"$user\", public");
    await_pinned("");
    stop();
}
END_TEST

/* How a client may set work_mem to 7MB for its session: what it sends, what it gets. */
static const struct {
    const char *sql, *answer, *kept;
} ways[] = {
    {"SET work_mem = '7MB'", "C(SET) Z(I)", "7MB"},
    {"/* a */ -- b\n set SESSION work_mem TO '7MB';", "C(SET) Z(I)", "7MB"},
    {"SELECT 1; SET work_mem = '7MB'; SELECT 2",
     "T(?column?) D(1) C(SELECT 1) C(SET) T(?column?) D(2) C(SELECT 1) Z(I)", "7MB"},
    {"SELECT set_config('work_mem', '7MB', false)", "T(set_config) D(7MB) C(SELECT 1) Z(I)", "7MB"},
    {"SELECT set_config('work' || '_mem', '7MB', false)", "T(set_config) D(7MB) C(SELECT 1) Z(I)",
     "7MB"},
    {"DO 'BEGIN SET work_mem = ''7MB''; END'", "C(DO) Z(I)", "7MB"},
    {"BEGIN; SET work_mem = '7MB'; COMMIT", "C(BEGIN) C(SET) C(COMMIT) Z(I)", "7MB"},
    {"BEGIN; SET work_mem = '7MB'; SAVEPOINT a; SET work_mem = '8MB'; ROLLBACK TO a; COMMIT",
     "C(BEGIN) C(SET) C(SAVEPOINT) C(SET) C(ROLLBACK) C(COMMIT) Z(I)", "7MB"},
    {"SET work_mem = '8MB'; SET SESSION work_mem = '7MB'; SET LOCAL work_mem = '9MB'",
     "C(SET) C(SET) C(SET) Z(I)", "7MB"},
    /* And ways to set nothing. */
    {"SET LOCAL work_mem = '7MB'",
     "N(25P01 SET LOCAL can only be used in transaction blocks) C(SET) Z(I)", "4MB"},
    {"BEGIN; SET work_mem = '7MB'; ROLLBACK", "C(BEGIN) C(SET) C(ROLLBACK) Z(I)", "4MB"},
    {"BEGIN; SET LOCAL work_mem = '7MB'; COMMIT", "C(BEGIN) C(SET) C(COMMIT) Z(I)", "4MB"},
    {"SET work_mem = '7MB'; SELECT 1/0", "C(SET) E(22012 division by zero) Z(I)", "4MB"},
    {"BEGIN; SAVEPOINT a; SET work_mem = '7MB'; ROLLBACK TO a; COMMIT",
     "C(BEGIN) C(SAVEPOINT) C(SET) C(ROLLBACK) C(COMMIT) Z(I)", "4MB"},
    {"SELECT set_config('work_mem', '7MB', true)", "T(set_config) D(7MB) C(SELECT 1) Z(I)", "4MB"},
    {"SET work_mem = '7MB'; RESET work_mem", "C(SET) C(RESET) Z(I)", "4MB"},
    {"SET work_mem = '7MB'; SET work_mem TO DEFAULT", "C(SET) C(SET) Z(I)", "4MB"},
};

START_TEST(every_way_to_set_is_followed)
{
    start("p", "");
    ck_assert_str_eq(client_query(&client, ways[_i].sql), ways[_i].answer);
    if (!strstr(ways[_i].sql, "||")) {
        ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
        await_pinned("");
    } else {
        await_pinned("settings that cannot be followed");
    }
    ck_assert_str_eq(shown(&client, "work_mem"), ways[_i].kept);
    stop();
}
END_TEST

static char *extended(struct client *who, const char *sql)
{
    client_send(who, put_sync(put_extended(put_new(), sql, NULL)));
    return client_answer(who);
}

START_TEST(the_extended_protocol_sets_too)
{
    start("p", "");
    ck_assert_str_eq(extended(&client, "SET work_mem = '7MB'"), "1 2 n C(SET) Z(I)");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&client, "work_mem"), "7MB");
    /* A named statement, executed later. */
    client_send(&client, put_sync(put_parse(put_new(), "s", "SET app.x = 'mine'")));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    client_send(&client, put_sync(put_execute(put_bind(put_new(), "", "s", NULL), "", 0)));
    ck_assert_str_eq(client_answer(&client), "2 C(SET) Z(I)");
    ck_assert_str_eq(shown(&neighbour, "app.x"), "");
    ck_assert_str_eq(shown(&client, "app.x"), "mine");
    /* In one pipeline with what depends on it, and with an error behind it. */
    client_send(&client, put_sync(put_extended(
                             put_sync(put_extended(put_new(), "SET work_mem = '9MB'", NULL)),
                             "SELECT current_setting('work_mem')", NULL)));
    ck_assert_str_eq(client_answers(&client, 2),
                     "1 2 n C(SET) Z(I) 1 2 T(current_setting) D(9MB) C(SELECT 1) Z(I)");
    client_send(&client,
                put_sync(put_extended(put_extended(put_new(), "SET work_mem = '5MB'", NULL),
                                      "SELECT 1/0", NULL)));
    ck_assert_str_eq(client_answer(&client), "1 2 n C(SET) 1 E(22012 division by zero) Z(I)");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&client, "work_mem"), "9MB");
    stop();
}
END_TEST

START_TEST(a_role_follows_its_client)
{
    start("super", "");
    ck_assert_str_eq(client_query(&client, "SET work_mem = '6MB'; SET ROLE user2"),
                     "C(SET) C(SET) S(is_superuser=off) Z(I)");
    ck_assert_str_eq(value(&client, "SELECT current_user"), "user2");
    ck_assert_str_eq(value(&neighbour, "SELECT current_user"), "postgres");
    ck_assert_str_eq(value(&client, "SELECT current_user || current_setting('work_mem')"),
                     "user26MB");
    ck_assert_str_eq(client_query(&client, "RESET ROLE"), "C(RESET) S(is_superuser=on) Z(I)");
    ck_assert_str_eq(value(&client, "SELECT current_user"), "postgres");
    /* Another user altogether is not for anybody else. */
    client_query(&client, "SET SESSION AUTHORIZATION user3");
    await_pinned("SESSION AUTHORIZATION");
    ck_assert_str_eq(value(&neighbour, "SELECT session_user"), "postgres");
    ck_assert_str_eq(value(&client, "SELECT session_user"), "user3");
    client_query(&client, "RESET SESSION AUTHORIZATION");
    ck_assert_str_eq(value(&client, "SELECT session_user"), "postgres");
    await_pinned("");
    stop();
}
END_TEST

START_TEST(a_setting_that_the_next_server_refuses_ends_the_session)
{
    start("super", "");
    run(&client, text("CREATE ROLE passing%d", getpid()), "CREATE ROLE");
    client_query(&client, text("SET ROLE passing%d", getpid()));
    run(&neighbour, text("DROP ROLE passing%d", getpid()), "DROP ROLE");
    run(&neighbour, "CREATE TABLE untouched (x int)", "CREATE TABLE");
    ck_assert_str_eq(client_query(&client, "INSERT INTO untouched VALUES (1)"),
                     text("E(22023 role \"passing%d\" does not exist) EOF", getpid()));
    ck_assert_str_eq(value(&neighbour, "SELECT count(*) FROM untouched"), "0");
    stop();
}
END_TEST

/* What a client begins, why its server then stays with it, what ends that. */
static const struct {
    const char *begin, *reason, *use, *end;
} pins[] = {
    {"CREATE TEMP TABLE mine AS SELECT 'kept' AS x", "temporary tables", "SELECT x FROM mine",
     "DROP TABLE mine"},
    {"SELECT 'kept' AS x INTO TEMPORARY mine", "temporary tables", "SELECT x FROM mine",
     "DISCARD TEMP"},
    {"CREATE TABLE pg_temp.mine AS SELECT 'kept' AS x", "temporary tables", "SELECT x FROM mine",
     "DISCARD ALL"},
    {"CREATE TEMP VIEW mine AS SELECT 'kept' AS x", "temporary tables", "SELECT x FROM mine",
     "DROP VIEW mine"},
    {"CREATE TEMP SEQUENCE mine", "temporary tables", "SELECT nextval('mine')", "DISCARD ALL"},
    {"SELECT pg_advisory_lock(4711)", "advisory locks",
     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
     "SELECT pg_advisory_unlock(4711)"},
    {"SELECT pg_try_advisory_lock_shared(47, 11)", "advisory locks",
     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
     "SELECT pg_advisory_unlock_all()"},
    {"BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 'kept'; COMMIT", "cursors WITH HOLD",
     "SELECT count(*) FROM pg_cursors", "CLOSE mine"},
    {"LISTEN mine", "LISTEN", "SELECT count(*) FROM pg_listening_channels()", "UNLISTEN *"},
    {"LISTEN mine; CREATE TEMP TABLE mine (x int)", "temporary tables, LISTEN",
     "SELECT count(*) FROM mine", "DISCARD ALL"},
    {"DO 'BEGIN CREATE TEMP TABLE mine (x int); END'", "temporary tables",
     "SELECT count(*) FROM mine", "DISCARD ALL"},
    {"SELECT 1; PREPARE mine AS SELECT 'kept'", "PREPARE",
     "SELECT count(*) FROM pg_prepared_statements WHERE from_sql", "DEALLOCATE mine"},
};

START_TEST(what_cannot_be_carried_pins_the_server)
{
    char *used, *server;

    start("two", "");
    client_query(&client, pins[_i].begin);
    await_pinned(pins[_i].reason);
    server = value(&client, "SELECT pg_backend_pid()");
    used = value(&client, pins[_i].use);
    ck_assert_msg(!strstr(used, "E("), "%s", used);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_ne(value(&neighbour, "SELECT pg_backend_pid()"), server);
        ck_assert_str_eq(value(&client, "SELECT pg_backend_pid()"), server);
    }
    ck_assert_msg(!strstr(client_query(&client, pins[_i].end), "E("), "%s", pins[_i].end);
    await_pinned("");
    stop();
}
END_TEST

/* The end of the client leaves nothing of what it has begun. */
START_TEST(a_pinned_server_is_clean_when_its_client_has_gone)
{
    start("p", "");
    client_query(&client, pins[_i].begin);
    await_pinned(pins[_i].reason);
    client_close(&client);
    ck_assert_str_eq(
        value(&neighbour,
              "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) + "
              "(SELECT count(*) FROM pg_listening_channels()) + (SELECT count(*) FROM pg_cursors) "
              "+ (SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_locks "
              "WHERE locktype = 'advisory')"),
        "0");
    await_pinned("");
    client_close(&neighbour);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_is_gone_at_the_end_of_its_transaction_pins_nothing)
{
    static const char *const scripts[] = {
        "BEGIN; CREATE TEMP TABLE t (x int) ON COMMIT DROP; COMMIT",
        "BEGIN; CREATE TEMP TABLE t (x int); ROLLBACK",
        "BEGIN; LISTEN x; ROLLBACK",
        "BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)",
        "CREATE TEMP TABLE t (x int); SELECT 1/0",
        "LOAD 'no such library'",
        "SELECT 'CREATE TEMP TABLE t (x int); LISTEN x; SET work_mem = 1'",
    };

    start("p", "");
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        client_query(&client, scripts[i]);
        ck_assert_str_eq(value(&neighbour, "SELECT 'served'"), "served");
        await_pinned("");
    }
    stop();
}
END_TEST

START_TEST(notifications_reach_an_idle_client)
{
    start("two", "");
    run(&client, "LISTEN news", "LISTEN");
    run(&neighbour, "NOTIFY news, 'one'", "NOTIFY");
    ck_assert_str_eq(client_message(&client), "A(news,one)");
    run(&neighbour, "NOTIFY news, 'two'", "NOTIFY");
    ck_assert_str_eq(client_message(&client), "A(news,two)");
    ck_assert_str_eq(value(&client, "SELECT 'between'"), "between");
    ck_assert_str_eq(client_query(&client, "NOTIFY news, 'own'"), "C(NOTIFY) A(news,own) Z(I)");
    run(&client, "UNLISTEN *", "UNLISTEN");
    run(&neighbour, "NOTIFY news, 'three'", "NOTIFY");
    ck_assert_str_eq(value(&client, "SELECT 'silent'"), "silent");
    await_pinned("");
    stop();
}
END_TEST

START_TEST(pinned_servers_leave_one_for_the_others)
{
    struct client third;

    start("two", "");
    run(&client, "CREATE TEMP TABLE mine (x int)", "CREATE TABLE");
    client_login(&third, &sluice, "user1", "two");
    ck_assert_str_eq(client_query(&third, "CREATE TEMP TABLE mine (x int)"),
                     "C(CREATE TABLE) Z(I)");
    ck_assert_str_eq(client_message(&third),
                     "E(53300 what this session has left needs a server of its own, and there are "
                     "too many (max_pinned_servers))");
    ck_assert_str_eq(client_message(&third), "EOF");
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(value(&neighbour, "SELECT to_regclass('mine') IS NULL"), "t");
    ck_assert_str_eq(value(&client, "SELECT count(*) FROM mine"), "0");
    await_pinned("temporary tables");
    client_close(&third);
    stop();
}
END_TEST

START_TEST(a_lost_session_is_told)
{
    start("two", "");
    run(&client, "CREATE TEMP TABLE mine (x int)", "CREATE TABLE");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true") > 0, 1);
    ck_assert_ptr_nonnull(strstr(client_query(&client, "SELECT 1"), "E(57P01"));
    ck_assert_str_eq(value(&client, "SELECT 'again'"), "again");
    await_pinned("");
    stop();
}
END_TEST

START_TEST(session_set_pin_keeps_the_server)
{
    start("two", "session_set = pin\n");
    run(&client, "SET work_mem = '7MB'", "SET");
    await_pinned("settings");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&client, "work_mem"), "7MB");
    client_query(&client, "SET TimeZone = 'Asia/Tokyo'; RESET work_mem");
    await_pinned("");
    ck_assert_str_eq(shown(&client, "TimeZone"), "Asia/Tokyo");
    stop();
}
END_TEST

START_TEST(pass_and_no_pin_are_as_pgbouncer)
{
    start("p", "session_set = pass\npin = no\n");
    run(&client, "SET work_mem = '7MB'", "SET");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "7MB");
    run(&client, "CREATE TEMP TABLE shared (x int)", "CREATE TABLE");
    ck_assert_str_eq(value(&neighbour, "SELECT count(*) FROM shared"), "0");
    stop();
}
END_TEST

/* In transaction and in session mode. */
START_TEST(reset_gives_back_what_was_asked_for_at_login)
{
    static const char *const databases[] = {"p", "own"};
    static const char *const resets[] = {"RESET TimeZone", "RESET ALL", "DISCARD ALL",
                                         "BEGIN; RESET TimeZone; COMMIT"};
    PGconn *mine, *other;

    start("two", "");
    mine = sluice_connect(
        &sluice, text("user=user1 dbname=%s options='-c TimeZone=Asia/Tokyo'", databases[_i]));
    other = sluice_connect(&sluice, text("user=user1 dbname=%s", databases[_i]));
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        sql_do(mine, "SET TimeZone = 'Europe/Paris'");
        ck_assert_str_eq(sql_value(mine, "SHOW TimeZone"), "Europe/Paris");
        sql_do(mine, resets[i]);
        ck_assert_str_eq(sql_value(mine, "SHOW TimeZone"), "Asia/Tokyo");
        ck_assert_str_eq(PQparameterStatus(mine, "TimeZone"), "Asia/Tokyo");
        ck_assert_str_ne(sql_value(other, "SHOW TimeZone"), "Asia/Tokyo");
    }
    sql_do(mine, "BEGIN; SET TimeZone = 'Europe/Paris'");
    sql_do(mine, "RESET TimeZone");
    ck_assert_str_eq(sql_value(mine, "SHOW TimeZone"), "Asia/Tokyo");
    sql_do(mine, "ROLLBACK");
    ck_assert_str_eq(sql_value(mine, "SHOW TimeZone"), "Asia/Tokyo");
    PQfinish(mine);
    PQfinish(other);
    stop();
}
END_TEST

/* Many clients on few servers of two workers, each with settings and a statement of its own. */
START_TEST(two_workers_keep_sessions_apart)
{
    PGconn *clients[12];

    sluice_start(&sluice, .databases = "p = {server} pool_size=8\n",
                 .settings = "pool_mode = transaction\nworkers = 2\n");
    for (int i = 0; i < 12; i++) {
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p");
        sql_do(clients[i], text("SET work_mem = '%dkB'", 1000 + i));
        sql_do(clients[i], text("SET app.token = 'token %d'", i));
        PQclear(PQprepare(clients[i], "s", text("SELECT current_setting('app.token') || ' %d'", i),
                          0, NULL));
    }
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 12; i++)
            ck_assert_int_eq(PQsendQueryPrepared(clients[i], "s", 0, NULL, NULL, NULL, 0), 1);
        for (int i = 0; i < 12; i++) {
            PGresult *result = PQgetResult(clients[i]);

            ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s",
                          PQerrorMessage(clients[i]));
            ck_assert_str_eq(PQgetvalue(result, 0, 0), text("token %d %d", i, i));
            PQclear(result);
            ck_assert_ptr_null(PQgetResult(clients[i]));
        }
        ck_assert_str_eq(sql_value(clients[round % 12], "SHOW work_mem"),
                         text("%dkB", 1000 + round % 12));
    }
    for (int i = 0; i < 12; i++)
        PQfinish(clients[i]);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(prepare_and_execute_of_sql_work)
{
    start("two", "");
    run(&client, "PREPARE q (int) AS SELECT $1 + 1", "PREPARE");
    ck_assert_str_eq(client_query(&neighbour, "EXECUTE q(1)"),
                     "E(26000 prepared statement \"q\" does not exist) Z(I)");
    ck_assert_str_eq(client_query(&client, "EXECUTE q(1)"), "T(?column?) D(2) C(SELECT 1) Z(I)");
    run(&client, "DEALLOCATE q", "DEALLOCATE");
    await_pinned("");
    ck_assert_str_eq(client_query(&client, "EXECUTE q(1)"),
                     "E(26000 prepared statement \"q\" does not exist) Z(I)");
    ck_assert_str_eq(extended(&client, "PREPARE q AS SELECT 7"), "1 2 n C(PREPARE) Z(I)");
    await_pinned("PREPARE");
    ck_assert_str_eq(client_query(&client, "EXECUTE q"), "T(?column?) D(7) C(SELECT 1) Z(I)");
    ck_assert_str_eq(extended(&client, "DEALLOCATE q"), "1 2 n C(DEALLOCATE) Z(I)");
    await_pinned("");
    stop();
}
END_TEST

START_TEST(a_batch_is_asked_with_nobodys_settings)
{
    start("super", "batch_lookups = auto\n");
    run(&client, "CREATE TABLE looked AS SELECT x, x * 2 AS y FROM generate_series(1, 9) x",
        "SELECT 9");
    run(&client, "CREATE SCHEMA other; CREATE TABLE other.looked AS SELECT x, 0 AS y FROM looked",
        "CREATE SCHEMA) C(SELECT 9");
    run(&client, "SET search_path = other", "SET");
    for (int i = 0; i < 5; i++) {
        struct client *both[] = {&client, &neighbour};

        for (int j = 0; j < 2; j++)
            client_send(both[j], put_sync(put_extended(
                                     put_new(), "SELECT y FROM looked WHERE x = $1::int", "4")));
        ck_assert_str_eq(client_answer(&client), "1 2 T(y) D(0) C(SELECT 1) Z(I)");
        ck_assert_str_eq(client_answer(&neighbour), "1 2 T(y) D(8) C(SELECT 1) Z(I)");
    }
    stop();
}
END_TEST

START_TEST(a_short_timeout_never_hits_a_neighbour)
{
    start("p", "");
    run(&client, "SET statement_timeout = '500ms'", "SET");
    for (int i = 0; i < 50; i++)
        ck_assert_str_eq(shown(i % 2 ? &client : &neighbour, "statement_timeout"),
                         i % 2 ? "500ms" : "0");
    ck_assert_ptr_nonnull(
        strstr(client_query(&client, "SELECT pg_sleep(1)"), "E(57014 canceling statement due to"));
    ck_assert_str_eq(value(&neighbour, "SELECT 'served' FROM pg_sleep(0.6)"), "served");
    stop();
}
END_TEST

START_TEST(hostile_clients_harm_nobody)
{
    static const char *const texts[] = {
        /* A setting with a dot that nobody has named, reset and set. */
        "RESET ALL; DO 'BEGIN PERFORM set_config(''plpgsql.extra_warnings'', '''', false); END'",
        "SET app.\"x'; DROP TABLE y; --\" = 1",
        "SET exit_on_error = on",
        "SET search_path = 'x''; SELECT 1/0; --'",
        "SET idle_session_timeout = 1",
        "SET default_transaction_read_only = on; SET transform_null_equals = on",
        "SELECT set_config('app.' || x, repeat('x', 900), false) FROM generate_series(1, 200) x",
        "SELECT set_config('app.long', repeat('x', 100000), false)",
    };
    const size_t count = sizeof(texts) / sizeof(texts[0]);
    char *many = text("%s", "");

    start("two", "");
    for (int i = 0; i < 200; i++)
        many = text("%sSET app.x%d = '%d';", many, i, i);
    for (size_t i = 0; i < count + 2; i++) {
        struct client hostile;

        client_login(&hostile, &sluice, "user1", "two");
        if (i < count)
            client_query(&hostile, texts[i]);
        else if (i == count)
            client_query(&hostile, many);
        else /* pg_advisory_lock() by its OID */
            client_send(&hostile, put_function_call(put_new(), 2880, "1"));
        ck_assert_str_eq(value(&neighbour, "SELECT 1 / 1"), "1");
        client_query(&hostile, "SELECT 1/0");
        ck_assert_str_eq(shown(&neighbour, "search_path"), "\"$user\", public");
        ck_assert_str_eq(shown(&neighbour, "default_transaction_read_only"), "off");
        client_close(&hostile);
        await_pinned("");
        await(strcmp(value(&client, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
                     "0") == 0,
              5);
    }
    stop();
}
END_TEST

START_TEST(statement_mode_follows_too)
{
    start("each", "");
    run(&client, "SET work_mem = '7MB'", "SET");
    ck_assert_str_eq(shown(&neighbour, "work_mem"), "4MB");
    ck_assert_str_eq(shown(&client, "work_mem"), "7MB");
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_state");

    suite_add(suite, SUITE_OURS, 20, settings_follow_their_client);
    suite_add_loop(suite, SUITE_OURS, 20, every_way_to_set_is_followed,
                   sizeof(ways) / sizeof(ways[0]));
    suite_add(suite, SUITE_OURS, 20, the_extended_protocol_sets_too);
    suite_add(suite, SUITE_OURS, 20, a_role_follows_its_client);
    suite_add(suite, SUITE_OURS, 20, a_setting_that_the_next_server_refuses_ends_the_session);
    suite_add_loop(suite, SUITE_OURS, 20, what_cannot_be_carried_pins_the_server,
                   sizeof(pins) / sizeof(pins[0]));
    suite_add_loop(suite, SUITE_OURS, 20, a_pinned_server_is_clean_when_its_client_has_gone,
                   sizeof(pins) / sizeof(pins[0]));
    suite_add(suite, SUITE_OURS, 20, what_is_gone_at_the_end_of_its_transaction_pins_nothing);
    suite_add(suite, SUITE_OURS, 20, notifications_reach_an_idle_client);
    suite_add(suite, SUITE_OURS, 20, pinned_servers_leave_one_for_the_others);
    suite_add(suite, SUITE_OURS, 20, a_lost_session_is_told);
    suite_add(suite, SUITE_OURS, 20, session_set_pin_keeps_the_server);
    suite_add(suite, SUITE_OURS, 20, pass_and_no_pin_are_as_pgbouncer);
    suite_add(suite, SUITE_OURS, 20, statement_mode_follows_too);
    suite_add_loop(suite, SUITE_OURS, 20, reset_gives_back_what_was_asked_for_at_login, 2);
    suite_add(suite, SUITE_OURS, 20, a_short_timeout_never_hits_a_neighbour);
    suite_add(suite, SUITE_OURS, 30, hostile_clients_harm_nobody);
    suite_add(suite, SUITE_OURS, 30, two_workers_keep_sessions_apart);
    suite_add(suite, SUITE_OURS, 20, prepare_and_execute_of_sql_work);
    suite_add(suite, SUITE_OURS, 20, a_batch_is_asked_with_nobodys_settings);
    return suite_finish(suite);
}

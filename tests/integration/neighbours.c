/* What one client does wrong, or one server says oddly, never reaches the neighbour who gets the
 * server next, and what a client may make the pooler hold stays bounded. Each case was a fault
 * once. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

#define ANSWER_1 "T(?column?) D(1) C(SELECT 1) Z(I)"

enum { MEMORY_KB = 16 * 1024 }; /* how much more any one client may make the pooler hold */

static struct sluice sluice;

static void start(const char *settings)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = text("pool_mode = transaction\n%s", settings));
}

static void check_neighbour(void)
{
    struct client client;

    client_login(&client, &sluice, "user2", "p");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), ANSWER_1);
    client_close(&client);
}

START_TEST(a_query_that_the_server_skips_up_to_sync_is_not_waited_for)
{
    struct client client;

    start("");
    client_login(&client, &sluice, "user2", "p");
    client_send(&client, put_query(put_parse(put_new(), "", "selec"), "SELECT 2"));
    ck_assert_str_eq(client_message(&client), "E(42601 syntax error at or near \"selec\")");
    if (_i)
        client_send(&client, put_sync(put_new()));
    if (_i)
        ck_assert_str_eq(client_message(&client), "Z(I)");
    client_close(&client);
    check_neighbour();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_statement_sent_together_with_the_goodbye_is_done)
{
    struct client client;

    start("");
    postgres_value(sluice.postgres, "CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC");
    client_login(&client, &sluice, "user2", "p");
    client_send(&client, put_terminate(put_query(put_new(), "INSERT INTO t VALUES (1)")));
    client_close(&client);
    check_neighbour();
    ck_assert_int_eq(postgres_number(sluice.postgres, "SELECT count(*) FROM t"), 1);
    sluice_stop(&sluice);
}
END_TEST

/* The server may not be told goodbye where that would be the missing end of a statement. */
START_TEST(half_a_statement_is_never_completed)
{
    struct client client;
    struct packet *packet;

    start("");
    postgres_value(sluice.postgres, "CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC");
    client_login(&client, &sluice, "user2", "p");
    for (size_t missing = 1; missing <= 6; missing++) {
        packet = put_query(put_new(), "INSERT INTO t VALUES (1) --      ");
        packet->size -= missing;
        client_send(&client, packet);
        client_close(&client);
        client_login(&client, &sluice, "user2", "p");
        ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                         "T(count) D(0) C(SELECT 1) Z(I)");
    }
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(every_request_of_a_pipeline_that_finds_no_server_is_refused_by_itself)
{
    struct client holder, client;

    start("query_wait_timeout = 1\n");
    client_login(&holder, &sluice, "user2", "p");
    ck_assert_str_eq(client_query(&holder, "BEGIN"), "C(BEGIN) Z(T)");
    client_login(&client, &sluice, "user2", "p");
    client_send(&client, put_query(put_sync(put_extended(put_query(put_new(), "SELECT 1"),
                                                         "SELECT 1", NULL)),
                                   "SELECT 1"));
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(client_answer(&client), "E(57014 query_wait_timeout) Z(I)");
    ck_assert_str_eq(client_query(&holder, "COMMIT"), "C(COMMIT) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), ANSWER_1);
    client_close(&holder);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_parameter_that_the_server_refuses_is_told_to_its_client_only)
{
    struct client client;
    char *answer;

    start("");
    check_neighbour();
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user2", "database", "p",
                                     "client_encoding", "bogus", NULL));
    while ((answer = client_message(&client))[0] != 'E')
        ck_assert_str_ne(answer, "EOF");
    ck_assert_str_eq(answer, "E(22023 invalid value for parameter \"client_encoding\": \"bogus\")");
    client_close(&client);
    check_neighbour();
    sluice_stop(&sluice);
}
END_TEST

/* The first of two clients sets its time zone on the server, the second has said nothing. */
START_TEST(a_client_without_wishes_does_not_inherit_those_of_another)
{
    struct client first, second;
    char *answer;

    start("");
    client_open(&first, &sluice);
    client_send(&first, put_startup(put_new(), PROTOCOL_3_0, "user", "user2", "database", "p",
                                    "timezone", "Asia/Tokyo", NULL));
    client_open(&second, &sluice);
    client_send(&second,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user2", "database", "p", NULL));
    client_drain(&first);
    answer = client_answer(&second);
    ck_assert_msg(!strstr(answer, "Tokyo"), "%s", answer);
    ck_assert_str_eq(client_query(&first, "SHOW timezone"),
                     "T(TimeZone) D(Asia/Tokyo) C(SHOW) Z(I)");
    answer = client_query(&second, "SHOW timezone");
    ck_assert_msg(!strstr(answer, "Tokyo"), "%s", answer);
    client_close(&first);
    client_close(&second);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_error_longer_than_any_buffer_passes_whole)
{
    struct client client;
    struct message message;

    start("");
    client_login(&client, &sluice, "user2", "p");
    client_send(&client, put_query(put_new(), "DO $$BEGIN RAISE '%', repeat('x', 200000); END$$"));
    message = client_read(&client);
    ck_assert_int_eq(message.type, 'E');
    ck_assert_uint_gt(message.size, 200000);
    ck_assert_str_eq(client_message(&client), "Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), ANSWER_1);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(rows_come_before_the_timeout_that_ends_them)
{
    struct client client;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = session\nquery_timeout = 1\n");
    client_login(&client, &sluice, "user2", "p");
    ck_assert_str_eq(client_query(&client, "SELECT repeat('y', 3) FROM generate_series(1, 2); "
                                           "SELECT pg_sleep(600)"),
                     "T(repeat) D(yyy) D(yyy) C(SELECT 2) T(pg_sleep) "
                     "E(57014 query timeout) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_login_that_waits_on_another_worker_still_has_its_time)
{
    struct client holder, clients[6];

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nworkers = 2\nclient_login_timeout = 1\n"
                             "query_wait_timeout = 60\n");
    client_login(&holder, &sluice, "user2", "p");
    ck_assert_str_eq(client_query(&holder, "BEGIN"), "C(BEGIN) Z(T)");
    for (int i = 0; i < 6; i++) {
        client_open(&clients[i], &sluice);
        client_send(&clients[i], put_startup(put_new(), PROTOCOL_3_0, "user", "user2", "database",
                                             "p", "timezone", "Asia/Tokyo", NULL));
    }
    for (int i = 0; i < 6; i++) {
        ck_assert_str_eq(client_answer(&clients[i]), "E(57014 client_login_timeout) EOF");
        client_close(&clients[i]);
    }
    ck_assert_str_eq(client_query(&holder, "COMMIT"), "C(COMMIT) Z(I)");
    client_close(&holder);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(one_client_too_many_is_told_so_and_takes_no_place)
{
    struct client clients[2], more[20];

    start("max_client_conn = 2\n");
    client_login(&clients[0], &sluice, "user2", "p");
    client_login(&clients[1], &sluice, "user2", "p");
    for (int i = 0; i < 20; i++) {
        client_open(&more[i], &sluice);
        client_send(&more[i],
                    put_startup(put_new(), PROTOCOL_3_0, "user", "user2", "database", "p", NULL));
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_str_eq(client_answer(&more[i]),
                         "E(53300 no more connections allowed (max_client_conn)) EOF");
        client_close(&more[i]);
    }
    client_close(&clients[1]);
    await(sluice_log_count(&sluice, "closing because: client unexpected eof") > 0, 10);
    check_neighbour();
    ck_assert_str_eq(client_query(&clients[0], "SELECT 1"), ANSWER_1);
    client_close(&clients[0]);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_key_of_nobody_is_harmless)
{
    static const uint32_t keys[][2] = {{0, 0}, {0, 1}, {1, 0}, {UINT32_MAX, 0}, {0x7fffffff, 7}};
    struct client client;
    struct packet *packet;

    start("");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        client_open(&client, &sluice);
        packet = put_int32(put_int32(put_new(), 16), 80877102);
        client_send(&client, put_int32(put_int32(packet, keys[i][0]), keys[i][1]));
        ck_assert_str_eq(client_message(&client), "EOF");
        client_close(&client);
    }
    check_neighbour();
    sluice_stop(&sluice);
}
END_TEST

/* Sends until the other side takes no more for a while, or so many bytes. */
static size_t flood(int fd, const void *bytes, size_t size, size_t most)
{
    size_t all = 0;

    while (all < most) {
        ssize_t sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0)
            all += (size_t)sent;
        else if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 500) <= 0)
            break;
    }
    return all;
}

START_TEST(syncs_whose_answers_nobody_reads_are_bounded)
{
    struct client client;
    struct packet *packet = put_new();
    long before;

    start("");
    check_neighbour();
    client_login(&client, &sluice, "user2", "p");
    for (int i = 0; i < 20000; i++)
        put_sync(packet);
    before = sluice_resident_kb(&sluice);
    flood(client.fd, packet->bytes, packet->size, 200u << 20);
    if (slow_factor() < 2)
        ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    check_neighbour();
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

/* A server which, when it is asked to cancel, sends on that connection without end. */
static void serve_flood(struct fake *fake, int fd)
{
    char type, payload[16], blob[65536] = {0};

    if (fake_login(fd)) {
        while (fake_read(fd, &type, payload, sizeof(payload)))
            fake->counter++;
        return;
    }
    while (fake_write(fd, blob, sizeof(blob)))
        ;
}

START_TEST(what_comes_on_a_cancel_connection_holds_up_nobody)
{
    struct client client;
    struct fake fake;

    fake_start(&fake, serve_flood, NULL);
    sluice_start(&sluice, .databases = text("p = {server}\nf = %s\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\nserver_reset_query =\n");
    client_login(&client, &sluice, "user2", "f");
    client_send(&client, put_query(put_new(), "SELECT 1"));
    await(fake.counter > 0, 10);
    client_close(&client);
    await(fake.accepted > 1, 10);
    for (int i = 0; i < 10; i++)
        check_neighbour();
    sluice_stop(&sluice);
}
END_TEST

/* So many parameters that no set of them can be kept. */
static void serve_parameters(struct fake *fake, int fd)
{
    char name[16];

    if (!fake_read_startup(fd))
        return;
    fake_write_message(fd, 'R', "\0\0\0\0", 4);
    for (int i = 0; i < 5000; i++)
        if (!fake_write_message(fd, 'S', name,
                                (size_t)snprintf(name, sizeof(name), "p%d%c1", i, 0) + 1))
            return;
    fake_write_message(fd, 'K', "\0\0\0\1\0\0\0\2", 8);
    fake_write_message(fd, 'Z', "I", 1);
    fake_await_close(fd);
}

START_TEST(a_server_with_thousands_of_parameters_may_have_them)
{
    struct fake fake;
    struct client client;

    fake_start(&fake, serve_parameters, NULL);
    sluice_start(&sluice, .databases = text("p = {server}\nf = %s\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\n");
    client_login(&client, &sluice, "user2", "f");
    client_close(&client);
    check_neighbour();
    sluice_stop(&sluice);
}
END_TEST

/* Answers every Query with a row. The first time half a notification comes behind ReadyForQuery,
 * and its other half when the test says so (counter is 2). */
static void serve_halves(struct fake *fake, int fd)
{
    static const char row[] =
        "T\0\0\0\x1d\0\1fake\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
        "D\0\0\0\x0f\0\1\0\0\0\5first"
        "C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";
    static const char notification[] = "A\0\0\0\x18\0\0\0\1Z\0\0\0\5I\0D\0\0\0\xff\0\0\0\0";
    enum { WHOLE = sizeof(notification) - 1, HALF = 14 };
    char type, payload[64], bytes[256];

    if (!fake_login(fd))
        return;
    while (fake_read(fd, &type, payload, sizeof(payload))) {
        if (type != 'Q')
            continue;
        memcpy(bytes, row, sizeof(row) - 1);
        memcpy(bytes + sizeof(row) - 1, notification, HALF);
        if (fake->counter > 0) {
            fake_write(fd, row, sizeof(row) - 1);
            continue;
        }
        fake_write(fd, bytes, sizeof(row) - 1 + HALF);
        fake->counter = 1;
        while (fake->counter < 2)
            nap();
        fake_write(fd, notification + HALF, WHOLE - HALF);
    }
}

START_TEST(half_a_notification_behind_an_answer_is_not_the_next_clients)
{
    static const char row[] = "T(fake) D(first) C(SELECT 1) Z(I)";
    struct client first, second;
    struct fake fake;

    fake_start(&fake, serve_halves, NULL);
    sluice_start(&sluice, .databases = text("f = %s pool_size=1\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\nserver_reset_query =\n"
                             "server_check_delay = 60\n");
    client_login(&first, &sluice, "user2", "f");
    ck_assert_str_eq(client_query(&first, "SELECT 1"), row);
    client_login(&second, &sluice, "user2", "f");
    client_send(&second, put_query(put_new(), "SELECT 1"));
    ck_assert(client_silent(&second, 0.2));
    fake.counter = 2;
    ck_assert_str_eq(client_answer(&second), row);
    ck_assert_int_eq(client_message(&first)[0], 'A');
    ck_assert_str_eq(client_query(&first, "SELECT 1"), row);
    client_close(&first);
    client_close(&second);
    sluice_stop(&sluice);
}
END_TEST

static struct packet *put_used(struct packet *packet, int how)
{
    if (how == 0)
        return put_sync(put_execute(put_bind(packet, "", "", NULL), "", 0));
    return put_sync(put_describe(packet, 'S', ""));
}

START_TEST(an_unnamed_statement_is_its_clients_alone)
{
    static const char *const own[] = {"2 D(mine) C(SELECT 1) Z(I)", "t(0) T(?column?) Z(I)"};
    struct client client, other;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = text("pool_mode = %s\n", _i / 2 ? "session" : "transaction"));
    client_login(&client, &sluice, "user2", "p");
    client_send(&client, put_sync(put_parse(put_new(), "", "SELECT 'mine'")));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    client_send(&client, put_used(put_new(), _i % 2));
    ck_assert_str_eq(client_answer(&client), own[_i % 2]);
    if (_i / 2)
        client_close(&client);
    client_login(&other, &sluice, "user2", "p");
    for (int i = 0; i < 2; i++) {
        client_send_pieces(&other, put_used(put_new(), _i % 2), i ? 1 : 1000);
        ck_assert_str_eq(client_answer(&other),
                         "E(26000 unnamed prepared statement does not exist) Z(I)");
    }
    client_send(&other, put_used(put_parse(put_new(), "", "SELECT 'mine'"), _i % 2));
    ck_assert_str_eq(client_answer(&other), text("1 %s", own[_i % 2]));
    client_close(&other);
    if (!(_i / 2))
        client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

static char *executed(struct client *client)
{
    client_send(client, put_sync(put_execute(put_bind(put_new(), "", "s", NULL), "", 0)));
    return client_answer(client);
}

/* The same bytes mean something else to clients with other settings. */
START_TEST(a_statement_is_shared_only_where_it_means_the_same)
{
    static const struct {
        const char *set, *sql, *mine, *other;
    } cases[] = {
        {"SET DateStyle = 'ISO, DMY'",
         "SELECT '2020-01-01'::date + ('02/01/2020'::date - "
         "'2020-01-01'::date)",
         "D(2020-02-01)", "D(2020-01-02)"},
        {"SET TimeZone = 'Asia/Tokyo'",
         "SELECT extract(epoch FROM '1970-01-01 09:00'::timestamptz)", "D(32400.000000)",
         "D(0.000000)"},
        {"SET standard_conforming_strings = off", "SELECT length('\\\\')", "D(2)", "D(1)"},
        {"SET client_encoding = latin1", "SELECT char_length('\303\251')", "D(1)", "D(2)"},
        {"SET transform_null_equals = on",
         "SELECT count(*) FROM (VALUES (1)) v(x) WHERE "
         "NULLIF(x, 1) = NULL",
         "D(0)", "D(1)"},
    };
    struct client client, other;

    start("");
    client_login(&client, &sluice, "user2", "p");
    client_login(&other, &sluice, "user2", "p");
    client_query(&client, "SET TimeZone = 'UTC'");
    ck_assert_ptr_nonnull(strstr(client_query(&other, cases[_i].set), "C(SET)"));
    client_send(&client, put_sync(put_parse(put_new(), "s", cases[_i].sql)));
    ck_assert_str_eq(client_answer(&client), "1 Z(I)");
    client_send(&other, put_sync(put_parse(put_new(), "s", cases[_i].sql)));
    ck_assert_ptr_nonnull(strstr(client_answer(&other), "1 Z(I)")); /* perhaps with a warning */
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(executed(&client), text("2 %s C(SELECT 1) Z(I)", cases[_i].mine));
        ck_assert_str_eq(executed(&other), text("2 %s C(SELECT 1) Z(I)", cases[_i].other));
    }
    client_close(&client);
    client_close(&other);
    sluice_stop(&sluice);
}
END_TEST

/* A client prepares, changes what the text means, and has it prepared anew: for itself only. */
START_TEST(a_statement_prepared_under_later_settings_is_not_that_of_others)
{
#define DAYS "SELECT '01/02/2020'::date - '2020-01-01'::date"
    static const char *const prepare[] = {NULL, "PREPARE s AS " DAYS};
    struct client client, other;

    start("max_prepared_statements = 1\n");
    client_login(&client, &sluice, "user2", "p");
    client_login(&other, &sluice, "user2", "p");
    for (int i = 0; i < 2; i++) {
        struct client *who = i ? &other : &client;

        if (prepare[_i]) {
            ck_assert_str_eq(client_query(who, prepare[_i]), "C(PREPARE) Z(I)");
        } else {
            client_send(who, put_sync(put_parse(put_new(), "s", DAYS)));
            ck_assert_str_eq(client_answer(who), "1 Z(I)");
        }
        ck_assert_str_eq(executed(who), "2 D(1) C(SELECT 1) Z(I)");
        if (i)
            break;
        client_send(who, put_sync(put_parse(put_new(), "t", "SELECT 1")));
        ck_assert_str_eq(client_answer(who), "1 Z(I)");
        ck_assert_ptr_nonnull(strstr(client_query(who, "SET DateStyle = 'ISO, DMY'"), "C(SET)"));
        ck_assert_str_eq(executed(who), "2 D(31) C(SELECT 1) Z(I)");
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(executed(&client), "2 D(31) C(SELECT 1) Z(I)");
        ck_assert_str_eq(executed(&other), "2 D(1) C(SELECT 1) Z(I)");
    }
    ck_assert_ptr_nonnull(strstr(client_query(&client, "RESET DateStyle"), "C(RESET)"));
    ck_assert_str_eq(executed(&client), "2 D(1) C(SELECT 1) Z(I)");
    client_close(&client);
    client_close(&other);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("neighbours");

    suite_add_loop(suite, SUITE_OURS, 20,
                   a_query_that_the_server_skips_up_to_sync_is_not_waited_for, 2);
    suite_add(suite, SUITE_OURS, 20, a_statement_sent_together_with_the_goodbye_is_done);
    suite_add(suite, SUITE_OURS, 20, half_a_statement_is_never_completed);
    suite_add(suite, SUITE_OURS, 20,
              every_request_of_a_pipeline_that_finds_no_server_is_refused_by_itself);
    suite_add(suite, SUITE_OURS, 20,
              a_parameter_that_the_server_refuses_is_told_to_its_client_only);
    suite_add(suite, SUITE_OURS, 20, a_client_without_wishes_does_not_inherit_those_of_another);
    suite_add(suite, SUITE_OURS, 20, an_error_longer_than_any_buffer_passes_whole);
    suite_add(suite, SUITE_OURS, 20, rows_come_before_the_timeout_that_ends_them);
    suite_add(suite, SUITE_OURS, 20, a_login_that_waits_on_another_worker_still_has_its_time);
    suite_add(suite, SUITE_OURS, 20, one_client_too_many_is_told_so_and_takes_no_place);
    suite_add(suite, SUITE_OURS, 20, a_cancel_key_of_nobody_is_harmless);
    suite_add(suite, SUITE_OURS, 40, syncs_whose_answers_nobody_reads_are_bounded);
    suite_add(suite, SUITE_OURS, 40, what_comes_on_a_cancel_connection_holds_up_nobody);
    suite_add(suite, SUITE_OURS, 20, a_server_with_thousands_of_parameters_may_have_them);
    suite_add(suite, SUITE_OURS, 20, half_a_notification_behind_an_answer_is_not_the_next_clients);
    suite_add_loop(suite, SUITE_OURS, 20, an_unnamed_statement_is_its_clients_alone, 4);
    suite_add_loop(suite, SUITE_OURS, 20, a_statement_is_shared_only_where_it_means_the_same, 5);
    suite_add_loop(suite, SUITE_OURS, 20,
                   a_statement_prepared_under_later_settings_is_not_that_of_others, 2);
    return suite_finish(suite);
}

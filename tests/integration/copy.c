/* COPY in every form: simple and extended, well ended, failed by either side, abandoned, and both
 * ways at once; in session and in transaction mode. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client;

static const char syntax_error[] = "E(22P02 invalid input syntax for type integer: \"x\")";

/* Each test runs in both modes: _i. */
static void start(int mode)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = mode ? "pool_mode = transaction\n" : "pool_mode = session\n");
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE t (a int)"), "C(CREATE TABLE) Z(I)");
}

/* The table holds so many rows, and the client is as good as new. */
static void stop(int rows)
{
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     text("T(count) D(%d) C(SELECT 1) Z(I)", rows));
    client_close(&client);
    sluice_stop(&sluice);
}

/* Parse, Bind, Execute of the statement. */
static struct packet *put_statement(struct packet *packet, const char *sql)
{
    return put_execute(put_bind(put_parse(packet, "", sql), "", "", NULL), "", 0);
}

static struct packet *put_rows(struct packet *packet, int count)
{
    for (int i = 0; i < count; i++)
        put_copy_data(packet, text("%d\n", i));
    return packet;
}

START_TEST(copy_in_takes_every_row)
{
    start(_i);
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    client_send(&client, put_query(put_new(), "COPY t FROM STDIN"));
    ck_assert_str_eq(client_message(&client), "G");
    client_send(&client, put_rows(put_new(), 1000));
    client_send(&client, put_copy_done(put_new()));
    ck_assert_str_eq(client_answer(&client), "C(COPY 1000) Z(T)");
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(COMMIT) Z(I)");
    client_send(&client, put_copy_done(put_rows(put_query(put_new(), "COPY t FROM STDIN"), 5000)));
    ck_assert_str_eq(client_answer(&client), "G C(COPY 5000) Z(I)");
    stop(6000);
}
END_TEST

START_TEST(copy_out_gives_every_row)
{
    struct message message;
    int rows = 0;

    start(_i);
    client_send(&client,
                put_query(put_new(), "COPY (SELECT generate_series(1, 100000)) TO STDOUT"));
    ck_assert_str_eq(client_message(&client), "H");
    while ((message = client_read(&client)).type == 'd')
        ck_assert_int_eq(atoi((const char *)message.payload), ++rows);
    ck_assert_int_eq(message.type, 'c');
    ck_assert_int_eq(rows, 100000);
    ck_assert_str_eq(client_answer(&client), "C(COPY 100000) Z(I)");
    stop(0);
}
END_TEST

START_TEST(copy_stands_between_other_statements_of_one_query)
{
    start(_i);
    client_send(&client, put_query(put_new(), "SELECT 1; COPY t FROM STDIN; COPY t TO STDOUT;"
                                              "COPY t FROM STDIN; SELECT 2"));
    client_send(&client, put_copy_done(put_rows(put_new(), 2)));
    client_send(&client, put_copy_done(put_rows(put_new(), 1)));
    ck_assert_str_eq(client_answer(&client),
                     "T(?column?) D(1) C(SELECT 1) G C(COPY 2) H d(0\\0a) d(1\\0a) c C(COPY 2) "
                     "G C(COPY 1) T(?column?) D(2) C(SELECT 1) Z(I)");
    stop(3);
}
END_TEST

START_TEST(copy_in_that_the_client_fails_inserts_nothing)
{
    start(_i);
    client_send(&client, put_query(put_new(), "COPY t FROM STDIN"));
    client_send(&client, put_copy_fail(put_rows(put_new(), 10), "changed my mind"));
    ck_assert_str_eq(client_answer(&client),
                     "G E(57014 COPY from stdin failed: changed my mind) Z(I)");
    stop(0);
}
END_TEST

/* The server is ready again while the client still sends: what comes late belongs to nobody. */
START_TEST(copy_in_that_the_server_fails_swallows_what_comes_late)
{
    struct packet *packet = put_new();

    start(_i);
    put_copy_data(put_query(packet, "COPY t FROM STDIN"), "x\n");
    client_send(&client, put_copy_done(put_rows(packet, 20000)));
    ck_assert_str_eq(client_answer(&client), text("G %s Z(I)", syntax_error));
    stop(0);
}
END_TEST

START_TEST(copy_in_that_the_server_has_failed_long_ago_is_still_swallowed)
{
    struct client other;

    start(_i);
    client_send(&client, put_copy_data(put_query(put_new(), "COPY t FROM STDIN"), "x\n"));
    client_send(&client, put_rows(put_new(), 1));
    /* PostgreSQL finds the mistake when its buffer is full or at the end. */
    client_send(&client, put_rows(put_new(), 20000));
    ck_assert_str_eq(client_answer(&client), text("G %s Z(I)", syntax_error));
    if (_i) { /* the server works for another by now */
        client_login(&other, &sluice, "user1", "p");
        ck_assert_str_eq(client_query(&other, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    }
    client_send(&client, put_copy_done(put_rows(put_new(), 100)));
    if (_i) {
        ck_assert_str_eq(client_query(&other, "SELECT 2"), "T(?column?) D(2) C(SELECT 1) Z(I)");
        client_close(&other);
    }
    stop(0);
}
END_TEST

START_TEST(extended_copy_in_ends_with_sync)
{
    start(_i);
    client_send(&client, put_flush(put_statement(put_new(), "COPY t FROM STDIN")));
    ck_assert_str_eq(client_message(&client), "1");
    ck_assert_str_eq(client_message(&client), "2");
    ck_assert_str_eq(client_message(&client), "G");
    client_send(&client, put_copy_done(put_rows(put_new(), 3)));
    client_send(&client, put_sync(put_new()));
    ck_assert_str_eq(client_answer(&client), "C(COPY 3) Z(I)");
    stop(3);
}
END_TEST

/* A Sync between Execute and CopyDone is ignored by the server: one ReadyForQuery for two Syncs. */
START_TEST(extended_copy_in_with_an_early_sync_gives_one_ready)
{
    start(_i);
    client_send(&client, put_sync(put_statement(put_new(), "COPY t FROM STDIN")));
    ck_assert_str_eq(client_message(&client), "1");
    ck_assert_str_eq(client_message(&client), "2");
    ck_assert_str_eq(client_message(&client), "G");
    client_send(&client, put_copy_done(put_rows(put_new(), 3)));
    client_send(&client, put_sync(put_new()));
    ck_assert_str_eq(client_answer(&client), "C(COPY 3) Z(I)");
    ck_assert(client_silent(&client, 0.1));
    stop(3);
}
END_TEST

START_TEST(extended_copy_in_that_the_server_fails_skips_to_sync)
{
    struct packet *packet = put_new();

    start(_i);
    put_copy_data(put_statement(packet, "COPY t FROM STDIN"), "x\n");
    put_sync(put_copy_done(put_rows(packet, 100)));
    put_sync(put_extended(packet, "SELECT 7 AS a", NULL));
    client_send(&client, packet);
    ck_assert_str_eq(client_answer(&client), text("1 2 G %s Z(I)", syntax_error));
    ck_assert_str_eq(client_answer(&client), "1 2 T(a) D(7) C(SELECT 1) Z(I)");
    stop(0);
}
END_TEST

START_TEST(extended_copy_in_that_the_client_fails_skips_to_sync)
{
    start(_i);
    client_send(&client, put_statement(put_new(), "COPY t FROM STDIN"));
    client_send(&client, put_sync(put_copy_fail(put_rows(put_new(), 2), "no")));
    ck_assert_str_eq(client_answer(&client), "1 2 G E(57014 COPY from stdin failed: no) Z(I)");
    stop(0);
}
END_TEST

START_TEST(extended_copy_out_gives_every_row)
{
    start(_i);
    client_send(&client, put_sync(put_statement(put_new(), "COPY (VALUES (1), (2)) TO STDOUT")));
    ck_assert_str_eq(client_answer(&client), "1 2 H d(1\\0a) d(2\\0a) c C(COPY 2) Z(I)");
    stop(0);
}
END_TEST

START_TEST(a_client_that_vanishes_within_copy_in_inserts_nothing)
{
    start(_i);
    client_send(&client, put_query(put_new(), "COPY t FROM STDIN"));
    ck_assert_str_eq(client_message(&client), "G");
    client_send(&client, put_rows(put_new(), 1000));
    client_abort(&client);
    client_login(&client, &sluice, "user1", "p");
    stop(0);
}
END_TEST

START_TEST(a_client_that_vanishes_within_copy_out_leaves_a_clean_pool)
{
    start(_i);
    client_send(&client,
                put_query(put_new(), "COPY (SELECT generate_series(1, 10000000)) TO STDOUT"));
    ck_assert_str_eq(client_message(&client), "H");
    ck_assert_str_eq(client_message(&client), "d(1\\0a)");
    client_abort(&client);
    client_login(&client, &sluice, "user1", "p");
    stop(0);
}
END_TEST

/* CopyBothResponse, data in both directions, CopyDone from the client, then from the server. */
static void serve_copy_both(struct fake *fake, int fd)
{
    static const char format[] = {0, 0, 0};
    char type, payload[100];

    if (!fake_login(fd))
        return;
    while (fake_read(fd, &type, payload, sizeof(payload))) {
        if (type == 'Q' && strcmp(payload, "BOTH") != 0) {
            fake_write_message(fd, 'C', "OTHER", 6);
            fake_write_message(fd, 'Z', "I", 1);
        } else if (type == 'Q') {
            fake_write_message(fd, 'W', format, sizeof(format));
            fake_write_message(fd, 'd', "first", 5);
        } else if (type == 'd') {
            fake_write_message(fd, 'd', payload, strlen(payload));
        } else if (type == 'c') {
            fake_write_message(fd, 'd', "last", 4);
            fake_write_message(fd, 'c', "", 0);
            fake_write_message(fd, 'C', "COPY 0", 7);
            fake_write_message(fd, 'Z', "I", 1);
        }
    }
}

START_TEST(copy_both_goes_both_ways_at_once)
{
    struct fake fake;

    fake_start(&fake, serve_copy_both, NULL);
    sluice_start(
        &sluice, .databases = text("f = %s\n", fake_address(&fake)),
        .settings = text("pool_mode = %s\nserver_reset_query =\n", _i ? "transaction" : "session"));
    client_login(&client, &sluice, "user1", "f");
    client_send(&client, put_query(put_new(), "BOTH"));
    ck_assert_str_eq(client_message(&client), "W");
    ck_assert_str_eq(client_message(&client), "d(first)");
    for (int i = 0; i < 100; i++) {
        client_send(&client, put_copy_data(put_new(), text("number %d", i)));
        ck_assert_str_eq(client_message(&client), text("d(number %d)", i));
    }
    client_send(&client, put_copy_done(put_new()));
    ck_assert_str_eq(client_answer(&client), "d(last) c C(COPY 0) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT"), "C(OTHER) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copy");

    suite_add_loop(suite, SUITE_SAME, 20, copy_in_takes_every_row, 2);
    suite_add_loop(suite, SUITE_SAME, 20, copy_out_gives_every_row, 2);
    suite_add_loop(suite, SUITE_SAME, 20, copy_stands_between_other_statements_of_one_query, 2);
    suite_add_loop(suite, SUITE_SAME, 20, copy_in_that_the_client_fails_inserts_nothing, 2);
    suite_add_loop(suite, SUITE_SAME, 20, copy_in_that_the_server_fails_swallows_what_comes_late,
                   2);
    suite_add_loop(suite, SUITE_OURS, 20,
                   copy_in_that_the_server_has_failed_long_ago_is_still_swallowed, 2);
    suite_add_loop(suite, SUITE_SAME, 20, extended_copy_in_ends_with_sync, 2);
    suite_add_loop(suite, SUITE_SAME, 20, extended_copy_in_with_an_early_sync_gives_one_ready, 2);
    suite_add_loop(suite, SUITE_OURS, 20, extended_copy_in_that_the_server_fails_skips_to_sync, 2);
    suite_add_loop(suite, SUITE_SAME, 20, extended_copy_in_that_the_client_fails_skips_to_sync, 2);
    suite_add_loop(suite, SUITE_SAME, 20, extended_copy_out_gives_every_row, 2);
    suite_add_loop(suite, SUITE_SAME, 20, a_client_that_vanishes_within_copy_in_inserts_nothing, 2);
    suite_add_loop(suite, SUITE_SAME, 20,
                   a_client_that_vanishes_within_copy_out_leaves_a_clean_pool, 2);
    suite_add_loop(suite, SUITE_OURS, 20, copy_both_goes_both_ways_at_once, 2);
    return suite_finish(suite);
}

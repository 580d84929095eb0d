/* Every exchange of the protocol comes through unchanged, in session and in transaction mode. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client;

/* Each test runs in both modes: _i. One server, so that a test sees its own tables' state. */
static void start(int mode)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = mode ? "pool_mode = transaction\n" : "pool_mode = session\n");
    client_login(&client, &sluice, "user1", "p");
}

static void stop(void)
{
    ck_assert_str_eq(client_query(&client, "SELECT 'still here'"),
                     "T(?column?) D(still here) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}

START_TEST(simple_queries_give_rows_tags_and_states)
{
    start(_i);
    ck_assert_str_eq(client_query(&client, "SELECT 1 AS a, NULL AS b, '' AS c"),
                     "T(a,b,c) D(1,null,) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1 WHERE false"), "T(?column?) C(SELECT 0) Z(I)");
    ck_assert_str_eq(client_query(&client, ""), "I Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1; SELECT 2"),
                     "T(?column?) D(1) C(SELECT 1) T(?column?) D(2) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&client, "SELECT 1/0"), "E(22012 division by zero) Z(E)");
    ck_assert_str_eq(client_query(&client, "SELECT 1"),
                     "E(25P02 current transaction is aborted, commands ignored until end of "
                     "transaction block) Z(E)");
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1; SELECT 1/0; SELECT 2"),
                     "T(?column?) D(1) C(SELECT 1) E(22012 division by zero) Z(I)");
    stop();
}
END_TEST

START_TEST(extended_queries_give_their_replies_at_sync_or_flush)
{
    start(_i);
    client_send(&client, put_flush(put_parse(put_new(), "", "SELECT $1::int + 1 AS sum")));
    ck_assert_str_eq(client_message(&client), "1");
    client_send(&client, put_flush(put_describe(put_new(), 'S', "")));
    ck_assert_str_eq(client_message(&client), "t(1)");
    ck_assert_str_eq(client_message(&client), "T(sum)");
    client_send(&client, put_flush(put_execute(put_bind(put_new(), "", "", "41"), "", 0)));
    ck_assert_str_eq(client_message(&client), "2");
    ck_assert_str_eq(client_message(&client), "D(42)");
    ck_assert_str_eq(client_message(&client), "C(SELECT 1)");
    client_send(&client, put_sync(put_new()));
    ck_assert_str_eq(client_answer(&client), "Z(I)");
    stop();
}
END_TEST

START_TEST(a_portal_is_fetched_in_portions)
{
    start(_i);
    client_send(&client,
                put_execute(put_bind(put_parse(put_new(), "", "SELECT generate_series(1, 5)"),
                                     "portal", "", NULL),
                            "portal", 2));
    client_send(&client, put_execute(put_execute(put_new(), "portal", 2), "portal", 2));
    client_send(&client, put_sync(put_new()));
    ck_assert_str_eq(client_answer(&client), "1 2 D(1) D(2) s D(3) D(4) s D(5) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_pipeline_of_many_syncs_is_answered_in_order)
{
    struct packet *packet = put_new();

    start(_i);
    for (int i = 0; i < 200; i++)
        put_sync(put_extended(packet, "SELECT $1::text", text("number %d", i)));
    client_send(&client, packet);
    for (int i = 0; i < 200; i++)
        ck_assert_str_eq(client_answer(&client),
                         text("1 2 T(text) D(number %d) C(SELECT 1) Z(I)", i));
    stop();
}
END_TEST

START_TEST(simple_queries_may_be_pipelined_too)
{
    struct packet *packet = put_new();

    start(_i);
    for (int i = 0; i < 100; i++)
        put_query(packet, text("SELECT %d", i));
    client_send(&client, packet);
    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(client_answer(&client), text("T(?column?) D(%d) C(SELECT 1) Z(I)", i));
    stop();
}
END_TEST

/* After an error the server ignores everything up to the next Sync; the one after that is new. */
START_TEST(an_error_in_a_pipeline_skips_to_the_next_sync_only)
{
    struct packet *packet = put_new();

    start(_i);
    put_extended(packet, "SELECT 1 AS a", NULL);
    put_extended(packet, "SELECT 1/0", NULL);
    put_extended(packet, "SELECT 2 AS b", NULL);
    put_sync(packet);
    put_sync(put_extended(packet, "SELECT 3 AS c", NULL));
    put_sync(put_parse(packet, "", "SELEC"));
    put_sync(put_extended(packet, "SELECT 4 AS d", NULL));
    client_send(&client, packet);
    ck_assert_str_eq(client_answer(&client), "1 2 T(a) D(1) C(SELECT 1) 1 "
                                             "E(22012 division by zero) Z(I)");
    ck_assert_str_eq(client_answer(&client), "1 2 T(c) D(3) C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_answer(&client), "E(42601 syntax error at or near \"SELEC\") Z(I)");
    ck_assert_str_eq(client_answer(&client), "1 2 T(d) D(4) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

/* The server is not taken away between a flushed part and the Sync. */
START_TEST(a_batch_without_sync_keeps_its_server)
{
    struct client other;

    start(_i);
    client_send(&client, put_flush(put_extended(put_new(), "SELECT 'open'", NULL)));
    for (int i = 0; i < 5; i++)
        client_message(&client);
    if (_i) {
        client_login(&other, &sluice, "user1", "p");
        client_send(&other, put_query(put_new(), "SELECT 'other'"));
        ck_assert(client_silent(&other, 0.2));
        client_send(&client, put_sync(put_extended(put_new(), "SELECT 'more'", NULL)));
        ck_assert_str_eq(client_answer(&client), "1 2 T(?column?) D(more) C(SELECT 1) Z(I)");
        ck_assert_str_eq(client_answer(&other), "T(?column?) D(other) C(SELECT 1) Z(I)");
        client_close(&other);
    } else {
        client_send(&client, put_sync(put_new()));
        ck_assert_str_eq(client_answer(&client), "Z(I)");
    }
    stop();
}
END_TEST

START_TEST(function_calls_pass)
{
    start(_i);
    client_send(&client, put_function_call(put_new(), 1397 /* abs(int4) */, "-42"));
    ck_assert_str_eq(client_answer(&client), "V(42) Z(I)");
    client_send(&client, put_function_call(put_new(), 1, "0"));
    ck_assert_str_eq(client_answer(&client), "E(42883 function with OID 1 does not exist) Z(I)");
    stop();
}
END_TEST

START_TEST(notices_pass_between_the_rows)
{
    start(_i);
    ck_assert_str_eq(
        client_query(&client, "DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END$$"),
        "N(00000 one) N(01000 two) C(DO) Z(I)");
    stop();
}
END_TEST

START_TEST(parameter_changes_are_told)
{
    start(_i);
    ck_assert_str_eq(client_query(&client, "SET application_name = 'changed'"),
                     "C(SET) S(application_name=changed) Z(I)");
    ck_assert_str_eq(client_query(&client, "SHOW application_name"),
                     "T(application_name) D(changed) C(SHOW) Z(I)");
    stop();
}
END_TEST

/* A reload of the server's settings shows in the answer to whatever is asked next. */
START_TEST(a_parameter_that_changes_by_itself_reaches_the_client)
{
    struct postgres postgres;
    char *answer;

    postgres_start(&postgres);
    sluice_start(&sluice, .postgres = &postgres);
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    postgres_value(&postgres, "ALTER SYSTEM SET timezone = 'Europe/Zurich'");
    postgres_value(&postgres, "SELECT pg_reload_conf()");
    await(strstr(answer = client_query(&client, "SELECT 1"), "S("), 20);
    ck_assert_str_eq(answer, "T(?column?) D(1) C(SELECT 1) S(TimeZone=Europe/Zurich) Z(I)");
    stop();
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

START_TEST(a_notification_reaches_the_session_that_listens)
{
    start(0);
    ck_assert_str_eq(client_query(&client, "LISTEN news"), "C(LISTEN) Z(I)");
    postgres_value(sluice.postgres, "NOTIFY news, 'extra'");
    ck_assert_str_eq(client_message(&client), "A(news,extra)");
    stop();
}
END_TEST

START_TEST(rows_of_every_size_around_the_buffers_pass)
{
    struct message message;

    start(_i);
    for (unsigned size = 1; size < 3000000; size = size * 3 / 2 + 1) {
        client_send(&client, put_query(put_new(), text("SELECT repeat('x', %u)", size)));
        ck_assert_int_eq(client_read(&client).type, 'T');
        message = client_read(&client);
        ck_assert_int_eq(message.type, 'D');
        ck_assert_uint_eq(message.size, size + 6); /* column count and length before it */
        for (unsigned i = 0; i < size; i++)
            if (message.payload[6 + i] != 'x')
                ck_abort_msg("byte %u of %u is %u", i, size, message.payload[6 + i]);
        ck_assert_str_eq(client_answer(&client), "C(SELECT 1) Z(I)");
    }
    stop();
}
END_TEST

START_TEST(questions_of_every_size_around_the_buffers_pass)
{
    start(_i);
    for (unsigned size = 1; size < 3000000; size = size * 3 / 2 + 1) {
        struct packet *packet = put_new();
        char *filler = malloc(size + 1);

        memset(filler, 'y', size);
        filler[size] = '\0';
        put_query(packet, text("SELECT length('%s')", filler));
        put_sync(put_extended(packet, "SELECT length($1::text)", filler));
        client_send(&client, packet);
        ck_assert_str_eq(client_answer(&client), text("T(length) D(%u) C(SELECT 1) Z(I)", size));
        ck_assert_str_eq(client_answer(&client),
                         text("1 2 T(length) D(%u) C(SELECT 1) Z(I)", size));
        free(filler);
    }
    stop();
}
END_TEST

/* A FATAL error of the server in the middle of an answer, then its end. In session mode the session
 * is gone with its server. */
START_TEST(a_terminated_statement_fails_and_the_next_one_works)
{
    start(1);
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(sluice.postgres, 1, "query LIKE '%pg_sleep%' AND state = 'active'");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    ck_assert_str_eq(client_answer(&client),
                     "E(57P01 terminating connection due to administrator command) Z(I)");
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("relay");

    suite_add_loop(suite, SUITE_SAME, 20, simple_queries_give_rows_tags_and_states, 2);
    suite_add_loop(suite, SUITE_SAME, 20, extended_queries_give_their_replies_at_sync_or_flush, 2);
    suite_add_loop(suite, SUITE_SAME, 20, a_portal_is_fetched_in_portions, 2);
    suite_add_loop(suite, SUITE_SAME, 20, a_pipeline_of_many_syncs_is_answered_in_order, 2);
    suite_add_loop(suite, SUITE_SAME, 20, simple_queries_may_be_pipelined_too, 2);
    suite_add_loop(suite, SUITE_SAME, 20, an_error_in_a_pipeline_skips_to_the_next_sync_only, 2);
    suite_add_loop(suite, SUITE_SAME, 20, a_batch_without_sync_keeps_its_server, 2);
    suite_add_loop(suite, SUITE_SAME, 20, function_calls_pass, 2);
    suite_add_loop(suite, SUITE_SAME, 20, notices_pass_between_the_rows, 2);
    suite_add_loop(suite, SUITE_SAME, 20, parameter_changes_are_told, 2);
    suite_add(suite, SUITE_SAME, 30, a_parameter_that_changes_by_itself_reaches_the_client);
    suite_add(suite, SUITE_SAME, 20, a_notification_reaches_the_session_that_listens);
    suite_add_loop(suite, SUITE_SAME, 30, rows_of_every_size_around_the_buffers_pass, 2);
    suite_add_loop(suite, SUITE_SAME, 30, questions_of_every_size_around_the_buffers_pass, 2);
    suite_add(suite, SUITE_OURS, 20, a_terminated_statement_fails_and_the_next_one_works);
    return suite_finish(suite);
}

/* Cancel requests: with the key that the pooler gave, they end the statement of that client, on the
 * server or in the queue, and nobody else's. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static const char cancelled[] = "E(57014 canceling statement due to user request) Z(I)";

static void start(const char *mode, int pool_size)
{
    sluice_start(&sluice, .databases = text("p = {server} pool_size=%d\n", pool_size),
                 .settings = text("pool_mode = %s\n", mode));
}

START_TEST(a_cancel_ends_the_running_statement_of_its_client)
{
    struct client client;

    start(_i ? "transaction" : "session", 2);
    client_login(&client, &sluice, "user1", "p");
    for (int i = 0; i < 3; i++) {
        client_send(&client, put_query(put_new(), SQL_SLEEP));
        postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
        client_cancel(&client, &sluice);
        ck_assert_str_eq(client_answer(&client), cancelled);
        ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    }
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_within_a_transaction_aborts_it)
{
    struct client client;

    start("transaction", 2);
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    client_cancel(&client, &sluice);
    ck_assert_str_eq(client_answer(&client),
                     "E(57014 canceling statement due to user request) Z(E)");
    ck_assert_str_eq(client_query(&client, "ROLLBACK"), "C(ROLLBACK) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_hits_only_the_client_whose_key_it_is)
{
    struct client clients[4];

    start("transaction", 4);
    for (int i = 0; i < 4; i++) {
        client_login(&clients[i], &sluice, "user1", "p");
        client_send(&clients[i], put_query(put_new(), "DO 'BEGIN PERFORM pg_sleep(3); END'"));
    }
    postgres_await_backends(sluice.postgres, 4, "wait_event = 'PgSleep'");
    client_cancel(&clients[2], &sluice);
    ck_assert_str_eq(client_answer(&clients[2]), cancelled);
    for (int i = 0; i < 4; i++) {
        if (i != 2)
            ck_assert_str_eq(client_answer(&clients[i]), "C(DO) Z(I)");
        client_close(&clients[i]);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(keys_of_clients_differ)
{
    struct client clients[20];

    start("transaction", 2);
    for (int i = 0; i < 20; i++) {
        client_login(&clients[i], &sluice, "user1", "p");
        for (int j = 0; j < i; j++)
            ck_assert(clients[i].backend_pid != clients[j].backend_pid ||
                      memcmp(clients[i].backend_key, clients[j].backend_key, 4) != 0);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_with_a_wrong_key_cancels_nothing)
{
    struct client client, forged;

    start("transaction", 2);
    client_login(&client, &sluice, "user1", "p");
    client_send(&client, put_query(put_new(), "SELECT pg_sleep(1.5)"));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    for (int bit = 0; bit < 8; bit++) {
        forged = client;
        forged.backend_key[3] ^= (unsigned char)(1 << bit);
        client_cancel(&forged, &sluice);
    }
    ck_assert_str_eq(client_answer(&client), "T(pg_sleep) D() C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_cancel_of_an_idle_client_cancels_nothing)
{
    struct client idle, busy;

    start("transaction", 1);
    client_login(&idle, &sluice, "user1", "p");
    client_login(&busy, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&idle, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_send(&busy, put_query(put_new(), "SELECT pg_sleep(1)")); /* on the same server now */
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    client_cancel(&idle, &sluice);
    ck_assert_str_eq(client_answer(&busy), "T(pg_sleep) D() C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&idle, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&idle);
    client_close(&busy);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_waits_for_a_server_is_cancelled_there)
{
    struct client holder, waiter;

    start("transaction", 1);
    client_login(&holder, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&holder, "BEGIN"), "C(BEGIN) Z(T)");
    client_login(&waiter, &sluice, "user1", "p");
    client_send(&waiter, put_query(put_new(), "SELECT 1"));
    ck_assert(client_silent(&waiter, 0.3));
    client_cancel(&waiter, &sluice);
    ck_assert_str_eq(client_answer(&waiter), cancelled);
    ck_assert_str_eq(client_query(&holder, "COMMIT"), "C(COMMIT) Z(I)");
    ck_assert_str_eq(client_query(&waiter, "SELECT 2"), "T(?column?) D(2) C(SELECT 1) Z(I)");
    client_close(&holder);
    client_close(&waiter);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");

    suite_add_loop(suite, SUITE_SAME, 20, a_cancel_ends_the_running_statement_of_its_client, 2);
    suite_add(suite, SUITE_SAME, 20, a_cancel_within_a_transaction_aborts_it);
    suite_add(suite, SUITE_SAME, 20, a_cancel_hits_only_the_client_whose_key_it_is);
    suite_add(suite, SUITE_SAME, 20, keys_of_clients_differ);
    suite_add(suite, SUITE_SAME, 20, a_cancel_with_a_wrong_key_cancels_nothing);
    suite_add(suite, SUITE_SAME, 20, a_cancel_of_an_idle_client_cancels_nothing);
    suite_add(suite, SUITE_OURS, 20, a_client_that_waits_for_a_server_is_cancelled_there);
    return suite_finish(suite);
}

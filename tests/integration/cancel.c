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

/* What a cancel may reach is the statement of the client that asked, while its neighbours' short
 * ones follow each other on the same two servers. */
START_TEST(a_cancel_never_hits_the_statement_of_a_neighbour)
{
    enum { ROUNDS = 1000, ASKERS = 2, NEIGHBOURS = 6 };
    struct client askers[ASKERS], neighbours[NEIGHBOURS], requests[ASKERS];
    int hits = 0;

    start("transaction", 2);
    for (int i = 0; i < ASKERS; i++)
        client_login(&askers[i], &sluice, "user1", "p");
    for (int i = 0; i < NEIGHBOURS; i++)
        client_login(&neighbours[i], &sluice, "user1", "p");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ASKERS; i++)
            client_send(&askers[i], put_query(put_new(), "SELECT 1"));
        for (int i = 0; i < NEIGHBOURS; i++)
            client_send(&neighbours[i], put_query(put_new(), text("SELECT %d", i)));
        for (int i = 0; i < ASKERS; i++) {
            client_open(&requests[i], &sluice);
            client_send(&requests[i], put_cancel(put_new(), &askers[i]));
        }
        for (int i = 0; i < NEIGHBOURS; i++)
            ck_assert_str_eq(client_answer(&neighbours[i]),
                             text("T(?column?) D(%d) C(SELECT 1) Z(I)", i));
        for (int i = 0; i < ASKERS; i++) {
            hits += strcmp(client_answer(&askers[i]), cancelled) == 0;
            client_close(&requests[i]);
        }
    }
    ck_assert_int_gt(hits, 0);
    sluice_stop(&sluice);
}
END_TEST

/* Logs in by protocol 3.2. */
static void login_3_2(struct client *client)
{
    client_open(client, &sluice);
    client_send(client,
                put_startup(put_new(), PROTOCOL_3_0 + 2, "user", "user1", "database", "p", NULL));
    client_drain(client);
}

START_TEST(clients_of_protocol_3_2_get_a_long_key_that_counts_whole)
{
    struct client client, forged;

    start("transaction", 1);
    login_3_2(&client);
    ck_assert_uint_eq(client.backend_key_size, 32);
    client_send(&client, put_query(put_new(), "SELECT pg_sleep(1)"));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    forged = client;
    forged.backend_key_size = 4;
    client_cancel(&forged, &sluice);
    for (size_t i = 0; i < 32; i += 31) {
        forged = client;
        forged.backend_key[i] ^= 1;
        client_cancel(&forged, &sluice);
    }
    ck_assert_str_eq(client_answer(&client), "T(pg_sleep) D() C(SELECT 1) Z(I)");
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    client_cancel(&client, &sluice);
    ck_assert_str_eq(client_answer(&client), cancelled);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

static const char *const peer_hosts[] = {"127.0.0.1", "localhost", "the Unix socket"};

START_TEST(a_cancel_that_arrives_at_a_peer_is_forwarded)
{
    struct sluice other;
    struct client client;
    const char *host;

    sluice_start(&sluice, .settings = "pool_mode = transaction\npeer_id = 1\n");
    host = _i == 2 ? sluice.directory : peer_hosts[_i];
    sluice_start(&other,
                 .databases = text("p = {server}\n[peers]\n1 = host=%s port=%u\n"
                                   "2 = host=127.0.0.1 port=1\n",
                                   host, sluice.port),
                 .settings = "pool_mode = transaction\npeer_id = 2\n");
    for (int longer = 0; longer < 2; longer++) {
        if (longer)
            login_3_2(&client);
        else
            client_login(&client, &sluice, "user1", "p");
        client_send(&client, put_query(put_new(), SQL_SLEEP));
        postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
        client_cancel(&client, &other);
        ck_assert_str_eq(client_answer(&client), cancelled);
        client_close(&client);
    }
    sluice_stop(&other);
    sluice_stop(&sluice);
}
END_TEST

/* Two that take each other for a third: the request goes on once, not for ever. */
START_TEST(a_cancel_is_forwarded_once_at_most)
{
    struct sluice other;
    struct client client;

    sluice_prepare(&other);
    sluice_start(&sluice,
                 .databases =
                     text("p = {server}\n[peers]\n3 = host=127.0.0.1 port=%u\n", other.port),
                 .settings = "peer_id = 1\n");
    other.postgres = sluice.postgres;
    sluice_launch(&other, text("[databases]\n[peers]\n3 = host=127.0.0.1 port=%u\n[sluice]\n"
                               "peer_id = 2\nlisten_addr = 127.0.0.1\nlisten_port = %u\n"
                               "unix_socket_dir = %s\nauth_type = trust\nauth_file = %s\n",
                               sluice.port, other.port, other.directory,
                               text("%s/userlist.txt", sluice.directory)));
    client_login(&client, &sluice, "user1", "p");
    client.backend_key[0] = 0;
    client.backend_key[1] = 3 << 2; /* as if it were peer 3's */
    client_cancel(&client, &sluice);
    client_close(&client);
    sluice_stop(&other);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_peer_that_cannot_be_reached_is_logged)
{
    struct client client;

    sluice_start(&sluice, .databases = "p = {server}\n[peers]\n2 = host=127.0.0.1 port=1\n",
                 .settings = "peer_id = 1\n");
    client_login(&client, &sluice, "user1", "p");
    client.backend_key[0] = 0;
    client.backend_key[1] = 2 << 2;
    client_cancel(&client, &sluice);
    sluice_await_log(&sluice, "cancel request for peer 2: Connection refused");
    client_close(&client);
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
    suite_add(suite, SUITE_OURS, 120, a_cancel_never_hits_the_statement_of_a_neighbour);
    suite_add(suite, SUITE_OURS, 20, clients_of_protocol_3_2_get_a_long_key_that_counts_whole);
    suite_add_loop(suite, SUITE_OURS, 20, a_cancel_that_arrives_at_a_peer_is_forwarded, 3);
    suite_add(suite, SUITE_OURS, 20, a_cancel_is_forwarded_once_at_most);
    suite_add(suite, SUITE_OURS, 20, a_peer_that_cannot_be_reached_is_logged);
    return suite_finish(suite);
}

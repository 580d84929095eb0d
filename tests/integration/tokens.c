/* Nobody ever gets another client's answer: the load of harness/load.h through small pools. */
#include <stdlib.h>

#include "harness/load.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

START_TEST(two_hundred_clients_read_back_their_own_tokens_through_five_servers)
{
    struct sluice sluice;
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p",
                        .clients = 200,
                        .transactions = 100000};

    sluice_start(&sluice, .databases = "p = {server} pool_size=5\n",
                 .settings = "pool_mode = transaction\n");
    load_run(&load);
    ck_assert_uint_eq(load.done, 100000);
    ck_assert_uint_eq(load.failed, 0);
    ck_assert_int_le(postgres_backends(sluice.postgres, "true"), 5);
    sluice_stop(&sluice);
}
END_TEST

/* Every kill can fail the one transaction that is on the victim, and no other. */
START_TEST(killed_servers_fail_only_what_was_in_flight_and_mix_nothing_up)
{
    struct sluice sluice;
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p",
                        .clients = 200,
                        .transactions = 30000,
                        .failures_allowed = true,
                        .disturb = load_kill_one,
                        .disturb_every = 300};

    sluice_start(&sluice, .databases = "p = {server} pool_size=5\n",
                 .settings = "pool_mode = transaction\nserver_login_retry = 1\n");
    load_run(&load);
    ck_assert_uint_eq(load.done + load.failed, 30000);
    ck_assert_uint_le(load.failed, 100);
    if (!suite_reference())
        ck_assert_uint_eq(load.lost, 0);
    sluice_stop(&sluice);
}
END_TEST

/* Twenty clients, each with a statement under way, on two servers. */
START_TEST(statement_mode_returns_every_answer_to_its_asker)
{
    struct sluice sluice;
    PGconn *clients[20];

    sluice_start(&sluice, .databases = "p = {server} pool_size=2\n",
                 .settings = "pool_mode = statement\n");
    for (int i = 0; i < 20; i++)
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p");
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(PQsendQuery(clients[i], text("SELECT %d", round * 100 + i)), 1);
        for (int i = 19; i >= 0; i--) {
            PGresult *result = PQgetResult(clients[i]);

            ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
            ck_assert_int_eq(atoi(PQgetvalue(result, 0, 0)), round * 100 + i);
            PQclear(result);
            ck_assert_ptr_null(PQgetResult(clients[i]));
        }
    }
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokens");

    suite_add(suite, SUITE_SAME, 120,
              two_hundred_clients_read_back_their_own_tokens_through_five_servers);
    suite_add(suite, SUITE_SAME, 120,
              killed_servers_fail_only_what_was_in_flight_and_mix_nothing_up);
    suite_add(suite, SUITE_SAME, 30, statement_mode_returns_every_answer_to_its_asker);
    return suite_finish(suite);
}

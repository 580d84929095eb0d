/* Lookups with several workers: each batches what its own clients ask. */
#include "lookups_crowd.h"

enum { ASKERS = 48, ROUNDS = 12 };

static struct client askers[ASKERS];

static long of_lookups(const char *column)
{
    return console_sum(&sluice, "SHOW LOOKUPS", column);
}

/* Every other one is of the extended protocol, or by a name of its own. */
static void start_askers(const char *settings)
{
    start(settings);
    for (int i = 0; i < ASKERS; i++) {
        client_login(&askers[i], &sluice, "user1", "p");
        for (int round = 0; round < 2; round++) {
            client_send(&askers[i], lookup(LOOKUP, "1"));
            client_answer(&askers[i]);
        }
    }
}

static void ask_askers(int round)
{
    hold();
    for (int i = 0; i < ASKERS; i++)
        client_send(&askers[i], lookup(LOOKUP, text("%d", (i + round) % 100 + 1)));
    settle_waiting(ASKERS);
    release();
}

START_TEST(each_client_gets_its_own_rows_and_the_console_the_sums)
{
    long keys, batches;

    simple = _i % 2;
    workers = _i < 2 ? 2 : 4;
    start_askers("");
    keys = of_lookups("keys");
    batches = of_lookups("batches");
    for (int round = 0; round < ROUNDS; round++) {
        ask_askers(round);
        for (int i = 0; i < ASKERS; i++)
            ck_assert_str_eq(client_answer(&askers[i]), as_told(thing((i + round) % 100 + 1)));
    }
    keys = of_lookups("keys") - keys;
    batches = of_lookups("batches") - batches;
    /* Not more than one client of each server went alone. */
    ck_assert_int_le(keys, ASKERS * ROUNDS);
    ck_assert_int_ge(keys, ASKERS * ROUNDS / 2);
    ck_assert_int_ge(batches, workers * ROUNDS);
    ck_assert_int_lt(batches, keys / 2);
    ck_assert_int_eq(of_lookups("saved"), of_lookups("keys") - of_lookups("batches"));
    ck_assert_int_le(atol(console_told(&sluice, "SHOW LOOKUPS", LOOKUP, "size_max")),
                     ASKERS / workers + ASKERS / 4);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_error_and_a_lost_client_are_only_their_own)
{
    static const char sql[] = "SELECT id, 100 / (id - 5) AS n FROM things WHERE id = $1";

    simple = _i % 2;
    workers = _i < 2 ? 2 : 4;
    start_askers("");
    for (int round = 0; round < 4; round++) {
        hold();
        for (int i = 0; i < ASKERS; i++)
            client_send(&askers[i], lookup(sql, text("%d", i + 1)));
        settle_waiting(ASKERS);
        if (round == 3) {
            client_abort(&askers[0]);
            settle_waiting(ASKERS - 1);
        }
        release();
        for (int i = round == 3; i < ASKERS; i++)
            ck_assert_str_eq(client_answer(&askers[i]),
                             i == 4 ? as_told("1 2 T(id,n) E(22012 division by zero) Z(I)")
                                    : as_told(text("1 2 T(id,n) D(%d,%d) C(SELECT 1) Z(I)", i + 1,
                                                   100 / (i - 4))));
    }
    ck_assert_int_ge(of_lookups("errors"), 1);
    sluice_stop(&sluice);
}
END_TEST

/* One worker's lost servers are nobody's trouble on the others. */
START_TEST(killed_servers_mix_nothing_up)
{
    int failed = 0;

    simple = _i % 2;
    workers = _i < 2 ? 2 : 4;
    start_askers("server_login_retry = 1\n");
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < ASKERS; i++)
            client_send(&askers[i], lookup(LOOKUP, text("%d", (i + round) % 100 + 1)));
        if (round % 10 == 5)
            postgres_number(sluice.postgres, "SELECT count(pg_terminate_backend(pid)) FROM "
                                             "(SELECT pid FROM pg_stat_activity WHERE datname = "
                                             "current_database() AND usename = 'bench' "
                                             "ORDER BY random() LIMIT 2) AS victims");
        for (int i = 0; i < ASKERS; i++) {
            const char *answer = client_answer(&askers[i]);

            if (!strstr(answer, "E(57P01 ") && !strstr(answer, "server conn crashed?"))
                ck_assert_str_eq(answer, as_told(thing((i + round) % 100 + 1)));
            else
                failed++;
        }
    }
    ck_assert_int_le(failed, 6 * 2 * ASKERS);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_workers");

    suite_add_loop(suite, SUITE_OURS, 30, each_client_gets_its_own_rows_and_the_console_the_sums,
                   4);
    suite_add_loop(suite, SUITE_OURS, 30, an_error_and_a_lost_client_are_only_their_own, 4);
    suite_add_loop(suite, SUITE_OURS, 30, killed_servers_mix_nothing_up, 4);
    return suite_finish(suite);
}

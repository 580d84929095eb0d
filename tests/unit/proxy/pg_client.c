/* The table of a client's states: legal moves are those of a life, others are not. */
#include "../../../src/proxy/pg_client.h"

#include <check.h>
#include <stdlib.h>

START_TEST(legal_moves_are_those_of_a_life)
{
    static const enum pg_client_state life[] = {
        PG_CLIENT_STARTUP, PG_CLIENT_LOGIN,  PG_CLIENT_MOVING, PG_CLIENT_WELCOME, PG_CLIENT_IDLE,
        PG_CLIENT_WAITING, PG_CLIENT_ACTIVE, PG_CLIENT_IDLE,   PG_CLIENT_ACTIVE,  PG_CLIENT_CLOSED,
    };

    for (size_t i = 1; i < sizeof(life) / sizeof(life[0]); i++)
        ck_assert(pg_client_state_may_follow(life[i - 1], life[i]));
}
END_TEST

START_TEST(no_state_follows_the_end_and_every_state_may_end)
{
    for (int state = 0; state < PG_CLIENT_STATE_COUNT; state++) {
        ck_assert(!pg_client_state_may_follow(PG_CLIENT_CLOSED, (enum pg_client_state)state));
        if (state != PG_CLIENT_CLOSED)
            ck_assert(pg_client_state_may_follow((enum pg_client_state)state, PG_CLIENT_CLOSED));
    }
}
END_TEST

START_TEST(nobody_has_a_server_who_has_not_logged_in)
{
    for (int state = 0; state < PG_CLIENT_STATE_COUNT; state++)
        if (state != PG_CLIENT_IDLE && state != PG_CLIENT_WAITING) {
            ck_assert(!pg_client_state_may_follow((enum pg_client_state)state, PG_CLIENT_ACTIVE));
            ck_assert(!pg_client_state_may_follow((enum pg_client_state)state, PG_CLIENT_WAITING) ||
                      state == PG_CLIENT_ASKED || state == PG_CLIENT_SHARING);
        }
    for (int state = 0; state < PG_CLIENT_STATE_COUNT; state++)
        ck_assert(!pg_client_state_may_follow((enum pg_client_state)state, PG_CLIENT_ASKED) ||
                  state == PG_CLIENT_WAITING);
    ck_assert(!pg_client_state_may_follow(PG_CLIENT_STARTUP, PG_CLIENT_IDLE));
    ck_assert(!pg_client_state_may_follow(PG_CLIENT_LOGIN, PG_CLIENT_IDLE));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_client");
    TCase *tcase = tcase_create("pg_client");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, legal_moves_are_those_of_a_life);
    tcase_add_test(tcase, no_state_follows_the_end_and_every_state_may_end);
    tcase_add_test(tcase, nobody_has_a_server_who_has_not_logged_in);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

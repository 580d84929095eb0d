/* The pool without a network: who gets a server and when, limits, priorities, back-off; and the
 * table of a server's states. The servers here are of a kind that never opens a socket. */
#include "sluice/pool/pool.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"

#define WAITERS 10

struct client {
    struct waiter waiter;
    struct server *server;
    const struct pool_failure *failure;
    int turn; /* when it was served, 1 = first */
};

static struct loop loop;
static struct mailbox mailbox;
static struct registry registry;
static struct pools pools;
static struct conf *conf;
static struct client clients[WAITERS];
static int turns, opened, probed;
static bool refuse_logins;

static void fake_open(struct pool *pool, const struct waiter *waiter)
{
    static const struct pool_failure refused = {.sqlstate = "28P01", .message = "no"};
    struct server *server = memory_new(sizeof(*server));
    extern const struct server_kind fake_kind;

    server_init(server, pool, &fake_kind);
    server->startup = waiter ? waiter->startup : NULL;
    opened++;
    server_move(server, SERVER_LOGIN);
    if (refuse_logins) {
        pool_login_failed(server, &refused);
        return;
    }
    pool_login_worked(server);
    server_ready(server);
}

static void fake_open_unreachable(struct pool *pool, const struct waiter *waiter)
{
    static const struct pool_failure lost = {.sqlstate = "08001", .message = "nobody there"};
    struct server *server = memory_new(sizeof(*server));
    extern const struct server_kind fake_kind;

    server_init(server, pool, &fake_kind);
    opened++;
    pool_login_failed(server, &lost);
}

static void fake_nothing(struct server *server)
{
}

static bool fake_reset(struct server *server)
{
    return false;
}

static struct params *wish(const char *value)
{
    return params_with(&pools.params, params_empty(&pools.params), "geqo", value);
}

static void fake_free(struct server *server)
{
    free(server);
}

static bool fake_probe(struct pool *pool)
{
    probed++;
    return true; /* the test says what comes of it */
}

const struct server_kind fake_kind = {
    .open = fake_open,
    .probe = fake_probe,
    .check = fake_nothing,
    .reset = fake_reset,
    .drain = fake_nothing,
    .free = fake_free,
    .leave = fake_nothing,
    .arrive = fake_nothing,
};

static const struct server_kind probed_kind = {.open = fake_open_unreachable, .probe = fake_probe};

static void client_granted(struct waiter *waiter, struct server *server)
{
    struct client *client = container_of(waiter, struct client, waiter);

    client->server = server;
    client->turn = ++turns;
}

static void client_refused(struct waiter *waiter, const struct pool_failure *failure)
{
    container_of(waiter, struct client, waiter)->failure = failure;
}

static const struct waiter_kind client_waiter = {.granted = client_granted,
                                                 .refused = client_refused};

static void setup(const char *settings)
{
    char path[] = "/tmp/sluice-pool-test.XXXXXX";
    int fd = mkstemp(path);
    struct conf_report report;

    dprintf(fd,
            "[databases]\na = host=x pool_size=3\nb = host=x pool_size=3\n[sluice]\n"
            "log_disconnections=0\n%s\n",
            settings);
    close(fd);
    conf_report_init(&report);
    conf = conf_load(path, &report);
    conf_report_print(&report, stdout);
    conf_report_fini(&report);
    unlink(path);
    ck_assert_ptr_nonnull(conf);
    loop_init(&loop);
    mailbox_init(&mailbox, &loop, NULL);
    registry_init(&registry, 1);
    pools = (struct pools){.loop = &loop, .mailbox = &mailbox, .registry = &registry, .conf = conf};
    registry.workers[0] = &pools;
    pools_init(&pools);
    for (int i = 0; i < WAITERS; i++)
        clients[i].waiter = (struct waiter){.kind = &client_waiter, .priority = 5};
}

static void teardown(void)
{
    pools_close(&pools);
    mailbox_drain(&mailbox);
    pools_fini(&pools);
    mailbox_fini(&mailbox);
    loop_fini(&loop);
    registry_fini(&registry);
    conf_drop(conf);
}

static void settle(void)
{
    while (list_contains_any(&loop.deferred))
        loop_turn(&loop);
}

static void queue(struct pool *pool, int client)
{
    const struct pool_failure *failure = NULL;

    if (!pool_wait(pool, &clients[client].waiter, &failure))
        clients[client].failure = failure;
}

START_TEST(servers_fit_those_they_were_opened_for)
{
    struct params *on, *off;
    struct pool *pool;

    setup("");
    pool = pools_get(&pools, &fake_kind, "a", "u", 0);
    on = wish("on");
    off = wish("off");
    for (int i = 0; i < 5; i++) {
        clients[i].waiter.startup = i % 2 ? off : on;
        queue(pool, i);
    }
    settle();
    ck_assert_int_eq(opened, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_eq(clients[i].server->startup, i % 2 ? off : on);
    /* The first in the queue wants another one: the pool is full, so that one makes room. */
    pool_release(clients[0].server);
    settle();
    ck_assert_int_eq(opened, 4);
    ck_assert_ptr_eq(clients[3].server->startup, off);
    ck_assert_int_eq(clients[4].turn, 0);
    pool_release(clients[2].server);
    settle();
    ck_assert_int_eq(opened, 4);
    ck_assert_ptr_eq(clients[4].server->startup, on);
    pool_release(clients[1].server);
    settle();
    ck_assert_ptr_null(pool_take(pool, on));
    ck_assert_ptr_nonnull(pool_take(pool, off));
    teardown();
}
END_TEST

START_TEST(servers_are_opened_for_who_waits_up_to_the_size)
{
    struct pool *pool;

    setup("");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 5; i++)
        queue(pool, i);
    settle();
    ck_assert_int_eq(opened, 3);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(clients[i].turn, i < 3 ? i + 1 : 0);
    ck_assert_uint_eq(pool->waiting, 2);
    pool_release(clients[1].server);
    settle();
    ck_assert_int_eq(clients[3].turn, 4);
    ck_assert_ptr_null(pool_take(pool, NULL)); /* not before who waits */
    pool_release(clients[0].server);
    settle();
    pool_release(clients[2].server);
    settle();
    ck_assert_uint_eq(pool->waiting, 0);
    ck_assert_ptr_nonnull(pool_take(pool, NULL));
    pool_release(clients[3].server);
    teardown();
}
END_TEST

START_TEST(a_higher_priority_goes_first_and_a_lower_one_rises)
{
    struct pool *pool;
    struct server *held[3];

    setup("");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 3; i++)
        queue(pool, i);
    settle();
    for (int i = 0; i < 3; i++)
        held[i] = clients[i].server;
    clients[3].waiter.priority = 1;
    clients[4].waiter.priority = 9;
    clients[5].waiter.priority = 1;
    queue(pool, 3);
    queue(pool, 4);
    queue(pool, 5);
    /* Client 5 has waited longer than eight levels count for. */
    clients[5].waiter.since_us -= 9 * PRIORITY_STEP_US;
    list_remove(&pool->waiters[1], &clients[5].waiter.node);
    list_push_front(&pool->waiters[1], &clients[5].waiter.node);
    for (int i = 0; i < 3; i++) {
        pool_release(held[i]);
        settle();
    }
    ck_assert_int_eq(clients[5].turn, 4);
    ck_assert_int_eq(clients[4].turn, 5);
    ck_assert_int_eq(clients[3].turn, 6);
    teardown();
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
    struct pool *pool;

    setup("max_waiting = 2");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 3; i++)
        queue(pool, i);
    ck_assert_ptr_nonnull(clients[2].failure);
    ck_assert_str_eq(clients[2].failure->sqlstate, "53300");
    ck_assert_ptr_null(clients[1].failure);
    settle();
    teardown();
}
END_TEST

START_TEST(who_leaves_the_queue_is_not_served)
{
    struct pool *pool;

    setup("");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 5; i++)
        queue(pool, i);
    pool_unwait(pool, &clients[0].waiter);
    pool_unwait(pool, &clients[0].waiter); /* once more does nothing */
    settle();
    ck_assert_int_eq(clients[0].turn, 0);
    ck_assert_int_eq(clients[3].turn, 3);
    pool_unwait(pool, &clients[4].waiter);
    teardown();
}
END_TEST

START_TEST(a_limit_over_pools_evicts_an_idle_server_elsewhere)
{
    struct pool *a, *b;

    setup("max_user_connections = 2");
    a = pools_get(&pools, &fake_kind, "a", "u", false);
    b = pools_get(&pools, &fake_kind, "b", "u", false);
    queue(a, 0);
    queue(a, 1);
    settle();
    ck_assert_int_eq(atomic_load(&a->totals->servers), 2);
    queue(b, 2);
    settle();
    ck_assert_int_eq(clients[2].turn, 0); /* both are in use */
    pool_release(clients[0].server);
    settle();
    mailbox_drain(&mailbox);
    settle();
    ck_assert_ptr_nonnull(clients[2].server);
    ck_assert_int_eq(atomic_load(&a->totals->servers), 1);
    ck_assert_int_eq(atomic_load(&b->totals->servers), 1);
    teardown();
}
END_TEST

START_TEST(failed_logins_are_told_and_back_off)
{
    struct pool *pool;

    setup("server_login_retry = 60");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    refuse_logins = true;
    queue(pool, 0);
    settle();
    ck_assert_str_eq(clients[0].failure->sqlstate, "28P01");
    ck_assert_int_eq(opened, 1);
    queue(pool, 1); /* soon tried again: it waits */
    settle();
    ck_assert_int_eq(opened, 1);
    ck_assert_ptr_null(clients[1].failure);
    pool->retry_at_us = 0; /* the time has come */
    refuse_logins = false;
    pool_stir(pool);
    settle();
    ck_assert_ptr_nonnull(clients[1].server);
    ck_assert_uint_eq(pool->backoff_us, 0);
    teardown();
}
END_TEST

START_TEST(a_long_back_off_refuses_at_once_with_the_servers_words)
{
    struct pool *pool;

    setup("server_login_retry = 60");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    refuse_logins = true;
    for (int i = 0; i < 5; i++) {
        clients[0].failure = NULL;
        queue(pool, 0);
        pool->retry_at_us = 0;
        pool_stir(pool);
        settle();
        ck_assert_ptr_nonnull(clients[0].failure);
    }
    ck_assert_int_eq(opened, 5);
    queue(pool, 1);
    ck_assert_str_eq(clients[1].failure->message, "no");
    ck_assert_int_eq(opened, 5);
    teardown();
}
END_TEST

START_TEST(a_server_that_was_lost_is_probed_while_nobody_waits)
{
    struct pool *pool;
    uint64_t first_us;

    setup("server_login_retry = 10");
    pool = pools_get(&pools, &probed_kind, "a", "u", false);
    queue(pool, 0);
    settle();
    ck_assert_str_eq(clients[0].failure->message, "nobody there");
    ck_assert_int_eq(probed, 0); /* not before the back-off is over */
    first_us = pool->backoff_us;
    pool->retry_at_us = loop_now_us(&loop);
    pool_stir(pool);
    settle();
    ck_assert_int_eq(probed, 1);
    ck_assert_int_eq(atomic_load(&pool->totals->servers), 1); /* it counts */
    pool_probed(pool, false);
    settle();
    ck_assert_int_eq(atomic_load(&pool->totals->servers), 0);
    ck_assert_uint_gt(pool->backoff_us, first_us);
    ck_assert_str_eq(pool->failure.message, "nobody there");
    ck_assert_int_eq(probed, 1);
    pool->retry_at_us = loop_now_us(&loop);
    pool_stir(pool);
    settle();
    ck_assert_int_eq(probed, 2);
    pool_probed(pool, true);
    settle();
    ck_assert_uint_eq(pool->backoff_us, 0);
    ck_assert_int_eq(opened, 1); /* nobody waits, and nothing must be open */
    teardown();
}
END_TEST

START_TEST(the_server_used_last_is_lent_next_or_in_turn)
{
    struct pool *pool;
    struct server *last, *next;

    setup(_i ? "server_round_robin = 1" : "");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 3; i++)
        queue(pool, i);
    settle();
    for (int i = 0; i < 3; i++)
        pool_release(clients[i].server);
    last = clients[2].server;
    next = pool_take(pool, NULL);
    ck_assert_ptr_eq(next, _i ? clients[0].server : last);
    pool_release(next);
    teardown();
}
END_TEST

START_TEST(servers_opened_together_do_not_grow_old_together)
{
    struct pool *pool;

    setup("server_lifetime = 1000\n");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    for (int i = 0; i < 3; i++)
        queue(pool, i);
    settle();
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_le(clients[i].server->lifetime_us, 1000 * US_PER_S);
        ck_assert_uint_ge(clients[i].server->lifetime_us, 900 * US_PER_S);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(clients[i].server->lifetime_us, clients[j].server->lifetime_us);
        pool_release(clients[i].server);
    }
    teardown();
}
END_TEST

START_TEST(legal_moves_are_those_of_a_life)
{
    ck_assert(server_state_may_follow(SERVER_CONNECTING, SERVER_LOGIN));
    ck_assert(server_state_may_follow(SERVER_LEASED, SERVER_DRAINING));
    ck_assert(!server_state_may_follow(SERVER_LOGIN, SERVER_LEASED));
    ck_assert(!server_state_may_follow(SERVER_DRAINING, SERVER_LEASED));
    ck_assert(!server_state_may_follow(SERVER_CHECKING, SERVER_LEASED));
    ck_assert(!server_state_may_follow(SERVER_LEASED, SERVER_MOVING));
    for (int state = 0; state < SERVER_STATE_COUNT; state++) {
        ck_assert(!server_state_may_follow(SERVER_CLOSED, (enum server_state)state));
        if (state != SERVER_CLOSED)
            ck_assert(server_state_may_follow((enum server_state)state, SERVER_CLOSED));
    }
}
END_TEST

START_TEST(an_illegal_move_stops_the_daemon)
{
    struct pool *pool;

    setup("");
    pool = pools_get(&pools, &fake_kind, "a", "u", false);
    queue(pool, 0);
    settle();
    server_move(clients[0].server, SERVER_MOVING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tcase = tcase_create("pool");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, servers_fit_those_they_were_opened_for);
    tcase_add_test(tcase, servers_are_opened_for_who_waits_up_to_the_size);
    tcase_add_test(tcase, a_higher_priority_goes_first_and_a_lower_one_rises);
    tcase_add_test(tcase, a_full_queue_refuses_at_once);
    tcase_add_test(tcase, who_leaves_the_queue_is_not_served);
    tcase_add_test(tcase, a_limit_over_pools_evicts_an_idle_server_elsewhere);
    tcase_add_test(tcase, failed_logins_are_told_and_back_off);
    tcase_add_test(tcase, a_long_back_off_refuses_at_once_with_the_servers_words);
    tcase_add_test(tcase, a_server_that_was_lost_is_probed_while_nobody_waits);
    tcase_add_loop_test(tcase, the_server_used_last_is_lent_next_or_in_turn, 0, 2);
    tcase_add_test(tcase, servers_opened_together_do_not_grow_old_together);
    tcase_add_test(tcase, legal_moves_are_those_of_a_life);
    tcase_add_test_raise_signal(tcase, an_illegal_move_stops_the_daemon, SIGABRT);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

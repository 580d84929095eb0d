/* Which pool a Redis client's commands go to: what of a connection's state tells pools apart, who
 * logs in with what, and what is opened without being asked for. */
#include "sluice/pool/redis_pool.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluice/base/memory.h"
#include "sluice/pool/redis_server.h"

#define WORKERS 4

static struct loop loop;
static struct mailbox mailbox;
static struct registry registry;
static struct pools pools[WORKERS];
static struct conf *conf;

static void setup(void)
{
    char path[] = "/tmp/sluice-redis-pool.XXXXXX";
    int fd = mkstemp(path);
    struct conf_report report;

    dprintf(fd, "[sluice]\nredis_min_pool_size = 0\n[redis]\n"
                "plain = port=1 listen_port=2 db=3 pool_size=1\n"
                "named = port=1 listen_port=3 user=u password=secret\n"
                "old = port=1 listen_port=4 password=secret\n"
                "open = port=1 listen_port=5\n"
                "wide = port=1 listen_port=6 pool_size=100 min_pool_size=1\n");
    close(fd);
    conf_report_init(&report);
    conf = conf_load(path, &report);
    conf_report_print(&report, stdout);
    conf_report_fini(&report);
    unlink(path);
    ck_assert_ptr_nonnull(conf);
    loop_init(&loop);
    mailbox_init(&mailbox, &loop, NULL);
    registry_init(&registry, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        pools[i] = (struct pools){
            .loop = &loop, .mailbox = &mailbox, .registry = &registry, .conf = conf, .worker = i};
        registry.workers[i] = &pools[i];
        pools_init(&pools[i]);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        pools_close(&pools[i]);
    mailbox_drain(&mailbox);
    for (unsigned i = 0; i < WORKERS; i++)
        pools_fini(&pools[i]);
    mailbox_fini(&mailbox);
    loop_fini(&loop);
    registry_fini(&registry);
    conf_drop(conf);
}

static struct pool *pool_of(const char *line, const char *user, uint32_t variant)
{
    return redis_pool_get(&pools[0], line, user, variant);
}

START_TEST(each_state_of_a_connection_is_another_pool)
{
    static const uint32_t dbs[] = {0, 1, 15, REDIS_DB_MAX};
    struct pool *found[4 * 8];
    size_t count = 0;

    for (size_t i = 0; i < sizeof(dbs) / sizeof(dbs[0]); i++)
        for (unsigned bits = 0; bits < 8; bits++) {
            uint32_t variant =
                redis_pool_variant(dbs[i], bits & 1 ? 3 : 2, bits & 2 ? true : false, bits & 4);
            struct pool *pool = pool_of("open", "", variant);

            ck_assert_uint_eq(redis_pool_db(pool), dbs[i]);
            ck_assert_uint_eq(redis_pool_version(pool), bits & 1 ? 3 : 2);
            ck_assert_int_eq(redis_pool_readonly(pool), (bits & 2) != 0);
            ck_assert_int_eq(redis_pool_apart(pool), (bits & 4) != 0);
            ck_assert_ptr_eq(pool, pool_of("open", "", variant));
            found[count++] = pool;
        }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_ne(found[i], found[j]);
    ck_assert_ptr_ne(pool_of("open", "a", redis_pool_variant(0, 2, false, false)),
                     pool_of("open", "b", redis_pool_variant(0, 2, false, false)));
}
END_TEST

START_TEST(all_pools_of_a_line_share_its_limits)
{
    struct pool *one = pool_of("plain", "", redis_pool_variant(0, 2, false, false));
    struct pool *two = pool_of("plain", "u", redis_pool_variant(7, 3, true, false));
    struct pool *apart = pool_of("plain", "", redis_pool_variant(0, 2, false, true));

    ck_assert(pool_slot_take(one, 1));
    ck_assert(!pool_slot_take(two, 1));
    ck_assert(pool_slot_take(apart, 1)); /* blocked clients cannot starve the pool */
    pool_slot_give(one);
    ck_assert(pool_slot_take(two, 1));
    pool_slot_give(two);
    pool_slot_give(apart);
}
END_TEST

START_TEST(the_main_pool_is_the_one_of_a_client_that_says_nothing)
{
    ck_assert(redis_pool_is_main(pool_of("plain", "", redis_pool_variant(3, 2, false, false))));
    ck_assert(!redis_pool_is_main(pool_of("plain", "", redis_pool_variant(0, 2, false, false))));
    ck_assert(!redis_pool_is_main(pool_of("plain", "", redis_pool_variant(3, 3, false, false))));
    ck_assert(!redis_pool_is_main(pool_of("plain", "", redis_pool_variant(3, 2, false, true))));
    ck_assert(!redis_pool_is_main(pool_of("plain", "u", redis_pool_variant(3, 2, false, false))));
    ck_assert(redis_pool_is_main(pool_of("named", "u", redis_pool_variant(0, 2, false, false))));
    ck_assert(
        redis_pool_is_main(pool_of("old", "default", redis_pool_variant(0, 2, false, false))));
}
END_TEST

START_TEST(a_line_logs_in_its_own_user_and_no_other)
{
    uint32_t variant = redis_pool_variant(0, 2, false, false);

    ck_assert_str_eq(redis_line_user(conf_find_redis(conf, "open")), "");
    ck_assert_ptr_null(redis_pool_password(pool_of("open", "", variant)));
    ck_assert_str_eq(redis_pool_password(pool_of("named", "u", variant)), "secret");
    ck_assert_ptr_null(redis_pool_password(pool_of("named", "other", variant)));
    ck_assert_ptr_null(redis_pool_password(pool_of("named", "default", variant)));
    ck_assert_str_eq(redis_pool_password(pool_of("old", "default", variant)), "secret");
}
END_TEST

START_TEST(what_a_client_proved_last_is_what_logs_in)
{
    struct pool *pool = pool_of("named", "other", redis_pool_variant(0, 2, false, false));

    redis_pool_set_password(pool, "first");
    ck_assert_str_eq(redis_pool_password(pool), "first");
    redis_pool_set_password(pool, "second");
    redis_pool_set_password(pool, "second");
    ck_assert_str_eq(redis_pool_password(pool), "second");
    ck_assert_str_eq(redis_pool_password(pool_of("named", "u", pool->totals->variant)), "secret");
}
END_TEST

/* Pools on a worker. */
static size_t pools_on(unsigned worker)
{
    return HASH_COUNT(pools[worker].by_key);
}

START_TEST(what_must_be_open_is_warmed_where_the_pool_is)
{
    for (unsigned i = 0; i < WORKERS; i++)
        redis_pools_warm(&pools[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(pools_on(i), 1); /* `wide`, on all of them; no other line asks for it */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_pool");
    TCase *tcase = tcase_create("redis_pool");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_state_of_a_connection_is_another_pool);
    tcase_add_test(tcase, all_pools_of_a_line_share_its_limits);
    tcase_add_test(tcase, the_main_pool_is_the_one_of_a_client_that_says_nothing);
    tcase_add_test(tcase, a_line_logs_in_its_own_user_and_no_other);
    tcase_add_test(tcase, what_a_client_proved_last_is_what_logs_in);
    tcase_add_test(tcase, what_must_be_open_is_warmed_where_the_pool_is);
    suite_add_tcase(suite, tcase);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What workers share about pools: how many there may be, and what is left of those that go. */
#include "sluice/pool/registry.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"

static struct registry registry;

static void setup(void)
{
    registry_init(&registry, 1);
}

static void teardown(void)
{
    registry_fini(&registry);
}

static struct pool_totals *pool_of(unsigned number)
{
    char name[32];

    snprintf(name, sizeof(name), "made_up_%u", number);
    return registry_pool(&registry, name, "user", 0, 1);
}

START_TEST(there_are_pools_max_pools_and_no_more)
{
    struct pool_totals **pools = memory_new(POOLS_MAX * sizeof(pools[0]));
    size_t labelled = 0;

    for (unsigned i = 0; i < POOLS_MAX; i++) {
        pools[i] = pool_of(i);
        ck_assert_ptr_nonnull(pools[i]);
        labelled += pools[i]->labelled;
    }
    ck_assert_uint_eq(labelled, POOLS_LABELLED_MAX);
    ck_assert_ptr_null(pool_of(POOLS_MAX));
    /* One that is there is had again, and a line of the settings cannot be made up. */
    ck_assert_ptr_eq(pool_of(7), pools[7]);
    registry_pool_drop(&registry, pools[7]);
    registry_pool_drop(&registry, registry_pool(&registry, "line", "", VARIANT_REDIS, 1));
    /* The place of one that goes is another's. */
    registry_pool_drop(&registry, pools[7]);
    pools[7] = pool_of(POOLS_MAX);
    ck_assert_ptr_nonnull(pools[7]);
    ck_assert(pools[7]->labelled);
    for (unsigned i = 0; i < POOLS_MAX; i++)
        registry_pool_drop(&registry, pools[i]);
    free(pools);
}
END_TEST

/* A part that has counted so many queries, each of so many microseconds, comes and goes. */
static void part_lives(struct pool_totals *totals, uint64_t queries, uint64_t us)
{
    struct pool *part = memory_new(sizeof(*part));

    atomic_store(&totals->parts[0], part);
    for (uint64_t i = 0; i < queries; i++) {
        counter_add(&part->counters.query_count, 1);
        latency_add(&part->latencies, LATENCY_query, us);
    }
    registry_part_gone(&registry, totals, 0, &part->counters, &part->latencies);
    latencies_fini(&part->latencies);
    free(part);
}

START_TEST(what_a_part_measured_stays_while_the_pool_does)
{
    struct pool_totals *totals = pool_of(0);
    struct histogram_values values = {0};

    part_lives(totals, 3, 1000);
    part_lives(totals, 2, 5000);
    registry_latency(&registry, totals, LATENCY_query, &values);
    ck_assert_uint_eq(values.count, 5);
    ck_assert_uint_eq(values.sum, 13000);
    ck_assert_uint_eq(values.max, 5000);
    registry_pool_drop(&registry, totals);
}
END_TEST

struct seen {
    unsigned rows;
    uint64_t queries;
};

static void see(void *context, const char *database, struct usage *usage,
                const struct counters_values *values)
{
    struct seen *seen = context;

    seen->rows++;
    seen->queries += values->values[COUNTER_query_count];
}

static uint64_t queries_of_all(void)
{
    struct counters_values values;

    registry_collect(&registry, &values);
    return values.values[COUNTER_query_count];
}

/* Also when nobody ever logged in, which used to hide what they counted. */
START_TEST(a_database_of_the_settings_keeps_what_it_counted)
{
    struct pool_totals *totals = pool_of(0);
    struct seen seen = {0};

    part_lives(totals, 3, 1);
    registry_pool_drop(&registry, totals);
    registry_each_counted(&registry, false, see, &seen);
    ck_assert_uint_eq(seen.rows, 1);
    ck_assert_uint_eq(seen.queries, 3);
    ck_assert_uint_eq(queries_of_all(), 3);
}
END_TEST

START_TEST(a_made_up_database_leaves_nothing_but_its_sum)
{
    for (unsigned i = 0; i < 100; i++) {
        struct pool_totals *totals = pool_of(i);
        struct seen seen = {0};
        struct counters_gone gone;

        atomic_store(&totals->database_usage->registered, true);
        atomic_store(&totals->database_usage->among_others, i % 2 == 1);
        part_lives(totals, 3, 1);
        registry_pool_drop(&registry, totals);
        ck_assert_ptr_null(registry.databases);
        ck_assert_ptr_null(registry.users);
        gone = registry_each_counted(&registry, false, see, &seen);
        ck_assert_uint_eq(seen.rows, 0);
        ck_assert_uint_eq(gone.with_row.values[COUNTER_query_count], 3 * (i / 2 + 1));
        ck_assert_uint_eq(gone.among_others.values[COUNTER_query_count], 3 * ((i + 1) / 2));
        ck_assert_uint_eq(queries_of_all(), 3 * (i + 1));
    }
}
END_TEST

START_TEST(what_the_console_said_of_a_database_is_remembered)
{
    struct usage *usage = registry_database(&registry, "p");

    atomic_store(&usage->disabled, true);
    registry_usage_drop(&registry, usage);
    usage = registry_database(&registry, "p");
    ck_assert(atomic_load(&usage->disabled));
    atomic_store(&usage->disabled, false);
    registry_usage_drop(&registry, usage);
    ck_assert_ptr_null(registry.databases);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tests = tcase_create("registry");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60); /* of many pools under the sanitizers */
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, there_are_pools_max_pools_and_no_more);
    tcase_add_test(tests, what_a_part_measured_stays_while_the_pool_does);
    tcase_add_test(tests, a_database_of_the_settings_keeps_what_it_counted);
    tcase_add_test(tests, a_made_up_database_leaves_nothing_but_its_sum);
    tcase_add_test(tests, what_the_console_said_of_a_database_is_remembered);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A histogram gives back what was put in, less than 1 % off, and adds up. */
#include "sluice/stat/histogram.h"

#include <check.h>
#include <stdlib.h>

START_TEST(every_value_is_read_back_within_a_hundredth)
{
    for (uint64_t value = 0; value <= HISTOGRAM_VALUE_MAX; value += 1 + value / 999) {
        struct histogram one = {0};
        struct histogram_values values = {0};
        uint64_t back;

        histogram_add(&one, value);
        histogram_add(&one, HISTOGRAM_VALUE_MAX);
        histogram_collect(&one, &values);
        back = histogram_quantile(&values, 500);
        ck_assert_uint_le(back > value ? back - value : value - back, value / 100);
        histogram_fini(&one);
    }
}
END_TEST

START_TEST(buckets_rise_with_their_values)
{
    unsigned last = 0;

    for (uint64_t value = 0; value <= HISTOGRAM_VALUE_MAX; value += 1 + value / 4000) {
        unsigned bucket = histogram_bucket(value);

        ck_assert_uint_ge(bucket, last);
        ck_assert_uint_le(bucket - last, 1);
        last = bucket;
    }
    ck_assert_uint_eq(histogram_bucket(HISTOGRAM_VALUE_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(quantiles_of_a_known_set_are_right)
{
    static const uint64_t ends[] = {250000, 500000, UINT64_MAX};
    struct histogram one = {0};
    struct histogram_values values = {0};
    uint64_t counts[3];

    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(&one, i * 1000);
    histogram_collect(&one, &values);
    ck_assert_uint_eq(values.count, 1000);
    ck_assert_uint_eq(values.sum, 500500 * 1000);
    ck_assert_uint_eq(values.max, 1000000);
    ck_assert(llabs((long long)histogram_quantile(&values, 500) - 500000) < 5000);
    ck_assert(llabs((long long)histogram_quantile(&values, 900) - 900000) < 9000);
    ck_assert(llabs((long long)histogram_quantile(&values, 999) - 999000) < 9990);
    ck_assert_uint_le(histogram_quantile(&values, 1000), 1000000);
    histogram_counts_to(&values, ends, counts, 3);
    ck_assert(llabs((long long)counts[0] - 250) <= 3);
    ck_assert(llabs((long long)counts[1] - 500) <= 5);
    ck_assert_uint_eq(counts[2], 1000);
    histogram_fini(&one);
}
END_TEST

START_TEST(an_empty_one_has_no_quantile)
{
    static const uint64_t end = 1000;
    struct histogram_values values = {0};
    uint64_t count = 1;

    ck_assert_uint_eq(histogram_quantile(&values, 990), 0);
    histogram_counts_to(&values, &end, &count, 1);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(what_is_longer_than_the_last_bucket_counts_there)
{
    struct histogram one = {0};
    struct histogram_values values = {0};

    histogram_add(&one, UINT64_MAX / 2);
    histogram_collect(&one, &values);
    ck_assert_uint_eq(values.counts[HISTOGRAM_BUCKETS - 1], 1);
    ck_assert_uint_eq(values.max, UINT64_MAX / 2);
    histogram_fini(&one);
}
END_TEST

START_TEST(several_add_up_and_earlier_ones_are_taken_off)
{
    struct histogram one = {0}, other = {0};
    struct histogram_values before = {0}, now = {0}, change;

    histogram_add(&one, 10);
    histogram_add_times(&other, 5000, 3);
    histogram_collect(&one, &before);
    histogram_collect(&other, &before);
    ck_assert_uint_eq(before.count, 4);
    ck_assert_uint_eq(before.sum, 15010);
    histogram_add(&one, 20);
    histogram_collect(&one, &now);
    histogram_collect(&other, &now);
    histogram_since(&now, &before, &change);
    ck_assert_uint_eq(change.count, 1);
    ck_assert_uint_eq(change.sum, 20);
    ck_assert_uint_eq(histogram_quantile(&change, 500), 20);
    histogram_since(&before, &now, &change);
    ck_assert_uint_eq(change.count, 0);
    histogram_fini(&one);
    histogram_fini(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tcase = tcase_create("histogram");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, every_value_is_read_back_within_a_hundredth);
    tcase_add_test(tcase, buckets_rise_with_their_values);
    tcase_add_test(tcase, quantiles_of_a_known_set_are_right);
    tcase_add_test(tcase, an_empty_one_has_no_quantile);
    tcase_add_test(tcase, what_is_longer_than_the_last_bucket_counts_there);
    tcase_add_test(tcase, several_add_up_and_earlier_ones_are_taken_off);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

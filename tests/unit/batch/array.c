/* That arrays are written as PostgreSQL reads them, and never past the memory given. */
#include "sluice/batch/array.h"

#include <check.h>
#include <string.h>

static uint8_t memory[256];

static const char *text_of(const char *const *values, size_t count)
{
    struct array array;

    array_init(&array, memory, sizeof(memory), false, 0);
    for (size_t i = 0; i < count; i++)
        ck_assert(
            array_add(&array, values[i], values[i] == NULL ? -1 : (int32_t)strlen(values[i])));
    memory[array_finish(&array)] = '\0';
    return (const char *)memory;
}

START_TEST(text_quotes_all_but_null)
{
    const char *values[] = {"1", NULL, "", "NULL", "a,b", "{}", "say \"hi\"", "c:\\d", " x "};

    ck_assert_str_eq(text_of(values, 9),
                     "{\"1\",NULL,\"\",\"NULL\",\"a,b\",\"{}\",\"say \\\"hi\\\"\","
                     "\"c:\\\\d\",\" x \"}");
    ck_assert_str_eq(text_of(values, 0), "{}");
    ck_assert_str_eq(text_of(values + 1, 1), "{NULL}");
}
END_TEST

START_TEST(binary_has_header_lengths_and_nulls)
{
    static const uint8_t expected[] = {0, 0, 0, 1, 0, 0, 0, 1, 0,   0,   0,   17,  0,   0, 0, 3, 0,
                                       0, 0, 1, 0, 0, 0, 2, 0, '{', 255, 255, 255, 255, 0, 0, 0, 0};
    struct array array;

    array_init(&array, memory, sizeof(memory), true, 17);
    ck_assert(array_add(&array, "\0{", 2));
    ck_assert(array_add(&array, NULL, -1));
    ck_assert(array_add(&array, NULL, 0));
    ck_assert_uint_eq(array_finish(&array), sizeof(expected));
    ck_assert_mem_eq(memory, expected, sizeof(expected));
}
END_TEST

START_TEST(binary_without_values_has_no_dimension)
{
    static const uint8_t expected[12] = {[11] = 23};
    struct array array;

    array_init(&array, memory, sizeof(memory), true, 23);
    ck_assert_uint_eq(array_finish(&array), sizeof(expected));
    ck_assert_mem_eq(memory, expected, sizeof(expected));
}
END_TEST

/* With every size of memory: what fits is whole, what does not leaves no trace. */
START_TEST(what_does_not_fit_leaves_no_trace)
{
    static const char *const values[] = {"\"\\\"", NULL, "abc", "", "\\\\\\\\\\\\"};
    uint8_t whole[256];

    for (size_t size = ARRAY_BYTES_MIN; size < 80; size++) {
        struct array array, only_fitting;

        memset(memory, 0xee, sizeof(memory));
        array_init(&array, memory, size, _i != 0, 25);
        array_init(&only_fitting, whole, sizeof(whole), _i != 0, 25);
        for (int i = 0; i < 15; i++) {
            const char *value = values[i % 5];
            int32_t bytes = value == NULL ? -1 : (int32_t)strlen(value);

            if (array_add(&array, value, bytes))
                ck_assert(array_add(&only_fitting, value, bytes));
        }
        ck_assert_uint_eq(array_finish(&array), array_finish(&only_fitting));
        ck_assert_uint_le(array.used, size);
        ck_assert_mem_eq(memory, whole, array.used);
        for (size_t i = size; i < sizeof(memory); i++)
            ck_assert_uint_eq(memory[i], 0xee);
    }
}
END_TEST

START_TEST(the_bound_is_enough)
{
    static const char *const values[] = {NULL, "", "\"\"\"\"\"\"\"\"", "\\"};

    for (size_t kind = 0; kind < 4; kind++) {
        size_t length = values[kind] == NULL ? 0 : strlen(values[kind]);

        for (size_t count = 0; count < 12; count++) {
            struct array array;

            ck_assert_uint_le(array_bytes_max(count, count * length), sizeof(memory));
            array_init(&array, memory, array_bytes_max(count, count * length), _i != 0, 25);
            for (size_t i = 0; i < count; i++)
                ck_assert(array_add(&array, values[kind], values[kind] ? (int32_t)length : -1));
            array_finish(&array);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("array");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_test(all, text_quotes_all_but_null);
    tcase_add_test(all, binary_has_header_lengths_and_nulls);
    tcase_add_test(all, binary_without_values_has_no_dimension);
    tcase_add_loop_test(all, what_does_not_fit_leaves_no_trace, 0, 2);
    tcase_add_loop_test(all, the_bound_is_enough, 0, 2);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

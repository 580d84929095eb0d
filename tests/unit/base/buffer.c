/* A buffer gives out the bytes that were put in, in order; it has memory only while it holds some,
 * and gets it from the cache. */
#include "sluice/base/buffer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 31 + position / 256);
}

START_TEST(bytes_come_out_as_they_went_in)
{
    struct buffer_cache cache = {0};
    struct buffer buffer = {0};
    size_t in = 0, out = 0, wrong = 0;
    uint32_t state = 7;

    for (int round = 0; round < 3000; round++) {
        uint8_t chunk[3000];
        size_t length = (state = state * 1664525 + 1013904223) % sizeof(chunk);

        for (size_t i = 0; i < length; i++)
            chunk[i] = byte_at(in++);
        buffer_append(&buffer, &cache, chunk, length);
        length = (state = state * 1664525 + 1013904223) % (buffer_length(&buffer) + 1);
        for (size_t i = 0; i < length; i++)
            wrong += buffer_bytes(&buffer)[i] != byte_at(out++);
        buffer_consume(&buffer, &cache, length);
        ck_assert_uint_eq(wrong, 0);
        ck_assert_uint_eq(buffer_length(&buffer), in - out);
    }
    buffer_clear(&buffer, &cache);
    buffer_cache_fini(&cache);
}
END_TEST

START_TEST(an_empty_buffer_has_no_memory)
{
    struct buffer_cache cache = {0};
    struct buffer buffer = {0};

    buffer_append(&buffer, &cache, "four", 4);
    ck_assert_ptr_nonnull(buffer.data);
    buffer_consume(&buffer, &cache, 3);
    ck_assert_ptr_nonnull(buffer.data);
    buffer_consume(&buffer, &cache, 1);
    ck_assert_ptr_null(buffer.data);
    buffer_append(&buffer, &cache, "", 0);
    ck_assert_ptr_null(buffer.data);
    buffer_cache_fini(&cache);
}
END_TEST

START_TEST(a_block_given_back_is_used_again)
{
    struct buffer_cache cache = {0};
    struct buffer buffer = {0};
    uint8_t *block;

    buffer_append(&buffer, &cache, "x", 1);
    block = buffer.data;
    buffer_clear(&buffer, &cache);
    buffer_append(&buffer, &cache, "y", 1);
    ck_assert_ptr_eq(buffer.data, block);
    buffer_clear(&buffer, &cache);
    buffer_cache_fini(&cache);
}
END_TEST

START_TEST(the_cache_keeps_only_so_much)
{
    struct buffer_cache cache = {0};
    static struct buffer buffers[3000];
    static const uint8_t bytes[1024];

    for (size_t i = 0; i < 3000; i++)
        buffer_append(&buffers[i], &cache, bytes, sizeof(bytes));
    for (size_t i = 0; i < 3000; i++)
        buffer_clear(&buffers[i], &cache);
    ck_assert_uint_le(cache.counts[0], 1024);
    buffer_cache_fini(&cache);
    ck_assert_uint_eq(cache.counts[0], 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *tcase = tcase_create("buffer");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, bytes_come_out_as_they_went_in);
    tcase_add_test(tcase, an_empty_buffer_has_no_memory);
    tcase_add_test(tcase, a_block_given_back_is_used_again);
    tcase_add_test(tcase, the_cache_keeps_only_so_much);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Reading and writing PostgreSQL's messages: what is written is read back, and no message, however
 * cut or made up, is read past its end. */
#include "sluice/wire/pg.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(what_is_written_is_read_back)
{
    uint8_t bytes[256];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    struct pg_reader reader;

    pg_begin(&writer, 'x');
    pg_write_u8(&writer, 7);
    pg_write_u16(&writer, 0xabcd);
    pg_write_u32(&writer, 0xdeadbeef);
    pg_write_text(&writer, "name");
    pg_write_text(&writer, "");
    pg_write_bytes(&writer, "raw", 3);
    pg_end(&writer);
    ck_assert(!writer.failed);
    ck_assert_uint_eq(bytes[0], 'x');
    ck_assert_uint_eq(pg_u32(bytes + 1), writer.length - 1);
    reader = pg_reader_of(bytes + 5, writer.length - 5);
    ck_assert_uint_eq(pg_read_u8(&reader), 7);
    ck_assert_uint_eq(pg_read_u16(&reader), 0xabcd);
    ck_assert_uint_eq(pg_read_u32(&reader), 0xdeadbeef);
    ck_assert_str_eq(pg_read_text(&reader), "name");
    ck_assert_str_eq(pg_read_text(&reader), "");
    ck_assert_int_eq(memcmp(pg_read_bytes(&reader, 3), "raw", 3), 0);
    ck_assert(!reader.failed && pg_reader_left(&reader) == 0);
}
END_TEST

START_TEST(a_reader_never_goes_past_its_end)
{
    static const uint8_t bytes[] = {0, 0, 0};
    struct pg_reader reader = pg_reader_of(bytes, 3);

    ck_assert_uint_eq(pg_read_u32(&reader), 0);
    ck_assert(reader.failed);
    ck_assert_uint_eq(pg_read_u8(&reader), 0); /* stays failed */
    reader = pg_reader_of(bytes, 3);
    ck_assert_ptr_null(pg_read_bytes(&reader, SIZE_MAX));
    ck_assert(reader.failed);
    reader = pg_reader_of((const uint8_t *)"abc", 3); /* no NUL */
    ck_assert_str_eq(pg_read_text(&reader), "");
    ck_assert(reader.failed);
    reader = pg_reader_of(bytes, 0);
    ck_assert_str_eq(pg_read_text(&reader), "");
    ck_assert(reader.failed);
}
END_TEST

START_TEST(what_does_not_fit_is_not_written)
{
    for (size_t size = 0; size < 24; size++) {
        uint8_t *bytes = malloc(size + 1);
        struct pg_writer writer = pg_writer_of(bytes, size);

        pg_begin(&writer, 'Q');
        pg_write_text(&writer, "a query of 22b");
        pg_end(&writer);
        ck_assert(writer.failed == (size < 20));
        ck_assert_uint_le(writer.length, size);
        free(bytes);
    }
}
END_TEST

START_TEST(an_error_always_arrives_cut_if_need_be)
{
    char text[4000];
    uint8_t bytes[300];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    struct pg_error error;

    memset(text, 'm', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pg_write_error(&writer, PG_ERROR, "FATAL", "53300", text, "detail", "hint");
    ck_assert(!writer.failed);
    ck_assert_uint_eq(pg_u32(bytes + 1), writer.length - 1);
    ck_assert(pg_error_parse(bytes + 5, writer.length - 5, &error));
    ck_assert_str_eq(error.severity, "FATAL");
    ck_assert_str_eq(error.sqlstate, "53300");
    ck_assert_uint_gt(strlen(error.message), 200);
}
END_TEST

START_TEST(error_fields_are_found_in_any_order_and_none_is_required)
{
    static const uint8_t fields[] = "Hhint\0Mtext\0C42P01\0SERREUR\0VERROR\0Ddetail\0Zunknown\0";
    struct pg_error error;

    ck_assert(pg_error_parse(fields, sizeof(fields), &error));
    ck_assert_str_eq(error.severity, "ERROR"); /* the one that is not translated */
    ck_assert_str_eq(error.sqlstate, "42P01");
    ck_assert_str_eq(error.message, "text");
    ck_assert_str_eq(error.detail, "detail");
    ck_assert_str_eq(error.hint, "hint");
    ck_assert(pg_error_parse((const uint8_t *)"", 1, &error));
    ck_assert_str_eq(error.sqlstate, "");
}
END_TEST

START_TEST(an_error_cut_anywhere_is_refused)
{
    static const uint8_t fields[] = "SERROR\0C42P01\0Mtext\0";
    struct pg_error error;

    for (size_t length = 0; length < sizeof(fields); length++) {
        uint8_t *cut = malloc(length + 1);

        memcpy(cut, fields, length);
        ck_assert(!pg_error_parse(cut, length, &error));
        ck_assert_ptr_nonnull(error.message);
        free(cut);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg");
    TCase *tcase = tcase_create("pg");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, what_is_written_is_read_back);
    tcase_add_test(tcase, a_reader_never_goes_past_its_end);
    tcase_add_test(tcase, what_does_not_fit_is_not_written);
    tcase_add_test(tcase, an_error_always_arrives_cut_if_need_be);
    tcase_add_test(tcase, error_fields_are_found_in_any_order_and_none_is_required);
    tcase_add_test(tcase, an_error_cut_anywhere_is_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

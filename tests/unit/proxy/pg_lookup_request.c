/* Which requests can be lookups, by their messages alone. */
#include "../../../src/proxy/pg_lookup_request.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/pg.h"

static uint8_t bytes[4096];
static struct pg_writer writer;
static struct lookup_request request;

static void parse(const char *name, const char *text, unsigned types)
{
    pg_begin(&writer, PG_PARSE);
    pg_write_text(&writer, name);
    pg_write_text(&writer, text);
    pg_write_u16(&writer, (uint16_t)types);
    for (unsigned i = 0; i < types; i++)
        pg_write_u32(&writer, 23);
    pg_end(&writer);
}

static void describe(uint8_t kind, const char *name)
{
    pg_begin(&writer, PG_DESCRIBE);
    pg_write_u8(&writer, kind);
    pg_write_text(&writer, name);
    pg_end(&writer);
}

/* Two parameters, of which the second is NULL; formats as given. */
static void bind(const char *portal, const char *name, unsigned formats, unsigned format)
{
    pg_begin(&writer, PG_BIND);
    pg_write_text(&writer, portal);
    pg_write_text(&writer, name);
    pg_write_u16(&writer, (uint16_t)formats);
    for (unsigned i = 0; i < formats; i++)
        pg_write_u16(&writer, (uint16_t)format);
    pg_write_u16(&writer, 2);
    pg_write_u32(&writer, 3);
    pg_write_bytes(&writer, "key", 3);
    pg_write_u32(&writer, UINT32_MAX);
    pg_write_u16(&writer, 1);
    pg_write_u16(&writer, 1);
    pg_end(&writer);
}

static void execute(const char *portal, uint32_t rows)
{
    pg_begin(&writer, PG_EXECUTE);
    pg_write_text(&writer, portal);
    pg_write_u32(&writer, rows);
    pg_end(&writer);
}

static void empty(uint8_t type)
{
    pg_begin(&writer, type);
    pg_end(&writer);
}

static void begin(void)
{
    writer = pg_writer_of(bytes, sizeof(bytes));
}

/* From a copy that ends where it ends, so that a sanitizer sees a byte too many. */
static bool read_bytes(size_t length)
{
    static uint8_t *copy;

    free(copy);
    copy = malloc(length ? length : 1);
    memcpy(copy, bytes, length);
    return lookup_request_read(&request, copy, length);
}

static bool read_all(void)
{
    ck_assert(!writer.failed);
    return read_bytes(writer.length);
}

START_TEST(an_unnamed_statement_is_found_with_all_that_belongs_to_it)
{
    begin();
    parse("", "SELECT 1", 1);
    describe('S', "");
    bind("", "", 2, 1);
    describe('P', "");
    execute("", 0);
    empty(PG_SYNC);
    ck_assert(read_all());
    ck_assert(!request.simple && request.describes_statement && request.describes_portal);
    ck_assert_str_eq((const char *)request.statement, "SELECT 1");
    ck_assert_uint_eq(request.statement_bytes, 9 + 2 + 4);
    ck_assert_uint_eq(request.params, 2);
    ck_assert_uint_eq(request.param_formats_count, 2);
    ck_assert_uint_eq(pg_u16(request.param_formats + 2), 1);
    ck_assert_uint_eq(request.values_bytes, 4 + 3 + 4);
    ck_assert_mem_eq(request.values + 4, "key", 3);
    ck_assert_uint_eq(request.result_formats_count, 1);
    ck_assert_uint_eq(request.bytes, writer.length);
    ck_assert_ptr_eq(request.bind + 2 + 2 + 4 + 2, request.values);
}
END_TEST

START_TEST(a_named_statement_needs_no_parse)
{
    begin();
    bind("", "mine", 0, 0);
    execute("", 0);
    empty(PG_SYNC);
    ck_assert(read_all());
    ck_assert_ptr_null(request.statement);
    ck_assert_str_eq(request.name, "mine");
    begin();
    describe('S', "mine");
    bind("", "mine", 1, 1);
    execute("", 0);
    empty(PG_SYNC);
    ck_assert(read_all() && request.describes_statement);
}
END_TEST

/* Each is one thing away from a lookup. */
static void put_bad(int which)
{
    begin();
    if (which == 0)
        parse("named", "SELECT 1", 0);
    else if (which != 1)
        parse("", "SELECT 1", 0);
    if (which == 2)
        describe('S', "other");
    if (which == 3)
        describe('P', "");
    bind(which == 4 ? "portal" : "", which == 5 ? "other" : "", which == 6 ? 3 : 0, 0);
    if (which == 7)
        describe('P', "other");
    if (which == 8)
        describe('S', "");
    execute(which == 9 ? "portal" : "", which == 10);
    if (which == 11)
        execute("", 0);
    if (which == 12)
        empty(PG_FLUSH);
    if (which != 13)
        empty(PG_SYNC);
    if (which == 14)
        empty(PG_SYNC);
    if (which == 15)
        bytes[writer.length - 1] = 3; /* a length that is less than that of a length */
}

START_TEST(anything_else_is_none)
{
    put_bad(_i);
    ck_assert_msg(!read_all(), "%d", _i);
}
END_TEST

START_TEST(formats_are_those_that_there_are)
{
    begin();
    bind("", "mine", 1, 2);
    execute("", 0);
    empty(PG_SYNC);
    ck_assert(!read_all());
}
END_TEST

static void put_good(void)
{
    begin();
    parse("", "SELECT 1", 1);
    bind("", "", 1, 0);
    execute("", 0);
    empty(PG_SYNC);
}

START_TEST(every_piece_of_a_lookup_is_none)
{
    put_good();
    ck_assert(read_all());
    for (size_t length = 0; length < writer.length; length++)
        ck_assert(!read_bytes(length));
}
END_TEST

/* Nothing is read beyond the end, whatever a byte says. */
START_TEST(no_byte_leads_beyond_the_end)
{
    size_t length;

    put_good();
    length = writer.length;
    for (size_t at = 0; at < length; at++)
        for (unsigned value = 0; value < 256; value += value < 8 || value > 247 ? 1 : 15) {
            put_good();
            bytes[at] = (uint8_t)value;
            if (read_bytes(length)) {
                ck_assert_uint_le(request.values_bytes, length);
                ck_assert_uint_eq(request.bytes, length);
            }
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_lookup_request");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_test(all, an_unnamed_statement_is_found_with_all_that_belongs_to_it);
    tcase_add_test(all, a_named_statement_needs_no_parse);
    tcase_add_loop_test(all, anything_else_is_none, 0, 16);
    tcase_add_test(all, formats_are_those_that_there_are);
    tcase_add_test(all, every_piece_of_a_lookup_is_none);
    tcase_add_test(all, no_byte_leads_beyond_the_end);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

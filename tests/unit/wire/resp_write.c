/* Replies that we make ourselves. */
#include "sluice/wire/resp_write.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/resp.h"

static void simple(struct resp_writer *writer)
{
    resp_write_simple(writer, "OK");
}

static void simple_of_two_lines(struct resp_writer *writer)
{
    resp_write_simple(writer, "a\r\n-ERR b");
}

static void error(struct resp_writer *writer)
{
    resp_write_error(writer, RESP_ERROR_ARITY, "get", NULL);
}

static void error_of_two(struct resp_writer *writer)
{
    resp_write_error(writer, RESP_ERROR_UNKNOWN_SUBCOMMAND, "FO%s\r\nO", "CLIENT");
}

static void error_line(struct resp_writer *writer)
{
    resp_write_error_line(writer, "LOADING x\ny+", 11);
}

static void integers(struct resp_writer *writer)
{
    resp_write_integer(writer, 0);
    resp_write_integer(writer, -1);
    resp_write_integer(writer, INT64_MAX);
    resp_write_integer(writer, INT64_MIN);
}

static void bulks(struct resp_writer *writer)
{
    resp_write_bulk(writer, "a\0\r\nb", 5);
    resp_write_bulk(writer, NULL, 0);
    resp_write_text(writer, "0123456789");
}

static void verbatim(struct resp_writer *writer)
{
    resp_write_verbatim(writer, "id=1\n", 5);
}

static void nulls(struct resp_writer *writer)
{
    resp_write_null(writer);
    resp_write_null_array(writer);
}

static void aggregates(struct resp_writer *writer)
{
    resp_write_array(writer, 0);
    resp_write_map(writer, 1);
    resp_write_text(writer, "proto");
    resp_write_integer(writer, writer->version);
    resp_write_set(writer, 1);
    resp_write_simple(writer, "x");
    resp_write_push(writer, 2);
    resp_write_text(writer, "pong");
    resp_write_text(writer, "");
}

static const struct {
    void (*write)(struct resp_writer *writer);
    const char *resp2, *resp3; /* NULL: as resp2 */
    size_t size;               /* 0: strlen */
} rows[] = {
    {simple, "+OK\r\n", NULL, 0},
    {simple_of_two_lines, "+a  -ERR b\r\n", NULL, 0},
    {error, "-ERR wrong number of arguments for 'get' command\r\n", NULL, 0},
    {error_of_two, "-ERR unknown subcommand 'FO%s  O'. Try CLIENT HELP.\r\n", NULL, 0},
    {error_line, "-LOADING x y\r\n", NULL, 0},
    {integers, ":0\r\n:-1\r\n:9223372036854775807\r\n:-9223372036854775808\r\n", NULL, 0},
    {bulks, "$5\r\na\0\r\nb\r\n$0\r\n\r\n$10\r\n0123456789\r\n", NULL, 34},
    {verbatim, "$5\r\nid=1\n\r\n", "=9\r\ntxt:id=1\n\r\n", 0},
    {nulls, "$-1\r\n*-1\r\n", "_\r\n_\r\n", 0},
    {aggregates, "*0\r\n*2\r\n$5\r\nproto\r\n:2\r\n*1\r\n+x\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
     "*0\r\n%1\r\n$5\r\nproto\r\n:3\r\n~1\r\n+x\r\n>2\r\n$4\r\npong\r\n$0\r\n\r\n", 0},
};

START_TEST(each_reply_is_redis_own_and_stays_in_its_room)
{
    for (uint8_t version = 2; version <= 3; version++) {
        const char *want = version == 3 && rows[_i].resp3 ? rows[_i].resp3 : rows[_i].resp2;
        size_t size = rows[_i].size ? rows[_i].size : strlen(want);

        for (size_t room = 0; room <= size; room++) {
            uint8_t *bytes = malloc(room + 1);
            struct resp_writer writer = resp_writer_of(bytes, room, version);

            rows[_i].write(&writer);
            ck_assert(writer.failed == (room < size));
            ck_assert_uint_le(writer.length, room);
            ck_assert_mem_eq(bytes, want, writer.length);
            ck_assert(writer.failed || writer.length == size);
            free(bytes);
        }
    }
}
END_TEST

/* Whatever a client put into a name: one error reply of at most one line. */
START_TEST(each_error_is_one_reply)
{
    const char *text = resp_error_text((enum resp_error)_i);
    char subject[300], bytes[1000];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 3);
    struct resp_reply_parser parser;
    size_t size;

    for (size_t i = 0; i < sizeof(subject); i++)
        subject[i] = "\r\nx"[i % 3];
    subject[sizeof(subject) - 1] = '\0';
    resp_write_error(&writer, (enum resp_error)_i, subject, subject);
    ck_assert(!writer.failed);
    resp_reply_parser_init(&parser);
    ck_assert_int_eq(resp_reply_feed(&parser, (const uint8_t *)bytes, writer.length, &size),
                     RESP_REPLY_WHOLE);
    ck_assert_uint_eq(size, writer.length);
    ck_assert(resp_reply_failed(&parser));
    ck_assert(strncmp(parser.code, text, strlen(parser.code)) == 0);
    ck_assert(text[strlen(parser.code)] == ' ');
    for (const char *at = parser.code; *at; at++)
        ck_assert(isupper((unsigned char)*at));
}
END_TEST

START_TEST(long_names_are_cut)
{
    char name[200], want[300], bytes[400];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    memset(name, 'n', sizeof(name));
    name[199] = '\0';
    snprintf(want, sizeof(want),
             "-ERR unknown command '%.128s', with args beginning with: 'a' \r\n", name);
    resp_write_error(&writer, RESP_ERROR_UNKNOWN_COMMAND, name, "'a' ");
    ck_assert_uint_eq(writer.length, strlen(want));
    ck_assert_mem_eq(bytes, want, strlen(want));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resp_write");
    TCase *tcase = tcase_create("resp_write");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, each_reply_is_redis_own_and_stays_in_its_room, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_loop_test(tcase, each_error_is_one_reply, 1, RESP_ERRORS);
    tcase_add_test(tcase, long_names_are_cut);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

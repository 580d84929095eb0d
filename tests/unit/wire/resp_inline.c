/* Lines of words, as redis-server 7.0.15 took them apart (seen through ECHO). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/resp.h"

static const struct {
    const char *line;
    const char *encoded;
} rows[] = {
    {"PING\r\n", "*1\r\n$4\r\nPING\r\n"},
    {" \t\v\fget  key \r\n", "*2\r\n$3\r\nget\r\n$3\r\nkey\r\n"},
    {"ECHO \"a b\\x41\\n\\q\\\\\"\n", "*2\r\n$4\r\nECHO\r\n$7\r\na bA\nq\\\r\n"},
    {"ECHO \"\\r\\t\\b\\a\\\"\"\n", "*2\r\n$4\r\nECHO\r\n$5\r\n\r\t\b\a\"\r\n"},
    {"ECHO 'a\\'b\\n'\n", "*2\r\n$4\r\nECHO\r\n$5\r\na'b\\n\r\n"},
    {"ECHO a\"b c\"\n", "*2\r\n$4\r\nECHO\r\n$4\r\nab c\r\n"},
    {"ECHO \"\"\n", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"},
    {"'' \"\" x\n", "*3\r\n$0\r\n\r\n$0\r\n\r\n$1\r\nx\r\n"},
    {"ECHO a\\x41b\n", "*2\r\n$4\r\nECHO\r\n$6\r\na\\x41b\r\n"},
    {"ECHO \"\\x4\"\n", "*2\r\n$4\r\nECHO\r\n$2\r\nx4\r\n"},
    {"ECHO \"\\xZZ\"\n", "*2\r\n$4\r\nECHO\r\n$3\r\nxZZ\r\n"},
    {"ECHO \"\\xaF\\xFa\"\n", "*2\r\n$4\r\nECHO\r\n$2\r\n\xaf\xfa\r\n"},
    {"ECHO a\rb\n", "*3\r\n$4\r\nECHO\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {"ECHO \xa0x\x01\n", "*2\r\n$4\r\nECHO\r\n$3\r\n\xa0x\x01\r\n"},
    {"a\vb\n", "*1\r\n$3\r\na\vb\r\n"},
    {"\"a\"\v\"b\"\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
};

START_TEST(words_are_redis_words)
{
    const char *line = rows[_i].line, *encoded = rows[_i].encoded;
    struct resp_request_parser parser;
    struct resp_request request;
    uint8_t to[200];
    size_t size = strlen(encoded);

    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)line, strlen(line), &request),
                     RESP_REQUEST_INLINE);
    ck_assert_uint_eq(request.bytes, strlen(line));
    ck_assert_uint_eq(resp_inline_encode((const uint8_t *)line, strlen(line), to, sizeof(to)),
                      size);
    ck_assert_mem_eq(to, encoded, size);
    for (size_t room = 0; room < size; room++) {
        uint8_t *small = malloc(room + 1);

        ck_assert_uint_eq(resp_inline_encode((const uint8_t *)line, strlen(line), small, room), 0);
        free(small);
    }
}
END_TEST

START_TEST(escaped_nul_makes_binary_words)
{
    static const char line[] = "\"PO\\x00ST\" a\n", encoded[] = "*2\r\n$5\r\nPO\0ST\r\n$1\r\na\r\n";
    uint8_t to[100];

    ck_assert_uint_eq(resp_inline_encode((const uint8_t *)line, strlen(line), to, sizeof(to)),
                      sizeof(encoded) - 1);
    ck_assert_mem_eq(to, encoded, sizeof(encoded) - 1);
}
END_TEST

/* The lines that grow most. */
START_TEST(the_longest_lines_fit_encoded)
{
    static const char *const parts[] = {"a ", "\"\" ", "'' ", "a\t"};
    uint8_t *line = malloc(RESP_HOLD_BYTES), *to = malloc(RESP_INLINE_ENCODED_MAX);
    struct resp_request_parser parser;
    struct resp_request request;
    size_t size;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (size_t at = 0; at < RESP_HOLD_BYTES; at++)
            line[at] = (uint8_t)parts[i][at % strlen(parts[i])];
        line[RESP_HOLD_BYTES - 1] = '\n';
        line[RESP_HOLD_BYTES - 2] = line[RESP_HOLD_BYTES - 3] = line[RESP_HOLD_BYTES - 4] = ' ';
        resp_request_parser_init(&parser, false);
        ck_assert_int_eq(resp_request_next(&parser, line, RESP_HOLD_BYTES, &request),
                         RESP_REQUEST_INLINE);
        size = resp_inline_encode(line, RESP_HOLD_BYTES, to, RESP_INLINE_ENCODED_MAX);
        ck_assert_uint_gt(size, RESP_HOLD_BYTES);
        ck_assert_int_eq(resp_request_next(&parser, to, size, &request), RESP_REQUEST_WHOLE);
        ck_assert_uint_eq(request.bytes, size);
    }
    free(line);
    free(to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resp_inline");
    TCase *tcase = tcase_create("resp_inline");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, words_are_redis_words, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, escaped_nul_makes_binary_words);
    tcase_add_test(tcase, the_longest_lines_fit_encoded);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

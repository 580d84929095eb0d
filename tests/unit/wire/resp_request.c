/* Requests, as redis-server 7.0.15 answered the same bytes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/resp.h"
#include "sluice/wire/resp_write.h"

#define PING "*1\r\n$4\r\nPING\r\n"

/* What a stream says: a letter for each verdict, then the error's text. */
struct row {
    const char *stream;
    size_t size;
    const char *verdicts;
    const char *error;
    bool limited;
};

#define SAYS(text, letters, ...)                                                   \
    {                                                                              \
        .stream = text, .size = sizeof(text) - 1, .verdicts = letters, __VA_ARGS__ \
    }
#define FAILS(text, letters, reason, ...) \
    SAYS(text, letters, .error = "ERR Protocol error: " reason, __VA_ARGS__)

static const struct row rows[] = {
    SAYS(PING, "W"),
    SAYS(PING "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" PING, "WWW"),
    SAYS("*3\r\n$0\r\n\r\n$1\r\na\r\n$0\r\n\r\n", "W"),
    SAYS("*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n"
         "$1\r\n7\r\n$1\r\n8\r\n$12\r\n012345678901\r\n" PING,
         "WW"),
    /* Frames that say nothing. */
    SAYS("*0\r\n" PING, "EW"),
    SAYS("*-10\r\nPING\r\n", "EI"),
    SAYS("*-9223372036854775808\r\n" PING, "EW"),
    SAYS("\r\n\n  \t\v\f\r\n" PING, "EEEW"),
    /* Terminators that Redis does not look at. */
    SAYS("*1\rX$4\r\nPING\r\n" PING, "oW"),
    SAYS("*1\r\n$4\rXPINGxy" PING, "oW"),
    SAYS("*1\r\n$4\r\nPING\rx" PING, "oW"),
    /* Lines. */
    SAYS("PING\n" PING, "IW"),
    SAYS("PING\r\r\n  PING  \r\n", "II"),
    SAYS("\t\v\fPING\r\n", "I"),
    SAYS("\"PING\"\r\n'PING'\n", "II"),
    SAYS("$4\r\n" PING, "IW"),
    SAYS("ECHO a\"b c\"\n", "I"),
    FAILS("ECHO \"a\"b\n", "B", "unbalanced quotes in request"),
    FAILS("ECHO \"a\n", "B", "unbalanced quotes in request"),
    FAILS("PING\nECHO 'a\r\n", "IB", "unbalanced quotes in request"),
    FAILS("ECHO a\"b\"c\n", "B", "unbalanced quotes in request"),
    FAILS("ECHO \"a\\\n", "B", "unbalanced quotes in request"),
    /* A NUL hides the rest of its line. */
    SAYS("PI\0NG\r\n" PING, ""),
    SAYS("*1\0\r\n$4\r\nPING\r\n", ""),
    SAYS("*1\r\n$4\0\r\nPING\r\n", ""),
    /* HTTP. */
    SAYS("POST / HTTP/1.1\r\n" PING, "H"),
    SAYS("GET / HTTP/1.1\r\nHost: x\r\n", "IH"),
    SAYS("*1\r\n$4\r\npOsT\r\n", "H"),
    SAYS("*1\r\n$5\r\nhost:\r\n", "H"),
    SAYS("*1\r\n$6\r\nPOST\0x\r\n", "H"),
    SAYS("*1\r\n$5\r\nPOSTx\r\n*1\r\n$3\r\nPOS\r\nHost:x\n", "WWI"),
    /* Counts. */
    FAILS("*-0\r\n", "B", "invalid multibulk length"),
    FAILS("*01\r\n", "B", "invalid multibulk length"),
    FAILS("*+1\r\n", "B", "invalid multibulk length"),
    FAILS("* 1\r\n", "B", "invalid multibulk length"),
    FAILS("*1 \r\n", "B", "invalid multibulk length"),
    FAILS("*\r\n", "B", "invalid multibulk length"),
    FAILS("*-\r\n", "B", "invalid multibulk length"),
    FAILS("*1x\r\n", "B", "invalid multibulk length"),
    SAYS("*2147483647\r\n", ""),
    FAILS("*2147483648\r\n", "B", "invalid multibulk length"),
    FAILS("*4294967297\r\n", "B", "invalid multibulk length"),
    FAILS("*9223372036854775807\r\n", "B", "invalid multibulk length"),
    FAILS("*9223372036854775808\r\n", "B", "invalid multibulk length"),
    FAILS("*18446744073709551617\r\n", "B", "invalid multibulk length"),
    FAILS("*-9223372036854775809\r\n", "B", "invalid multibulk length"),
    FAILS("*100000000000000000000000000001\r\n", "B", "invalid multibulk length"),
    /* Lengths. */
    FAILS("*1\r\n:4\r\n", "B", "expected '$', got ':'"),
    FAILS("*1\r\n\r\n", "B", "expected '$', got ' '"),
    FAILS("*1\r\n\n\r\n", "B", "expected '$', got ' '"),
    SAYS("*1\r\n\n", ""),
    SAYS("*1\r\nX", ""),
    FAILS(PING "*2\r\n$4\r\nPING\r\n*3\r\n", "WB", "expected '$', got '*'"),
    FAILS("*1\r\n$-1\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$04\r\nPING\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$+4\r\nPING\r\n", "B", "invalid bulk length"),
    SAYS("*1\r\n$536870912\r\n", "L"),
    FAILS("*1\r\n$536870913\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$999999999\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$2147483647\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$4294967300\r\nPING\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$9223372036854775807\r\n", "B", "invalid bulk length"),
    FAILS("*1\r\n$18446744073709551620\r\nPING\r\n", "B", "invalid bulk length"),
    /* Before the client has logged in. */
    SAYS("*10\r\n$1\r\n", "", .limited = true),
    FAILS("*11\r\n", "B", "unauthenticated multibulk length", .limited = true),
    SAYS("*-11\r\n" PING, "EW", .limited = true),
    SAYS("*1\r\n$16384\r\n", "", .limited = true),
    FAILS("*1\r\n$16385\r\n", "B", "unauthenticated bulk length", .limited = true),
    FAILS("*2147483648\r\n", "B", "invalid multibulk length", .limited = true),
    FAILS("*1\r\n$536870913\r\n", "B", "invalid bulk length", .limited = true),
};

static char letter(enum resp_request_verdict verdict, const struct resp_request *request)
{
    static const char letters[] = {
        [RESP_REQUEST_PART] = 'P',   [RESP_REQUEST_WHOLE] = 'W', [RESP_REQUEST_LONG] = 'L',
        [RESP_REQUEST_INLINE] = 'I', [RESP_REQUEST_EMPTY] = 'E', [RESP_REQUEST_BAD] = 'B',
        [RESP_REQUEST_HANGUP] = 'H',
    };

    return verdict == RESP_REQUEST_WHOLE && request->odd ? 'o' : letters[verdict];
}

static void error_text(const struct resp_request *request, char *text, size_t size)
{
    struct resp_writer writer = resp_writer_of(text, size, 2);

    resp_write_error(&writer, request->error, request->got, NULL);
    ck_assert(!writer.failed && writer.length > 3);
    memmove(text, text + 1, writer.length - 3);
    text[writer.length - 3] = '\0';
}

/* Gives the row's stream in pieces that end at `cut` and then every `step` bytes. */
static void row_run(const struct row *row, size_t cut, size_t step)
{
    struct resp_request_parser parser;
    struct resp_request request;
    enum resp_request_verdict verdict;
    char verdicts[16] = "", error[200];
    size_t begin = 0, given = cut, count = 0;

    resp_request_parser_init(&parser, row->limited);
    while (given <= row->size) {
        uint8_t *copy = malloc(given - begin + 1); /* so that a sanitizer sees reads behind it */

        memcpy(copy, row->stream + begin, given - begin);
        verdict = resp_request_next(&parser, copy, given - begin, &request);
        free(copy);
        if (verdict == RESP_REQUEST_PART) {
            ck_assert_uint_gt(request.bytes_min, given - begin);
            given = given == row->size         ? given + 1
                    : given + step < row->size ? given + step
                                               : row->size;
            continue;
        }
        verdicts[count++] = letter(verdict, &request);
        if (verdict == RESP_REQUEST_BAD || verdict == RESP_REQUEST_HANGUP ||
            verdict == RESP_REQUEST_LONG)
            break;
        ck_assert(request.bytes > 0 && begin + request.bytes <= given);
        begin += request.bytes;
    }
    ck_assert_str_eq(verdicts, row->verdicts);
    if (row->error) {
        error_text(&request, error, sizeof(error));
        ck_assert_str_eq(error, row->error);
    }
}

START_TEST(each_stream_says_what_redis_says_in_any_pieces)
{
    const struct row *row = &rows[_i];

    for (size_t cut = 0; cut <= row->size; cut++)
        row_run(row, cut, row->size);
    row_run(row, 1, 1);
    row_run(row, 2, 3);
}
END_TEST

START_TEST(arguments_are_located_from_the_first_byte)
{
    static const char text[] = "*10\r\n$4\r\nMGET\r\n$1\r\na\r\n$2\r\nbb\r\n$0\r\n\r\n$1\r\nd\r\n"
                               "$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$3\r\niii\r\n" PING;
    static const char *const words[] = {"MGET", "a", "bb", "", "d", "e", "f", "g", "h", "iii"};
    const uint8_t *bytes = (const uint8_t *)text;
    struct resp_request_parser parser;
    struct resp_request request;
    struct resp_span args[16];

    for (size_t cut = 0; cut < sizeof(text) - 1 - strlen(PING); cut++) {
        resp_request_parser_init(&parser, false);
        ck_assert_int_eq(resp_request_next(&parser, bytes, cut, &request), RESP_REQUEST_PART);
        for (uint32_t i = 0; i < request.seen; i++)
            ck_assert_mem_eq(text + request.args[i].offset, words[i], strlen(words[i]));
        ck_assert_int_eq(resp_request_next(&parser, bytes, sizeof(text) - 1, &request),
                         RESP_REQUEST_WHOLE);
        ck_assert_uint_eq(request.argc, 10);
        ck_assert_uint_eq(request.seen, RESP_ARGS_MAX);
        ck_assert_uint_eq(request.bytes, sizeof(text) - 1 - strlen(PING));
        for (uint32_t i = 0; i < request.seen; i++) {
            ck_assert_uint_eq(request.args[i].length, strlen(words[i]));
            ck_assert_mem_eq(text + request.args[i].offset, words[i], strlen(words[i]));
        }
    }
    ck_assert_uint_eq(resp_request_args(bytes, request.bytes, args, 16), 10);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(args[i].length, strlen(words[i]));
        ck_assert_mem_eq(text + args[i].offset, words[i], strlen(words[i]));
    }
    ck_assert_uint_eq(resp_request_args(bytes, request.bytes, args, 9), 9);
}
END_TEST

/* 512 MB go through one 64 KB array, and the command is known from the first bytes. */
START_TEST(the_largest_value_streams)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$536870912\r\n";
    static uint8_t block[65536];
    uint64_t left = RESP_BULK_BYTES_MAX;
    struct resp_request_parser parser;
    struct resp_request request;

    memset(block, 'x', sizeof(block));
    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)head, 20, &request),
                     RESP_REQUEST_PART);
    ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)head, strlen(head), &request),
                     RESP_REQUEST_LONG);
    ck_assert_uint_eq(request.argc, 3);
    ck_assert_uint_eq(request.seen, 2);
    ck_assert_uint_eq(request.bytes_min, strlen(head) + RESP_BULK_BYTES_MAX + 2);
    ck_assert_mem_eq(head + request.args[1].offset, "key", 3);
    ck_assert_int_eq(resp_request_stream(&parser, (const uint8_t *)head, strlen(head), &request),
                     RESP_REQUEST_PART);
    for (; left > 0; left -= sizeof(block))
        ck_assert_int_eq(resp_request_stream(&parser, block, sizeof(block), &request),
                         RESP_REQUEST_PART);
    ck_assert_int_eq(resp_request_stream(&parser, (const uint8_t *)"\r", 1, &request),
                     RESP_REQUEST_PART);
    ck_assert_int_eq(resp_request_stream(&parser, (const uint8_t *)"\n" PING, 15, &request),
                     RESP_REQUEST_WHOLE);
    ck_assert_uint_eq(request.bytes, 1);
    ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)PING, strlen(PING), &request),
                     RESP_REQUEST_WHOLE);
}
END_TEST

/* Follows a stream that begins with a LONG request, in pieces of `step`; returns its end. */
static size_t long_follow(const uint8_t *stream, size_t size, size_t held, size_t step,
                          struct resp_request *request, enum resp_request_verdict *verdict)
{
    struct resp_request_parser parser;
    size_t from = 0, to = held;

    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, stream, held, request), RESP_REQUEST_LONG);
    while ((*verdict = resp_request_stream(&parser, stream + from, to - from, request)) ==
               RESP_REQUEST_PART &&
           to < size) {
        from = to;
        to = to + step < size ? to + step : size;
    }
    return from + request->bytes;
}

START_TEST(a_request_of_many_arguments_streams)
{
    enum { COUNT = 30001 };
    static const size_t steps[] = {1, 7, 4096, 65536, 1u << 20};
    uint8_t *stream = malloc(1u << 20);
    size_t size = (size_t)sprintf((char *)stream, "*%d\r\n$4\r\nMSET\r\n", COUNT);
    struct resp_request request;
    enum resp_request_verdict verdict;

    for (int i = 1; i < COUNT; i++)
        size += (size_t)sprintf((char *)stream + size, "$6\r\n%06d\r\n", i);
    memcpy(stream + size, PING, strlen(PING));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        ck_assert_uint_eq(
            long_follow(stream, size + strlen(PING), 65536, steps[i], &request, &verdict), size);
        ck_assert_int_eq(verdict, RESP_REQUEST_WHOLE);
    }
    /* Broken in the middle, when the beginning is gone already. */
    memcpy(stream + size - 12, "!6", 2);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        long_follow(stream, size, 65536, steps[i], &request, &verdict);
        ck_assert_int_eq(verdict, RESP_REQUEST_BAD);
        ck_assert_int_eq(request.error, RESP_ERROR_BULK_EXPECTED);
        ck_assert_str_eq(request.got, "!");
    }
    free(stream);
}
END_TEST

/* A command's name may be too long to be held: then nothing is known of it, and it streams. */
START_TEST(nothing_is_held_beyond_the_limit)
{
    static const struct {
        const char *head;
        uint32_t seen;
    } rows_long[] = {
        {"*2\r\n$100000\r\n", 0},
        {"*3\r\n$3\r\nSET\r\n$70000\r\n", 1},
        {"*9\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
         "$1\r\nh\r\n$65536\r\n",
         8},
        {"*20000\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
         "$1\r\nh\r\n",
         8},
    };
    static uint8_t held[RESP_HOLD_BYTES];
    struct resp_request_parser parser;
    struct resp_request request;

    for (size_t i = 0; i < sizeof(rows_long) / sizeof(rows_long[0]); i++) {
        const char *head = rows_long[i].head;

        resp_request_parser_init(&parser, false);
        ck_assert_int_eq(
            resp_request_next(&parser, (const uint8_t *)head, strlen(head) - 1, &request),
            RESP_REQUEST_PART);
        ck_assert_int_eq(resp_request_next(&parser, (const uint8_t *)head, strlen(head), &request),
                         RESP_REQUEST_LONG);
        ck_assert_uint_eq(request.seen, rows_long[i].seen);
    }
    /* Whatever it is, with the limit given there is a verdict. */
    for (int byte = 0; byte < 256; byte++) {
        static const char *const heads[] = {
            "", "*", "*3\r\n", "*3\r\n$3\r\nSET\r\n", "*3\r\n$60000\r\n", "\"", "a "};

        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
            memset(held, byte, sizeof(held));
            memcpy(held, heads[i], strlen(heads[i]));
            resp_request_parser_init(&parser, false);
            ck_assert_int_ne(resp_request_next(&parser, held, sizeof(held), &request),
                             RESP_REQUEST_PART);
        }
    }
}
END_TEST

START_TEST(lines_without_an_end_are_refused_at_the_limit)
{
    static const struct {
        const char *head;
        const char *error;
    } endless[] = {
        {"", "ERR Protocol error: too big inline request"},
        {"*", "ERR Protocol error: too big mbulk count string"},
        {"*1\r\n$", "ERR Protocol error: too big bulk count string"},
        {"*1\r\n", "ERR Protocol error: too big bulk count string"},
    };
    static uint8_t held[2 * RESP_HOLD_BYTES];
    char error[100];
    struct resp_request_parser parser;
    struct resp_request request;

    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        size_t head = strlen(endless[i].head), line = strcspn(endless[i].head, "$");
        enum resp_request_verdict verdict;

        if (endless[i].head[0] != '*' || !strchr(endless[i].head, '\n'))
            line = 0;
        memset(held, '1', sizeof(held));
        memcpy(held, endless[i].head, head);
        resp_request_parser_init(&parser, false);
        ck_assert_int_eq(resp_request_next(&parser, held, RESP_HOLD_BYTES - 1, &request),
                         RESP_REQUEST_PART);
        verdict = resp_request_next(&parser, held, RESP_HOLD_BYTES, &request);
        if (line > 0) { /* the line itself has not reached the limit yet */
            ck_assert_int_eq(verdict, RESP_REQUEST_LONG);
            verdict = resp_request_stream(&parser, held, RESP_HOLD_BYTES + line - 1, &request);
            ck_assert_int_eq(verdict, RESP_REQUEST_PART);
            verdict = resp_request_stream(&parser, held, 1, &request);
        }
        ck_assert_int_eq(verdict, RESP_REQUEST_BAD);
        error_text(&request, error, sizeof(error));
        ck_assert_str_eq(error, endless[i].error);
    }
}
END_TEST

START_TEST(a_line_just_below_the_limit_is_a_request)
{
    static uint8_t line[RESP_HOLD_BYTES];
    struct resp_request_parser parser;
    struct resp_request request;

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    resp_request_parser_init(&parser, false);
    ck_assert_int_eq(resp_request_next(&parser, line, sizeof(line), &request), RESP_REQUEST_INLINE);
    ck_assert_uint_eq(request.bytes, sizeof(line));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resp_request");
    TCase *tcase = tcase_create("resp_request");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, each_stream_says_what_redis_says_in_any_pieces, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, arguments_are_located_from_the_first_byte);
    tcase_add_test(tcase, the_largest_value_streams);
    tcase_add_test(tcase, a_request_of_many_arguments_streams);
    tcase_add_test(tcase, nothing_is_held_beyond_the_limit);
    tcase_add_test(tcase, lines_without_an_end_are_refused_at_the_limit);
    tcase_add_test(tcase, a_line_just_below_the_limit_is_a_request);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

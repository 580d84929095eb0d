/* Replies; the longer ones as redis-server 7.0.15 sent them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/resp.h"

#define REPLY_MAX 8

/* One reply or push. */
struct reply {
    enum resp_reply_event event;
    const char *bytes;
    uint8_t type;
    bool null;
    int64_t number;
    const char *code;
};

#define REPLY(kind, text, first, ...)                                         \
    {                                                                         \
        .event = RESP_REPLY_##kind, .bytes = text, .type = first, __VA_ARGS__ \
    }
#define WHOLE(...) REPLY(WHOLE, __VA_ARGS__)
#define PUSH(...) REPLY(PUSH, __VA_ARGS__)

static const struct reply rows[][REPLY_MAX] = {
    {WHOLE("+OK\r\n", '+'), WHOLE("+\r\n", '+'), WHOLE("+a\rb\nc\r\r\n", '+')},
    {WHOLE("-ERR no such key\r\n", '-', .code = "ERR"),
     WHOLE("-LOADING\r\n", '-', .code = "LOADING"), WHOLE("-\r\n", '-'),
     WHOLE("-ABCDEFGHIJKLMNOPQRST x\r\n", '-', .code = "ABCDEFGHIJKLMNO"), WHOLE("- x\r\n", '-'),
     WHOLE(":1\r\n", ':', .number = 1)},
    {WHOLE(":0\r\n", ':'), WHOLE(":-5\r\n", ':', .number = -5), WHOLE(":+7\r\n", ':', .number = 7),
     WHOLE(":1234567890123\r\n", ':', .number = 1234567890123),
     WHOLE(":9223372036854775807\r\n", ':', .number = INT64_MAX),
     WHOLE(":-9223372036854775808\r\n", ':', .number = INT64_MIN)},
    {WHOLE("$0\r\n\r\n", '$'), WHOLE("$3\r\na\r\n\r\n", '$', .number = 3),
     WHOLE("$-1\r\n", '$', .null = true), WHOLE("$12\r\n0123456789ab\r\n", '$', .number = 12)},
    {WHOLE("*0\r\n", '*'), WHOLE("*-1\r\n", '*', .null = true), WHOLE("_\r\n", '_', .null = true),
     WHOLE("*3\r\n$1\r\na\r\n$-1\r\n:5\r\n", '*', .number = 3),
     WHOLE("*1\r\n-ERR x\r\n", '*', .number = 1)},
    {WHOLE("*5\r\n:1\r\n*2\r\n:2\r\n*2\r\n:3\r\n*0\r\n+a\r\n-X b\r\n$-1\r\n", '*', .number = 5),
     WHOLE("*2\r\n*0\r\n%0\r\n", '*', .number = 2), WHOLE("+OK\r\n", '+')},
    {WHOLE("#t\r\n", '#'), WHOLE("#f\r\n", '#'), WHOLE(",3.141\r\n", ','), WHOLE(",-inf\r\n", ','),
     WHOLE("(1234567999999999999999999999999999999\r\n", '('),
     WHOLE("=29\r\ntxt:This is a verbatim\nstring\r\n", '=', .number = 29),
     WHOLE("!9\r\nSYNTAX no\r\n", '!', .number = 9, .code = "SYNTAX")},
    {WHOLE("~3\r\n:0\r\n:1\r\n:2\r\n", '~', .number = 3),
     WHOLE("%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n", '%', .number = 3)},
    /* DEBUG PROTOCOL ATTRIB, and attributes elsewhere. */
    {WHOLE("|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
           "$39\r\nSome real reply following the attribute\r\n",
           '$', .number = 39),
     WHOLE("|0\r\n-ERR x\r\n", '-', .code = "ERR"),
     WHOLE("*2\r\n|1\r\n+k\r\n-v\r\n:1\r\n|1\r\n+k\r\n~0\r\n*1\r\n:2\r\n", '*', .number = 2)},
    /* DEBUG PROTOCOL PUSH, and a subscription in RESP3. */
    {PUSH(">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n", '>', .number = 2),
     WHOLE("$40\r\nSome real reply following the push reply\r\n", '$', .number = 40),
     PUSH(">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n", '>', .number = 3), PUSH(">0\r\n", '>'),
     WHOLE("+OK\r\n", '+')},
    /* PUBLISH to oneself inside MULTI (7.0): the push is no element. */
    {WHOLE("*2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n:1\r\n+PONG\r\n", '*', .number = 2),
     WHOLE("+OK\r\n", '+')},
    {WHOLE("*1\r\n*1\r\n>1\r\n>1\r\n:9\r\n:8\r\n:1\r\n", '*', .number = 1), WHOLE("+OK\r\n", '+')},
    /* Subscribed in RESP2. */
    {WHOLE("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n", '*', .number = 3),
     WHOLE("*2\r\n$4\r\npong\r\n$0\r\n\r\n", '*', .number = 2)},
};

static const char *const bad_rows[] = {
    "?",
    "\r\n",
    "OK\r\n",
    "1",
    ".\r\n",
    "$?\r\n",
    "*?\r\n",
    ";4\r\n",
    "$\r\n",
    "$-\r\n",
    "$01\r\n",
    "$00\r\n",
    "$+1\r\n",
    "$-2\r\n",
    "$-0\r\n",
    "$--1\r\n",
    "$ 1\r\n",
    "$1 \r\n",
    "$1x",
    "$1\rx",
    "$3\r\nabcd",
    "$3\r\nabc\rx",
    "$0\r\nx",
    "*-2\r\n",
    "*01\r\n",
    "%-1\r\n",
    "~-1\r\n",
    ">-1\r\n",
    "|-1\r\n",
    "=-1\r\n",
    "!-1\r\n",
    "_x\r\n",
    "#\r\n",
    "#x\r\n",
    "#tt\r\n",
    ",\r\n",
    "(\r\n",
    ",1\rx",
    ":\r\n",
    ":-\r\n",
    ":++1\r\n",
    ":+-1\r\n",
    ":1.5\r\n",
    ":1\rx",
    "*1\r\n?",
    "$9223372036854775807\r\n",
    "$9223372036854775808\r\n",
    "$18446744073709551617\r\n",
    "$1099511627776\r\n", /* 2^40 */
    "*4294967296\r\n",
    "*9223372036854775807\r\n",
    "%4294967296\r\n",
    "*2147483648000\r\n",
    ":9223372036854775808\r\n",
    ":-9223372036854775809\r\n",
    ":00000000000000000001\r\n",
    "*1\r\n$-5\r\n",
    "|1\r\n+a\r\n+b\r\n?",
};

/* Feeds `size` bytes in pieces of `step` after a first one of `cut`; the last event. */
static enum resp_reply_event feed(struct resp_reply_parser *parser, const char *text, size_t size,
                                  size_t cut, size_t step, size_t *end)
{
    enum resp_reply_event event = RESP_REPLY_PART;
    size_t at = 0, piece = cut, bytes;

    while (event == RESP_REPLY_PART && at < size) {
        uint8_t *copy;

        if (piece > size - at)
            piece = size - at;
        copy = malloc(piece + 1);
        memcpy(copy, text + at, piece);
        event = resp_reply_feed(parser, copy, piece, &bytes);
        free(copy);
        ck_assert(event != RESP_REPLY_PART || bytes == piece);
        at += bytes;
        piece = step;
    }
    *end = at;
    return event;
}

static void replies_run(const struct reply *replies, size_t cut, size_t step)
{
    struct resp_reply_parser parser;
    char stream[500] = "";
    size_t at = 0, end;

    for (size_t i = 0; i < REPLY_MAX && replies[i].bytes; i++)
        strcat(stream, replies[i].bytes);
    resp_reply_parser_init(&parser);
    for (size_t i = 0; i < REPLY_MAX && replies[i].bytes; i++) {
        const struct reply *want = &replies[i];

        ck_assert(resp_reply_idle(&parser));
        ck_assert_int_eq(feed(&parser, stream + at, strlen(stream + at), cut, step, &end),
                         want->event);
        ck_assert_uint_eq(end, strlen(want->bytes));
        ck_assert_int_eq(parser.type, want->type);
        ck_assert(parser.null == want->null);
        ck_assert_int_eq(parser.number, want->number);
        ck_assert_str_eq(parser.code, want->code ? want->code : "");
        ck_assert(resp_reply_failed(&parser) == (want->type == '-' || want->type == '!'));
        at += end;
    }
    ck_assert_uint_eq(at, strlen(stream));
}

START_TEST(each_reply_ends_where_it_ends_in_any_pieces)
{
    for (size_t cut = 0; cut < 200; cut++)
        replies_run(rows[_i], cut, 500);
    replies_run(rows[_i], 1, 1);
    replies_run(rows[_i], 2, 3);
}
END_TEST

START_TEST(what_is_not_resp_is_refused_in_any_pieces)
{
    const char *text = bad_rows[_i];
    struct resp_reply_parser parser;
    size_t end;

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        for (size_t step = 1; step < 30; step += 28) {
            resp_reply_parser_init(&parser);
            ck_assert_int_eq(feed(&parser, text, strlen(text), cut, step, &end), RESP_REPLY_BAD);
            /* And nothing after it is believed. */
            ck_assert_int_eq(feed(&parser, "+OK\r\n", 5, 5, 5, &end), RESP_REPLY_BAD);
        }
    }
}
END_TEST

START_TEST(nesting_costs_nothing)
{
    enum { DEPTH = 300000 };
    char *text = malloc(DEPTH * 4 + 5);
    struct resp_reply_parser parser;
    size_t bytes;

    for (size_t i = 0; i < DEPTH; i++)
        memcpy(text + i * 4, "*1\r\n", 4);
    memcpy(text + DEPTH * 4, ":1\r\n+", 5);
    resp_reply_parser_init(&parser);
    ck_assert_int_eq(resp_reply_feed(&parser, (uint8_t *)text, DEPTH * 4 + 5, &bytes),
                     RESP_REPLY_WHOLE);
    ck_assert_uint_eq(bytes, DEPTH * 4 + 4);
    free(text);
}
END_TEST

/* Each asks for 2^33 more frames; the sum must be refused before it can wrap. */
START_TEST(announced_frames_cannot_overflow)
{
    struct resp_reply_parser parser;
    enum resp_reply_event event = RESP_REPLY_PART;
    size_t bytes, count = 0;

    resp_reply_parser_init(&parser);
    for (; event == RESP_REPLY_PART && count < 1u << 20; count++)
        event = resp_reply_feed(&parser, (const uint8_t *)"%4294967295\r\n", 13, &bytes);
    ck_assert_int_eq(event, RESP_REPLY_BAD);
    ck_assert_uint_eq(count, (1u << 15) + 1);
}
END_TEST

START_TEST(a_bulk_larger_than_memory_streams)
{
    static uint8_t block[1u << 20];
    uint64_t length = 1ull << 34;
    struct resp_reply_parser parser;
    size_t bytes;

    resp_reply_parser_init(&parser);
    ck_assert_int_eq(resp_reply_feed(&parser, (const uint8_t *)"$17179869184\r\n", 14, &bytes),
                     RESP_REPLY_PART);
    ck_assert_int_eq(parser.type, '$');
    ck_assert_int_eq(parser.number, (int64_t)length);
    for (uint64_t done = 0; done < length; done += sizeof(block))
        ck_assert_int_eq(resp_reply_feed(&parser, block, sizeof(block), &bytes), RESP_REPLY_PART);
    ck_assert_int_eq(resp_reply_feed(&parser, (const uint8_t *)"\r\n+", 3, &bytes),
                     RESP_REPLY_WHOLE);
    ck_assert_uint_eq(bytes, 2);
}
END_TEST

START_TEST(an_array_can_be_taken_apart)
{
    static const char text[] = "|1\r\n+a\r\n+b\r\n*4\r\n$1\r\nx\r\n$-1\r\n>1\r\n+p\r\n*1\r\n:1\r\n"
                               "-ERR e\r\n*1\r\n:7\r\n";
    static const struct {
        enum resp_reply_event event;
        uint8_t type;
    } want[] = {
        {RESP_REPLY_HEAD, '*'},  {RESP_REPLY_WHOLE, '$'}, {RESP_REPLY_WHOLE, '$'},
        {RESP_REPLY_PUSH, '>'},  {RESP_REPLY_WHOLE, '*'}, {RESP_REPLY_WHOLE, '-'},
        {RESP_REPLY_WHOLE, '*'}, /* the next reply comes whole */
    };
    struct resp_reply_parser parser;
    size_t end;

    for (size_t step = 1; step < sizeof(text); step++) {
        size_t at = 0;

        resp_reply_parser_init(&parser);
        resp_reply_split(&parser);
        for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++, at += end) {
            ck_assert_int_eq(feed(&parser, text + at, strlen(text + at), step, step, &end),
                             want[i].event);
            ck_assert_int_eq(parser.type, want[i].type);
            ck_assert(i != 0 || parser.number == 4);
        }
        ck_assert_uint_eq(at, strlen(text));
    }
}
END_TEST

START_TEST(what_cannot_be_taken_apart_comes_whole)
{
    static const char *const texts[] = {"-NOPERM no\r\n", "*-1\r\n", "_\r\n", "+OK\r\n",
                                        "%1\r\n:1\r\n:2\r\n"};
    struct resp_reply_parser parser;
    size_t end;

    resp_reply_parser_init(&parser);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        /* A push in between changes nothing. */
        resp_reply_split(&parser);
        ck_assert_int_eq(feed(&parser, ">0\r\n", 4, 4, 4, &end), RESP_REPLY_PUSH);
        ck_assert_int_eq(feed(&parser, texts[i], strlen(texts[i]), 1, 1, &end), RESP_REPLY_WHOLE);
        ck_assert_uint_eq(end, strlen(texts[i]));
        ck_assert_int_eq(feed(&parser, "*1\r\n:1\r\n", 8, 8, 8, &end), RESP_REPLY_WHOLE);
    }
    resp_reply_split(&parser);
    ck_assert_int_eq(feed(&parser, "*0\r\n", 4, 4, 4, &end), RESP_REPLY_HEAD);
    ck_assert(resp_reply_idle(&parser) && parser.number == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resp_reply");
    TCase *tcase = tcase_create("resp_reply");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, each_reply_ends_where_it_ends_in_any_pieces, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_loop_test(tcase, what_is_not_resp_is_refused_in_any_pieces, 0,
                        (int)(sizeof(bad_rows) / sizeof(bad_rows[0])));
    tcase_add_test(tcase, nesting_costs_nothing);
    tcase_add_test(tcase, announced_frames_cannot_overflow);
    tcase_add_test(tcase, a_bulk_larger_than_memory_streams);
    tcase_add_test(tcase, an_array_can_be_taken_apart);
    tcase_add_test(tcase, what_cannot_be_taken_apart_comes_whole);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

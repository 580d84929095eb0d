/* Replies in any pieces give what a simple recursive reader of the whole gives.
 * Input: one byte that sets the sizes of the pieces, one that says which replies are taken apart,
 * and what a server sends. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/wire/resp.h"

#define DEPTH_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The simple reader ---- */

enum { PART = -1, BAD = -2, DEEP = -3 };

struct head {
    uint8_t type;
    bool null;
    int64_t number;
    char code[RESP_CODE_BYTES];
};

static void code_of(const uint8_t *text, size_t length, char *code)
{
    size_t i = 0;

    for (; i < length && i < RESP_CODE_BYTES - 1 && !memchr(" \r\n", text[i], 3); i++)
        code[i] = (char)text[i];
    code[i] = '\0';
}

/* Of a line of text at `at`, behind its type: where its CR LF is. */
static long text_end(const uint8_t *text, long size, long at, uint8_t type)
{
    long begin = at;

    for (;; at++) {
        if (at >= size)
            return PART;
        if (text[at] != '\r')
            continue;
        if (at + 1 >= size)
            return PART;
        if (text[at + 1] == '\n')
            break;
        if (type != '+' && type != '-')
            return BAD;
    }
    if ((type == '_' && at != begin) || ((type == ',' || type == '(') && at == begin) ||
        (type == '#' && (at != begin + 1 || (text[begin] != 't' && text[begin] != 'f'))))
        return BAD;
    return at;
}

/* Of a number at `at`: where its CR is. */
static long number_end(const uint8_t *text, long size, long at, uint8_t type, int64_t *number)
{
    long begin = at, first;
    char copy[32];

    if (at < size && (text[at] == '-' || (type == ':' && text[at] == '+')))
        at++;
    for (first = at; at < size && text[at] >= '0' && text[at] <= '9'; at++)
        if (at - first >= 19)
            return BAD;
    memcpy(copy, text + begin, (size_t)(at - begin));
    copy[at - begin] = '\0';
    errno = 0;
    *number = strtoll(copy, NULL, 10);
    if (errno == ERANGE)
        return BAD;
    if (at > first && type != ':' && (text[first] == '0' && at - first > 1))
        return BAD;
    if (at == size)
        return PART;
    return at > first && text[at] == '\r' ? at : BAD;
}

static long frame_end(const uint8_t *text, long size, long at, int depth, struct head *head);

/* `count` frames; attributes and pushes among them are not counted. */
static long frames_end(const uint8_t *text, long size, long at, uint64_t count, int depth)
{
    struct head head;

    while (count > 0) {
        if (at >= size)
            return PART;
        at = frame_end(text, size, at, depth, &head);
        if (at < 0)
            return at;
        if (head.type != '|' && head.type != '>')
            count--;
    }
    return at;
}

static long bulk_end(const uint8_t *text, long size, long at, int64_t length)
{
    if ((uint64_t)length > RESP_REPLY_BULK_BYTES_MAX)
        return BAD;
    if (length >= size - at)
        return PART;
    at += (long)length;
    if (text[at] != '\r')
        return BAD;
    if (at + 1 >= size)
        return PART;
    return text[at + 1] == '\n' ? at + 2 : BAD;
}

static long frame_end(const uint8_t *text, long size, long at, int depth, struct head *head)
{
    uint8_t type = text[at++];
    long end;

    *head = (struct head){.type = type, .null = type == '_'};
    if (depth > DEPTH_MAX)
        return DEEP;
    if (memchr("+-,(#_", type, 6)) {
        end = text_end(text, size, at, type);
        if (type == '-' && end > 0)
            code_of(text + at, (size_t)(end - at), head->code);
        return end < 0 ? end : end + 2;
    }
    if (!memchr("$*:%~>|=!", type, 9))
        return BAD;
    end = number_end(text, size, at, type, &head->number);
    if (end < 0)
        return end;
    if (end + 1 >= size)
        return PART;
    if (text[end + 1] != '\n')
        return BAD;
    end += 2;
    if (type == ':')
        return end;
    if ((type == '$' || type == '*') && head->number == -1) {
        head->null = true;
        head->number = 0;
        return end;
    }
    if (head->number < 0 || text[at] == '-')
        return BAD;
    if (strchr("$=!", type)) {
        if (type == '!' && head->number < size - end)
            code_of(text + end, (size_t)head->number, head->code);
        return bulk_end(text, size, end, head->number);
    }
    if (head->number > (int64_t)RESP_REPLY_COUNT_MAX)
        return BAD;
    if (type == '*' && depth < 0)
        return end;
    return frames_end(text, size, end,
                      (uint64_t)head->number * (type == '%' || type == '|' ? 2 : 1),
                      (depth < 0 ? 0 : depth) + 1);
}

/* A reply or push with the attributes in front of it. */
static long simple_reply(const uint8_t *text, long size, bool split, struct head *head)
{
    long at = 0;

    do {
        if (at >= size)
            return PART;
        at = frame_end(text, size, at, split && text[at] == '*' ? -1 : 0, head);
    } while (at >= 0 && head->type == '|');
    return at;
}

/* ---- Ours, in pieces ---- */

static size_t piece_size(uint32_t *state, size_t left)
{
    static const uint32_t sizes[] = {1, 1, 2, 3, 5, 17, 100, 65536};
    size_t size;

    *state = *state * 1664525 + 1013904223;
    size = sizes[*state >> 29];
    return size < left ? size : left;
}

static enum resp_reply_event pieces_reply(struct resp_reply_parser *parser, const uint8_t *text,
                                          size_t size, uint32_t *state, size_t *end)
{
    enum resp_reply_event event = RESP_REPLY_PART;
    size_t bytes;

    for (*end = 0; event == RESP_REPLY_PART && *end < size; *end += bytes) {
        size_t piece = piece_size(state, size - *end);
        uint8_t *copy = malloc(piece);

        ensure(copy != NULL);
        memcpy(copy, text + *end, piece);
        event = resp_reply_feed(parser, copy, piece, &bytes);
        free(copy);
        ensure(bytes <= piece && (event != RESP_REPLY_PART || bytes == piece));
    }
    return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resp_reply_parser parser;
    struct head head;
    uint32_t state, splits;
    enum resp_reply_event event, want;
    bool split = false;
    size_t bytes;

    if (size < 2)
        return 0;
    state = data[0];
    splits = data[1];
    data += 2;
    size -= 2;
    resp_reply_parser_init(&parser);
    for (;;) {
        long end;

        if (splits & 1) {
            resp_reply_split(&parser);
            split = true;
        }
        splits >>= 1;
        end = simple_reply(data, (long)size, split, &head);
        if (end == DEEP)
            return 0;
        event = pieces_reply(&parser, data, size, &state, &bytes);
        if (end == BAD) {
            ensure(event == RESP_REPLY_BAD);
            return 0;
        }
        if (end == PART) {
            ensure(event == RESP_REPLY_PART);
            return 0;
        }
        want = head.type == '>'                          ? RESP_REPLY_PUSH
               : split && head.type == '*' && !head.null ? RESP_REPLY_HEAD
                                                         : RESP_REPLY_WHOLE;
        ensure(event == want && bytes == (size_t)end);
        ensure(parser.type == head.type && parser.null == head.null);
        ensure(parser.number == head.number && strcmp(parser.code, head.code) == 0);
        ensure(resp_reply_idle(&parser));
        split = split && want == RESP_REPLY_PUSH;
        data += bytes;
        size -= bytes;
    }
}

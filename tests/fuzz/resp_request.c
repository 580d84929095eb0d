/* Requests in any pieces give what a simple reader of the whole gives.
 * Input: one byte of options, one that sets the sizes of the pieces, and what a client sends; there
 * 0xff and a byte n stand for n * 512 times "x", so that small inputs make large requests. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/wire/redis_command.h"
#include "sluice/wire/resp.h"

#define STREAM_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one frame is, by either reader. */
struct frame {
    enum resp_request_verdict verdict;
    size_t end;
    uint32_t argc, seen;
    size_t args[RESP_ARGS_MAX][2]; /* offset in the stream, length */
    enum resp_error error;
    char got;
};

/* ---- The simple reader ---- */

/* A line that a CR and one more byte end within the limit; its length, or -1: not there, -2: never.
 */
static long line_length(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size && i < RESP_HOLD_BYTES; i++) {
        if (text[i] == '\0')
            return size >= RESP_HOLD_BYTES ? -2 : -1;
        if (text[i] == '\r' && i + 1 < size && i + 1 < RESP_HOLD_BYTES)
            return (long)i;
    }
    return size >= RESP_HOLD_BYTES ? -2 : -1;
}

/* Spelled as a number must be. */
static bool number_of(const uint8_t *text, long length, long long *number)
{
    char copy[24], again[32];

    if (length < 1 || length > 20)
        return false;
    memcpy(copy, text, (size_t)length);
    copy[length] = '\0';
    *number = strtoll(copy, NULL, 10);
    snprintf(again, sizeof(again), "%lld", *number);
    return strcmp(copy, again) == 0;
}

static struct frame bad(enum resp_error error)
{
    return (struct frame){.verdict = RESP_REQUEST_BAD, .error = error};
}

static bool space(uint8_t byte)
{
    return memchr(" \t\n\v\f\r", byte, 6) != NULL;
}

static bool http(const uint8_t *word, size_t length)
{
    char copy[16] = "";

    memcpy(copy, word, length < 15 ? length : 15);
    return strcasecmp(copy, "post") == 0 || strcasecmp(copy, "host:") == 0;
}

/* Counts words only; what they say is checked through their encoded form. */
static struct frame simple_line(const uint8_t *text, size_t size)
{
    struct frame frame = {.verdict = RESP_REQUEST_INLINE};
    size_t end = 0, at = 0;

    while (end < size && end < RESP_HOLD_BYTES && text[end] != '\n' && text[end] != '\0')
        end++;
    if (end == size || end == RESP_HOLD_BYTES || text[end] == '\0')
        return size >= RESP_HOLD_BYTES ? bad(RESP_ERROR_INLINE_LINE)
                                       : (struct frame){.verdict = RESP_REQUEST_PART};
    frame.end = end + 1;
    if (end > 0 && text[end - 1] == '\r')
        end--;
    for (;;) {
        uint8_t quote = 0;

        while (at < end && space(text[at]))
            at++;
        if (at == end)
            break;
        frame.argc++;
        for (; at < end && (quote || !memchr(" \t\n\r", text[at], 4)); at++) {
            if (!quote && (text[at] == '"' || text[at] == '\''))
                quote = text[at];
            else if (quote && text[at] == '\\' && at + 1 < end &&
                     (quote == '"' || text[at + 1] == '\''))
                at++;
            else if (quote && text[at] == quote) {
                at++;
                quote = 0;
                if (at < end && !space(text[at]))
                    return bad(RESP_ERROR_INLINE_QUOTES);
                break;
            }
        }
        if (quote)
            return bad(RESP_ERROR_INLINE_QUOTES);
    }
    if (frame.argc == 0)
        frame.verdict = RESP_REQUEST_EMPTY;
    return frame;
}

static struct frame simple_request(const uint8_t *text, size_t size, bool limited)
{
    struct frame frame = {.verdict = RESP_REQUEST_PART};
    long length;
    long long number;
    size_t at = 0;

    if (size == 0)
        return frame;
    if (text[0] != '*')
        return simple_line(text, size);
    length = line_length(text, size);
    if (length < 0)
        return length == -1 ? frame : bad(RESP_ERROR_MULTIBULK_LINE);
    if (!number_of(text + 1, length - 1, &number) || number > INT_MAX)
        return bad(RESP_ERROR_MULTIBULK_LENGTH);
    if (number > 10 && limited)
        return bad(RESP_ERROR_MULTIBULK_LENGTH_NOAUTH);
    at = (size_t)length + 2;
    if (number <= 0)
        return (struct frame){.verdict = RESP_REQUEST_EMPTY, .end = at};
    frame.argc = (uint32_t)number;
    for (uint32_t i = 0; i < frame.argc; i++) {
        length = line_length(text + at, size - at);
        if (length == -1)
            return frame;
        if (length == -2)
            return bad(RESP_ERROR_BULK_LINE);
        if (text[at] != '$') {
            frame = bad(RESP_ERROR_BULK_EXPECTED);
            frame.got = (char)text[at];
            return frame;
        }
        if (!number_of(text + at + 1, length - 1, &number) || number < 0 || number > 512 << 20)
            return bad(RESP_ERROR_BULK_LENGTH);
        if (number > 16384 && limited)
            return bad(RESP_ERROR_BULK_LENGTH_NOAUTH);
        at += (size_t)length + 2;
        if (size - at < (size_t)number + 2)
            return frame;
        if (i < RESP_ARGS_MAX) {
            frame.args[i][0] = at;
            frame.args[i][1] = (size_t)number;
            frame.seen++;
        }
        at += (size_t)number + 2;
    }
    frame.verdict = RESP_REQUEST_WHOLE;
    frame.end = at;
    if (http(text + frame.args[0][0], frame.args[0][1]))
        frame.verdict = RESP_REQUEST_HANGUP;
    return frame;
}

/* ---- Ours, in pieces ---- */

struct pieces {
    const uint8_t *stream;
    size_t size, given;
    uint32_t state;
};

/* Makes some more of the stream known; false at its end. */
static bool pieces_more(struct pieces *pieces)
{
    static const uint32_t sizes[] = {1, 1, 2, 3, 7, 40, 1000, 16384, 65536};
    size_t size;

    if (pieces->given == pieces->size)
        return false;
    pieces->state = pieces->state * 1664525 + 1013904223;
    size = sizes[(pieces->state >> 24) % (sizeof(sizes) / sizeof(sizes[0]))];
    if (pieces->size > 16384)
        size *= 16;
    pieces->given = size < pieces->size - pieces->given ? pieces->given + size : pieces->size;
    return true;
}

static void stream_follow(struct resp_request_parser *parser, struct pieces *pieces, size_t begin,
                          struct frame *frame)
{
    struct resp_request request;
    size_t from = begin;

    for (;;) {
        frame->verdict =
            resp_request_stream(parser, pieces->stream + from, pieces->given - from, &request);
        if (frame->verdict != RESP_REQUEST_PART)
            break;
        ensure(request.bytes == pieces->given - from);
        from = pieces->given;
        if (!pieces_more(pieces))
            return;
    }
    frame->end = from + request.bytes;
    frame->error = request.error;
    frame->got = request.got[0];
}

static struct frame pieces_request(struct resp_request_parser *parser, struct pieces *pieces,
                                   size_t begin)
{
    struct resp_request request;
    struct frame frame = {0};

    for (;;) {
        size_t length = pieces->given - begin;

        frame.verdict = resp_request_next(parser, pieces->stream + begin, length, &request);
        if (frame.verdict != RESP_REQUEST_PART)
            break;
        ensure(length < RESP_HOLD_BYTES && request.bytes_min > length);
        if (!pieces_more(pieces))
            break;
    }
    frame.end = begin + request.bytes;
    frame.argc = request.argc;
    frame.seen = request.seen;
    frame.error = request.error;
    frame.got = request.got[0];
    for (uint32_t i = 0; i < request.seen; i++) {
        frame.args[i][0] = begin + request.args[i].offset;
        frame.args[i][1] = request.args[i].length;
    }
    if (request.seen > 0)
        redis_command_classify(pieces->stream + begin, &request);
    if (frame.verdict == RESP_REQUEST_LONG)
        stream_follow(parser, pieces, begin, &frame);
    return frame;
}

/* ---- Both ---- */

/* A line in its ordinary form is a whole request of as many arguments. */
static void line_check(const uint8_t *line, size_t length, uint32_t words)
{
    static uint8_t encoded[RESP_INLINE_ENCODED_MAX];
    struct resp_request_parser parser;
    struct resp_request request;
    size_t size = resp_inline_encode(line, length, encoded, sizeof(encoded));
    enum resp_request_verdict verdict;

    ensure(size > 0);
    ensure(resp_inline_encode(line, length, encoded, size - 1) == 0);
    ensure(resp_inline_encode(line, length, encoded, size) == size);
    resp_request_parser_init(&parser, false);
    verdict = resp_request_next(&parser, encoded, size, &request);
    ensure(verdict == RESP_REQUEST_WHOLE || verdict == RESP_REQUEST_HANGUP);
    ensure(request.bytes == size && request.argc == words && !request.odd);
}

static bool frame_compare(const uint8_t *stream, size_t begin, struct frame simple,
                          struct frame ours)
{
    if (simple.verdict == RESP_REQUEST_INLINE) {
        if (ours.verdict == RESP_REQUEST_HANGUP)
            return false;
        line_check(stream + begin, ours.end - begin, ours.argc);
    }
    /* A large request that was streamed says nothing on HTTP. */
    if (simple.verdict == RESP_REQUEST_HANGUP && ours.verdict == RESP_REQUEST_WHOLE &&
        ours.end - begin > RESP_HOLD_BYTES)
        simple.verdict = RESP_REQUEST_WHOLE;
    ensure(simple.verdict == ours.verdict);
    if (ours.verdict == RESP_REQUEST_BAD) {
        ensure(simple.error == ours.error && simple.got == ours.got);
        return false;
    }
    if (ours.verdict == RESP_REQUEST_PART || ours.verdict == RESP_REQUEST_HANGUP)
        return false;
    ensure(begin + simple.end == ours.end && simple.argc == ours.argc);
    ensure(ours.seen <= simple.seen);
    for (uint32_t i = 0; i < ours.seen; i++)
        ensure(begin + simple.args[i][0] == ours.args[i][0] &&
               simple.args[i][1] == ours.args[i][1]);
    if (ours.end - begin <= RESP_HOLD_BYTES)
        ensure(ours.seen == simple.seen);
    return true;
}

static size_t stream_expand(const uint8_t *data, size_t size, uint8_t *stream)
{
    size_t length = 0;

    for (size_t i = 0; i < size && length < STREAM_BYTES_MAX - 256 * 512; i++) {
        if (data[i] == 0xff && i + 1 < size) {
            memset(stream + length, 'x', data[i + 1] * 512u);
            length += data[++i] * 512u;
        } else {
            stream[length++] = data[i];
        }
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t expanded[STREAM_BYTES_MAX];
    struct resp_request_parser parser;
    struct pieces pieces = {0};
    struct frame simple, ours;
    uint8_t *stream;
    size_t at = 0;
    bool limited;

    if (size < 2)
        return 0;
    limited = data[0] & 1;
    pieces.size = stream_expand(data + 2, size - 2, expanded);
    stream = malloc(pieces.size + 1); /* of the right size, for the sanitizers */
    ensure(stream != NULL);
    memcpy(stream, expanded, pieces.size);
    pieces.stream = stream;
    pieces.state = data[1];
    resp_request_parser_init(&parser, limited);
    do {
        simple = simple_request(stream + at, pieces.size - at, limited);
        ours = pieces_request(&parser, &pieces, at);
    } while (frame_compare(stream, at, simple, ours) && (at = ours.end) <= pieces.size);
    free(stream);
    return 0;
}

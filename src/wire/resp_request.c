#include "sluice/wire/resp.h"

#include <string.h>

#include "sluice/base/ensure.h"
#include "wire/resp_inline.h"
#include "wire/resp_number.h"

/* redis-server's processMultibulkBuffer and processInlineBuffer, frame by frame: the end of a
 * header line is a CR and any one byte after it, a NUL hides whatever follows it in the line,
 * lengths have one spelling only, and the two bytes behind a bulk are not looked at. */

#define ARG_BYTES_MIN 6u /* "$0", CR LF, CR LF */
#define LIMITED_ARGS_MAX 10
#define LIMITED_BULK_BYTES_MAX 16384

_Static_assert(sizeof(struct resp_request_parser) <= 64, "one cache line for each client");

void resp_request_parser_init(struct resp_request_parser *parser, bool limited)
{
    *parser = (struct resp_request_parser){.limited = limited};
}

static void parser_restart(struct resp_request_parser *parser)
{
    resp_request_parser_init(parser, parser->limited);
}

static enum resp_request_verdict request_bad(struct resp_request *out, enum resp_error error)
{
    out->error = error;
    return RESP_REQUEST_BAD;
}

/* line: a whole one, marker included, CR not. */
static enum resp_request_verdict count_check(struct resp_request_parser *parser,
                                             const uint8_t *line, size_t length,
                                             struct resp_request *out)
{
    int64_t count;

    if (!resp_number_parse(line + 1, length - 1, &count) || count > INT32_MAX)
        return request_bad(out, RESP_ERROR_MULTIBULK_LENGTH);
    if (parser->limited && count > LIMITED_ARGS_MAX)
        return request_bad(out, RESP_ERROR_MULTIBULK_LENGTH_NOAUTH);
    if (count <= 0)
        return RESP_REQUEST_EMPTY;
    parser->argc = parser->args_left = (uint32_t)count;
    return RESP_REQUEST_WHOLE;
}

/* As count_check; first: the line's first byte, even if the line is empty (then its CR). */
static enum resp_request_verdict bulk_check(const struct resp_request_parser *parser, uint8_t first,
                                            const uint8_t *line, size_t length, uint32_t *bytes,
                                            struct resp_request *out)
{
    int64_t number;

    if (first != '$') {
        out->got[0] = (char)first;
        return request_bad(out, RESP_ERROR_BULK_EXPECTED);
    }
    if (!resp_number_parse(line + 1, length - 1, &number) || number < 0 ||
        number > (int64_t)RESP_BULK_BYTES_MAX)
        return request_bad(out, RESP_ERROR_BULK_LENGTH);
    if (parser->limited && number > LIMITED_BULK_BYTES_MAX)
        return request_bad(out, RESP_ERROR_BULK_LENGTH_NOAUTH);
    *bytes = (uint32_t)number;
    return RESP_REQUEST_WHOLE;
}

/* Finds the CR of the header line at `at`. WHOLE: *cr is set and a byte follows it. (Redis notices
 * a line that is too long only when a read ends in it; here it always is an error.) */
static enum resp_request_verdict line_find(const uint8_t *at, const uint8_t *end,
                                           enum resp_error too_long, const uint8_t **cr,
                                           struct resp_request *out)
{
    size_t length = (size_t)(end - at) < RESP_HOLD_BYTES ? (size_t)(end - at) : RESP_HOLD_BYTES;
    const uint8_t *found = memchr(at, '\r', length);

    if (found && found + 1 < at + length && !memchr(at, '\0', (size_t)(found - at))) {
        *cr = found;
        return RESP_REQUEST_WHOLE;
    }
    return length == RESP_HOLD_BYTES ? request_bad(out, too_long) : RESP_REQUEST_PART;
}

static enum resp_request_verdict bulk_read_slowly(const struct resp_request_parser *parser,
                                                  const uint8_t *at, const uint8_t *end,
                                                  uint32_t *number, const uint8_t **body,
                                                  struct resp_request *out)
{
    const uint8_t *cr;
    enum resp_request_verdict verdict = line_find(at, end, RESP_ERROR_BULK_LINE, &cr, out);

    if (verdict != RESP_REQUEST_WHOLE)
        return verdict;
    verdict = bulk_check(parser, at[0], at, (size_t)(cr - at), number, out);
    *body = cr + 2;
    return verdict;
}

/* Not whole: `at` is where the first unfinished argument begins; arg_bytes its size if its header
 * was whole, else 0. Decides whether the caller has to go on holding. */
static enum resp_request_verdict request_unfinished(struct resp_request_parser *parser,
                                                    const uint8_t *data, size_t length,
                                                    const uint8_t *at, uint64_t arg_bytes,
                                                    struct resp_request *out)
{
    uint64_t arg_end = (uint64_t)(at - data) + (arg_bytes ? arg_bytes : ARG_BYTES_MIN);
    bool all_known;

    parser->done_bytes = (uint64_t)(at - data);
    if (arg_end < (uint64_t)length + 1)
        arg_end = (uint64_t)length + 1;
    out->bytes_min = arg_end + (uint64_t)(parser->args_left - 1) * ARG_BYTES_MIN;
    all_known = out->seen == RESP_ARGS_MAX || arg_end > RESP_HOLD_BYTES;
    return out->bytes_min > RESP_HOLD_BYTES && all_known ? RESP_REQUEST_LONG : RESP_REQUEST_PART;
}

/* Walks arguments from `at` on while they are whole. */
static enum resp_request_verdict args_walk(struct resp_request_parser *parser, const uint8_t *data,
                                           size_t length, const uint8_t *at,
                                           struct resp_request *out)
{
    const uint8_t *end = data + length;
    uint32_t left = parser->args_left, seen = out->seen;
    uint8_t odd = 0;
    enum resp_request_verdict verdict = RESP_REQUEST_WHOLE;
    uint64_t arg_bytes = 0;

    for (; left > 0; left--) {
        const uint8_t *body = NULL;
        uint32_t number;

        if (at < end && at[0] == '$')
            body = resp_digits_read(at + 1, end, &number);
        if (!body || number > LIMITED_BULK_BYTES_MAX) {
            verdict = bulk_read_slowly(parser, at, end, &number, &body, out);
            if (verdict != RESP_REQUEST_WHOLE)
                break;
        }
        if ((size_t)(end - body) < (size_t)number + 2) {
            verdict = RESP_REQUEST_PART;
            arg_bytes = (uint64_t)(body - at) + number + 2;
            break;
        }
        if (seen < RESP_ARGS_MAX)
            out->args[seen++] = (struct resp_span){(uint32_t)(body - data), number};
        at = body + number + 2;
        odd |= (uint8_t)((body[-1] ^ '\n') | (at[-2] ^ '\r') | (at[-1] ^ '\n'));
    }
    parser->args_left = left;
    parser->odd |= odd != 0;
    out->seen = seen;
    out->odd = parser->odd;
    if (verdict == RESP_REQUEST_PART)
        return request_unfinished(parser, data, length, at, arg_bytes, out);
    if (verdict == RESP_REQUEST_WHOLE)
        out->bytes = (size_t)(at - data);
    return verdict;
}

/* strcasecmp(word, name) == 0 as C sees it, with what may follow a NUL. name: lower case. */
static bool word_is(const uint8_t *word, size_t length, const char *name)
{
    size_t i = 0;

    for (; i < length && word[i] && name[i]; i++)
        if ((word[i] >= 'A' && word[i] <= 'Z' ? word[i] | 0x20 : word[i]) != (uint8_t)name[i])
            return false;
    return name[i] == '\0' && (i == length || word[i] == '\0');
}

static bool word_is_http(const uint8_t *word, size_t length)
{
    if (length < 4 || ((word[0] | 0x20) != 'p' && (word[0] | 0x20) != 'h'))
        return false;
    return word_is(word, length, "post") || word_is(word, length, "host:");
}

static enum resp_request_verdict line_next(const uint8_t *data, size_t length,
                                           struct resp_request *out)
{
    size_t look = length < RESP_HOLD_BYTES ? length : RESP_HOLD_BYTES;
    const uint8_t *newline = memchr(data, '\n', look);
    uint8_t first[6];
    size_t first_bytes;
    int64_t words;

    if (newline && memchr(data, '\0', (size_t)(newline - data)))
        newline = NULL;
    if (!newline) {
        out->bytes_min = (uint64_t)length + 1;
        if (length < RESP_HOLD_BYTES)
            return RESP_REQUEST_PART;
        return request_bad(out, RESP_ERROR_INLINE_LINE);
    }
    out->bytes = (size_t)(newline - data) + 1;
    words = resp_inline_check(data, out->bytes, first, sizeof(first), &first_bytes);
    if (words < 0)
        return request_bad(out, RESP_ERROR_INLINE_QUOTES);
    if (words == 0)
        return RESP_REQUEST_EMPTY;
    if (first_bytes <= sizeof(first) && word_is_http(first, first_bytes))
        return RESP_REQUEST_HANGUP;
    out->argc = (uint32_t)words;
    return RESP_REQUEST_INLINE;
}

/* Reads "*n" and sets *args to what is behind it. */
static enum resp_request_verdict count_read(struct resp_request_parser *parser, const uint8_t *data,
                                            size_t length, const uint8_t **args,
                                            struct resp_request *out)
{
    uint32_t number;
    const uint8_t *cr;
    const uint8_t *body = resp_digits_read(data + 1, data + length, &number);
    enum resp_request_verdict verdict;

    if (body && number > 0 && number <= LIMITED_ARGS_MAX) {
        parser->argc = parser->args_left = number;
    } else {
        verdict = line_find(data, data + length, RESP_ERROR_MULTIBULK_LINE, &cr, out);
        if (verdict == RESP_REQUEST_PART) {
            out->bytes_min = (uint64_t)length + 1;
            return RESP_REQUEST_PART;
        }
        if (verdict == RESP_REQUEST_WHOLE)
            verdict = count_check(parser, data, (size_t)(cr - data), out);
        if (verdict != RESP_REQUEST_WHOLE) {
            if (verdict == RESP_REQUEST_EMPTY)
                out->bytes = (size_t)(cr - data) + 2;
            return verdict;
        }
        body = cr + 2;
    }
    parser->odd = body[-1] != '\n';
    *args = body;
    return RESP_REQUEST_WHOLE;
}

/* The same request with more bytes: locates the arguments again that were whole, and returns where
 * to go on. */
static const uint8_t *args_relocate(const struct resp_request_parser *parser, const uint8_t *data,
                                    struct resp_request *out)
{
    out->seen = resp_request_args(data, (size_t)parser->done_bytes, out->args, RESP_ARGS_MAX);
    return data + parser->done_bytes;
}

enum resp_request_verdict resp_request_next(struct resp_request_parser *parser, const uint8_t *data,
                                            size_t length, struct resp_request *out)
{
    enum resp_request_verdict verdict;
    const uint8_t *at;

    ensure(!parser->streaming && length <= UINT32_MAX);
    out->bytes = 0;
    out->bytes_min = 1;
    out->argc = out->seen = 0;
    out->odd = false;
    out->error = RESP_ERROR_NONE;
    memset(out->got, 0, sizeof(out->got));
    if (length == 0)
        return RESP_REQUEST_PART;
    if (data[0] != '*')
        return line_next(data, length, out);
    if (parser->argc == 0) {
        verdict = count_read(parser, data, length, &at, out);
        if (verdict != RESP_REQUEST_WHOLE)
            return verdict;
    } else {
        at = args_relocate(parser, data, out);
    }
    out->argc = parser->argc;
    verdict = args_walk(parser, data, length, at, out);
    if (verdict == RESP_REQUEST_WHOLE &&
        word_is_http(data + out->args[0].offset, out->args[0].length))
        verdict = RESP_REQUEST_HANGUP;
    if (verdict == RESP_REQUEST_LONG)
        parser->streaming = true;
    else if (verdict != RESP_REQUEST_PART)
        parser_restart(parser);
    return verdict;
}

uint32_t resp_request_args(const uint8_t *request, size_t bytes, struct resp_span *args,
                           uint32_t room)
{
    const uint8_t *end = request + bytes, *at = memchr(request, '\r', bytes);
    uint32_t count = 0;

    ensure(at != NULL);
    for (at += 2; count < room && at < end; count++) {
        const uint8_t *cr = memchr(at, '\r', (size_t)(end - at));
        int64_t number = -1;
        bool whole = cr && resp_number_parse(at + 1, (size_t)(cr - at) - 1, &number);

        ensure(whole && number >= 0 && number + 4 <= end - cr);
        args[count] = (struct resp_span){(uint32_t)(cr + 2 - request), (uint32_t)number};
        at = cr + 2 + number + 2;
    }
    return count;
}

/* One byte of a header line of a streamed request. WHOLE: it was the line's last. */
static enum resp_request_verdict stream_line_byte(struct resp_request_parser *parser, uint8_t byte,
                                                  struct resp_request *out)
{
    enum resp_request_verdict verdict;
    uint32_t number, length = parser->line_bytes;

    if (parser->line_cr) { /* the byte behind it ends the line, whatever it is */
        length--;
        if (length > sizeof(parser->line))
            length = sizeof(parser->line); /* too long for a number even so */
        verdict = bulk_check(parser, parser->line[0], parser->line, length, &number, out);
        parser->body_bytes = (uint64_t)number + 2;
        parser->line_bytes = 0;
        parser->line_cr = false;
        return verdict;
    }
    if (length + 1 == RESP_HOLD_BYTES)
        return request_bad(out, RESP_ERROR_BULK_LINE);
    if (length < sizeof(parser->line))
        parser->line[length] = byte;
    parser->line_bytes = length + 1;
    parser->line_nul |= byte == '\0';
    parser->line_cr = byte == '\r' && !parser->line_nul;
    return RESP_REQUEST_PART;
}

enum resp_request_verdict resp_request_stream(struct resp_request_parser *parser,
                                              const uint8_t *data, size_t length,
                                              struct resp_request *out)
{
    const uint8_t *at = data + parser->done_bytes, *end = data + length;

    ensure(parser->streaming && parser->done_bytes <= length);
    out->bytes = 0;
    out->error = RESP_ERROR_NONE;
    memset(out->got, 0, sizeof(out->got));
    parser->done_bytes = 0;
    while (at < end) {
        if (parser->body_bytes == 0) {
            if (stream_line_byte(parser, *at++, out) == RESP_REQUEST_BAD) {
                parser_restart(parser);
                return RESP_REQUEST_BAD;
            }
            continue;
        }
        size_t take = (size_t)(end - at);

        if (take > parser->body_bytes)
            take = (size_t)parser->body_bytes;
        at += take;
        parser->body_bytes -= take;
        if (parser->body_bytes == 0 && --parser->args_left == 0) {
            parser_restart(parser);
            out->bytes = (size_t)(at - data);
            return RESP_REQUEST_WHOLE;
        }
    }
    out->bytes = length;
    return RESP_REQUEST_PART;
}

#include "sluice/wire/resp.h"

#include <string.h>

#include "sluice/base/ensure.h"
#include "wire/resp_number.h"

/* What the next byte is. */
enum state {
    STATE_TYPE,
    STATE_NUMBER,  /* of a header line */
    STATE_TEXT,    /* of a line that is text */
    STATE_LINE_LF, /* a header line's CR was read */
    STATE_TEXT_LF, /* a text's CR was read */
    STATE_BODY,    /* of a bulk */
    STATE_BODY_CR,
    STATE_BODY_LF,
    STATE_HEAD, /* nothing: the header of a reply to be taken apart was read */
    STATE_BAD,  /* nothing: for good */
};

#define LEFT_MAX (1ull << 48) /* frames announced and still due: keeps the sum from wrapping */
#define NUMBER_DIGITS_MAX 19u

void resp_reply_parser_init(struct resp_reply_parser *parser)
{
    *parser = (struct resp_reply_parser){.state = STATE_TYPE};
}

void resp_reply_split(struct resp_reply_parser *parser)
{
    ensure(resp_reply_idle(parser));
    parser->split = true;
}

/* The frame at hand is the reply itself, not one of its elements, nor an attribute of it. */
static bool frame_is_reply(const struct resp_reply_parser *parser)
{
    return parser->left == 1 && parser->type == 0;
}

static void reply_begin(struct resp_reply_parser *parser)
{
    parser->left = 1;
    parser->type = 0;
    parser->null = false;
    parser->number = 0;
    parser->code[0] = '\0';
    parser->code_bytes = 0;
}

/* The first byte of a frame. False: there is no such type ("?" of streamed ones included). */
static bool type_read(struct resp_reply_parser *parser, uint8_t type)
{
    parser->line_type = type;
    parser->line_bytes = 0;
    parser->line_number = 0;
    parser->sign = 0;
    switch (type) {
    case '$':
    case '*':
    case ':':
    case '%':
    case '~':
    case '>':
    case '|':
    case '=':
    case '!':
        parser->state = STATE_NUMBER;
        return true;
    case '+':
    case '-':
        if (frame_is_reply(parser))
            parser->type = type;
        parser->state = STATE_TEXT;
        return true;
    case ',':
    case '(':
    case '#':
    case '_':
        parser->state = STATE_TEXT;
        return true;
    default:
        return false;
    }
}

/* One byte of a header's number. Only integers may have a plus sign or leading zeros. */
static bool number_read(struct resp_reply_parser *parser, uint8_t byte)
{
    unsigned digit = (unsigned)byte - '0';
    bool integer = parser->line_type == ':';

    if (byte == '\r') {
        parser->state = STATE_LINE_LF;
        return parser->line_bytes > 0;
    }
    if (parser->line_bytes == 0 && parser->sign == 0 && (byte == '-' || (byte == '+' && integer))) {
        parser->sign = byte;
        return true;
    }
    if (digit > 9 || parser->line_bytes >= NUMBER_DIGITS_MAX ||
        (!integer && parser->line_bytes > 0 && parser->line_number == 0))
        return false;
    parser->line_number = parser->line_number * 10 + digit;
    parser->line_bytes++;
    return parser->line_number <= (uint64_t)INT64_MAX + (parser->sign == '-');
}

/* The error's first word, as it comes. */
static void code_read(struct resp_reply_parser *parser, const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length && parser->code_bytes < RESP_CODE_BYTES - 1; i++) {
        if (at[i] == ' ' || at[i] == '\r' || at[i] == '\n') {
            parser->code_bytes = RESP_CODE_BYTES; /* it is complete */
            return;
        }
        parser->code[parser->code_bytes++] = (char)at[i];
        parser->code[parser->code_bytes] = '\0';
    }
}

/* An aggregate of `count` elements takes the place of one frame, or of none if it is beside the
 * reply (an attribute, a push inside). */
static bool aggregate_open(struct resp_reply_parser *parser, bool beside)
{
    uint64_t count = parser->line_number;

    if (count > RESP_REPLY_COUNT_MAX)
        return false;
    if (parser->line_type == '%' || parser->line_type == '|')
        count *= 2;
    parser->left += count;
    if (!beside)
        parser->left--;
    return parser->left <= LEFT_MAX;
}

/* A header line is complete. */
static bool header_apply(struct resp_reply_parser *parser)
{
    uint8_t type = parser->line_type;
    bool reply = frame_is_reply(parser) && type != '|';
    bool negative = parser->sign == '-';
    bool null = negative && parser->line_number == 1 && (type == '$' || type == '*');

    parser->state = STATE_TYPE;
    if (negative && !null && type != ':')
        return false;
    if (reply) {
        parser->type = type;
        parser->null = null;
        if (!null)
            parser->number =
                negative ? (int64_t)(0 - parser->line_number) : (int64_t)parser->line_number;
    }
    if (type == ':' || null) {
        parser->left--;
        return true;
    }
    if (type == '$' || type == '=' || type == '!') {
        parser->body_bytes = parser->line_number;
        parser->state = parser->body_bytes > 0 ? STATE_BODY : STATE_BODY_CR;
        return parser->body_bytes <= RESP_REPLY_BULK_BYTES_MAX;
    }
    if (reply && type == '*' && parser->split) {
        parser->left = 0;
        parser->state = STATE_HEAD;
        return parser->line_number <= RESP_REPLY_COUNT_MAX;
    }
    return aggregate_open(parser, type == '|' || (type == '>' && !reply));
}

/* A line of text is complete (without its LF). */
static bool text_apply(struct resp_reply_parser *parser)
{
    uint8_t type = parser->line_type;
    uint64_t last = parser->line_number;

    if ((type == '_' && parser->line_bytes != 0) || (type == '#' && parser->line_bytes != 1) ||
        (type == '#' && last != 't' && last != 'f') ||
        ((type == ',' || type == '(') && parser->line_bytes == 0))
        return false;
    if (frame_is_reply(parser)) {
        parser->type = type;
        parser->null = type == '_';
    }
    parser->state = STATE_TYPE;
    parser->left--;
    return true;
}

/* Up to the CR, or all there is. */
static const uint8_t *text_read(struct resp_reply_parser *parser, const uint8_t *at,
                                const uint8_t *end)
{
    const uint8_t *cr = memchr(at, '\r', (size_t)(end - at)), *stop = cr ? cr : end;
    size_t length = (size_t)(stop - at);

    if (parser->type == '-' && parser->left == 1)
        code_read(parser, at, (size_t)((cr ? cr + 1 : end) - at));
    if (length > 0)
        parser->line_number = stop[-1];
    parser->line_bytes += length < 2 ? (uint32_t)length : 2; /* all that matters: 0, 1 or more */
    if (parser->line_bytes > 2)
        parser->line_bytes = 2;
    if (!cr)
        return end;
    parser->state = STATE_TEXT_LF;
    return cr + 1;
}

/* Behind a CR in a text. One that is alone is part of a simple string or an error, as in hiredis.
 */
static bool text_end_read(struct resp_reply_parser *parser, uint8_t byte)
{
    if (byte == '\n')
        return text_apply(parser);
    if (parser->line_type != '+' && parser->line_type != '-')
        return false;
    if (byte != '\r')
        parser->state = STATE_TEXT;
    return true;
}

static const uint8_t *body_read(struct resp_reply_parser *parser, const uint8_t *at,
                                const uint8_t *end)
{
    size_t take = (size_t)(end - at);

    if (take > parser->body_bytes)
        take = (size_t)parser->body_bytes;
    if (parser->type == '!' && parser->left == 1)
        code_read(parser, at, take);
    parser->body_bytes -= take;
    if (parser->body_bytes == 0)
        parser->state = STATE_BODY_CR;
    return at + take;
}

/* The commonest frames, when all of one is there: what is behind it, or NULL: go by single steps.
 */
static inline const uint8_t *scalar_read(const uint8_t *at, const uint8_t *end, int64_t *number,
                                         bool *null)
{
    const uint8_t *body;
    uint32_t value = 0;

    *null = false;
    *number = 0;
    if (*at == '$') {
        body = resp_digits_read(at + 1, end, &value);
        if (body) {
            *number = value;
            at = body + value;
            return (size_t)(end - body) >= (size_t)value + 2 && body[-1] == '\n' && at[0] == '\r' &&
                           at[1] == '\n'
                       ? at + 2
                       : NULL;
        }
        *null = true;
        return end - at >= 5 && memcmp(at, "$-1\r\n", 5) == 0 ? at + 5 : NULL;
    }
    if (*at == ':') {
        body = resp_digits_read(at + 1, end, &value);
        *number = value;
        return body && body[-1] == '\n' ? body : NULL;
    }
    if (*at == '+') {
        while (++at < end - 1)
            if (*at == '\r')
                return at[1] == '\n' ? at + 2 : NULL;
    }
    return NULL;
}

/* At the first byte of a frame: reads all of it or a part. NULL: no such type. */
static const uint8_t *frame_read(struct resp_reply_parser *parser, const uint8_t *at,
                                 const uint8_t *end)
{
    int64_t number;
    bool null;
    const uint8_t *next = scalar_read(at, end, &number, &null);

    if (!next)
        return type_read(parser, *at) ? at + 1 : NULL;
    if (frame_is_reply(parser)) {
        parser->type = *at;
        parser->number = number;
        parser->null = null;
    }
    parser->left--;
    return next;
}

/* Reads on within one state. NULL: this is not RESP. */
static const uint8_t *step(struct resp_reply_parser *parser, const uint8_t *at, const uint8_t *end)
{
    switch ((enum state)parser->state) {
    case STATE_TYPE:
        return frame_read(parser, at, end);
    case STATE_NUMBER:
        return number_read(parser, *at) ? at + 1 : NULL;
    case STATE_TEXT:
        return text_read(parser, at, end);
    case STATE_LINE_LF:
        return *at == '\n' && header_apply(parser) ? at + 1 : NULL;
    case STATE_TEXT_LF:
        return text_end_read(parser, *at) ? at + 1 : NULL;
    case STATE_BODY:
        return body_read(parser, at, end);
    case STATE_BODY_CR:
        parser->state = STATE_BODY_LF;
        return *at == '\r' ? at + 1 : NULL;
    case STATE_BODY_LF:
        parser->state = STATE_TYPE;
        parser->left--;
        return *at == '\n' ? at + 1 : NULL;
    case STATE_HEAD:
    case STATE_BAD:
        break;
    }
    return NULL;
}

static enum resp_reply_event reply_end(struct resp_reply_parser *parser)
{
    bool head = parser->state == STATE_HEAD;

    parser->state = STATE_TYPE;
    if (parser->type == '>')
        return RESP_REPLY_PUSH;
    parser->split = false;
    return head ? RESP_REPLY_HEAD : RESP_REPLY_WHOLE;
}

enum resp_reply_event resp_reply_feed(struct resp_reply_parser *parser, const uint8_t *data,
                                      size_t length, size_t *bytes)
{
    const uint8_t *at = data, *end = data + length;

    if (length > 0 && resp_reply_idle(parser))
        reply_begin(parser);
    while (at < end) {
        at = step(parser, at, end);
        if (!at) {
            parser->state = STATE_BAD;
            *bytes = 0;
            return RESP_REPLY_BAD;
        }
        if (parser->left == 0) {
            *bytes = (size_t)(at - data);
            return reply_end(parser);
        }
    }
    *bytes = length;
    return RESP_REPLY_PART;
}

/* resp: finds where Redis requests and replies begin and end (Redis documentation, "Serialization
 * protocol"; limits and errors of requests as redis-server 7.0's networking.c has them). Pure: no
 * sockets, no allocation, no recursion; a parser belongs to one connection and whoever owns that.
 * Bytes stay where they are: callers relay spans, and errors are rows of resp_error. */
#ifndef SLUICE_WIRE_RESP_H
#define SLUICE_WIRE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/wire/resp_error.h"

/* ---- Requests: client to us ---- */

#define RESP_HOLD_BYTES 65536u         /* an unfinished request is never held beyond this */
#define RESP_BULK_BYTES_MAX 536870912u /* proto-max-bulk-len */
#define RESP_ARGS_MAX 8u               /* arguments that are located, the command's name included */
#define RESP_INLINE_ENCODED_MAX 262144u /* room that every inline request fits in, encoded */

enum resp_request_verdict {
    RESP_REQUEST_PART,   /* hold all bytes, and ask again with more behind them */
    RESP_REQUEST_WHOLE,  /* `bytes` are one request */
    RESP_REQUEST_LONG,   /* larger than one may hold; what `args` has is all that will be known:
                            go on with resp_request_stream, beginning with the same bytes */
    RESP_REQUEST_INLINE, /* `bytes` are one request as a line of words: resp_inline_encode it */
    RESP_REQUEST_EMPTY,  /* `bytes` say nothing, and Redis says nothing: drop them */
    RESP_REQUEST_BAD,    /* answer `error` with the subject `got`, and close */
    RESP_REQUEST_HANGUP, /* HTTP (a first word POST or Host:): close without a reply, as Redis does
                          */
};

struct resp_span {
    uint32_t offset, length; /* from the request's first byte */
};

struct resp_request {
    size_t bytes;       /* of the given bytes, how many the verdict is about */
    uint64_t bytes_min; /* PART, LONG: the whole request has at least so many */
    uint32_t argc;      /* all arguments, the name included; 0 = not known yet */
    uint32_t seen;      /* how many of them, at most RESP_ARGS_MAX, are in `args` */
    bool odd; /* a CR LF that Redis does not look at is something else. Redis frames it like
                 us; another server may not, so keep it off shared connections */
    enum resp_error error;
    char got[2];
    struct resp_span args[RESP_ARGS_MAX];
};

struct resp_request_parser {
    bool limited;        /* the caller's: the client must log in first, so only small requests */
    bool streaming, odd; /* the rest is private */
    bool line_nul, line_cr;
    uint32_t argc, args_left;
    uint32_t line_bytes;
    uint64_t done_bytes;
    uint64_t body_bytes;
    uint8_t line[24];
};

void resp_request_parser_init(struct resp_request_parser *parser, bool limited);

/* Looks at the request that begins at data[0]; length < 4 GB. Every verdict but PART and LONG makes
 * the parser ready for the next request. With RESP_HOLD_BYTES given, the verdict is never PART.
 * A request of which only a part has been forwarded leaves the server in the middle of it when the
 * client goes away: forward a LONG one on a leased connection, never on a shared one. */
enum resp_request_verdict resp_request_next(struct resp_request_parser *parser, const uint8_t *data,
                                            size_t length, struct resp_request *out);

/* Follows a LONG request through spans of any size, each given once. Says PART: the whole span is
 * the request's, more will come; WHOLE: it ends after out->bytes; BAD. Only bytes, error and got of
 * *out are set. */
enum resp_request_verdict resp_request_stream(struct resp_request_parser *parser,
                                              const uint8_t *data, size_t length,
                                              struct resp_request *out);

/* Locates up to `room` arguments of a WHOLE request, for those with more than RESP_ARGS_MAX;
 * returns how many. */
uint32_t resp_request_args(const uint8_t *request, size_t bytes, struct resp_span *args,
                           uint32_t room);

/* Turns the line of an INLINE verdict into the ordinary form, quotes and escapes resolved as
 * redis-server does. Returns the bytes written to `to`, or 0 if `room` is too small; with
 * RESP_INLINE_ENCODED_MAX it never is. Parse the result with a parser of its own, not limited:
 * Redis has no such limits for lines. */
size_t resp_inline_encode(const uint8_t *line, size_t length, uint8_t *to, size_t room);

/* ---- Replies: server to us, RESP2 and RESP3 ----
 * Framing needs no stack: a reply is whole when as many frames came as were announced. A push (">")
 * is not counted where it stands, since Redis <= 7.0 puts one inside EXEC's array.
 * Two things make Redis itself send another number of frames than it announces: in an EXEC, a
 * queued SUBSCRIBE-family command (one frame for each channel) and CLIENT REPLY OFF or SKIP (none).
 * Whoever forwards one of them inside MULTI must relay that connection unframed from the EXEC on.
 */

#define RESP_REPLY_COUNT_MAX 4294967295u             /* elements of one aggregate */
#define RESP_REPLY_BULK_BYTES_MAX ((1ull << 40) - 1) /* more than a Redis can hold */
#define RESP_CODE_BYTES 16u

enum resp_reply_event {
    RESP_REPLY_PART,  /* the given bytes belong to a reply that goes on */
    RESP_REPLY_WHOLE, /* a reply ends here */
    RESP_REPLY_PUSH,  /* a push between replies ends here */
    RESP_REPLY_HEAD, /* after resp_reply_split: `number` elements follow, each a reply of its own */
    RESP_REPLY_BAD,  /* not RESP: the connection is lost */
};

struct resp_reply_parser {
    /* Of the current or just ended reply. Known as soon as its first line is complete. */
    uint8_t type;   /* its first byte, after attributes; 0 = not known yet. A push: '>' */
    bool null;      /* $-1, *-1 or _ */
    int64_t number; /* of an integer, the length of a bulk, the count of an aggregate; else 0 */
    char code[RESP_CODE_BYTES]; /* of an error: its first word, cut; otherwise "" */
    /* The rest is private. */
    bool split;
    uint8_t state, line_type, sign, code_bytes;
    uint32_t line_bytes;
    uint64_t line_number;
    uint64_t body_bytes;
    uint64_t left;
};

void resp_reply_parser_init(struct resp_reply_parser *parser);

/* Reads on, at most to the end of one reply or push. *bytes: how many of the given bytes that took;
 * all of them with PART. Spans may be of any size; length 0 is PART. */
enum resp_reply_event resp_reply_feed(struct resp_reply_parser *parser, const uint8_t *data,
                                      size_t length, size_t *bytes);

/* Between replies: the next reply, if an array that is not null, is to be taken apart (HEAD). If it
 * is something else, it comes as usual. */
void resp_reply_split(struct resp_reply_parser *parser);

/* True if no reply is under way. */
static inline bool resp_reply_idle(const struct resp_reply_parser *parser)
{
    return parser->left == 0;
}

static inline bool resp_reply_failed(const struct resp_reply_parser *parser)
{
    return parser->type == '-' || parser->type == '!';
}

#endif

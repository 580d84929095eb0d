#include "pg_lookup_request.h"

#include <string.h>

#include "sluice/wire/pg.h"

/* The message at *at, when it is whole and of this type; moves behind it. */
static bool take(const uint8_t *bytes, size_t length, size_t *at, uint8_t type,
                 struct pg_reader *body)
{
    uint32_t body_bytes;

    if (length - *at < PG_HEADER_BYTES || bytes[*at] != type)
        return false;
    body_bytes = pg_u32(bytes + *at + 1);
    if (body_bytes < PG_MESSAGE_BYTES_MIN || length - *at - 1 < body_bytes)
        return false;
    *body = pg_reader_of(bytes + *at + PG_HEADER_BYTES, body_bytes - 4);
    *at += 1 + (size_t)body_bytes;
    return true;
}

static bool read_parse(struct lookup_request *request, struct pg_reader *body)
{
    unsigned types;

    if (pg_read_text(body)[0] != '\0' || body->failed)
        return false;
    request->statement = body->at;
    request->statement_bytes = pg_reader_left(body);
    pg_read_text(body);
    types = pg_read_u16(body);
    return !body->failed && pg_reader_left(body) == (size_t)types * 4;
}

/* Describe of this kind ('S' or 'P') and name. */
static bool read_describe(struct pg_reader *body, char kind, const char *name)
{
    return pg_read_u8(body) == (uint8_t)kind && strcmp(pg_read_text(body), name) == 0 &&
           !body->failed && pg_reader_left(body) == 0;
}

static bool formats_known(const uint8_t *formats, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (pg_u16(formats + 2 * (size_t)i) > 1)
            return false;
    return true;
}

static bool read_bind(struct lookup_request *request, struct pg_reader *body)
{
    const char *portal;

    request->bind = body->at;
    portal = pg_read_text(body);
    request->name = pg_read_text(body);
    request->param_formats_count = pg_read_u16(body);
    request->param_formats = pg_read_bytes(body, 2 * (size_t)request->param_formats_count);
    request->params = pg_read_u16(body);
    request->values = body->at;
    for (unsigned i = 0; i < request->params && !body->failed; i++) {
        uint32_t bytes = pg_read_u32(body);

        if (bytes != UINT32_MAX)
            pg_read_bytes(body, bytes);
    }
    if (body->failed)
        return false;
    request->values_bytes = (size_t)(body->at - request->values);
    request->result_formats_count = pg_read_u16(body);
    request->result_formats = pg_read_bytes(body, 2 * (size_t)request->result_formats_count);
    return !body->failed && pg_reader_left(body) == 0 && portal[0] == '\0' &&
           (request->param_formats_count <= 1 || request->param_formats_count == request->params) &&
           formats_known(request->param_formats, request->param_formats_count) &&
           formats_known(request->result_formats, request->result_formats_count);
}

bool lookup_request_read(struct lookup_request *request, const uint8_t *bytes, size_t length)
{
    struct pg_reader body;
    const char *described = NULL;
    size_t at = 0;

    memset(request, 0, sizeof(*request));
    if (take(bytes, length, &at, PG_PARSE, &body) && !read_parse(request, &body))
        return false;
    if (take(bytes, length, &at, PG_DESCRIBE, &body)) {
        described = (const char *)body.at + 1;
        if (pg_reader_left(&body) < 2 || body.end[-1] != '\0' ||
            !read_describe(&body, 'S', described))
            return false;
        request->describes_statement = true;
    }
    if (!take(bytes, length, &at, PG_BIND, &body) || !read_bind(request, &body))
        return false;
    if ((request->statement != NULL) != (request->name[0] == '\0') ||
        (described && strcmp(described, request->name) != 0))
        return false;
    if (take(bytes, length, &at, PG_DESCRIBE, &body)) {
        if (!read_describe(&body, 'P', ""))
            return false;
        request->describes_portal = true;
    }
    if (!take(bytes, length, &at, PG_EXECUTE, &body) || pg_read_text(&body)[0] != '\0' ||
        pg_read_u32(&body) != 0 || body.failed || pg_reader_left(&body) != 0)
        return false;
    if (!take(bytes, length, &at, PG_SYNC, &body) || pg_reader_left(&body) != 0)
        return false;
    request->bytes = at;
    return at == length;
}

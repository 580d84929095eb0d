#include "sluice/wire/pg.h"

#include <string.h>

#include "sluice/base/ensure.h"

struct pg_reader pg_reader_of(const uint8_t *bytes, size_t length)
{
    return (struct pg_reader){.at = bytes, .end = bytes + length};
}

const uint8_t *pg_read_bytes(struct pg_reader *reader, size_t length)
{
    const uint8_t *bytes = reader->at;

    if (reader->failed || pg_reader_left(reader) < length) {
        reader->failed = true;
        return NULL;
    }
    reader->at += length;
    return bytes;
}

uint8_t pg_read_u8(struct pg_reader *reader)
{
    const uint8_t *bytes = pg_read_bytes(reader, 1);

    return bytes ? bytes[0] : 0;
}

uint16_t pg_read_u16(struct pg_reader *reader)
{
    const uint8_t *bytes = pg_read_bytes(reader, 2);

    return bytes ? pg_u16(bytes) : 0;
}

uint32_t pg_read_u32(struct pg_reader *reader)
{
    const uint8_t *bytes = pg_read_bytes(reader, 4);

    return bytes ? pg_u32(bytes) : 0;
}

const char *pg_read_text(struct pg_reader *reader)
{
    const uint8_t *text = reader->at;
    const uint8_t *nul = reader->failed ? NULL : memchr(text, '\0', (size_t)(reader->end - text));

    if (!nul) {
        reader->failed = true;
        return "";
    }
    reader->at = nul + 1;
    return (const char *)text;
}

struct pg_writer pg_writer_of(void *bytes, size_t size)
{
    return (struct pg_writer){.bytes = bytes, .size = size};
}

void pg_write_bytes(struct pg_writer *writer, const void *bytes, size_t length)
{
    if (writer->failed || writer->size - writer->length < length) {
        writer->failed = true;
        return;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void pg_write_u8(struct pg_writer *writer, uint8_t value)
{
    pg_write_bytes(writer, &value, 1);
}

void pg_write_u16(struct pg_writer *writer, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    pg_write_bytes(writer, bytes, sizeof(bytes));
}

void pg_write_u32(struct pg_writer *writer, uint32_t value)
{
    uint8_t bytes[4];

    pg_put_u32(bytes, value);
    pg_write_bytes(writer, bytes, sizeof(bytes));
}

void pg_write_text(struct pg_writer *writer, const char *text)
{
    pg_write_bytes(writer, text, strlen(text) + 1);
}

void pg_begin(struct pg_writer *writer, uint8_t type)
{
    if (type)
        pg_write_u8(writer, type);
    writer->message = writer->length;
    pg_write_u32(writer, 0);
}

void pg_end(struct pg_writer *writer)
{
    if (!writer->failed)
        pg_put_u32(writer->bytes + writer->message, (uint32_t)(writer->length - writer->message));
}

void pg_write_ready(struct pg_writer *writer, char status)
{
    pg_begin(writer, PG_READY);
    pg_write_u8(writer, (uint8_t)status);
    pg_end(writer);
}

void pg_write_query(struct pg_writer *writer, const char *query)
{
    pg_begin(writer, PG_QUERY);
    pg_write_text(writer, query);
    pg_end(writer);
}

void pg_write_parameter(struct pg_writer *writer, const char *name, const char *value)
{
    pg_begin(writer, PG_PARAMETER_STATUS);
    pg_write_text(writer, name);
    pg_write_text(writer, value);
    pg_end(writer);
}

/* Writes one field, cut so that `reserve` bytes stay free behind it. */
static void error_field(struct pg_writer *writer, char field, const char *text, size_t reserve)
{
    size_t room = writer->failed ? 0 : writer->size - writer->length;
    size_t length = text ? strlen(text) : 0;

    if (!text || room < reserve + 3)
        return;
    if (length > room - reserve - 2)
        length = room - reserve - 2;
    pg_write_u8(writer, (uint8_t)field);
    pg_write_bytes(writer, text, length);
    pg_write_u8(writer, 0);
}

void pg_write_error(struct pg_writer *writer, uint8_t type, const char *severity,
                    const char *sqlstate, const char *message, const char *detail, const char *hint)
{
    pg_begin(writer, type);
    error_field(writer, 'S', severity, 1);
    error_field(writer, 'V', severity, 1);
    error_field(writer, 'C', sqlstate, 1);
    error_field(writer, 'M', message, 1);
    error_field(writer, 'D', detail, 1);
    error_field(writer, 'H', hint, 1);
    pg_write_u8(writer, 0);
    pg_end(writer);
}

bool pg_error_parse(const uint8_t *body, size_t length, struct pg_error *error)
{
    struct pg_reader reader = pg_reader_of(body, length);

    *error = (struct pg_error){"", "", "", "", "", ""};
    for (;;) {
        uint8_t field = pg_read_u8(&reader);
        const char *text;

        if (reader.failed)
            return false;
        if (field == 0)
            return true;
        text = pg_read_text(&reader);
        if (reader.failed)
            return false;
        if (field == 'V' || (field == 'S' && error->severity[0] == '\0'))
            error->severity = text;
        else if (field == 'C')
            error->sqlstate = text;
        else if (field == 'M')
            error->message = text;
        else if (field == 'D')
            error->detail = text;
        else if (field == 'H')
            error->hint = text;
        else if (field == 'R')
            error->routine = text;
    }
}

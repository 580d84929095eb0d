#include "sluice/wire/resp_write.h"

#include <string.h>

#include "sluice/base/ensure.h"

#define SUBJECT_BYTES_MAX 128

struct resp_writer resp_writer_of(void *bytes, size_t size, uint8_t version)
{
    ensure(version == 2 || version == 3);
    return (struct resp_writer){.bytes = bytes, .size = size, .version = version};
}

void resp_write_raw(struct resp_writer *writer, const void *bytes, size_t length)
{
    if (writer->failed || writer->size - writer->length < length) {
        writer->failed = true;
        return;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

/* One type byte, a number, CR LF: a header, or an integer. */
static void header_write(struct resp_writer *writer, char type, int64_t number)
{
    char line[24], *end = line + sizeof(line), *at = end;
    uint64_t value = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    if (number < 0)
        *--at = '-';
    *--at = type;
    resp_write_raw(writer, at, (size_t)(end - at));
}

/* Text of which no byte can end the line. */
static void line_write(struct resp_writer *writer, const char *text, size_t length)
{
    size_t begin = writer->length;

    resp_write_raw(writer, text, length);
    for (size_t i = begin; i < writer->length; i++)
        if (writer->bytes[i] == '\r' || writer->bytes[i] == '\n')
            writer->bytes[i] = ' ';
}

void resp_write_simple(struct resp_writer *writer, const char *text)
{
    resp_write_raw(writer, "+", 1);
    line_write(writer, text, strlen(text));
    resp_write_raw(writer, "\r\n", 2);
}

void resp_write_error_line(struct resp_writer *writer, const char *text, size_t length)
{
    resp_write_raw(writer, "-", 1);
    line_write(writer, text, length);
    resp_write_raw(writer, "\r\n", 2);
}

void resp_write_error(struct resp_writer *writer, enum resp_error error, const char *first,
                      const char *second)
{
    const char *subjects[] = {first ? first : "", second ? second : ""};
    const char *text = resp_error_text(error), *mark;

    resp_write_raw(writer, "-", 1);
    for (size_t i = 0; i < 2 && (mark = strstr(text, "%s")) != NULL; i++) {
        line_write(writer, text, (size_t)(mark - text));
        line_write(writer, subjects[i], strnlen(subjects[i], SUBJECT_BYTES_MAX));
        text = mark + 2;
    }
    line_write(writer, text, strlen(text));
    resp_write_raw(writer, "\r\n", 2);
}

void resp_write_integer(struct resp_writer *writer, int64_t value)
{
    header_write(writer, ':', value);
}

void resp_write_bulk_head(struct resp_writer *writer, size_t length)
{
    header_write(writer, '$', (int64_t)length);
}

void resp_write_bulk(struct resp_writer *writer, const void *bytes, size_t length)
{
    resp_write_bulk_head(writer, length);
    resp_write_raw(writer, bytes, length);
    resp_write_raw(writer, "\r\n", 2);
}

void resp_write_text(struct resp_writer *writer, const char *text)
{
    resp_write_bulk(writer, text, strlen(text));
}

void resp_write_verbatim(struct resp_writer *writer, const void *bytes, size_t length)
{
    if (writer->version == 2) {
        resp_write_bulk(writer, bytes, length);
        return;
    }
    header_write(writer, '=', (int64_t)length + 4);
    resp_write_raw(writer, "txt:", 4);
    resp_write_raw(writer, bytes, length);
    resp_write_raw(writer, "\r\n", 2);
}

void resp_write_null(struct resp_writer *writer)
{
    resp_write_raw(writer, writer->version == 2 ? "$-1\r\n" : "_\r\n",
                   writer->version == 2 ? 5 : 3);
}

void resp_write_null_array(struct resp_writer *writer)
{
    resp_write_raw(writer, writer->version == 2 ? "*-1\r\n" : "_\r\n",
                   writer->version == 2 ? 5 : 3);
}

void resp_write_array(struct resp_writer *writer, size_t count)
{
    header_write(writer, '*', (int64_t)count);
}

void resp_write_map(struct resp_writer *writer, size_t count)
{
    if (writer->version == 2)
        header_write(writer, '*', (int64_t)count * 2);
    else
        header_write(writer, '%', (int64_t)count);
}

void resp_write_set(struct resp_writer *writer, size_t count)
{
    header_write(writer, writer->version == 2 ? '*' : '~', (int64_t)count);
}

void resp_write_push(struct resp_writer *writer, size_t count)
{
    header_write(writer, writer->version == 2 ? '*' : '>', (int64_t)count);
}

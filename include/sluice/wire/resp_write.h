/* resp_write: makes Redis replies, and requests of our own, in a caller's array (Redis
 * documentation, "Serialization protocol"). Pure; any thread. Where RESP2 lacks a type the writer's
 * version decides, as Redis does: a map is an array of twice as many, a push an array, a verbatim
 * string a bulk. */
#ifndef SLUICE_WIRE_RESP_WRITE_H
#define SLUICE_WIRE_RESP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/wire/resp_error.h"

/* What does not fit sets `failed` and is not written, nor is anything after it. */
struct resp_writer {
    uint8_t *bytes;
    size_t size, length;
    uint8_t version; /* 2 or 3 */
    bool failed;
};

struct resp_writer resp_writer_of(void *bytes, size_t size, uint8_t version);

/* Bytes that are RESP already. */
void resp_write_raw(struct resp_writer *writer, const void *bytes, size_t length);

/* One line: a CR or LF in it becomes a space, so that no text can end the reply. */
void resp_write_simple(struct resp_writer *writer, const char *text);

/* A row of the error table with its subjects (NULL for none); each is cut at 128 bytes, as Redis
 * cuts names. */
void resp_write_error(struct resp_writer *writer, enum resp_error error, const char *first,
                      const char *second);

/* An error line that came from elsewhere, without "-" and CR LF. */
void resp_write_error_line(struct resp_writer *writer, const char *text, size_t length);

void resp_write_integer(struct resp_writer *writer, int64_t value);

/* A bulk, or only its header: `length` bytes and CR LF must follow. */
void resp_write_bulk_head(struct resp_writer *writer, size_t length);
void resp_write_bulk(struct resp_writer *writer, const void *bytes, size_t length);
void resp_write_text(struct resp_writer *writer, const char *text); /* a bulk */

/* What CLIENT LIST, CLIENT INFO and INFO answer: "=" with txt: in RESP3, a bulk in RESP2. */
void resp_write_verbatim(struct resp_writer *writer, const void *bytes, size_t length);

void resp_write_null(struct resp_writer *writer);       /* $-1 or _ */
void resp_write_null_array(struct resp_writer *writer); /* *-1 or _ */

/* Headers: `count` elements (pairs, for a map) must follow. */
void resp_write_array(struct resp_writer *writer, size_t count);
void resp_write_map(struct resp_writer *writer, size_t count);
void resp_write_set(struct resp_writer *writer, size_t count);
void resp_write_push(struct resp_writer *writer, size_t count);

#endif

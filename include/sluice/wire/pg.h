/* pg: PostgreSQL's frontend/backend protocol 3: bytes <-> messages (protocol documentation,
 * "Message Formats"). Pure: no sockets, no state beyond the structs given; any thread. Everything
 * that is read is treated as hostile: a reader never goes past its end, and remembers that it
 * wanted to. */
#ifndef SLUICE_WIRE_PG_H
#define SLUICE_WIRE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_HEADER_BYTES 5u           /* type and length */
#define PG_MESSAGE_BYTES_MIN 4u      /* the length counts itself */
#define PG_STARTUP_BYTES_MAX 10000u  /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
#define PG_CANCEL_KEY_BYTES_MAX 256u /* protocol 3.2 */

#define PG_PROTOCOL_3_0 0x00030000u
#define PG_PROTOCOL_3_2 0x00030002u
#define PG_PROTOCOL_MAJOR(version) ((version) >> 16)
#define PG_REQUEST_CANCEL 80877102u
#define PG_REQUEST_SSL 80877103u
#define PG_REQUEST_GSSENC 80877104u

/* Messages of the frontend. */
enum pg_frontend {
    PG_BIND = 'B',
    PG_CLOSE = 'C',
    PG_COPY_DATA = 'd',
    PG_COPY_DONE = 'c',
    PG_COPY_FAIL = 'f',
    PG_DESCRIBE = 'D',
    PG_EXECUTE = 'E',
    PG_FLUSH = 'H',
    PG_FUNCTION_CALL = 'F',
    PG_PARSE = 'P',
    PG_PASSWORD = 'p',
    PG_QUERY = 'Q',
    PG_SYNC = 'S',
    PG_TERMINATE = 'X',
};

/* Messages of the backend. */
enum pg_backend {
    PG_AUTHENTICATION = 'R',
    PG_BACKEND_KEY = 'K',
    PG_BIND_COMPLETE = '2',
    PG_CLOSE_COMPLETE = '3',
    PG_COMMAND_COMPLETE = 'C',
    PG_COPY_BOTH = 'W',
    PG_COPY_IN = 'G',
    PG_COPY_OUT = 'H',
    PG_DATA_ROW = 'D',
    PG_EMPTY_QUERY = 'I',
    PG_ERROR = 'E',
    PG_FUNCTION_RESULT = 'V',
    PG_NEGOTIATE_VERSION = 'v',
    PG_NO_DATA = 'n',
    PG_NOTICE = 'N',
    PG_NOTIFICATION = 'A',
    PG_PARAMETER_DESCRIPTION = 't',
    PG_PARAMETER_STATUS = 'S',
    PG_PARSE_COMPLETE = '1',
    PG_PORTAL_SUSPENDED = 's',
    PG_READY = 'Z',
    PG_ROW_DESCRIPTION = 'T',
};

static inline uint32_t pg_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline uint16_t pg_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline void pg_put_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

/* Reads the fields of one message. After any failed read `failed` stays set and all reads give 0 or
 * "", so that a caller checks once, at the end. */
struct pg_reader {
    const uint8_t *at, *end;
    bool failed;
};

struct pg_reader pg_reader_of(const uint8_t *bytes, size_t length);
uint8_t pg_read_u8(struct pg_reader *reader);
uint16_t pg_read_u16(struct pg_reader *reader);
uint32_t pg_read_u32(struct pg_reader *reader);

/* A NUL-terminated string inside the message; never NULL. */
const char *pg_read_text(struct pg_reader *reader);

/* length bytes, or NULL when there are fewer. */
const uint8_t *pg_read_bytes(struct pg_reader *reader, size_t length);

static inline size_t pg_reader_left(const struct pg_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* Writes messages into a caller's array. What does not fit sets `failed` and is not written. */
struct pg_writer {
    uint8_t *bytes;
    size_t size, length;
    size_t message; /* where the length of the open message stands */
    bool failed;
};

struct pg_writer pg_writer_of(void *bytes, size_t size);

/* Opens a message of this type (0: one without a type, as a startup packet) and closes it. */
void pg_begin(struct pg_writer *writer, uint8_t type);
void pg_end(struct pg_writer *writer);
void pg_write_u8(struct pg_writer *writer, uint8_t value);
void pg_write_u16(struct pg_writer *writer, uint16_t value);
void pg_write_u32(struct pg_writer *writer, uint32_t value);
void pg_write_text(struct pg_writer *writer, const char *text); /* with its NUL */
void pg_write_bytes(struct pg_writer *writer, const void *bytes, size_t length);

/* Whole messages that are sent often. */
void pg_write_ready(struct pg_writer *writer, char status);
void pg_write_query(struct pg_writer *writer, const char *query);
void pg_write_parameter(struct pg_writer *writer, const char *name, const char *value);

/* ErrorResponse or NoticeResponse (type PG_ERROR or PG_NOTICE); detail and hint may be NULL.
 * Texts too long for the writer are cut, so that the message always arrives. */
void pg_write_error(struct pg_writer *writer, uint8_t type, const char *severity,
                    const char *sqlstate, const char *message, const char *detail,
                    const char *hint);

/* The fields of an ErrorResponse that we look at; "" where the server left one out. They point into
 * the message. */
struct pg_error {
    const char *severity, *sqlstate, *message, *detail, *hint, *routine;
};

/* body: without type and length. False when it is malformed; the fields are valid strings then too.
 */
bool pg_error_parse(const uint8_t *body, size_t length, struct pg_error *error);

#endif

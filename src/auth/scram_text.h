/* scram_text: reading and writing SCRAM messages (RFC 5802 section 7), for both roles. A message is
 * walked with a cursor that never looks past its end; errors are worded as PostgreSQL's. Private to
 * this folder. */
#ifndef SLUICE_AUTH_SCRAM_TEXT_H
#define SLUICE_AUTH_SCRAM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "sluice/auth/error.h"
#include "sluice/auth/scram.h"

struct scram_cursor {
    const char *at, *end;
};

/* A value inside the message. */
struct scram_value {
    const char *text;
    size_t bytes;
};

/* A byte in printable form, for error messages. */
struct scram_byte {
    char text[8];
};

/* Starts reading a message. False with the error if it is empty, too long, or holds a zero byte. */
bool scram_cursor_init(struct scram_cursor *cursor, const void *message, size_t bytes,
                       struct auth_error *error);

/* The next byte, or 0 at the end. */
char scram_cursor_peek(const struct scram_cursor *cursor);

struct scram_byte scram_byte_show(char byte);

/* Takes "<name>=<value>" and the comma behind it. */
bool scram_take(struct scram_cursor *cursor, char name, struct scram_value *value,
                struct auth_error *error);

/* Takes any attribute with a letter for a name. */
bool scram_take_any(struct scram_cursor *cursor, char *name, struct scram_value *value,
                    struct auth_error *error);

/* Sets "malformed SCRAM message" with this detail; returns false. */
bool scram_malformed(struct auth_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool scram_value_is(const struct scram_value *value, const char *text, size_t bytes);

/* True if all bytes are printable ASCII other than the comma. */
bool scram_value_printable(const struct scram_value *value);

/* Appends; false, and nothing appended, if there is no room. */
bool scram_text_append(struct scram_text *text, const void *bytes, size_t count);
bool scram_text_append_base64(struct scram_text *text, const void *bytes, size_t count);

/* The value of channel-binding "c=": gs2-header and binding data in base64. */
#define SCRAM_BINDING_TEXT_BYTES 128
size_t scram_binding_text(char gs2_flag, const struct channel_binding *binding,
                          char text[SCRAM_BINDING_TEXT_BYTES]);

/* The gs2-header without authzid: "n,,", "y,,", or "p=tls-server-end-point,,". */
const char *scram_gs2_header(char gs2_flag);

#endif

#include "auth/scram_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "auth/crypto.h"
#include "sluice/base/ensure.h"

bool scram_malformed(struct auth_error *error, const char *format, ...)
{
    va_list list;

    auth_error_set(error, "08P01", "malformed SCRAM message");
    va_start(list, format);
    vsnprintf(error->detail, sizeof(error->detail), format, list);
    va_end(list);
    return false;
}

bool scram_cursor_init(struct scram_cursor *cursor, const void *message, size_t bytes,
                       struct auth_error *error)
{
    if (bytes == 0)
        return scram_malformed(error, "The message is empty.");
    if (bytes > SCRAM_MESSAGE_BYTES_MAX)
        return scram_malformed(error, "The message is longer than %d bytes.",
                               SCRAM_MESSAGE_BYTES_MAX);
    if (memchr(message, '\0', bytes))
        return scram_malformed(error, "Message length does not match input length.");
    cursor->at = message;
    cursor->end = cursor->at + bytes;
    return true;
}

char scram_cursor_peek(const struct scram_cursor *cursor)
{
    return cursor->at < cursor->end ? *cursor->at : '\0';
}

struct scram_byte scram_byte_show(char byte)
{
    struct scram_byte shown;

    if (byte >= 0x21 && byte <= 0x7E)
        snprintf(shown.text, sizeof(shown.text), "'%c'", byte);
    else
        snprintf(shown.text, sizeof(shown.text), "0x%02x", (unsigned)(unsigned char)byte);
    return shown;
}

/* With the name already looked at: takes it, "=", the value and the comma. */
static bool take_value(struct scram_cursor *cursor, struct scram_value *value,
                       struct auth_error *error)
{
    char name = *cursor->at++;
    const char *comma;

    if (scram_cursor_peek(cursor) != '=')
        return scram_malformed(error, "Expected character \"=\" for attribute \"%c\".", name);
    cursor->at++;
    comma = memchr(cursor->at, ',', (size_t)(cursor->end - cursor->at));
    value->text = cursor->at;
    value->bytes = (size_t)((comma ? comma : cursor->end) - cursor->at);
    cursor->at = comma ? comma + 1 : cursor->end;
    return true;
}

bool scram_take(struct scram_cursor *cursor, char name, struct scram_value *value,
                struct auth_error *error)
{
    char found = scram_cursor_peek(cursor);

    if (found != name)
        return scram_malformed(error, "Expected attribute \"%c\" but found \"%s\".", name,
                               scram_byte_show(found).text);
    return take_value(cursor, value, error);
}

bool scram_take_any(struct scram_cursor *cursor, char *name, struct scram_value *value,
                    struct auth_error *error)
{
    char found = scram_cursor_peek(cursor);

    if (found == '\0')
        return scram_malformed(error, "Attribute expected, but found end of string.");
    if (!((found >= 'A' && found <= 'Z') || (found >= 'a' && found <= 'z')))
        return scram_malformed(error, "Attribute expected, but found invalid character \"%s\".",
                               scram_byte_show(found).text);
    *name = found;
    return take_value(cursor, value, error);
}

bool scram_value_is(const struct scram_value *value, const char *text, size_t bytes)
{
    return value->bytes == bytes && memcmp(value->text, text, bytes) == 0;
}

bool scram_value_printable(const struct scram_value *value)
{
    for (size_t i = 0; i < value->bytes; i++)
        if (value->text[i] < 0x21 || value->text[i] > 0x7E || value->text[i] == ',')
            return false;
    return true;
}

bool scram_text_append(struct scram_text *text, const void *bytes, size_t count)
{
    if (count > sizeof(text->data) - text->bytes)
        return false;
    memcpy(text->data + text->bytes, bytes, count);
    text->bytes += count;
    return true;
}

bool scram_text_append_base64(struct scram_text *text, const void *bytes, size_t count)
{
    char encoded[CRYPTO_BASE64_BYTES(SCRAM_SALT_BYTES_MAX) + 1];

    ensure(count <= SCRAM_SALT_BYTES_MAX);
    return scram_text_append(text, encoded, crypto_base64_encode(bytes, count, encoded));
}

const char *scram_gs2_header(char gs2_flag)
{
    switch (gs2_flag) {
    case 'n':
        return "n,,";
    case 'y':
        return "y,,";
    default:
        ensure(gs2_flag == 'p');
        return "p=tls-server-end-point,,";
    }
}

size_t scram_binding_text(char gs2_flag, const struct channel_binding *binding,
                          char text[SCRAM_BINDING_TEXT_BYTES])
{
    uint8_t input[24 + CHANNEL_BINDING_BYTES_MAX];
    const char *header = scram_gs2_header(gs2_flag);
    size_t bytes = strlen(header);

    _Static_assert(CRYPTO_BASE64_BYTES(sizeof(input)) < SCRAM_BINDING_TEXT_BYTES, "room");
    memcpy(input, header, bytes);
    if (gs2_flag == 'p') {
        memcpy(input + bytes, binding->data, binding->bytes);
        bytes += binding->bytes;
    }
    return crypto_base64_encode(input, bytes, text);
}

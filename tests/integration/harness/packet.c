#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/suite.h"

struct packet *put_new(void)
{
    return calloc(1, sizeof(struct packet));
}

struct packet *put_bytes(struct packet *packet, const void *bytes, size_t count)
{
    if (packet->size + count > packet->capacity) {
        packet->capacity = 2 * (packet->size + count) + 64;
        packet->bytes = realloc(packet->bytes, packet->capacity);
        ck_assert_ptr_nonnull(packet->bytes);
    }
    if (count > 0)
        memcpy(packet->bytes + packet->size, bytes, count);
    packet->size += count;
    return packet;
}

struct packet *put_int32(struct packet *packet, uint32_t value)
{
    value = htonl(value);
    return put_bytes(packet, &value, 4);
}

struct packet *put_int16(struct packet *packet, uint16_t value)
{
    value = htons(value);
    return put_bytes(packet, &value, 2);
}

struct packet *put_text(struct packet *packet, const char *string)
{
    return put_bytes(packet, string, strlen(string) + 1);
}

/* The message's length is filled in by end(). */
static size_t begin(struct packet *packet, char type)
{
    size_t at;

    put_bytes(packet, &type, 1);
    at = packet->size;
    put_int32(packet, 0);
    return at;
}

static struct packet *end(struct packet *packet, size_t at)
{
    uint32_t length = htonl((uint32_t)(packet->size - at));

    memcpy(packet->bytes + at, &length, 4);
    return packet;
}

struct packet *put_message(struct packet *packet, char type, const void *payload, size_t count)
{
    size_t at = begin(packet, type);

    put_bytes(packet, payload, count);
    return end(packet, at);
}

struct packet *put_startup(struct packet *packet, uint32_t protocol, ...)
{
    size_t at = packet->size;
    const char *word;
    va_list list;

    put_int32(packet, 0);
    put_int32(packet, protocol);
    va_start(list, protocol);
    while ((word = va_arg(list, const char *)) != NULL)
        put_text(packet, word);
    va_end(list);
    if (protocol >> 16 == 3)
        put_bytes(packet, "", 1);
    return end(packet, at);
}

static struct packet *put_text_message(struct packet *packet, char type, const char *payload)
{
    return put_message(packet, type, payload, strlen(payload) + 1);
}

struct packet *put_query(struct packet *packet, const char *sql)
{
    return put_text_message(packet, 'Q', sql);
}

struct packet *put_parse(struct packet *packet, const char *name, const char *sql)
{
    size_t at = begin(packet, 'P');

    return end(put_int16(put_text(put_text(packet, name), sql), 0), at);
}

struct packet *put_bind(struct packet *packet, const char *portal, const char *statement,
                        const char *parameter)
{
    size_t at = begin(packet, 'B');

    put_text(put_text(packet, portal), statement);
    put_int16(packet, 0); /* all parameters are text */
    put_int16(packet, parameter ? 1 : 0);
    if (parameter) {
        put_int32(packet, (uint32_t)strlen(parameter));
        put_bytes(packet, parameter, strlen(parameter));
    }
    return end(put_int16(packet, 0), at); /* all results too */
}

struct packet *put_describe(struct packet *packet, char kind, const char *name)
{
    size_t at = begin(packet, 'D');

    return end(put_text(put_bytes(packet, &kind, 1), name), at);
}

struct packet *put_execute(struct packet *packet, const char *portal, uint32_t rows)
{
    size_t at = begin(packet, 'E');

    return end(put_int32(put_text(packet, portal), rows), at);
}

struct packet *put_close(struct packet *packet, char kind, const char *name)
{
    size_t at = begin(packet, 'C');

    return end(put_text(put_bytes(packet, &kind, 1), name), at);
}

struct packet *put_sync(struct packet *packet)
{
    return put_message(packet, 'S', NULL, 0);
}

struct packet *put_flush(struct packet *packet)
{
    return put_message(packet, 'H', NULL, 0);
}

struct packet *put_extended(struct packet *packet, const char *sql, const char *parameter)
{
    put_bind(put_parse(packet, "", sql), "", "", parameter);
    return put_execute(put_describe(packet, 'P', ""), "", 0);
}

struct packet *put_copy_data(struct packet *packet, const char *string)
{
    return put_message(packet, 'd', string, strlen(string));
}

struct packet *put_copy_done(struct packet *packet)
{
    return put_message(packet, 'c', NULL, 0);
}

struct packet *put_copy_fail(struct packet *packet, const char *message)
{
    return put_text_message(packet, 'f', message);
}

struct packet *put_function_call(struct packet *packet, uint32_t oid, const char *argument)
{
    size_t at = begin(packet, 'F');

    put_int32(packet, oid);
    put_int16(packet, 0);
    put_int16(packet, 1);
    put_int32(packet, (uint32_t)strlen(argument));
    put_bytes(packet, argument, strlen(argument));
    return end(put_int16(packet, 0), at);
}

struct packet *put_terminate(struct packet *packet)
{
    return put_message(packet, 'X', NULL, 0);
}

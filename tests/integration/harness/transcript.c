/* How client.h tells messages as text. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/suite.h"

enum { SHOWN_BYTES = 60 }; /* of a value */

/* Reads a payload; what is beyond its end reads as zeros. */
struct cursor {
    const unsigned char *at, *end;
};

static uint32_t take(struct cursor *cursor, size_t bytes)
{
    uint32_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (cursor->at < cursor->end ? *cursor->at++ : 0U);
    return value;
}

static const char *take_text(struct cursor *cursor)
{
    const char *string = (const char *)cursor->at;
    size_t room = (size_t)(cursor->end - cursor->at);
    size_t length = strnlen(string, room);

    if (length == room)
        return "";
    cursor->at += length + 1;
    return string;
}

static void tell_value(FILE *out, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size && i < SHOWN_BYTES; i++)
        if (isprint(bytes[i]))
            fputc(bytes[i], out);
        else
            fprintf(out, "\\%02x", bytes[i]);
    if (size > SHOWN_BYTES)
        fprintf(out, "...[%zu]", size);
}

static void tell_row(FILE *out, struct cursor *cursor)
{
    uint32_t columns = take(cursor, 2);

    for (uint32_t i = 0; i < columns; i++) {
        uint32_t size = take(cursor, 4);

        fputs(i ? "," : "", out);
        if (size == UINT32_MAX) {
            fputs("null", out);
            continue;
        }
        if (size > (size_t)(cursor->end - cursor->at))
            ck_abort_msg("a DataRow's column is longer than the row");
        tell_value(out, cursor->at, size);
        cursor->at += size;
    }
}

static void tell_description(FILE *out, struct cursor *cursor)
{
    uint32_t columns = take(cursor, 2);

    for (uint32_t i = 0; i < columns; i++) {
        fprintf(out, "%s%s", i ? "," : "", take_text(cursor));
        take(cursor, 18); /* table, column, type, size, modifier, format */
    }
}

static void tell_error(FILE *out, struct cursor *cursor)
{
    const char *state = "", *message = "";
    int field;

    while ((field = (int)take(cursor, 1)) != 0) {
        const char *value = take_text(cursor);

        if (field == 'C')
            state = value;
        if (field == 'M')
            message = value;
    }
    fprintf(out, "%s %s", state, message);
}

static void tell_authentication(FILE *out, struct cursor *cursor)
{
    static const char *const names[] = {[0] = "ok",    [3] = "cleartext", [5] = "md5",
                                        [10] = "sasl", [11] = "continue", [12] = "final"};
    uint32_t code = take(cursor, 4);

    if (code <= 12 && names[code])
        fputs(names[code], out);
    else
        fprintf(out, "%u", code);
}

static void tell_negotiation(FILE *out, struct cursor *cursor)
{
    uint32_t version = take(cursor, 4), options = take(cursor, 4);

    /* The newest minor version, which PostgreSQL 15 sends alone and later ones with the major. */
    fprintf(out, "3.%u", version & 0xffff);
    for (uint32_t i = 0; i < options; i++)
        fprintf(out, " %s", take_text(cursor));
}

static void tell(FILE *out, const struct message *message)
{
    struct cursor cursor = {message->payload, message->payload + message->size};

    fputc(message->type, out);
    if (!strchr("RSZTDCENdAVtv", message->type))
        return;
    fputc('(', out);
    switch (message->type) {
    case 'R':
        tell_authentication(out, &cursor);
        break;
    case 'S':
        fprintf(out, "%s=", take_text(&cursor));
        fputs(take_text(&cursor), out);
        break;
    case 'Z':
        fputc((int)take(&cursor, 1), out);
        break;
    case 'T':
        tell_description(out, &cursor);
        break;
    case 'D':
        tell_row(out, &cursor);
        break;
    case 'C':
        fputs(take_text(&cursor), out);
        break;
    case 'E':
    case 'N':
        tell_error(out, &cursor);
        break;
    case 'd':
        tell_value(out, message->payload, message->size);
        break;
    case 'A':
        take(&cursor, 4);
        fprintf(out, "%s,", take_text(&cursor));
        fputs(take_text(&cursor), out);
        break;
    case 'V': {
        uint32_t size = take(&cursor, 4);

        tell_value(out, cursor.at, size == UINT32_MAX ? 0 : size);
        break;
    }
    case 't':
        fprintf(out, "%u", take(&cursor, 2));
        break;
    case 'v':
        tell_negotiation(out, &cursor);
        break;
    default:
        break;
    }
    fputc(')', out);
}

/* Appends messages up to and with the given one ('\0': only one) or the end. */
static void tell_until(FILE *out, struct client *client, char last)
{
    struct message message;
    bool first = true;

    do {
        message = client_read(client);
        if (!first)
            fputc(' ', out);
        first = false;
        if (message.type == '\0')
            fputs(client->reset ? "RST" : "EOF", out);
        else
            tell(out, &message);
    } while (message.type != '\0' && last != '\0' && message.type != last);
}

char *client_message(struct client *client)
{
    char *told;
    size_t size;
    FILE *out = open_memstream(&told, &size);

    tell_until(out, client, '\0');
    fclose(out);
    return told;
}

char *client_answer(struct client *client)
{
    return client_answers(client, 1);
}

char *client_answers(struct client *client, unsigned times)
{
    char *told;
    size_t size;
    FILE *out = open_memstream(&told, &size);

    for (unsigned i = 0; i < times; i++) {
        if (i > 0)
            fputc(' ', out);
        tell_until(out, client, 'Z');
    }
    fclose(out);
    return told;
}

#include "sluice/batch/mask.h"

#include <stdbool.h>
#include <string.h>

#include "sluice/base/utf8.h"

/* What is read, and what has been written. */
struct masking {
    const char *at, *end;
    char *to, *start, *limit;
    bool blank; /* one is due before the next byte */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_blank(char byte)
{
    return (unsigned char)byte <= ' ' || byte == 0x7f;
}

/* May continue a name. */
static bool in_name(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '_' || byte == '$' || (byte & 0x80) != 0;
}

static char byte_at(const struct masking *masking, size_t ahead)
{
    return (size_t)(masking->end - masking->at) > ahead ? masking->at[ahead] : '\0';
}

static void put(struct masking *masking, char byte)
{
    if (masking->blank && masking->to > masking->start && masking->to < masking->limit)
        *masking->to++ = ' ';
    masking->blank = false;
    if (masking->to < masking->limit)
        *masking->to++ = byte;
}

/* What has been written ends with this, blanks apart. */
static bool written(const struct masking *masking, const char *tail)
{
    size_t length = strlen(tail);

    return (size_t)(masking->to - masking->start) >= length &&
           memcmp(masking->to - length, tail, length) == 0;
}

/* A second literal of a list becomes "...", the others nothing. */
static void put_literal(struct masking *masking)
{
    if (written(masking, "?, ...,") || written(masking, "?, ... ,")) {
        masking->to -= written(masking, " ,") ? 2 : 1;
        masking->blank = false;
        return;
    }
    if (written(masking, "?,") || written(masking, "? ,")) {
        masking->to -= written(masking, " ,") ? 2 : 1;
        masking->blank = false;
        for (const char *dots = ", ..."; *dots; dots++)
            put(masking, *dots);
        return;
    }
    put(masking, '?');
}

/* Skips to behind the quote that ends what begins here; a doubled one stands for itself. */
static void skip_quoted(struct masking *masking, bool escapes)
{
    char quote = *masking->at++;

    for (; masking->at < masking->end; masking->at++) {
        if (escapes && *masking->at == '\\' && masking->at + 1 < masking->end)
            masking->at++;
        else if (*masking->at == quote && byte_at(masking, 1) == quote)
            masking->at++;
        else if (*masking->at == quote)
            break;
    }
    if (masking->at < masking->end)
        masking->at++;
}

static void skip_comment(struct masking *masking)
{
    unsigned depth = 0;

    if (*masking->at == '-') {
        while (masking->at < masking->end && *masking->at != '\n')
            masking->at++;
    } else {
        do {
            if (byte_at(masking, 0) == '/' && byte_at(masking, 1) == '*') {
                depth++;
                masking->at++;
            } else if (byte_at(masking, 0) == '*' && byte_at(masking, 1) == '/') {
                depth--;
                masking->at++;
            }
            masking->at++;
        } while (depth > 0 && masking->at < masking->end);
    }
    if (masking->at > masking->end)
        masking->at = masking->end;
    masking->blank = true;
}

/* $1, $tag$...$tag$, or a dollar. */
static void take_dollar(struct masking *masking)
{
    const char *tag = masking->at;
    size_t length = 1;

    if (is_digit(byte_at(masking, 1))) {
        do
            put(masking, *masking->at++);
        while (is_digit(byte_at(masking, 0)));
        return;
    }
    while (in_name(byte_at(masking, length)) && byte_at(masking, length) != '$')
        length++;
    if (byte_at(masking, length) != '$') {
        put(masking, *masking->at++);
        return;
    }
    length++;
    masking->at = memmem(tag + length, (size_t)(masking->end - tag) - length, tag, length);
    masking->at = masking->at ? masking->at + length : masking->end;
    put_literal(masking);
}

/* 1, 1.5, .5, 1e-3, 0xff, 1_000. */
static void take_number(struct masking *masking)
{
    while (in_name(byte_at(masking, 0)) || byte_at(masking, 0) == '.' ||
           ((byte_at(masking, 0) == '-' || byte_at(masking, 0) == '+') &&
            (masking->at[-1] | 0x20) == 'e' && is_digit(byte_at(masking, 1))))
        masking->at++;
    put_literal(masking);
}

/* A name, or the letters in front of a string: E'', B'', X'', N'', U&''. */
static void take_name(struct masking *masking)
{
    char first = (char)(*masking->at | 0x20);
    bool joined = byte_at(masking, 1) == '\'';

    if (joined && memchr("ebxn", first, 4)) {
        masking->at++;
        skip_quoted(masking, first == 'e');
        put_literal(masking);
        return;
    }
    if (first == 'u' && byte_at(masking, 1) == '&' && byte_at(masking, 2) == '\'') {
        masking->at += 2;
        skip_quoted(masking, false);
        put_literal(masking);
        return;
    }
    while (in_name(byte_at(masking, 0)))
        put(masking, *masking->at++);
}

static void take_identifier(struct masking *masking)
{
    const char *from = masking->at;

    skip_quoted(masking, false);
    for (; from < masking->at; from++)
        put(masking, is_blank(*from) ? ' ' : *from);
}

size_t mask_text(const char *text, size_t length, char *masked, size_t size)
{
    struct masking masking = {.at = text,
                              .end = text + length,
                              .to = masked,
                              .start = masked,
                              .limit = masked + size - 1};

    while (masking.at < masking.end && masking.to < masking.limit) {
        char byte = *masking.at, next = byte_at(&masking, 1);

        if (is_blank(byte)) {
            masking.blank = true;
            masking.at++;
        } else if ((byte == '-' && next == '-') || (byte == '/' && next == '*')) {
            skip_comment(&masking);
        } else if (byte == '\'') {
            skip_quoted(&masking, false);
            put_literal(&masking);
        } else if (byte == '"') {
            take_identifier(&masking);
        } else if (byte == '$') {
            take_dollar(&masking);
        } else if (is_digit(byte) || (byte == '.' && is_digit(next))) {
            take_number(&masking);
        } else if (in_name(byte)) {
            take_name(&masking);
        } else {
            put(&masking, byte);
            masking.at++;
        }
    }
    masking.to = masked + utf8_cut(masked, (size_t)(masking.to - masked));
    while (masking.to > masked && (masking.to[-1] == ';' || masking.to[-1] == ' '))
        masking.to--;
    *masking.to = '\0';
    return (size_t)(masking.to - masked);
}

#include "sluice/batch/literals.h"

#include "sluice/base/ensure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK '\1' /* begins a literal's place in a shape; no text that has one itself is shaped */

enum { TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_NUMERIC = 1700 };

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Bytes that may continue a name, by PostgreSQL's scan.l. */
static bool in_name(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '_' || byte == '$' || (byte & 0x80) != 0;
}

/* The functions that follow are at the first byte of what they skip, and return the byte after its
 * end; 0 if it has no end, or is nothing that we understand. */

/* '...' or "...", in which a doubled quote stands for one. */
static size_t skip_quoted(const char *text, size_t at)
{
    char quote = text[at++];

    for (; text[at] != '\0'; at++) {
        if (text[at] == quote && text[++at] != quote)
            return at;
    }
    return 0;
}

static size_t skip_comment(const char *text, size_t at)
{
    unsigned depth = 1;

    if (text[at] == '-')
        return at + strcspn(text + at, "\r\n");
    for (at += 2; text[at] != '\0'; at++) {
        if (text[at] == '/' && text[at + 1] == '*') {
            depth++;
            at++;
        } else if (text[at] == '*' && text[at + 1] == '/') {
            at++;
            if (--depth == 0)
                return at + 1;
        }
    }
    return 0;
}

/* $1, or $tag$...$tag$, or a dollar that begins nothing such. */
static size_t skip_dollar(const char *text, size_t at)
{
    size_t start = at++;

    if (is_digit(text[at])) {
        while (is_digit(text[at]))
            at++;
        return at;
    }
    while (in_name(text[at]) && text[at] != '$')
        at++;
    if (text[at] != '$')
        return at;
    at++;
    for (const char *end = text + at; (end = strchr(end, '$')) != NULL; end++) {
        if (strncmp(end, text + start, at - start) == 0)
            return (size_t)(end - text) + at - start;
    }
    return 0;
}

/* A name, or a string in another notation: B'', X'', N'', U&''. Not E'': what a backslash hides in
 * it goes on in a second string on the next line. */
static size_t skip_name(const char *text, size_t at)
{
    size_t start = at;

    while (in_name(text[at]))
        at++;
    if (at != start + 1)
        return at;
    if (text[at] == '\'' && strchr("eE", text[start]) != NULL)
        return 0;
    if (text[at] == '\'' && strchr("bBxXnN", text[start]) != NULL)
        return skip_quoted(text, at);
    if (text[at] == '&' && text[at + 1] == '\'' && strchr("uU", text[start]) != NULL)
        return skip_quoted(text, at + 1);
    return at;
}

/* A number of a plain form, 12 or 1.5, is a literal; any other is skipped. */
static size_t take_number(const char *text, size_t at, struct literal *literal)
{
    long long number;

    *literal = (struct literal){.start = (uint32_t)at, .kind = LITERAL_INTEGER};
    while (is_digit(text[at]))
        at++;
    if (text[at] == '.' && is_digit(text[at + 1])) {
        literal->kind = LITERAL_NUMBER;
        for (at++; is_digit(text[at]);)
            at++;
    }
    if (text[at] == '.' || in_name(text[at])) {
        while (text[at] == '.' || in_name(text[at]))
            at++;
        return at;
    }
    literal->end = (uint32_t)at;
    if (literal->kind == LITERAL_INTEGER) {
        errno = 0;
        number = strtoll(text + literal->start, NULL, 10);
        if (errno == ERANGE || number > INT32_MAX)
            literal->kind = LITERAL_NUMBER;
    }
    return at;
}

/* Returns the byte after the token at `at`; if it is a literal, literal->end is not 0. */
static size_t next_token(const char *text, size_t at, struct literal *literal)
{
    literal->end = 0;
    if (text[at] == '\'') {
        *literal = (struct literal){.start = (uint32_t)at, .kind = LITERAL_STRING};
        at = skip_quoted(text, at);
        literal->end = (uint32_t)at;
        return at;
    }
    if (text[at] == '"')
        return skip_quoted(text, at);
    if ((text[at] == '-' && text[at + 1] == '-') || (text[at] == '/' && text[at + 1] == '*'))
        return skip_comment(text, at);
    if (text[at] == '$')
        return skip_dollar(text, at);
    if (is_digit(text[at]))
        return take_number(text, at, literal);
    if (text[at] == '.' && is_digit(text[at + 1]))
        return take_number(text, at + 1, &(struct literal){0}); /* .5 */
    if (in_name(text[at]))
        return skip_name(text, at);
    return at + 1;
}

bool literals_find(struct literals *literals, const char *text)
{
    struct literal literal = {0};

    literals->bytes = strnlen(text, LOOKUP_TEXT_BYTES_MAX + 1);
    literals->count = 0;
    if (literals->bytes > LOOKUP_TEXT_BYTES_MAX || memchr(text, MARK, literals->bytes) != NULL)
        return false;
    for (size_t at = 0; text[at] != '\0';) {
        at = next_token(text, at, &literal);
        if (at == 0 || (literal.end != 0 && literals->count == LITERALS_MAX))
            return false;
        if (literal.end == 0)
            continue;
        literals->items[literals->count++] = literal;
    }
    /* literals_choose() writes up to one byte more for each. */
    return literals->count > 0 && literals->bytes + literals->count <= LOOKUP_TEXT_BYTES_MAX;
}

size_t literals_shape(const struct literals *literals, const char *text, char *shape)
{
    size_t done = 0;
    char *to = shape;

    for (unsigned i = 0; i < literals->count; i++) {
        const struct literal *literal = &literals->items[i];

        to = mempcpy(to, text + done, literal->start - done);
        *to++ = MARK;
        *to++ = (char)literal->kind;
        done = literal->end;
    }
    to = mempcpy(to, text + done, literals->bytes - done);
    return (size_t)(to - shape);
}

/* As make_const in PostgreSQL's parse_node.c: the smallest of int4, int8, numeric that holds it. */
static uint32_t number_type(const char *value)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (*end != '\0' || errno == ERANGE)
        return TYPE_NUMERIC;
    return number >= INT32_MIN && number <= INT32_MAX ? TYPE_INT4 : TYPE_INT8;
}

/* Writes the value with a NUL behind it; returns the byte after that. */
static char *put_value(struct literals_param *param, const struct literal *literal, bool negative,
                       const char *text, char *to)
{
    size_t quote = literal->kind == LITERAL_STRING;

    param->value = to;
    if (negative)
        *to++ = '-';
    for (size_t at = literal->start + quote; at < literal->end - quote; at++) {
        if (text[at] == '\'')
            at++;
        *to++ = text[at];
    }
    *to = '\0';
    param->bytes = (size_t)(to - param->value);
    param->type = quote != 0 ? 0 : number_type(param->value);
    return to + 1;
}

void literals_normalise(const struct literals *literals, const struct literals_choice *choice,
                        const char *text, char *memory, struct literals_normal *normal)
{
    char *to = memory;
    size_t done = 0;

    ensure(choice->refusal == LOOKUP_NONE);
    *normal = (struct literals_normal){.text = memory};
    for (unsigned i = 0; i < literals->count; i++) {
        const struct literal *literal = &literals->items[i];
        size_t start = literal->start;

        if ((choice->params >> i & 1) == 0)
            continue;
        if (choice->negative >> i & 1) {
            while (text[start] != '-')
                start--;
        }
        to = mempcpy(to, text + done, start - done);
        /* A literal may touch the words beside it (BETWEEN-1 AND'x'), a parameter may not. */
        to += snprintf(to, 16, "%s$%u%s", start > 0 && in_name(text[start - 1]) ? " " : "",
                      ++normal->count, in_name(text[literal->end]) ? " " : "");
        done = literal->end;
    }
    to = stpcpy(to, text + done);
    normal->bytes = (size_t)(to - memory);
    for (unsigned i = 0, n = 0; i < literals->count; i++) {
        if (choice->params >> i & 1)
            to = put_value(&normal->params[n++], &literals->items[i], choice->negative >> i & 1,
                           text, to + 1) -
                 1;
    }
}

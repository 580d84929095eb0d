#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/batch/lookup.h"
#include "statement.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_NUMERIC = 1700 };

struct span { /* of a literal in the text */
    size_t start, end;
    bool quoted;
};

struct spans {
    const struct statement *statement;
    struct span items[LOOKUP_PARAMS_MAX];
    unsigned count;
    enum lookup_refusal refusal;
};

static size_t skip_digits(const char *text, size_t at)
{
    while (isdigit((unsigned char)text[at]))
        at++;
    return at;
}

/* A number begins here, perhaps with one sign and blanks. Returns its end, or `at` if it is written
 * in another way. */
static size_t number_end(const char *text, size_t at)
{
    size_t start = at, digits, exponent;

    if (text[at] == '-') {
        at++;
        while (text[at] == ' ')
            at++;
    }
    digits = at;
    at = skip_digits(text, at);
    if (text[at] == '.')
        at = skip_digits(text, at + 1);
    if (at == digits || (at == digits + 1 && text[digits] == '.'))
        return start;
    if (text[at] == 'e' || text[at] == 'E') {
        exponent = at + 1;
        if (text[exponent] == '+' || text[exponent] == '-')
            exponent++;
        at = skip_digits(text, exponent);
        if (at == exponent)
            return start;
    }
    return isalnum((unsigned char)text[at]) || text[at] == '_' ? start : at;
}

/* A '...' begins here. Returns its end if it means `value`, else `at`: 'a' and 'b' on two lines are
 * one string. */
static size_t string_end(const char *text, size_t at, const char *value)
{
    size_t start = at++;

    for (;; at++, value++) {
        if (text[at] == '\0')
            return start;
        if (text[at] == '\'' && text[++at] != '\'')
            return *value == '\0' ? at : start;
        if (text[at] != *value)
            return start;
    }
}

static void take_literal(struct spans *spans, json_t *constant)
{
    const char *text = spans->statement->text;
    size_t start = node_location(spans->statement, constant);
    json_t *string = json_object_get(constant, "sval");
    struct span span = {.start = start, .end = start, .quoted = string != NULL};

    if (json_object_get(constant, "ival") != NULL || json_object_get(constant, "fval") != NULL) {
        span.end = number_end(text, start);
    } else if (string != NULL && text[start] == '\'') {
        const char *value = json_string_value(json_object_get(string, "sval"));

        span.end = string_end(text, start, value == NULL ? "" : value);
    }
    if (span.end == start)
        return;
    if (spans->count == LOOKUP_PARAMS_MAX)
        spans->refusal = LOOKUP_PARAM_NUMBER;
    else
        spans->items[spans->count++] = span;
}

static bool compares(json_t *expression)
{
    static const char *const operators[] = {"=", "<>", "<", ">", "<=", ">="};
    static const char *const kinds[] = {"AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"};
    const char *kind = json_string_value(json_object_get(expression, "kind"));
    json_t *names = json_object_get(expression, "name");
    const char *name = names_last(names);

    if (kind == NULL || name == NULL || json_array_size(names) != 1)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (strcmp(kind, "AEXPR_OP") == 0 && strcmp(name, operators[i]) == 0)
            return true;
    }
    return false;
}

/* The operand's literals: itself, or those in the list of IN or BETWEEN. */
static void take_operand(struct spans *spans, json_t *operand)
{
    json_t *items = json_object_get(node_of(operand, "List"), "items");
    json_t *constant = node_of(operand, "A_Const");
    json_t *item;
    size_t i;

    if (constant != NULL)
        take_literal(spans, constant);
    json_array_foreach(operand, i, item) take_operand(spans, item);
    json_array_foreach(items, i, item) take_operand(spans, item);
}

/* Follows AND, OR and NOT down to the comparisons. */
static void take_condition(struct spans *spans, json_t *condition)
{
    json_t *expression = node_of(condition, "A_Expr");
    json_t *parts = json_object_get(node_of(condition, "BoolExpr"), "args");
    json_t *left = json_object_get(expression, "lexpr");
    json_t *right = json_object_get(expression, "rexpr");
    json_t *part;
    size_t i;

    json_array_foreach(parts, i, part) take_condition(spans, part);
    if (expression == NULL || !compares(expression))
        return;
    if (node_of(left, "ColumnRef") != NULL)
        take_operand(spans, right);
    else if (node_of(right, "ColumnRef") != NULL)
        take_operand(spans, left);
}

static void take_select(struct spans *spans, json_t *select)
{
    json_t *left = json_object_get(select, "larg");
    json_t *right = json_object_get(select, "rarg");

    take_condition(spans, json_object_get(select, "whereClause"));
    if (left != NULL)
        take_select(spans, left);
    if (right != NULL)
        take_select(spans, right);
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;

    return (left->start > right->start) - (left->start < right->start);
}

/* As make_const in PostgreSQL's parse_node.c: the smallest of int4, int8 and numeric that holds it.
 */
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

/* Writes the value of a literal with a NUL behind it, and returns the byte after that. */
static char *put_value(char *to, const char *text, const struct span *span)
{
    for (size_t i = span->start + span->quoted; i < span->end - span->quoted; i++) {
        if (span->quoted && text[i] == '\'')
            i++;
        if (span->quoted || text[i] != ' ')
            *to++ = text[i];
    }
    *to++ = '\0';
    return to;
}

/* A literal may touch its neighbours (BETWEEN-1 AND'x'), a parameter may not. */
static bool in_word(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '$' || (byte & 0x80) != 0;
}

static void put_normal(struct lookup_normal *normal, const struct spans *spans)
{
    const struct statement *statement = spans->statement;
    size_t done = statement->start, length;
    char *value = memory_new(statement->end + LOOKUP_PARAMS_MAX);
    FILE *to = open_memstream(&normal->text, &length);

    ensure(to != NULL);
    normal->values = value;
    normal->count = spans->count;
    for (unsigned i = 0; i < spans->count; i++) {
        const struct span *span = &spans->items[i];
        struct lookup_literal *literal = &normal->literals[i];

        fwrite(statement->text + done, 1, span->start - done, to);
        fprintf(to, "%s$%u%s",
                span->start > 0 && in_word(statement->text[span->start - 1]) ? " " : "", i + 1,
                in_word(statement->text[span->end]) ? " " : "");
        done = span->end;
        literal->value = value;
        value = put_value(value, statement->text, span);
        literal->bytes = (size_t)(value - literal->value) - 1;
        literal->type = span->quoted ? 0 : number_type(literal->value);
    }
    fwrite(statement->text + done, 1, statement->end - done, to);
    ensure(fclose(to) == 0);
}

enum lookup_refusal lookup_normalise(const char *text, struct lookup_normal *normal)
{
    struct statement statement;
    struct spans spans = {.statement = &statement};
    enum lookup_refusal refusal = statement_init(&statement, text);

    *normal = (struct lookup_normal){0};
    if (refusal == LOOKUP_NONE && node_has_param(statement.select))
        refusal = LOOKUP_HAS_PARAM;
    if (refusal == LOOKUP_NONE) {
        take_select(&spans, statement.select);
        refusal = spans.refusal;
        if (refusal == LOOKUP_NONE && spans.count == 0)
            refusal = LOOKUP_NO_LITERAL;
    }
    if (refusal == LOOKUP_NONE) {
        qsort(spans.items, spans.count, sizeof(spans.items[0]), compare_spans);
        put_normal(normal, &spans);
    }
    statement_fini(&statement);
    return refusal;
}

void lookup_normal_fini(struct lookup_normal *normal)
{
    free(normal->text);
    free(normal->values);
}

#include "functions.h"
#include "sluice/base/memory.h"
#include "walk.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool field_is(json_t *fields, const char *field, const char *value)
{
    const char *text = json_string_value(json_object_get(fields, field));

    return text != NULL && strcmp(text, value) == 0;
}

/* A name as the probe's list has it: a literal, under standard_conforming_strings = on. */
static void note_literal(FILE *list, const char *name)
{
    fputs(", '", list);
    for (; *name != '\0'; name++) {
        if (*name == '\'')
            fputc('\'', list);
        fputc(*name, list);
    }
    fputc('\'', list);
}

/* Writes "name" for the inside of a literal: with both kinds of quote doubled. */
static void put_identifier(FILE *list, const char *name)
{
    fputc('"', list);
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\'')
            fputc(*name, list);
        fputc(*name, list);
    }
    fputc('"', list);
}

/* An operator by an unqualified name may be found anywhere in the search_path. */
static void note_operator(struct walk *walk, const json_t *names)
{
    const char *name = names_last(names);

    if (name == NULL)
        return; /* a sublink without operator: IN, which the probe asks for anyway */
    if (json_array_size(names) == 1)
        note_literal(walk->names[WALK_OPERATORS], name);
    else if (json_array_size(names) != 2 ||
             !field_is(node_of(json_array_get(names, 0), "String"), "sval", "pg_catalog"))
        walk_refuse(walk, LOOKUP_OPERATOR, name);
}

void check_select(struct walk *walk, json_t *fields)
{
    /* For the reason's sake: with them first, "SELECT ... FOR UPDATE" is refused as just that. */
    if (json_object_get(fields, "intoClause") != NULL)
        walk_refuse(walk, LOOKUP_INTO, NULL);
    else if (json_object_get(fields, "lockingClause") != NULL)
        walk_refuse(walk, LOOKUP_LOCKING, NULL);
}

/* True if PostgreSQL would name the column after this expression's parameter, once the parameter is
 * a column (FigureColname in parse_target.c). */
static bool named_by_param(json_t *node)
{
    for (;;) {
        json_t *fields;
        const char *kind = node_kind(node, &fields);

        if (kind == NULL)
            return false;
        if (strcmp(kind, "ParamRef") == 0)
            return true;
        if (strcmp(kind, "TypeCast") == 0 || strcmp(kind, "CollateClause") == 0)
            node = json_object_get(fields, "arg");
        else if (strcmp(kind, "CaseExpr") == 0)
            node = json_object_get(fields, "defresult");
        else
            return false;
    }
}

/* `SELECT $1::int ... ORDER BY int4` sorts by the column that the cast named. A column in the place
 * of $1 would name it differently, so such columns need a name in the text. */
void check_target(struct walk *walk, json_t *fields)
{
    if (json_object_get(fields, "name") == NULL && named_by_param(json_object_get(fields, "val")))
        walk_refuse(walk, LOOKUP_PARAM_NAME, NULL);
}

/* PostgreSQL reads a.b as b(a) if a has no column b. */
void check_column(struct walk *walk, json_t *fields)
{
    json_t *names = json_object_get(fields, "fields");
    const char *last = names_last(names);

    if (json_array_size(names) > 1 && last != NULL)
        note_literal(walk->names[WALK_FIELDS], last);
}

void check_indirection(struct walk *walk, json_t *fields)
{
    json_t *step;
    size_t i;

    /* $1.field would become table.column.field. */
    if (node_of(json_object_get(fields, "arg"), "ParamRef") != NULL)
        walk_refuse(walk, LOOKUP_PARAM_PLACE, NULL);
    json_array_foreach(json_object_get(fields, "indirection"), i, step)
    {
        const char *name = json_string_value(json_object_get(node_of(step, "String"), "sval"));

        if (name != NULL)
            note_literal(walk->names[WALK_FIELDS], name);
    }
}

/* 'now', 'today' and the like are read as a time when the statement is prepared. */
void check_constant(struct walk *walk, json_t *fields)
{
    static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
    const char *text = json_string_value(json_object_get(json_object_get(fields, "sval"), "sval"));

    if (text == NULL)
        return;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i]);

        for (const char *at = text; (at = strcasestr(at, words[i])) != NULL; at++) {
            if ((at == text || !isalpha((unsigned char)at[-1])) &&
                !isalpha((unsigned char)at[length]))
                walk_refuse(walk, LOOKUP_CLOCK, words[i]);
        }
    }
}

void check_param(struct walk *walk, json_t *fields)
{
    json_int_t number = json_integer_value(json_object_get(fields, "number"));
    size_t offset = node_location(walk->statement, fields);

    if (walk->statement->text[offset] != '$') {
        walk_refuse(walk, LOOKUP_CONSTRUCT, "ParamRef");
        return;
    }
    /* The parser cuts numbers off at 32 bits, silently. */
    if (number < 1 || number > LOOKUP_PARAMS_MAX ||
        strtoull(walk->statement->text + offset + 1, NULL, 10) != (unsigned long long)number) {
        walk_refuse(walk, LOOKUP_PARAM_NUMBER, NULL);
        return;
    }
    if (walk->places_count == walk->places_size) {
        walk->places_size = walk->places_size == 0 ? 8 : walk->places_size * 2;
        walk->places = memory_resize(walk->places, walk->places_size * sizeof(walk->places[0]));
    }
    walk->places[walk->places_count++] =
        (struct lookup_place){.offset = offset, .number = (unsigned)number};
}

/* A btree finds LIKE 'abc%' only if the planner sees the pattern. As a column it would be a scan of
 * the whole table for each key. */
static bool matches_pattern(json_t *fields, const char *name)
{
    static const char *const operators[] = {"~~", "~~*", "~", "~*", "^@"};

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (name != NULL && strcmp(name, operators[i]) == 0)
            return node_has_param(json_object_get(fields, "rexpr"));
    }
    return false;
}

void check_expression(struct walk *walk, json_t *fields)
{
    json_t *names = json_object_get(fields, "name");
    const char *kind = json_string_value(json_object_get(fields, "kind"));

    if (matches_pattern(fields, names_last(names)))
        walk_refuse(walk, LOOKUP_PARAM_PATTERN, NULL);
    /* BETWEEN's name is no operator; what it means, the probe asks for anyway. */
    if (kind == NULL || strstr(kind, "BETWEEN") == NULL)
        note_operator(walk, names);
}

void check_function(struct walk *walk, json_t *fields)
{
    json_t *names = json_object_get(fields, "funcname");
    const char *name = names_last(names);
    bool qualified = json_array_size(names) > 1;
    enum function_class class;

    if (name == NULL || (qualified && (json_array_size(names) != 2 ||
                                       !field_is(node_of(json_array_get(names, 0), "String"),
                                                 "sval", "pg_catalog")))) {
        walk_refuse(walk, LOOKUP_FUNCTION, name);
        return;
    }
    class = function_class(name);
    if (class == FUNCTION_UNKNOWN)
        walk_refuse(walk, LOOKUP_FUNCTION, name);
    else if (class == FUNCTION_CLOCK)
        walk_refuse(walk, LOOKUP_CLOCK, name);
    else if ((class == FUNCTION_GATHERS || json_object_get(fields, "over") != NULL) &&
             node_has_param(fields))
        /* An aggregate over columns of an outer query alone belongs to the outer query. */
        walk_refuse(walk, LOOKUP_PARAM_AGGREGATE, name);
    else if (!qualified)
        note_literal(walk->names[WALK_FUNCTIONS], name);
}

void check_sublink(struct walk *walk, json_t *fields)
{
    note_operator(walk, json_object_get(fields, "operName"));
}

void check_sort(struct walk *walk, json_t *fields)
{
    note_operator(walk, json_object_get(fields, "useOp"));
}

void check_type(struct walk *walk, json_t *fields)
{
    if (node_has_param(json_object_get(fields, "typmods")))
        walk_refuse(walk, LOOKUP_PARAM_PLACE, NULL);
}

void check_window(struct walk *walk, json_t *fields)
{
    if (node_has_param(fields))
        walk_refuse(walk, LOOKUP_PARAM_AGGREGATE, NULL);
}

void check_with(struct walk *walk, json_t *fields)
{
    if (json_object_get(fields, "recursive") != NULL)
        walk_refuse(walk, LOOKUP_RECURSIVE, NULL);
}

void check_table(struct walk *walk, json_t *fields)
{
    FILE *list = walk->names[WALK_RELATIONS];
    const char *schema = json_string_value(json_object_get(fields, "schemaname"));
    const char *name = json_string_value(json_object_get(fields, "relname"));

    walk->table_seen = true;
    if (name == NULL) {
        walk_refuse(walk, LOOKUP_CONSTRUCT, "RangeVar");
        return;
    }
    fputs(", '", list);
    if (schema != NULL) {
        put_identifier(list, schema);
        fputc('.', list);
    }
    put_identifier(list, name);
    fputc('\'', list);
}

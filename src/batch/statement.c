#include "statement.h"

#include <pg_query.h>
#include <string.h>

static enum lookup_refusal select_of(struct statement *statement)
{
    json_t *list = json_object_get(statement->tree, "stmts");
    json_t *first = json_array_get(list, 0);
    json_t *length = json_object_get(first, "stmt_len");

    if (json_array_size(list) != 1)
        return LOOKUP_NOT_ONE;
    statement->select = node_of(json_object_get(first, "stmt"), "SelectStmt");
    if (statement->select == NULL)
        return LOOKUP_NOT_SELECT;
    statement->start = (size_t)json_integer_value(json_object_get(first, "stmt_location"));
    if (statement->start > statement->end)
        return LOOKUP_CONSTRUCT;
    if (length != NULL) {
        if ((size_t)json_integer_value(length) > statement->end - statement->start)
            return LOOKUP_CONSTRUCT;
        statement->end = statement->start + (size_t)json_integer_value(length);
    }
    return LOOKUP_NONE;
}

json_t *statement_tree(const char *text, enum lookup_refusal *refusal)
{
    PgQueryParseResult parsed = pg_query_parse(text);
    json_t *tree = parsed.error == NULL ? json_loads(parsed.parse_tree, 0, NULL) : NULL;

    if (tree == NULL)
        *refusal = parsed.error != NULL ? LOOKUP_SYNTAX : LOOKUP_TREE;
    pg_query_free_parse_result(parsed);
    return tree;
}

enum lookup_refusal statement_init(struct statement *statement, const char *text)
{
    enum lookup_refusal refusal;

    *statement = (struct statement){.text = text, .end = strlen(text)};
    if (statement->end > LOOKUP_TEXT_BYTES_MAX)
        return LOOKUP_TOO_LONG;
    statement->tree = statement_tree(text, &refusal);
    return statement->tree == NULL ? refusal : select_of(statement);
}

void statement_fini(struct statement *statement)
{
    json_decref(statement->tree);
}

const char *node_kind(const json_t *node, json_t **fields)
{
    void *member = json_object_iter((json_t *)node);

    if (member == NULL || json_object_size(node) != 1)
        return NULL;
    *fields = json_object_iter_value(member);
    return json_is_object(*fields) ? json_object_iter_key(member) : NULL;
}

json_t *node_of(const json_t *node, const char *kind)
{
    json_t *fields = json_object_get(node, kind);

    return json_is_object(fields) ? fields : NULL;
}

const char *names_last(const json_t *names)
{
    size_t count = json_array_size(names);
    json_t *last = count > 0 ? node_of(json_array_get(names, count - 1), "String") : NULL;

    return json_string_value(json_object_get(last, "sval"));
}

size_t node_location(const struct statement *statement, const json_t *fields)
{
    json_int_t location = json_integer_value(json_object_get(fields, "location"));

    if (location < (json_int_t)statement->start || location >= (json_int_t)statement->end)
        return statement->end;
    return (size_t)location;
}

bool node_has_param(const json_t *node)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, value)
        {
            if (node_has_param(value))
                return true;
        }
        return false;
    }
    json_object_foreach((json_t *)node, key, value)
    {
        if (strcmp(key, "ParamRef") == 0 || node_has_param(value))
            return true;
    }
    return false;
}

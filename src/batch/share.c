#include "sluice/batch/share.h"

#include <string.h>

#include "functions.h"
#include "sluice/batch/effects.h"
#include "statement.h"

/* Deeper trees are not looked into: whatever is there may wait. */
#define DEPTH_MAX 500

/* Read rows and nothing else, though no lookup may have them. */
static bool function_reads(const char *name)
{
    static const char *const more[] = {"generate_series", "unnest", "generate_subscripts"};

    if (function_class(name) != FUNCTION_UNKNOWN)
        return true;
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        if (strcmp(name, more[i]) == 0)
            return true;
    return false;
}

/* A name alone, or one of pg_catalog. */
static bool function_built_in(const json_t *names)
{
    const json_t *schema = node_of(json_array_get(names, 0), "String");
    const char *text = json_string_value(json_object_get(schema, "sval"));

    return json_array_size(names) == 1 ||
           (json_array_size(names) == 2 && text && strcmp(text, "pg_catalog") == 0);
}

static bool node_reads(const char *kind, const json_t *fields)
{
    static const char *const others[] = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt",
                                         "LockingClause"};

    if (strcmp(kind, "FuncCall") == 0) {
        const json_t *names = json_object_get(fields, "funcname");
        const char *name = names_last(names);

        return name && function_built_in(names) && function_reads(name);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(kind, others[i]) == 0)
            return false;
    return true;
}

static bool all_reads(const json_t *node, unsigned depth)
{
    const char *key;
    json_t *value;
    size_t i;

    if (depth > DEPTH_MAX)
        return false;
    if (json_is_array(node)) {
        json_array_foreach(node, i, value)
        {
            if (!all_reads(value, depth + 1))
                return false;
        }
        return true;
    }
    json_object_foreach((json_t *)node, key, value)
    {
        if ((json_is_object(value) && !node_reads(key, value)) || !all_reads(value, depth + 1))
            return false;
    }
    return true;
}

static enum share_verdict judge_tree(const json_t *tree)
{
    static const char *const kinds[] = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"};
    const json_t *list = json_object_get(tree, "stmts");
    const json_t *node = json_object_get(json_array_get(list, 0), "stmt");
    const json_t *select = node_of(node, "SelectStmt");

    if (json_array_size(list) != 1)
        return SHARE_OTHER;
    if (select) {
        /* Of a UNION or the like, INTO stands with the first of its parts. */
        for (const json_t *part = select; part; part = json_object_get(part, "larg"))
            if (json_object_get(part, "intoClause"))
                return SHARE_OTHER;
        return all_reads(node, 0) ? SHARE_READ : SHARE_LAST;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (node_of(node, kinds[i]))
            return SHARE_LAST;
    return SHARE_OTHER;
}

enum share_verdict share_judge(const char *text)
{
    size_t bytes = strnlen(text, LOOKUP_TEXT_BYTES_MAX + 1);
    enum lookup_refusal refusal;
    enum share_verdict verdict;
    struct effects effects;
    json_t *tree;

    if (bytes > LOOKUP_TEXT_BYTES_MAX)
        return SHARE_UNREADABLE;
    if (effects_possible(text, bytes)) {
        effects_find(text, &effects);
        if (effects.begins | effects.ends)
            return SHARE_SESSION;
    }
    tree = statement_tree(text, &refusal);
    if (!tree)
        return SHARE_UNREADABLE;
    verdict = judge_tree(tree);
    json_decref(tree);
    return verdict;
}

#include "walk.h"

#include "sluice/base/ensure.h"

#include <string.h>
#include <strings.h>

/* Our own names begin so. PostgreSQL folds and compares names; we are strict and ignore case. */
static const char reserved[] = "_sluice";

#define FIELDS_MAX 19

enum holds { HOLDS_PLAIN, HOLDS_NODES, HOLDS_NAME, HOLDS_FIELDS };

struct field {
    const char *name;
    enum holds holds;
    const char *kind; /* HOLDS_FIELDS: of what kind, as the node's own {"Kind": } is left out */
};

struct kind {
    const char *name;
    void (*check)(struct walk *walk, json_t *fields);
    struct field fields[FIELDS_MAX];
};

#define NODES(name)             \
    {                           \
        name, HOLDS_NODES, NULL \
    }
#define PLAIN(name)             \
    {                           \
        name, HOLDS_PLAIN, NULL \
    }
#define NAME(name)             \
    {                          \
        name, HOLDS_NAME, NULL \
    }
#define FIELDS(name, kind)       \
    {                            \
        name, HOLDS_FIELDS, kind \
    }
#define LOCATION PLAIN("location")

/* All that a lookup may consist of. A kind or a field that is not here refuses the statement, so
 * that what PostgreSQL's grammar has beyond this, or will have, is never taken for harmless. */
static const struct kind kinds[] = {
    {"SelectStmt",
     check_select,
     {NODES("distinctClause"), NODES("targetList"), NODES("fromClause"), NODES("whereClause"),
      NODES("groupClause"), PLAIN("groupDistinct"), NODES("havingClause"), NODES("windowClause"),
      NODES("valuesLists"), NODES("sortClause"), NODES("limitOffset"), NODES("limitCount"),
      PLAIN("limitOption"), FIELDS("withClause", "WithClause"), PLAIN("op"), PLAIN("all"),
      FIELDS("larg", "SelectStmt"), FIELDS("rarg", "SelectStmt")}},
    {"ResTarget", check_target, {NAME("name"), NODES("val"), LOCATION}},
    {"ColumnRef", check_column, {NODES("fields"), LOCATION}},
    {"A_Star", NULL, {{0}}},
    {"String", NULL, {NAME("sval")}},
    {"Integer", NULL, {PLAIN("ival")}},
    {"List", NULL, {NODES("items")}},
    {"A_Const",
     check_constant,
     {PLAIN("ival"), PLAIN("fval"), PLAIN("boolval"), PLAIN("sval"), PLAIN("bsval"),
      PLAIN("isnull"), LOCATION}},
    {"ParamRef", check_param, {PLAIN("number"), LOCATION}},
    {"A_Expr",
     check_expression,
     {PLAIN("kind"), NODES("name"), NODES("lexpr"), NODES("rexpr"), LOCATION}},
    {"BoolExpr", NULL, {PLAIN("boolop"), NODES("args"), LOCATION}},
    {"NullTest", NULL, {NODES("arg"), PLAIN("nulltesttype"), PLAIN("argisrow"), LOCATION}},
    {"BooleanTest", NULL, {NODES("arg"), PLAIN("booltesttype"), LOCATION}},
    {"TypeCast", NULL, {NODES("arg"), FIELDS("typeName", "TypeName"), LOCATION}},
    {"TypeName",
     check_type,
     {NODES("names"), NODES("typmods"), PLAIN("typemod"), NODES("arrayBounds"), LOCATION}},
    {"CollateClause", NULL, {NODES("arg"), NODES("collname"), LOCATION}},
    {"FuncCall",
     check_function,
     {NODES("funcname"), NODES("args"), NODES("agg_order"), NODES("agg_filter"),
      FIELDS("over", "WindowDef"), PLAIN("agg_within_group"), PLAIN("agg_star"),
      PLAIN("agg_distinct"), PLAIN("func_variadic"), PLAIN("funcformat"), LOCATION}},
    {"SubLink",
     check_sublink,
     {PLAIN("subLinkType"), NODES("testexpr"), NODES("operName"), NODES("subselect"), LOCATION}},
    {"CaseExpr", NULL, {NODES("arg"), NODES("args"), NODES("defresult"), LOCATION}},
    {"CaseWhen", NULL, {NODES("expr"), NODES("result"), LOCATION}},
    {"CoalesceExpr", NULL, {NODES("args"), LOCATION}},
    {"MinMaxExpr", NULL, {PLAIN("op"), NODES("args"), LOCATION}},
    {"A_ArrayExpr", NULL, {NODES("elements"), LOCATION}},
    {"RowExpr", NULL, {NODES("args"), PLAIN("row_format"), LOCATION}},
    {"A_Indirection", check_indirection, {NODES("arg"), NODES("indirection")}},
    {"A_Indices", NULL, {PLAIN("is_slice"), NODES("lidx"), NODES("uidx")}},
    {"RangeVar",
     check_table,
     {NAME("schemaname"), NAME("relname"), PLAIN("inh"), PLAIN("relpersistence"),
      FIELDS("alias", "Alias"), LOCATION}},
    {"RangeSubselect", NULL, {PLAIN("lateral"), NODES("subquery"), FIELDS("alias", "Alias")}},
    {"JoinExpr",
     NULL,
     {PLAIN("jointype"), PLAIN("isNatural"), NODES("larg"), NODES("rarg"), NODES("usingClause"),
      FIELDS("join_using_alias", "Alias"), NODES("quals"), FIELDS("alias", "Alias")}},
    {"Alias", NULL, {NAME("aliasname"), NODES("colnames")}},
    {"SortBy",
     check_sort,
     {NODES("node"), PLAIN("sortby_dir"), PLAIN("sortby_nulls"), NODES("useOp"), LOCATION}},
    {"WindowDef",
     check_window,
     {NAME("name"), NAME("refname"), NODES("partitionClause"), NODES("orderClause"),
      PLAIN("frameOptions"), NODES("startOffset"), NODES("endOffset"), LOCATION}},
    {"WithClause", check_with, {NODES("ctes"), LOCATION}},
    {"CommonTableExpr",
     NULL,
     {NAME("ctename"), NODES("aliascolnames"), PLAIN("ctematerialized"), NODES("ctequery"),
      LOCATION}},
};

/* What has a reason of its own for being refused. */
static const struct {
    const char *name; /* of a kind or a field */
    enum lookup_refusal refusal;
} refused[] = {
    {"intoClause", LOOKUP_INTO},
    {"lockingClause", LOOKUP_LOCKING},
    {"recursive", LOOKUP_RECURSIVE},
    {"InsertStmt", LOOKUP_MODIFIES},
    {"UpdateStmt", LOOKUP_MODIFIES},
    {"DeleteStmt", LOOKUP_MODIFIES},
    {"MergeStmt", LOOKUP_MODIFIES},
    {"RangeFunction", LOOKUP_FROM_FUNCTION},
    {"RangeTableFunc", LOOKUP_FROM_FUNCTION},
    {"RangeTableSample", LOOKUP_SAMPLE},
    {"SQLValueFunction", LOOKUP_CLOCK},
    {"catalogname", LOOKUP_OTHER_DATABASE},
};

static void walk_fields(struct walk *walk, const char *kind, json_t *fields);

void walk_refuse(struct walk *walk, enum lookup_refusal refusal, const char *detail)
{
    if (walk->refusal != LOOKUP_NONE)
        return;
    walk->refusal = refusal;
    snprintf(walk->detail, LOOKUP_DETAIL_BYTES, "%s", detail == NULL ? "" : detail);
}

static void refuse_unknown(struct walk *walk, const char *name)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (strcmp(refused[i].name, name) == 0) {
            walk_refuse(walk, refused[i].refusal, NULL);
            return;
        }
    }
    walk_refuse(walk, LOOKUP_CONSTRUCT, name);
}

/* A node, a list of nodes, or nothing: {}. */
static void walk_nodes(struct walk *walk, json_t *node)
{
    const char *kind;
    json_t *fields, *element;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, element) walk_nodes(walk, element);
        return;
    }
    if (json_object_size(node) == 0)
        return;
    kind = node_kind(node, &fields);
    if (kind == NULL)
        walk_refuse(walk, LOOKUP_CONSTRUCT, NULL);
    else
        walk_fields(walk, kind, fields);
}

static void walk_field(struct walk *walk, const struct field *field, json_t *value)
{
    const char *name;

    switch (field->holds) {
    case HOLDS_PLAIN:
        break;
    case HOLDS_NODES:
        walk_nodes(walk, value);
        break;
    case HOLDS_FIELDS:
        walk_fields(walk, field->kind, value);
        break;
    case HOLDS_NAME:
        name = json_string_value(value);
        if (name == NULL || strncasecmp(name, reserved, sizeof(reserved) - 1) == 0)
            walk_refuse(walk, LOOKUP_RESERVED_NAME, name);
        break;
    }
}

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static const struct field *field_of(const struct kind *kind, const char *name)
{
    for (size_t i = 0; i < FIELDS_MAX && kind->fields[i].name != NULL; i++) {
        if (strcmp(kind->fields[i].name, name) == 0)
            return &kind->fields[i];
    }
    return NULL;
}

static void walk_fields(struct walk *walk, const char *name, json_t *fields)
{
    const struct kind *kind = kind_of(name);
    const char *key;
    json_t *value;

    if (kind == NULL || !json_is_object(fields)) {
        refuse_unknown(walk, name);
        return;
    }
    if (kind->check != NULL)
        kind->check(walk, fields);
    json_object_foreach(fields, key, value)
    {
        const struct field *field = field_of(kind, key);

        if (walk->refusal != LOOKUP_NONE)
            return;
        if (field == NULL)
            refuse_unknown(walk, key);
        else
            walk_field(walk, field, value);
    }
}

void walk_statement(struct walk *walk, const struct statement *statement, char *detail)
{
    size_t sizes[WALK_NAMES];

    *walk = (struct walk){.statement = statement, .detail = detail};
    for (int i = 0; i < WALK_NAMES; i++) {
        walk->names[i] = open_memstream(&walk->names_text[i], &sizes[i]);
        ensure(walk->names[i] != NULL);
    }
    walk_fields(walk, "SelectStmt", statement->select);
    for (int i = 0; i < WALK_NAMES; i++)
        fclose(walk->names[i]);
    if (!walk->table_seen)
        walk_refuse(walk, LOOKUP_NO_TABLE, NULL);
    else if (walk->places_count == 0)
        walk_refuse(walk, LOOKUP_NO_PARAM, NULL);
}

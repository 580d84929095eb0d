#include "probe.h"

#include "sluice/base/ensure.h"

#include <stdio.h>

/* The question names everything with its schema, so that it means the same under any search_path.
 */
#define PG "pg_catalog."
#define EQUALS " OPERATOR(pg_catalog.=) "
#define DIFFERS " OPERATOR(pg_catalog.<>) "

#define OURS " OPERATOR(pg_catalog.>=) 16384" /* of an OID: not made by initdb */

/* path: the schemas that are searched; named: the tables of the statement; related: these and all
 * that inherit from them; volatile: routines that do more than compute. Of what comes with
 * PostgreSQL, no operator, cast or function of a row is volatile (a test asks). */
static const char sources[] =
    ", path AS (SELECT n.oid FROM " PG "pg_namespace n"
    " WHERE n.nspname" EQUALS "ANY (" PG "current_schemas(true))),"
    " named AS (SELECT " PG "to_regclass(r.name)::" PG "oid AS oid"
    " FROM asked, " PG "unnest(asked.relations) AS r (name)),"
    " related AS (SELECT n.oid FROM named n UNION SELECT i.inhrelid FROM " PG "pg_inherits i"
    " JOIN related r ON i.inhparent" EQUALS "r.oid),"
    " volatile AS (SELECT f.oid, f.proname, f.pronamespace, f.proargtypes[0] AS argument"
    " FROM " PG "pg_proc f"
    " LEFT JOIN " PG "pg_aggregate a ON a.aggfnoid::" PG "oid" EQUALS "f.oid"
    " LEFT JOIN " PG "pg_proc t ON t.oid" EQUALS "a.aggtransfn::" PG "oid"
    " LEFT JOIN " PG "pg_proc e ON e.oid" EQUALS "a.aggfinalfn::" PG "oid"
    " WHERE f.oid" OURS " AND (f.proretset OR f.provolatile" EQUALS "'v'"
    " OR t.provolatile" EQUALS "'v' OR e.provolatile" EQUALS "'v'))";

static const struct {
    enum lookup_refusal refusal;
    const char *when;
} conditions[] = {
    {LOOKUP_SETTING, PG "current_setting('array_nulls')" DIFFERS "'on' OR " PG
                        "current_setting('standard_conforming_strings')" DIFFERS "'on'"},
    {LOOKUP_RELATION, "EXISTS (SELECT FROM related r"
                      " JOIN " PG "pg_class c ON c.oid" EQUALS "r.oid"
                      " WHERE NOT c.relkind" EQUALS "ANY ('{r,p,m}')"
                      " OR c.relpersistence" EQUALS "'t')"},
    {LOOKUP_ROW_SECURITY, "EXISTS (SELECT FROM named r"
                          " JOIN " PG "pg_class c ON c.oid" EQUALS "r.oid"
                          " WHERE c.relrowsecurity)"},
    {LOOKUP_SHADOWED_FUNCTION, "EXISTS (SELECT FROM asked, volatile f"
                               " JOIN path ON path.oid" EQUALS "f.pronamespace"
                               " WHERE f.proname" EQUALS "ANY (asked.functions))"},
    {LOOKUP_SHADOWED_OPERATOR,
     "EXISTS (SELECT FROM asked, " PG "pg_operator o"
     " JOIN path ON path.oid" EQUALS "o.oprnamespace"
     " JOIN volatile f ON f.oid" EQUALS "o.oprcode::" PG "oid"
     " WHERE o.oid" OURS " AND o.oprname" EQUALS "ANY (asked.operators))"},
    {LOOKUP_FIELD_FUNCTION, "EXISTS (SELECT FROM asked, volatile f"
                            " JOIN path ON path.oid" EQUALS "f.pronamespace"
                            " JOIN " PG "pg_type t ON t.oid" EQUALS "f.argument"
                            " WHERE f.proname" EQUALS "ANY (asked.fields)"
                            " AND t.typtype" EQUALS "ANY ('{c,d,p}'))"},
    {LOOKUP_VOLATILE_CAST, "EXISTS (SELECT FROM " PG "pg_cast c"
                           " JOIN " PG "pg_proc f ON f.oid" EQUALS "c.castfunc"
                           " WHERE c.oid" OURS " AND f.provolatile" EQUALS "'v')"},
    {LOOKUP_PARAM_TYPE, "EXISTS (SELECT FROM " PG "unnest($1::" PG "oid[]) AS p (oid)"
                        " LEFT JOIN " PG "pg_type t ON t.oid" EQUALS "p.oid"
                        " WHERE t.oid IS NULL OR t.typcategory" EQUALS "ANY ('{C,P}')"
                        " OR (t.typarray" EQUALS "0 AND t.typcategory" DIFFERS "'A'))"},
};

/* One row per parameter: the verdict and what to call its type. */
static const char answer[] =
    " SELECT v.refusal, " PG "concat(" PG "quote_ident(n.nspname), '.', " PG
    "quote_ident(t.typname)),"
    " t.typarray" EQUALS "0 OR t.typdelim" DIFFERS "','"
    " FROM verdict v"
    " CROSS JOIN " PG "unnest($1::" PG "oid[]) WITH ORDINALITY AS p (oid, place)"
    " LEFT JOIN " PG "pg_type t ON t.oid" EQUALS "p.oid"
    " LEFT JOIN " PG "pg_namespace n ON n.oid" EQUALS "t.typnamespace"
    " ORDER BY p.place";

/* The walk's lists have ", " before each name. */
static void put_names(FILE *to, const char *first, const char *names, const char *what)
{
    if (first[0] == '\0' && names[0] != '\0')
        names += 2;
    fprintf(to, "ARRAY[%s%s]::%s", first, names, what);
}

char *probe_new(const struct walk *walk)
{
    /* What IN, BETWEEN, USING, NULLIF, CASE and the like look up without naming it. */
    static const char comparisons[] = "'=', '<>', '<', '>', '<=', '>='";
    char *text;
    size_t length;
    FILE *to = open_memstream(&text, &length);

    ensure(to != NULL);
    fputs("WITH RECURSIVE asked AS (SELECT ", to);
    put_names(to, "", walk->names_text[WALK_RELATIONS], PG "text[] AS relations, ");
    put_names(to, "", walk->names_text[WALK_FUNCTIONS], PG "name[] AS functions, ");
    put_names(to, comparisons, walk->names_text[WALK_OPERATORS], PG "name[] AS operators, ");
    put_names(to, "", walk->names_text[WALK_FIELDS], PG "name[] AS fields)");
    fprintf(to, "%s, verdict AS (SELECT CASE", sources);
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
        fprintf(to, " WHEN %s THEN %d", conditions[i].when, conditions[i].refusal);
    fprintf(to, " ELSE %d END AS refusal)%s", LOOKUP_NONE, answer);
    ensure(fclose(to) == 0);
    return text;
}

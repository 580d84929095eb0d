/* That the probe finds what a statement's text cannot show, attacks by shadowing among them, and
 * that the list of pure functions is true of the server's catalogs. */
#include "pg.h"

#include "batch/functions.h"

#include <string.h>

static enum lookup_refusal refusal_of(const char *text)
{
    struct lookup *lookup = lookup_new(text);
    struct described described;
    enum lookup_refusal refusal;

    ck_assert_msg(lookup->refusal == LOOKUP_NONE, "%s: %s %s", text,
                  lookup_refusal_text(lookup->refusal), lookup->detail);
    pg_run("DEALLOCATE ALL");
    ck_assert_msg(pg_prepare("alone", text), "%s: %s", text, PQerrorMessage(pg));
    pg_probe(lookup, "alone", &described);
    refusal = described.refusal;
    PQclear(described.probe);
    lookup_free(lookup);
    return refusal;
}

static void expect(const char *text, enum lookup_refusal expected)
{
    enum lookup_refusal refusal = refusal_of(text);

    ck_assert_msg(refusal == expected, "%s: %s", text, lookup_refusal_text(refusal));
}

static void setup(void)
{
    pg_run("CREATE SCHEMA shop; SET search_path = shop, public;"
           "CREATE TABLE goods (id int PRIMARY KEY, name varchar(20), price numeric);"
           "CREATE FUNCTION shout(varchar) RETURNS varchar VOLATILE LANGUAGE sql AS 'SELECT $1'");
}

static void teardown(void)
{
    pg_run("RESET ALL; DROP SCHEMA shop CASCADE");
}

START_TEST(plain_tables_are_lookups)
{
    pg_run("CREATE TABLE parts (id int, k int) PARTITION BY RANGE (id);"
           "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100);"
           "CREATE MATERIALIZED VIEW seen AS SELECT * FROM goods;"
           "CREATE TABLE \"od'd \"\" name\" (id int)");
    expect("SELECT * FROM goods WHERE id = $1", LOOKUP_NONE);
    expect("SELECT g.name, lower(name) FROM shop.goods g WHERE g.id IN ($1, $2)", LOOKUP_NONE);
    expect("SELECT * FROM parts WHERE id = $1", LOOKUP_NONE);
    expect("SELECT * FROM seen WHERE id = $1", LOOKUP_NONE);
    expect("SELECT * FROM \"od'd \"\" name\" x WHERE x.id = $1 AND 'it''s' = 'x\\'", LOOKUP_NONE);
    expect("WITH w AS (SELECT * FROM goods WHERE id = $1) SELECT * FROM w", LOOKUP_NONE);
    expect("SELECT relname FROM pg_class WHERE oid = $1", LOOKUP_NONE);
}
END_TEST

START_TEST(other_relations_are_refused)
{
    pg_run("CREATE VIEW cheap AS SELECT *, random() AS r FROM goods;"
           "CREATE SEQUENCE seq; CREATE TEMP TABLE mine (id int);"
           "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;"
           "CREATE FOREIGN TABLE away (id int) SERVER far;"
           "CREATE TABLE parts (id int, k int) PARTITION BY RANGE (id);"
           "CREATE FOREIGN TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100) SERVER far");
    expect("SELECT * FROM cheap WHERE id = $1", LOOKUP_RELATION);
    expect("SELECT * FROM goods WHERE id = $1 AND EXISTS (SELECT FROM cheap)", LOOKUP_RELATION);
    expect("SELECT last_value FROM seq WHERE is_called = $1", LOOKUP_RELATION);
    expect("SELECT * FROM mine WHERE id = $1", LOOKUP_RELATION);
    expect("SELECT * FROM away WHERE id = $1", LOOKUP_RELATION);
    expect("SELECT * FROM parts WHERE id = $1", LOOKUP_RELATION);
    expect("SELECT * FROM pg_stat_activity WHERE pid = $1", LOOKUP_RELATION);
    /* A CTE hides the view only where it is visible: when unsure, no. */
    expect("WITH cheap AS (SELECT * FROM goods WHERE id = $1) SELECT * FROM cheap",
           LOOKUP_RELATION);
    pg_run("DROP FOREIGN DATA WRAPPER none CASCADE; DROP TABLE mine");
}
END_TEST

START_TEST(row_security_is_refused)
{
    pg_run("ALTER TABLE goods ENABLE ROW LEVEL SECURITY");
    expect("SELECT * FROM goods WHERE id = $1", LOOKUP_ROW_SECURITY);
}
END_TEST

/* public.lower(varchar) fits a varchar column better than pg_catalog.lower(text): it is called even
 * though pg_catalog is searched first. */
START_TEST(a_shadowing_function_is_refused)
{
    expect("SELECT lower(name) FROM goods WHERE id = $1", LOOKUP_NONE);
    pg_run("CREATE FUNCTION lower(varchar) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1'");
    expect("SELECT lower(name) FROM goods WHERE id = $1", LOOKUP_SHADOWED_FUNCTION);
    expect("SELECT pg_catalog.lower(name) FROM goods WHERE id = $1", LOOKUP_NONE);
    expect("SELECT upper(name) FROM goods WHERE id = $1", LOOKUP_NONE);
    pg_run("SET search_path = public");
    expect("SELECT lower(name) FROM shop.goods WHERE id = $1", LOOKUP_NONE);
    pg_run("SET search_path = shop; ALTER FUNCTION lower(varchar) STABLE");
    expect("SELECT lower(name) FROM goods WHERE id = $1", LOOKUP_NONE);
}
END_TEST

START_TEST(a_shadowing_set_or_aggregate_is_refused)
{
    pg_run("CREATE FUNCTION md5(varchar) RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT $1';"
           "CREATE FUNCTION longer(varchar, varchar) RETURNS varchar VOLATILE LANGUAGE sql"
           " AS 'SELECT $1';"
           "CREATE AGGREGATE max(varchar) (SFUNC = longer, STYPE = varchar)");
    expect("SELECT md5(name) FROM goods WHERE id = $1", LOOKUP_SHADOWED_FUNCTION);
    expect("SELECT max(name) FROM goods WHERE id = $1", LOOKUP_SHADOWED_FUNCTION);
    expect("SELECT min(name) FROM goods WHERE id = $1", LOOKUP_NONE);
}
END_TEST

START_TEST(a_shadowing_operator_is_refused)
{
    pg_run("CREATE FUNCTION same(varchar, varchar) RETURNS bool VOLATILE LANGUAGE sql"
           " AS 'SELECT true';"
           "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same)");
    expect("SELECT * FROM goods WHERE name = $1", LOOKUP_SHADOWED_OPERATOR);
    expect("SELECT * FROM goods WHERE id IN (SELECT $1::int AS i)", LOOKUP_SHADOWED_OPERATOR);
    pg_run("ALTER FUNCTION same(varchar, varchar) IMMUTABLE");
    expect("SELECT * FROM goods WHERE name = $1", LOOKUP_NONE);
    pg_run("CREATE OPERATOR <~> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = shop.same);"
           "ALTER FUNCTION same(varchar, varchar) VOLATILE; DROP OPERATOR = (varchar, varchar)");
    expect("SELECT * FROM goods WHERE name <~> $1", LOOKUP_SHADOWED_OPERATOR);
    expect("SELECT * FROM goods ORDER BY id LIMIT $1", LOOKUP_NONE);
}
END_TEST

/* goods.audit has the look of a column. */
START_TEST(a_call_that_looks_like_a_column_is_refused)
{
    pg_run("CREATE FUNCTION audit(goods) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';"
           "CREATE FUNCTION note(anyelement) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';"
           "CREATE FUNCTION label(goods) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'");
    expect("SELECT goods.audit FROM goods WHERE id = $1", LOOKUP_FIELD_FUNCTION);
    expect("SELECT (g).audit FROM goods g WHERE id = $1", LOOKUP_FIELD_FUNCTION);
    expect("SELECT 1 AS a FROM shop.goods WHERE shop.goods.note = $1", LOOKUP_FIELD_FUNCTION);
    expect("SELECT g.label, g.name FROM goods g WHERE id = $1", LOOKUP_NONE);
}
END_TEST

START_TEST(volatile_casts_are_refused)
{
    pg_run("CREATE TYPE mood AS ENUM ('good', 'bad');"
           "CREATE FUNCTION mood(int) RETURNS mood VOLATILE LANGUAGE sql"
           " AS $$SELECT 'good'::shop.mood$$;"
           "CREATE CAST (int AS mood) WITH FUNCTION mood(int) AS IMPLICIT");
    expect("SELECT id::mood FROM goods WHERE id = $1", LOOKUP_VOLATILE_CAST);
    pg_run("ALTER FUNCTION mood(int) IMMUTABLE");
    expect("SELECT id::mood FROM goods WHERE id = $1", LOOKUP_NONE);
}
END_TEST

START_TEST(settings_that_change_the_meaning_are_refused)
{
    pg_run("SET array_nulls = off");
    expect("SELECT * FROM goods WHERE id = $1", LOOKUP_SETTING);
    pg_run("RESET array_nulls; SET standard_conforming_strings = off");
    expect("SELECT * FROM goods WHERE id = $1", LOOKUP_SETTING);
}
END_TEST

START_TEST(composite_parameters_are_refused)
{
    pg_run("CREATE TYPE pair AS (a int, b int); CREATE DOMAIN pair_domain AS pair;"
           "CREATE TABLE pairs (id int, p pair, d pair_domain)");
    expect("SELECT * FROM goods WHERE id = ($1::pair).a", LOOKUP_PARAM_TYPE);
    expect("SELECT * FROM goods WHERE id = ($1::pair_domain).a", LOOKUP_PARAM_TYPE);
    expect("SELECT * FROM pairs WHERE p = $1", LOOKUP_PARAM_TYPE);
    expect("SELECT p, d FROM pairs WHERE id = $1", LOOKUP_NONE);
    expect("SELECT * FROM goods g WHERE g = $1", LOOKUP_PARAM_TYPE);
}
END_TEST

/* The search_path and operators of a hostile schema must not change what the probe asks. */
START_TEST(the_probe_itself_cannot_be_shadowed)
{
    pg_run("CREATE FUNCTION lie(name, name) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false';"
           "CREATE FUNCTION lie(oid, oid) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false';"
           "CREATE FUNCTION lie(\"char\", \"char\") RETURNS bool IMMUTABLE LANGUAGE sql"
           " AS 'SELECT false';"
           "CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = lie);"
           "CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = oid, FUNCTION = lie);"
           "CREATE OPERATOR = (LEFTARG = \"char\", RIGHTARG = \"char\", FUNCTION = lie);"
           "CREATE TABLE pg_class (oid oid, relkind \"char\");"
           "CREATE TABLE pg_proc (oid oid);"
           "CREATE FUNCTION current_schemas(bool) RETURNS name[] LANGUAGE sql AS 'SELECT "
           "NULL::name[]';"
           "CREATE FUNCTION unnest(oid[]) RETURNS SETOF oid LANGUAGE sql AS 'SELECT NULL::oid';"
           "CREATE FUNCTION lower(varchar) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1';"
           "CREATE VIEW cheap AS SELECT * FROM goods;"
           "SET search_path = shop, pg_catalog");
    expect("SELECT lower(name) FROM goods WHERE id = $1", LOOKUP_SHADOWED_FUNCTION);
    expect("SELECT * FROM cheap WHERE id = $1", LOOKUP_RELATION);
    expect("SELECT * FROM goods WHERE id = $1", LOOKUP_NONE);
}
END_TEST

/* Neither can the batched statement: unnest(int4[]) would be a better fit than pg_catalog's. */
START_TEST(the_batched_statement_cannot_be_shadowed)
{
    struct lookup *lookup = lookup_new("SELECT name FROM goods WHERE id = $1");
    struct described described;
    const char *keys[] = {"{1,2}"};
    char *text;
    PGresult *result;

    pg_run("INSERT INTO goods VALUES (1, 'one'), (2, 'two');"
           "CREATE FUNCTION unnest(int[]) RETURNS SETOF int LANGUAGE sql AS 'SELECT 2';"
           "SET search_path = shop, pg_catalog; DEALLOCATE ALL");
    ck_assert(pg_prepare("alone", "SELECT name FROM goods WHERE id = $1"));
    pg_probe(lookup, "alone", &described);
    ck_assert_int_eq(described.refusal, LOOKUP_NONE);
    text = lookup_rewrite(lookup, described.types, described.params);
    result = PQexecParams(pg, text, 1, NULL, keys, NULL, NULL, 0);
    ck_assert_int_eq(PQntuples(result), 2);
    ck_assert_str_eq(PQgetvalue(result, 0, 1), "one");
    ck_assert_str_eq(PQgetvalue(result, 1, 1), "two");
    PQclear(result);
    PQclear(described.probe);
    free(text);
    lookup_free(lookup);
}
END_TEST

static void check_functions(enum function_class which, const char *kinds)
{
    size_t count;
    const char *const *names = functions_of(which, &count);

    for (size_t i = 0; i < count; i++) {
        const char *values[] = {names[i], kinds};
        PGresult *result;

        ck_assert_msg(i == 0 || strcmp(names[i - 1], names[i]) < 0, "%s is out of order", names[i]);
        ck_assert_int_eq(function_class(names[i]), which);
        result =
            PQexecParams(pg,
                         "SELECT count(*), coalesce(bool_and(provolatile <> 'v' AND NOT proretset"
                         " AND prokind::text = ANY ($2::text[])), true) FROM pg_proc"
                         " WHERE proname = $1 AND pronamespace = 'pg_catalog'::regnamespace",
                         2, NULL, values, NULL, NULL, 0);
        ck_assert_msg(*PQgetvalue(result, 0, 1) == 't', "%s is not pure", names[i]);
        if (PQserverVersion(pg) >= 150000)
            ck_assert_msg(strcmp(PQgetvalue(result, 0, 0), "0") != 0, "%s is unknown", names[i]);
        PQclear(result);
    }
}

START_TEST(listed_functions_are_pure)
{
    check_functions(FUNCTION_PLAIN, "{f}");
    check_functions(FUNCTION_GATHERS, "{a,w}");
    ck_assert_int_eq(function_class("random"), FUNCTION_UNKNOWN);
}
END_TEST

/* What the probe leaves out because there is none in pg_catalog. */
START_TEST(built_in_operators_casts_and_row_functions_are_pure)
{
    PGresult *result =
        pg_query("SELECT (SELECT count(*) FROM pg_operator o JOIN pg_proc f ON f.oid = o.oprcode"
                 " WHERE f.provolatile = 'v' OR f.proretset),"
                 " (SELECT count(*) FROM pg_cast c JOIN pg_proc f ON f.oid = c.castfunc"
                 " WHERE f.provolatile = 'v'),"
                 " (SELECT count(*) FROM pg_proc f JOIN pg_type t ON t.oid = f.proargtypes[0]"
                 " WHERE f.pronamespace = 'pg_catalog'::regnamespace AND f.prokind = 'f'"
                 " AND f.pronargs - f.pronargdefaults <= 1 AND t.typtype IN ('c', 'd', 'p')"
                 " AND t.typname IN ('record', 'any', 'anyelement', 'anynonarray', 'anycompatible')"
                 " AND (f.provolatile = 'v' OR f.proretset))");

    ck_assert_str_eq(PQgetvalue(result, 0, 0), "0");
    ck_assert_str_eq(PQgetvalue(result, 0, 1), "0");
    ck_assert_str_eq(PQgetvalue(result, 0, 2), "0");
    PQclear(result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalog");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    if (!pg_available())
        return PG_SKIP;
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, pg_start, pg_stop);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, plain_tables_are_lookups);
    tcase_add_test(all, other_relations_are_refused);
    tcase_add_test(all, row_security_is_refused);
    tcase_add_test(all, a_shadowing_function_is_refused);
    tcase_add_test(all, a_shadowing_set_or_aggregate_is_refused);
    tcase_add_test(all, a_shadowing_operator_is_refused);
    tcase_add_test(all, a_call_that_looks_like_a_column_is_refused);
    tcase_add_test(all, volatile_casts_are_refused);
    tcase_add_test(all, settings_that_change_the_meaning_are_refused);
    tcase_add_test(all, composite_parameters_are_refused);
    tcase_add_test(all, the_probe_itself_cannot_be_shadowed);
    tcase_add_test(all, the_batched_statement_cannot_be_shadowed);
    tcase_add_test(all, listed_functions_are_pure);
    tcase_add_test(all, built_in_operators_casts_and_row_functions_are_pure);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

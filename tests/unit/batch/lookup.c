/* Which statements are lookups, why the others are not, and how a lookup is rewritten. */
#include "sluice/batch/lookup.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const accepted[] = {
    "SELECT * FROM t WHERE id = $1",
    "select a, b as c from s.t as x where x.id = $1 and x.k = $2;",
    "SELECT * FROM t WHERE id = $1 -- why",
    "/* trace */ SELECT 1 AS one FROM t WHERE id = $1 LIMIT $2 OFFSET $3",
    "SELECT t.* FROM t JOIN u USING (id) LEFT JOIN v ON v.a = u.a WHERE t.k = $1 ORDER BY t.k DESC",
    "SELECT DISTINCT ON (a) a, b FROM t WHERE c = $1 ORDER BY a, b NULLS LAST FETCH FIRST 2 ROWS "
    "ONLY",
    "SELECT count(*), max(x) FROM t WHERE a = $1 HAVING count(*) > $2",
    "SELECT a, sum(b) FILTER (WHERE c > 0) FROM t WHERE d = $1 GROUP BY 1",
    "SELECT row_number() OVER w, lag(a) OVER (PARTITION BY b ORDER BY c ROWS 1 PRECEDING) FROM t "
    "WHERE d = $1 WINDOW w AS (ORDER BY a)",
    "WITH x AS MATERIALIZED (SELECT * FROM t WHERE id = $1) SELECT * FROM x, x AS y",
    "SELECT a FROM t WHERE id = $1 UNION ALL (SELECT b FROM u WHERE id = $1 LIMIT 1) ORDER BY 1",
    "SELECT * FROM t WHERE id IN ($1, $2) AND a BETWEEN $3 AND $4 AND (b, c) < ($5, $6)",
    "SELECT * FROM t WHERE id = ANY ($1) AND EXISTS (SELECT FROM u WHERE u.id = t.id AND u.k = $2)",
    "SELECT * FROM t WHERE id NOT IN (SELECT id FROM u WHERE k = $1)",
    "SELECT lower(a), coalesce(b, $2), CASE WHEN c THEN 1 ELSE 2 END, greatest(d, $3), e -> 'f' "
    "FROM t WHERE id = $1",
    "SELECT $1::int AS n, CAST($2 AS varchar(10)) AS v, ROW(a, $1) AS r, ARRAY[$1, 2] AS l FROM t",
    "SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.a = t.a AND u.b = $1 LIMIT 2) x",
    "SELECT * FROM (VALUES ($1, 1), ($2, 2)) AS v (id, n) JOIN t USING (id)",
    "SELECT (t.c).f, t.a[1], (t.c).*, t FROM t WHERE id = $1",
    "SELECT trim(a), extract(year FROM d), d AT TIME ZONE 'UTC', position('x' IN a), a COLLATE "
    "\"C\" "
    "FROM t WHERE id = $1 AND a IS NOT DISTINCT FROM $2 AND b IS NOT NULL AND c IS TRUE",
    "SELECT a FROM t WHERE id = $1 AND b LIKE 'x%' AND c SIMILAR TO 'y' AND d ~ 'z'",
    "SELECT a FROM t WHERE id = $1 AND b OPERATOR(pg_catalog.=) 2",
    "SELECT pg_catalog.upper(a) FROM t WHERE id = $1",
    "SELECT FROM t WHERE id = $1",
    "(SELECT a FROM t WHERE id = $1)",
    "SELECT a FROM t WHERE id = $1 AND note = 'renowned' AND b = 'know how'",
    "SELECT a FROM t ORDER BY b USING < LIMIT $1",
    "SELECT a FROM t WHERE id = $1 AND b = '$2' AND c = $$ $3 $$ AND d = E'\\'$4'",
    "SELECT 'gr\xc3\xbc\xc3\x9f' FROM \"t\xc3\xa4\" WHERE id = $1",
};

static const struct {
    const char *text;
    enum lookup_refusal refusal;
    const char *detail;
} refused[] = {
    {"SELECT FROM WHERE", LOOKUP_SYNTAX, ""},
    {"SELECT a FROM t WHERE id = $1AND b = 1", LOOKUP_SYNTAX, ""},
    {"SELECT '\xfc' FROM t WHERE id = $1", LOOKUP_TREE, ""},
    {"", LOOKUP_NOT_ONE, ""},
    {"-- nothing", LOOKUP_NOT_ONE, ""},
    {"SELECT a FROM t WHERE id = $1; SELECT 1", LOOKUP_NOT_ONE, ""},
    {"UPDATE t SET a = $1", LOOKUP_NOT_SELECT, ""},
    {"EXPLAIN SELECT a FROM t WHERE id = $1", LOOKUP_NOT_SELECT, ""},
    {"SELECT a INTO b FROM t WHERE id = $1", LOOKUP_INTO, ""},
    {"SELECT a FROM t WHERE id = $1 FOR UPDATE", LOOKUP_LOCKING, ""},
    {"SELECT a FROM t WHERE id = $1 FOR KEY SHARE OF t SKIP LOCKED", LOOKUP_LOCKING, ""},
    {"SELECT * FROM (SELECT a FROM t WHERE id = $1 FOR SHARE) x", LOOKUP_LOCKING, ""},
    {"WITH d AS (DELETE FROM t WHERE id = $1 RETURNING *) SELECT * FROM d, t", LOOKUP_MODIFIES, ""},
    {"WITH d AS (INSERT INTO t VALUES ($1) RETURNING *) SELECT * FROM d", LOOKUP_MODIFIES, ""},
    {"WITH RECURSIVE r AS (SELECT a FROM t WHERE id = $1) SELECT * FROM r", LOOKUP_RECURSIVE, ""},
    {"SELECT nextval('s') FROM t WHERE id = $1", LOOKUP_FUNCTION, "nextval"},
    {"SELECT currval('s') FROM t WHERE id = $1", LOOKUP_FUNCTION, "currval"},
    {"SELECT setval('s', $1) FROM t", LOOKUP_FUNCTION, "setval"},
    {"SELECT a, random() FROM t WHERE id = $1", LOOKUP_FUNCTION, "random"},
    {"SELECT pg_advisory_lock($1) FROM t", LOOKUP_FUNCTION, "pg_advisory_lock"},
    {"SELECT pg_catalog.pg_sleep(1) FROM t WHERE id = $1", LOOKUP_FUNCTION, "pg_sleep"},
    {"SELECT txid_current(), a FROM t WHERE id = $1", LOOKUP_FUNCTION, "txid_current"},
    {"SELECT set_config('a.b', $1, false) FROM t", LOOKUP_FUNCTION, "set_config"},
    {"SELECT current_setting('a.b') FROM t WHERE id = $1", LOOKUP_FUNCTION, "current_setting"},
    {"SELECT lo_unlink(a) FROM t WHERE id = $1", LOOKUP_FUNCTION, "lo_unlink"},
    {"SELECT gen_random_uuid() FROM t WHERE id = $1", LOOKUP_FUNCTION, "gen_random_uuid"},
    {"SELECT f($1) FROM t", LOOKUP_FUNCTION, "f"},
    {"SELECT public.lower(a) FROM t WHERE id = $1", LOOKUP_FUNCTION, "lower"},
    {"SELECT a FROM t WHERE id = $1 ORDER BY \"Lower\"(a)", LOOKUP_FUNCTION, "Lower"},
    {"SELECT unnest(a) FROM t WHERE id = $1", LOOKUP_FUNCTION, "unnest"},
    {"SELECT generate_series(1, 3) FROM t WHERE id = $1", LOOKUP_FUNCTION, "generate_series"},
    {"SELECT a FROM t WHERE id = (SELECT max(f(b)) FROM u WHERE c = $1)", LOOKUP_FUNCTION, "f"},
    {"SELECT a FROM t WHERE id = $1 LIMIT random()", LOOKUP_FUNCTION, "random"},
    {"SELECT a FROM t WHERE id = $1 AND b < now()", LOOKUP_CLOCK, "now"},
    {"SELECT age(a) FROM t WHERE id = $1", LOOKUP_CLOCK, "age"},
    {"SELECT a FROM t WHERE id = $1 AND b < CURRENT_DATE", LOOKUP_CLOCK, ""},
    {"SELECT current_user FROM t WHERE id = $1", LOOKUP_CLOCK, ""},
    {"SELECT a FROM t WHERE id = $1 AND b < 'now'", LOOKUP_CLOCK, "now"},
    {"SELECT a FROM t WHERE id = $1 AND b < date ' TODAY'", LOOKUP_CLOCK, "today"},
    {"SELECT a FROM t WHERE id = $1 AND b < '10:00 Yesterday'::timestamp", LOOKUP_CLOCK,
     "yesterday"},
    {"SELECT * FROM f($1)", LOOKUP_FROM_FUNCTION, ""},
    {"SELECT * FROM t, generate_series(1, t.a) WHERE id = $1", LOOKUP_FROM_FUNCTION, ""},
    {"SELECT a FROM t TABLESAMPLE system (1) WHERE id = $1", LOOKUP_SAMPLE, ""},
    {"SELECT a FROM t WHERE id OPERATOR(public.=) $1", LOOKUP_OPERATOR, "="},
    {"SELECT a FROM t WHERE id = $1 ORDER BY a USING OPERATOR(s.<)", LOOKUP_OPERATOR, "<"},
    {"SELECT a FROM d.s.t WHERE id = $1", LOOKUP_OTHER_DATABASE, ""},
    {"SELECT a FROM t AS _sluice_k WHERE id = $1", LOOKUP_RESERVED_NAME, "_sluice_k"},
    {"SELECT a FROM \"_SLUICE_k\" WHERE id = $1", LOOKUP_RESERVED_NAME, "_SLUICE_k"},
    {"SELECT _sluice_1 FROM t WHERE id = $1", LOOKUP_RESERVED_NAME, "_sluice_1"},
    {"SELECT a FROM t WHERE U&\"\\005fsluice_ord\" = $1", LOOKUP_RESERVED_NAME, "_sluice_ord"},
    {"SELECT a AS _sluice_ord FROM t WHERE id = $1", LOOKUP_RESERVED_NAME, "_sluice_ord"},
    {"WITH _sluice_k AS (SELECT 1) SELECT a FROM t WHERE id = $1", LOOKUP_RESERVED_NAME,
     "_sluice_k"},
    {"SELECT GROUPING(a) FROM t WHERE id = $1 GROUP BY CUBE (a)", LOOKUP_CONSTRUCT, "GroupingFunc"},
    {"SELECT xmlelement(name a) FROM t WHERE id = $1", LOOKUP_CONSTRUCT, "XmlExpr"},
    {"SELECT lower(a => $1) FROM t", LOOKUP_CONSTRUCT, "NamedArgExpr"},
    {"SELECT $1::int + 1 AS a", LOOKUP_NO_TABLE, ""},
    {"SELECT a FROM t WHERE id = 1", LOOKUP_NO_PARAM, ""},
    {"SELECT a FROM t WHERE id = $2", LOOKUP_PARAM_NUMBER, ""},
    {"SELECT a FROM t WHERE id = $1 AND b = $3", LOOKUP_PARAM_NUMBER, ""},
    {"SELECT a FROM t WHERE id = $0", LOOKUP_PARAM_NUMBER, ""},
    {"SELECT a FROM t WHERE id = $65", LOOKUP_PARAM_NUMBER, ""},
    {"SELECT a FROM t WHERE id = $4294967297", LOOKUP_PARAM_NUMBER, ""},
    {"SELECT max($1) FROM t", LOOKUP_PARAM_AGGREGATE, "max"},
    {"SELECT sum(a) FILTER (WHERE b = $1) FROM t", LOOKUP_PARAM_AGGREGATE, "sum"},
    {"SELECT string_agg(a, $1) FROM t", LOOKUP_PARAM_AGGREGATE, "string_agg"},
    {"SELECT percentile_cont($1) WITHIN GROUP (ORDER BY a) FROM t", LOOKUP_PARAM_AGGREGATE,
     "percentile_cont"},
    {"SELECT lag(a, $1) OVER () FROM t", LOOKUP_PARAM_AGGREGATE, "lag"},
    {"SELECT sum(a) OVER (ORDER BY b ROWS $1 PRECEDING) FROM t", LOOKUP_PARAM_AGGREGATE, "sum"},
    {"SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY b ROWS $1 PRECEDING)",
     LOOKUP_PARAM_AGGREGATE, ""},
    {"SELECT $1 FROM t", LOOKUP_PARAM_NAME, ""},
    {"SELECT $1::int FROM t ORDER BY int4", LOOKUP_PARAM_NAME, ""},
    {"SELECT CASE WHEN a THEN 1 ELSE $1 COLLATE \"C\" END FROM t", LOOKUP_PARAM_NAME, ""},
    {"SELECT * FROM (SELECT $1 FROM t) x", LOOKUP_PARAM_NAME, ""},
    {"SELECT a FROM t WHERE b LIKE $1", LOOKUP_PARAM_PATTERN, ""},
    {"SELECT a FROM t WHERE b ILIKE $1 || '%'", LOOKUP_PARAM_PATTERN, ""},
    {"SELECT a FROM t WHERE b ~ $1", LOOKUP_PARAM_PATTERN, ""},
    {"SELECT a FROM t WHERE b SIMILAR TO $1", LOOKUP_PARAM_PATTERN, ""},
    {"SELECT a FROM t WHERE $1.f = 1", LOOKUP_PARAM_PLACE, ""},
    {"SELECT a FROM t WHERE ($1)[1] = 1", LOOKUP_PARAM_PLACE, ""},
    {"SELECT a::numeric($1) FROM t", LOOKUP_PARAM_PLACE, ""},
};

START_TEST(accepts_lookups)
{
    struct lookup *lookup = lookup_new(accepted[_i]);

    ck_assert_msg(lookup->refusal == LOOKUP_NONE, "%s: %s %s", accepted[_i],
                  lookup_refusal_text(lookup->refusal), lookup->detail);
    ck_assert_uint_ge(lookup->params, 1);
    lookup_free(lookup);
}
END_TEST

START_TEST(refuses_with_reason)
{
    struct lookup *lookup = lookup_new(refused[_i].text);

    ck_assert_msg(lookup->refusal == refused[_i].refusal, "%s: %s", refused[_i].text,
                  lookup_refusal_text(lookup->refusal));
    ck_assert_str_eq(lookup->detail, refused[_i].detail);
    lookup_free(lookup);
}
END_TEST

/* head, part so many times, $1, close so many times. */
static char *nest(const char *head, const char *part, const char *close, size_t times)
{
    char *text = malloc(strlen(head) + times * (strlen(part) + strlen(close)) + 3);
    char *to = stpcpy(text, head);

    for (size_t i = 0; i < times; i++)
        to = stpcpy(to, part);
    to = stpcpy(to, "$1");
    for (size_t i = 0; i < times; i++)
        to = stpcpy(to, close);
    return text;
}

static void *analyse(void *text)
{
    return lookup_new(text);
}

/* Two megabytes of stack are enough for any text. */
static struct lookup *analyse_on_small_stack(char *text)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *lookup;

    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, 2 << 20), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, analyse, text), 0);
    ck_assert_int_eq(pthread_join(thread, &lookup), 0);
    pthread_attr_destroy(&attributes);
    return lookup;
}

START_TEST(refuses_what_is_too_long_or_too_deep)
{
    static const struct {
        const char *head, *part, *close;
        size_t bytes;
        enum lookup_refusal refusal;
    } cases[] = {
        {"SELECT a FROM t WHERE id = ", "1+", "", LOOKUP_TEXT_BYTES_MAX * 2, LOOKUP_TOO_LONG},
        {"SELECT a FROM t WHERE id = ", "1+", "", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT a FROM t WHERE id = ", "- ", "", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT a FROM t WHERE id = ", "(", "", LOOKUP_TEXT_BYTES_MAX, LOOKUP_SYNTAX},
        {"SELECT a FROM t WHERE ", "NOT ", "", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT ", "(SELECT ", ")", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT ", "", " UNION SELECT 1", LOOKUP_TEXT_BYTES_MAX, LOOKUP_PARAM_NAME},
        {"SELECT ", "CASE WHEN ", " THEN 1 END", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT ", "", "::a", LOOKUP_TEXT_BYTES_MAX, LOOKUP_TREE},
        {"SELECT a FROM t WHERE id = ", "f(", ")", LOOKUP_TEXT_BYTES_MAX, LOOKUP_SYNTAX},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t step = strlen(cases[i].part) + strlen(cases[i].close);
        char *text = nest(cases[i].head, cases[i].part, cases[i].close,
                          (cases[i].bytes - strlen(cases[i].head) - 2) / step);
        struct lookup *lookup = analyse_on_small_stack(text);

        ck_assert_msg(lookup->refusal == cases[i].refusal, "case %zu: %s", i,
                      lookup_refusal_text(lookup->refusal));
        lookup_free(lookup);
        free(text);
    }
}
END_TEST

static const struct {
    const char *text, *rewritten;
} rewrites[] = {
    {"SELECT * FROM t WHERE id = $1",
     "SELECT _sluice_k._sluice_ord, _sluice_q.* FROM ROWS FROM "
     "(pg_catalog.unnest((SELECT $1::pg_catalog.int4[]))) WITH ORDINALITY AS _sluice_k "
     "(_sluice_1, _sluice_ord) CROSS JOIN LATERAL (SELECT * FROM t WHERE id = _sluice_k._sluice_1\n"
     "OFFSET 0) AS _sluice_q"},
    {" SELECT a  FROM t WHERE b=$2 and'$1'<$1::text and c=$2 limit 1 ; ; -- end",
     "SELECT _sluice_k._sluice_ord, _sluice_q.* FROM ROWS FROM "
     "(pg_catalog.unnest((SELECT $1::pg_catalog.int4[])), "
     "pg_catalog.unnest((SELECT $2::pg_catalog.text[]))) WITH ORDINALITY AS _sluice_k "
     "(_sluice_1, _sluice_2, _sluice_ord) CROSS JOIN LATERAL ( SELECT a  FROM t WHERE "
     "b=(_sluice_k._sluice_2::pg_catalog._int4) and'$1'<_sluice_k._sluice_1::text and "
     "c=(_sluice_k._sluice_2::pg_catalog._int4) limit 1 \n) AS _sluice_q"},
};

START_TEST(rewrites_parameters_and_nothing_else)
{
    static const struct lookup_type types[] = {{"pg_catalog.int4", false},
                                               {"pg_catalog._int4", true}};

    for (size_t i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++) {
        struct lookup *lookup = lookup_new(rewrites[i].text);
        char *rewritten = lookup_rewrite(lookup, types, lookup->params);

        ck_assert_str_eq(rewritten, rewrites[i].rewritten);
        ck_assert_ptr_null(lookup_rewrite(lookup, types, lookup->params + 1));
        free(rewritten);
        lookup_free(lookup);
    }
}
END_TEST

START_TEST(every_refusal_has_a_text)
{
    for (int i = 0; i < LOOKUP_REFUSALS; i++)
        ck_assert_str_ne(lookup_refusal_text((enum lookup_refusal)i), "");
}
END_TEST

START_TEST(reads_the_probes_answer)
{
    char answer[16];

    ck_assert_int_eq(lookup_probe_refusal("0"), LOOKUP_NONE);
    snprintf(answer, sizeof(answer), "%d", LOOKUP_RELATION);
    ck_assert_int_eq(lookup_probe_refusal(answer), LOOKUP_RELATION);
    ck_assert_int_eq(lookup_probe_refusal(""), LOOKUP_CONSTRUCT);
    ck_assert_int_eq(lookup_probe_refusal("-1"), LOOKUP_CONSTRUCT);
    ck_assert_int_eq(lookup_probe_refusal("9999"), LOOKUP_CONSTRUCT);
    ck_assert_int_eq(lookup_probe_refusal("0 "), LOOKUP_CONSTRUCT);
}
END_TEST

START_TEST(knows_encodings_that_hide_ascii)
{
    static const char *const safe[] = {"UTF8", "LATIN1", "EUC_JP", "WIN1252", "SQL_ASCII"};
    static const char *const unsafe[] = {"SJIS", "GBK", "BIG5", "gb18030", "UHC", "JOHAB"};

    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        ck_assert(lookup_encoding_safe(safe[i]));
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        ck_assert(!lookup_encoding_safe(unsafe[i]));
}
END_TEST

static void *analyse_all(void *argument)
{
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
            struct lookup *lookup = lookup_new(accepted[i]);

            ck_assert_int_eq(lookup->refusal, LOOKUP_NONE);
            lookup_free(lookup);
        }
    }
    return NULL;
}

START_TEST(any_thread_may_ask)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, analyse_all, NULL), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookup");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, accepts_lookups, 0, sizeof(accepted) / sizeof(accepted[0]));
    tcase_add_loop_test(all, refuses_with_reason, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(all, refuses_what_is_too_long_or_too_deep);
    tcase_add_test(all, rewrites_parameters_and_nothing_else);
    tcase_add_test(all, every_refusal_has_a_text);
    tcase_add_test(all, reads_the_probes_answer);
    tcase_add_test(all, knows_encodings_that_hide_ascii);
    tcase_add_test(all, any_thread_may_ask);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

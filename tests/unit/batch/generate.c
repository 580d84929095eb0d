#include "generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sample samples[] = {
    {"int2", "int2", true, {"0", "1", "-32768", "32767", " 7 ", "42"}},
    {"int4", "int4", true, {"0", "1", "-2147483648", "2147483647", "7", "42"}},
    {"int8", "int8", true, {"0", "1", "-9223372036854775808", "9223372036854775807", "42"}},
    {"oid", "oid", true, {"0", "1", "4294967295", "1259"}},
    {"numeric",
     "numeric",
     true,
     {"0", "1.0", "1.00", "-1e-30", "NaN", "12345678901234567890.5", "Infinity"}},
    {"numeric(10,2)", "numeric", true, {"0", "1.5", "1.005", "99999999.99", "NaN"}},
    {"float4", "float4", true, {"0", "-0", "1.1", "NaN", "Infinity", "-Infinity", "1e-40"}},
    {"float8",
     "float8",
     true,
     {"0", "-0", "0.1", "NaN", "Infinity", "-Infinity", "1e308", "5e-324"}},
    {"money", "money", true, {"0", "1.50", "-12.34"}},
    {"bool", "bool", true, {"t", "f", "yes", "off"}},
    {"text",
     "text",
     true,
     {"", "a", "A", " a ", "NULL", "null", "\"", "\\", "{a,b}", "it's", "gr\xc3\xbc\xc3\x9f",
      "\n\t,"}},
    {"varchar(5)", "varchar", true, {"", "a", "a  ", "abcde", "\\\"x", "\xe2\x82\xac"}},
    {"bpchar(5)", "bpchar", true, {"", "a", "a  ", "abcde", "   "}},
    {"citext", "citext", true, {"", "abc", "ABC", "Abc ", "\"q\""}},
    {"name", "name", true, {"", "pg_class", "it's", "A"}},
    {"\"char\"", "\"char\"", true, {"", "a", "\\", ","}},
    {"bytea", "bytea", true, {"", "\\x00ff5c22", "\\x", "abc"}},
    {"date", "date", true, {"2020-02-29", "infinity", "-infinity", "0044-03-15 BC", "1999-12-31"}},
    {"time", "time", true, {"00:00", "23:59:59.999999", "24:00", "12:34:56"}},
    {"timetz", "timetz", true, {"00:00+00", "12:34:56.5+02", "10:34:56.5+00"}},
    {"timestamp",
     "timestamp",
     true,
     {"2020-02-29 12:00", "infinity", "0044-03-15 BC", "1999-12-31 23:59:59.999999"}},
    {"timestamptz",
     "timestamptz",
     true,
     {"2020-02-29 12:00+02", "2020-02-29 10:00+00", "-infinity", "epoch"}},
    {"interval",
     "interval",
     true,
     {"1 day", "24:00", "1 mon -1 day", "30 days", "-00:00:00.000001"}},
    {"uuid",
     "uuid",
     true,
     {"00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
      "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"}},
    {"jsonb", "jsonb", true, {"null", "{\"a\": [1, \"x\\\"\"]}", "\"\\\\\"", "1.0", "1.00", "[]"}},
    {"inet", "inet", true, {"10.0.0.1", "10.0.0.1/8", "::1", "0.0.0.0/0"}},
    {"macaddr", "macaddr", true, {"08:00:2b:01:02:03", "08-00-2b-01-02-04"}},
    {"bit(4)", "varbit", true, {"0000", "1010"}},
    {"varbit", "varbit", true, {"", "1", "1010101010"}},
    {"mood", "mood", true, {"sad", "ok", "so, \"so\""}},
    {"small", "small", true, {"1", "7", "99"}},
    {"word", "word", true, {"a", "b\\", "\"c\""}},
    {"text", "given", true, {"a", "b"}},
    {"pair", "pair", true, {"(1,a)", "(,)", "(2,\"x,\\\"y\")", "(1,b)"}},
    {"list", "list", true, {"{1,2}", "{}", "{NULL,3}", "{1,2}"}},
    {"int4range", "int4range", true, {"empty", "[1,3)", "[1,2]", "(,5)", "(,)"}},
    {"tstzrange",
     "tstzrange",
     true,
     {"empty", "[2020-02-29 12:00+02,2020-02-29 13:00+02)", "(,infinity)", "[epoch,]"}},
    {"int4multirange", "int4multirange", true, {"{}", "{[1,3),[5,7)}"}},
    {"tsvector", "tsvector", true, {"", "'a':1 'b c':2", "'it''s' \\\\"}},
    {"pg_lsn", "pg_lsn", true, {"0/0", "16/B374D848"}},
    {"regclass", "regclass", true, {"pg_class", "pg_catalog.pg_proc", "1259", "-"}},
    {"int4[]", "int4[]", true, {"{}", "{1,2}", "{NULL}", "{{1,2},{3,4}}", "[2:3]={5,6}"}},
    {"timestamptz[]", "timestamptz[]", true, {"{}", "{epoch,NULL}", "{2020-02-29 12:00+02}"}},
    {"text[]", "text[]", true, {"{}", "{a,b}", "{NULL,\"NULL\"}", "{\"a\\\\b\",\"c\\\"d\"}"}},
    {"mood[]", "mood[]", true, {"{}", "{sad,ok}", "{\"so, \\\"so\\\"\"}"}},
    {"json", "json", false, {"null", "{\"a\" : 1}", " [1, \"\\\\\"] "}},
    {"xml", "xml", false, {"<a/>", "<a b=\"c\">d\\</a>"}},
    {"point", "point", false, {"(1,2)", "(NaN,-0)"}},
    {"box", "box", false, {"(1,2),(3,4)", "(0,0),(-1,5)"}},
    {"polygon", "polygon", false, {"((0,0),(1,1),(1,0))"}},
};

const size_t samples_count = sizeof(samples) / sizeof(samples[0]);

/* Pieces of statements. In them: T the type, t a table with columns id, c (of the type), n, s; u
 * one with id, t_id, n, w. ?c a parameter of the type, ?C one of its array type, ?i an int, ?l a
 * limit. */
static const char *const outputs[] = {"*",
                                      "t.id, t.c",
                                      "t.c AS x, ?c::T AS echo",
                                      "t.id, (?c::T) IS NULL AS missing",
                                      "count(*) AS n, min(t.id)",
                                      "DISTINCT t.n",
                                      "t",
                                      "",
                                      "ROW(t.id, t.c) AS r",
                                      "t.id, rank() OVER (ORDER BY t.id) AS r",
                                      "t.*, t.id, t.ctid",
                                      "coalesce(t.c, ?c) AS c, t.id",
                                      "CASE WHEN t.c = ?c THEN 'hit' ELSE 'miss' END, t.id",
                                      "t.id, ARRAY[t.c, ?c] AS a",
                                      "t.id, (SELECT max(v.id) FROM t v WHERE v.c = ?c) AS sub",
                                      "t.id, greatest(t.n, ?i) AS g",
                                      "t.id, 'x' AS k, NULL AS nothing, upper(t.s), 1.50",
                                      "t.n, array_agg(t.c ORDER BY t.id) AS all",
                                      "t.id, 100 / ?i AS quotient",
                                      "t.id, 100 / nullif(t.n - ?i, 0) AS quotient",
                                      "t.n AS echo, ?c::T AS n",
                                      "t.id, max(t.c) OVER (PARTITION BY t.n ORDER BY t.id)",
                                      "t.id, ?i + t.n AS sum, ?i AS i",
                                      "t.n, count(DISTINCT t.c)"};

static const struct {
    const char *from, *order; /* what makes the order total */
} sources[] = {
    {"t", "t.id"},
    {"t", "t.id"},
    {"t JOIN u ON u.t_id = t.id", "t.id, u.id"},
    {"t LEFT JOIN u USING (n)", "t.id, u.id"},
    {"t, LATERAL (SELECT u.w FROM u WHERE u.n = t.n AND u.w >= ?i ORDER BY u.w LIMIT 2) l",
     "t.id, l.w"},
    {"(SELECT * FROM t WHERE n >= ?i) t", "t.id"},
    {"(VALUES (?c::T, 1), (?c, 2)) AS vv (c2, m) JOIN t ON t.c = vv.c2", "t.id, vv.m"},
    {"t LEFT JOIN LATERAL (SELECT ?c::T AS e, ?i AS f) z ON z.f = t.n", "t.id"},
};

static const char *const conditions[] = {"t.c = ?c",
                                         "t.c = ?c",
                                         "t.c = ?c",
                                         "t.c IS NOT DISTINCT FROM ?c",
                                         "t.c IN (?c, ?c)",
                                         "t.c <> ?c",
                                         "t.c = ANY (?C)",
                                         "t.c > ALL (?C)",
                                         "t.id = ?i",
                                         "t.id % 7 = ?i",
                                         "EXISTS (SELECT FROM u WHERE u.t_id = t.id AND u.n = ?i)",
                                         "t.c = ?c OR t.id = ?i",
                                         "NOT t.c = ?c",
                                         "t.n BETWEEN ?i AND 20",
                                         "(t.c, t.n) = (?c, ?i)",
                                         "t.c = ?c AND t.n = ?i",
                                         "t.c BETWEEN ?c AND ?c",
                                         "t.id NOT IN (SELECT u.t_id FROM u WHERE u.n = ?i)",
                                         "(t.c, t.id) > (?c, ?i)",
                                         "t.c = (SELECT v.c FROM t v WHERE v.id = ?i)",
                                         "?c = t.c AND t.s LIKE 's%'",
                                         "t.n = 100 / ?i",
                                         "nullif(t.c, ?c) IS NULL"};

/* For types without equality. */
static const char *const plain_outputs[] = {"*", "t.c, ?c::T AS echo",
                                            "t.id, coalesce(t.c, ?c) AS c", "t",
                                            "t.c::text || (?c::T)::text AS both"};
static const char *const plain_conditions[] = {
    "t.id = ?i", "t.id % 7 = ?i", "(?c::T) IS NOT NULL AND t.n = ?i", "t.c::text = (?c::T)::text"};

static const char *const limits[] = {"",
                                     "",
                                     "",
                                     "LIMIT 3",
                                     "LIMIT ?l",
                                     "OFFSET 1",
                                     "LIMIT ?l OFFSET ?l",
                                     "FETCH FIRST 2 ROWS ONLY",
                                     "LIMIT ALL",
                                     "FETCH FIRST ?l ROWS WITH TIES"};

static const char *const wraps[] = {
    "%s",
    "%s",
    "%s",
    "%s -- end",
    "(%s)",
    "SELECT * FROM (%s) z",
    "WITH q AS (%s) SELECT * FROM q",
    "WITH q AS MATERIALIZED (%s) SELECT q.* FROM q, (SELECT ?i AS i) j WHERE j.i > 0",
    "(%1$s) UNION ALL (%1$s)",
    "/* why */ %s ;",
    "SELECT count(*) AS n, ?i AS k FROM (%s) z"};

static uint64_t seed = 5;

unsigned random_below(size_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % limit);
}

/* Numbers ?x and spells out T; now and then takes a parameter a second time. */
static void finish(struct generated *statement, const char *from, const struct sample *sample)
{
    char *to = statement->text;

    for (; *from != '\0'; from++) {
        if (*from == '?') {
            unsigned number = 0;

            from++;
            while (number < statement->params &&
                   (statement->roles[number] != *from || random_below(3) > 0))
                number++;
            if (number == statement->params)
                statement->roles[statement->params++] = *from;
            to += sprintf(to, "$%u", number + 1);
        } else if (*from == 'T' && strncmp(from - 1, ":T", 2) == 0) {
            to += sprintf(to, "%s", sample->cast);
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

void generate(struct generated *statement, const struct sample *sample)
{
    size_t source = random_below(sizeof(sources) / sizeof(sources[0]));
    const char *output = sample->order ? PICK(outputs) : PICK(plain_outputs);
    const char *condition = sample->order ? PICK(conditions) : PICK(plain_conditions);
    const char *limit = PICK(limits), *wrap = PICK(wraps), *group = "",
               *order = sources[source].order;
    char plain[2048], whole[4096];

    *statement = (struct generated){.ordered = *limit != '\0' || random_below(2) == 0};
    if (!sample->order)
        source = 0;
    if (strncmp(output, "t.n, ", 5) == 0) {
        group = "GROUP BY t.n ";
        order = "t.n";
    } else if (strncmp(output, "DISTINCT", 8) == 0) {
        order = "t.n";
    } else if (strncmp(output, "count", 5) == 0) {
        order = "1";
    }
    snprintf(plain, sizeof(plain), "SELECT %s FROM %s WHERE %s %s%s%s %s", output,
             sources[source].from, condition, group, statement->ordered ? "ORDER BY " : "",
             statement->ordered ? order : "", limit);
    if (strstr(wrap, "1$s") != NULL || strstr(wrap, "FROM (") != NULL ||
        strstr(wrap, "AS (") != NULL || strstr(wrap, "MAT") != NULL)
        statement->ordered = false; /* what is inside is, and that is enough for LIMIT */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(whole, sizeof(whole), wrap, plain);
#pragma GCC diagnostic pop
    finish(statement, whole, sample);
}

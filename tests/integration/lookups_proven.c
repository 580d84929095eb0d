/* What `auto` takes for a lookup, and what it refuses: each statement answers as it does alone, in
 * both protocols, and the console tells which way it went. */
#include "lookups_crowd.h"
#include "sluice/batch/mask.h"

#define REFUSED_VIEW "it reads a view, a foreign or temporary table, or a sequence"

/* Of user bench, who asks. */
static const char tables[] =
    "CREATE TABLE t (id int PRIMARY KEY, name varchar(20), fixed char(5), num numeric(8,2),"
    " day date, at timestamptz, tags text[], j jsonb, double int GENERATED ALWAYS AS (id * 2)"
    " STORED);"
    "INSERT INTO t SELECT i, 'name ' || i, 'f' || i, i / 3.0, date '2024-02-25' + i,"
    " timestamptz '2024-03-30 23:00+00' + i * interval '1 hour', ARRAY['t' || i, NULL, 'all'],"
    " jsonb_build_object('k', i, 'list', jsonb_build_array(i, 'x')) FROM generate_series(1, 20) i;"
    "CREATE TABLE odd (_sluice_ord int, _sluice_k int, _sluice_1 text, ord int, v int, k int,"
    " q text); INSERT INTO odd SELECT i, i, 'one ' || i, i, i, i, 'q' FROM generate_series(1, 9) i;"
    "CREATE TABLE parts (id int, s text) PARTITION BY HASH (id);"
    "CREATE TABLE part0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE part1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
    "INSERT INTO parts SELECT i, 's' || i FROM generate_series(1, 20) i;"
    "ALTER TABLE part0 ENABLE ROW LEVEL SECURITY;"
    "CREATE TABLE heir (extra int) INHERITS (t); INSERT INTO heir (id, name) VALUES (3, 'heir');"
    "CREATE MATERIALIZED VIEW kept AS SELECT id, name FROM t;"
    "CREATE SEQUENCE draws; CREATE VIEW drawn AS SELECT id, nextval('draws') AS n FROM t;"
    "CREATE VIEW barred WITH (security_barrier) AS SELECT id, name FROM t WHERE id < 5;"
    "CREATE TABLE own (id int, who name DEFAULT current_user);"
    "INSERT INTO own VALUES (1, 'bench'), (2, 'user2'); ALTER TABLE own ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY mine ON own USING (who = current_user);"
    "CREATE FUNCTION audit(t) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT "
    "nextval(''draws'')::int';"
    "CREATE FUNCTION lower(varchar) RETURNS text VOLATILE LANGUAGE sql AS"
    " 'SELECT $1 || nextval(''draws'')';"
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;"
    "GRANT ALL ON SEQUENCE draws TO PUBLIC";

static const struct {
    const char *sql, *keys; /* that the crowd asks for in turn, separated by '|' */
    const char *refusal;    /* NULL: it is batched */
} statements[] = {
    /* Names, columns and rows of every kind. */
    {"SELECT ctid, xmin, tableoid::regclass, * FROM t WHERE id = $1", "1|3|7|99", NULL},
    {"SELECT * FROM odd WHERE v = $1", "1|2|3", NULL},
    {"SELECT id, id AS ord, id AS v, id AS k, id AS q, id AS id FROM t WHERE id = $1", "1|2", NULL},
    {"SELECT (t).name, t FROM t WHERE id = $1", "1|2", NULL},
    {"SELECT tags[1:2], tags[3], j -> 'list' -> 1 AS x FROM t WHERE id = $1", "1|5", NULL},
    {"SELECT FROM t WHERE id = $1", "1|50", NULL},
    {"SELECT * FROM parts WHERE id = $1", "1|2|3|4", NULL},
    {"SELECT * FROM heir WHERE id = $1", "3|4", NULL},
    {"SELECT id, name FROM ONLY t WHERE id = $1", "3|4", NULL},
    {"SELECT * FROM kept WHERE id = $1", "1|21", NULL},
    {"SELECT relname, relkind FROM pg_class WHERE oid = $1", "1259|1247", NULL},
    /* Parameters in odd places, and what their types are. */
    {"SELECT id FROM t ORDER BY id LIMIT $1", "0|1|3|-1", NULL},
    {"SELECT id FROM t ORDER BY id OFFSET $1", "17|20|30", NULL},
    {"SELECT id FROM t WHERE id < 4 ORDER BY $1 = name, id", "name 1|name 2|x", NULL},
    {"SELECT id % 2 AS odd, count(*) FROM t GROUP BY id % 2, $1::int + 1 ORDER BY 1", "1|2", NULL},
    {"SELECT count(*) FROM t WHERE $1::int IS NULL OR id = $1", "1|2|99", NULL},
    {"SELECT id FROM t WHERE name = 'name ' || $1", "1|2|x", NULL},
    {"SELECT id FROM t WHERE $1 = ANY (tags) ORDER BY id", "t1|all|none", NULL},
    {"SELECT id FROM t WHERE id = ANY ($1::int[]) ORDER BY id", "{1,2}|{}|{NULL,3}|{{1},{2}}",
     NULL},
    {"SELECT id FROM t WHERE j -> $1 IS NOT NULL ORDER BY id LIMIT 2", "k|list|none", NULL},
    {"SELECT id, j ->> $1 AS x FROM t WHERE id < 3 ORDER BY id", "k|list|none", NULL},
    {"SELECT id FROM t WHERE j @> $1", "{\"k\": 3}|{}|[]", NULL},
    {"SELECT id FROM t WHERE j ? $1 ORDER BY id LIMIT 1", "k|none", NULL},
    {"SELECT j - $1 AS x FROM t WHERE id = 2", "k|list|1", NULL},
    {"SELECT day + $1::int AS d, day FROM t WHERE id = 1", "1|-1|1000000000", NULL},
    {"SELECT at - $1 AS d FROM t WHERE id = 1", "2024-03-31 01:00+02|1 hour", NULL},
    {"SELECT num * $1 AS n, num FROM t WHERE id = 2", "1.5|2|NaN", NULL},
    {"SELECT round(num, $1) AS n FROM t WHERE id = 2", "0|1|-1", NULL},
    {"SELECT substring(name FROM $1) AS s FROM t WHERE id = 12", "2|-1|[0-9]+", NULL},
    {"SELECT coalesce(fixed, $1) AS c, fixed FROM t WHERE fixed = $1", "f1|f1   |f2", NULL},
    {"SELECT greatest(id, $1) AS g FROM t WHERE id < 3 ORDER BY 1", "1|5", NULL},
    {"SELECT id FROM t WHERE name COLLATE \"C\" > $1 ORDER BY name COLLATE \"C\" LIMIT 2",
     "name 19|name|Z", NULL},
    {"SELECT to_char(at, $1) AS c FROM t WHERE id = 1", "HH24 TZ|YYYY", NULL},
    {"SELECT DISTINCT ON (id % 3) id FROM t WHERE id > $1 ORDER BY id % 3, id DESC", "1|15", NULL},
    {"SELECT id, rank() OVER (ORDER BY num DESC) FROM t WHERE id > $1 ORDER BY id", "15|18", NULL},
    {"WITH x AS MATERIALIZED (SELECT * FROM t WHERE id > $1) SELECT count(*), min(name) FROM x",
     "1|19|30", NULL},
    /* Wherever a result may differ from one run to the next, or something is done. */
    {"SELECT * FROM drawn WHERE id = $1", "1|2", REFUSED_VIEW},
    {"SELECT * FROM barred WHERE id = $1", "1|7", REFUSED_VIEW},
    {"SELECT last_value FROM draws WHERE last_value > $1", "0|1", REFUSED_VIEW},
    {"SELECT * FROM own WHERE id = $1", "1|2", "it reads a table with row-level security"},
    {"SELECT lower(name) FROM t WHERE id = $1", "1",
     "the search_path has a volatile function of the same name"},
    {"SELECT t.audit FROM t WHERE id = $1", "1",
     "table.name may be a call of a volatile function of that name"},
    {"SELECT id FROM t WHERE id = $1 FOR UPDATE", "1", "FOR UPDATE or FOR SHARE locks rows"},
    {"SELECT id, (SELECT random()) > 2 AS r FROM t WHERE id = $1", "1",
     "a function that is not on the list of pure built-in functions: random"},
    {"SELECT nextval('draws') > 0 AS n FROM t WHERE id = $1", "1",
     "a function that is not on the list of pure built-in functions: nextval"},
    {"SELECT pg_backend_pid() > 0 AS p FROM t WHERE id = $1", "1",
     "a function that is not on the list of pure built-in functions: pg_backend_pid"},
    {"SELECT current_setting('work_mem') FROM t WHERE id = $1", "1",
     "a function that is not on the list of pure built-in functions: current_setting"},
    {"SELECT txid_current() > 0 AS x FROM t WHERE id = $1", "1",
     "a function that is not on the list of pure built-in functions: txid_current"},
    {"SELECT generate_series(1, 2), id FROM t WHERE id = $1", "1|2",
     "a function that is not on the list of pure built-in functions: generate_series"},
    {"SELECT clock_timestamp() IS NULL AS c FROM t WHERE id = $1", "1",
     "it reads the clock or asks who is connected: clock_timestamp"},
    {"SELECT current_user FROM t WHERE id = $1", "1",
     "it reads the clock or asks who is connected"},
    {"SELECT id FROM t WHERE day < 'today' AND id = $1", "1",
     "it reads the clock or asks who is connected: today"},
    {"SELECT * FROM t TABLESAMPLE SYSTEM (100) WHERE id = $1", "1",
     "TABLESAMPLE picks rows at random"},
    {"SELECT * FROM unnest(ARRAY[1, 2]) u, t WHERE u = id AND id = $1", "1|2",
     "it selects from a function"},
    {"WITH d AS (DELETE FROM t WHERE id < 0 RETURNING id) SELECT id FROM t WHERE id = $1", "1|2",
     "a WITH query changes data"},
    {"SELECT id FROM t WHERE name LIKE $1", "name 1|x%",
     "a parameter is the pattern of LIKE or of "
     "a regular expression"},
};

enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]) };

static const char *key_of(const char *keys, int i)
{
    const char *at = keys;

    for (; i > 0; i--) {
        at = strchr(at, '|');
        at = at ? at + 1 : keys;
    }
    return text("%.*s", (int)strcspn(at, "|"), at);
}

/* As the crowd's, but past the batcher. */
static char *alone(const char *sql, const char *key)
{
    client_send(&ping, lookup(sql, key));
    return client_answer(&ping);
}

/* Its answer is another each time. */
static bool draws(const char *sql)
{
    return strstr(sql, "lower(") || strstr(sql, "audit") || strstr(sql, "drawn");
}

static void check(const char *sql, const char *keys, bool same)
{
    for (int round = 0; round < 3; round++) {
        hold();
        for (int i = 0; i < CROWD; i++)
            ask(i, sql, key_of(keys, i));
        settle();
        release();
        for (int i = 0; i < CROWD; i++) {
            const char *answer = client_answer(&crowd[i]), *wanted = alone(sql, key_of(keys, i));

            ck_assert_msg(!same || strcmp(answer, wanted) == 0, "%s with %s: %s and not %s", sql,
                          key_of(keys, i), answer, wanted);
        }
    }
}

/* Of its row in the console, which shows no literals. */
static const char *seen(const char *sql, const char *column)
{
    char masked[1000];

    mask_text(sql, strlen(sql), masked, sizeof(masked));
    return console_told(&sluice, "SHOW LOOKUPS", masked, column);
}

START_TEST(each_answers_as_alone_and_the_console_tells_which_are_batched)
{
    start("");
    postgres_value(sluice.postgres, "%s", tables);
    simple = _i;
    for (size_t i = 0; i < STATEMENTS; i++) {
        const char *sql = statements[i].sql, *refusal = statements[i].refusal;

        check(sql, statements[i].keys, !draws(sql));
        if (simple)
            continue;
        ck_assert_msg(strcmp(seen(sql, "refusal"), refusal ? refusal : "") == 0, "%s: %s", sql,
                      seen(sql, "refusal"));
        /* A batch of it was asked, though some have keys that fail each. */
        ck_assert_msg((atol(seen(sql, "keys")) + atol(seen(sql, "errors")) > 0) == !refusal, "%s",
                      sql);
    }
    ck_assert_int_gt(batches(), 10);
    sluice_stop(&sluice);
}
END_TEST

/* PostgreSQL allows 1,664 columns; a batch has one more. */
START_TEST(as_many_columns_as_there_may_be_are_asked_alone)
{
    char *sql = malloc(1664 * 4 + 100), *to = stpcpy(sql, "SELECT id");

    start("");
    simple = _i;
    for (int i = 1; i < 1664; i++)
        to = stpcpy(to, ",id");
    stpcpy(to, " FROM things WHERE id = $1");
    check(sql, "1|2|3", true);
    ck_assert_int_eq(batches(), 0);
    free(sql);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_sessions_say_of_transactions_is_kept)
{
    static const char *const settings[] = {
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "statement_timeout = 60000",
        "plan_cache_mode = force_custom_plan",
        "enable_indexscan = off",
        "app.tenant = '7'",
    };

    start("");
    simple = _i;
    for (size_t step = 0; step < sizeof(settings) / sizeof(settings[0]); step++) {
        int before;

        for (int i = 0; i < CROWD; i++) {
            client_query(&crowd[i], text("SET %s", settings[step]));
            for (int round = 0; round < 2; round++) {
                ask(i, LOOKUP, "1");
                answers(i, thing(1));
            }
        }
        before = batches();
        check(LOOKUP, "1|2|101", true);
        ck_assert_msg(batches() > before, "%s", settings[step]);
    }
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_proven");

    suite_add_loop(suite, SUITE_OURS, 60,
                   each_answers_as_alone_and_the_console_tells_which_are_batched, 2);
    suite_add_loop(suite, SUITE_OURS, 30, as_many_columns_as_there_may_be_are_asked_alone, 2);
    suite_add_loop(suite, SUITE_OURS, 30, what_sessions_say_of_transactions_is_kept, 2);
    return suite_finish(suite);
}

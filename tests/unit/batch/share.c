/* Which statements may be sent among those of other clients, and what may be sent behind them. */
#include "sluice/batch/share.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    enum share_verdict verdict;
} texts[] = {
    {"SELECT 1", SHARE_READ},
    {"SELECT abalance FROM pgbench_accounts WHERE aid = $1;", SHARE_READ},
    {"VALUES (1), (2)", SHARE_READ},
    {"TABLE x", SHARE_READ},
    {"WITH a AS (SELECT 1) SELECT count(*), max(b) FROM a JOIN c USING (d)", SHARE_READ},
    {"SELECT lower(a), pg_catalog.upper(b), now() FROM generate_series(1, 9)", SHARE_READ},
    {"SELECT * FROM x UNION ALL SELECT * FROM y ORDER BY 1 LIMIT 3", SHARE_READ},

    {"SELECT * FROM x FOR UPDATE", SHARE_LAST},
    {"SELECT * FROM (SELECT * FROM x FOR SHARE) y", SHARE_LAST},
    {"SELECT pg_sleep(1)", SHARE_LAST},
    {"SELECT a FROM x WHERE f(a)", SHARE_LAST},
    {"SELECT other.lower(a) FROM x", SHARE_LAST},
    {"SELECT nextval('s')", SHARE_LAST},
    {"SELECT pg_advisory_xact_lock(1)", SHARE_LAST},
    {"SELECT set_config('a.b', 'c', true)", SHARE_LAST},
    {"WITH a AS (DELETE FROM x RETURNING *) SELECT * FROM a", SHARE_LAST},
    {"INSERT INTO x VALUES ($1)", SHARE_LAST},
    {"UPDATE x SET a = a + 1", SHARE_LAST},
    {"DELETE FROM x", SHARE_LAST},
    {"MERGE INTO x USING y ON x.a = y.a WHEN MATCHED THEN DELETE", SHARE_LAST},

    {"SELECT 1; SELECT 2", SHARE_OTHER},
    {"", SHARE_OTHER},
    {"SELECT * INTO y FROM x", SHARE_OTHER},
    {"SELECT 1 AS a INTO y UNION SELECT 2", SHARE_OTHER},
    {"SELECT 1 AS a INTO y UNION SELECT 2 UNION SELECT 3", SHARE_OTHER},
    {"BEGIN", SHARE_OTHER},
    {"COMMIT", SHARE_OTHER},
    {"COPY x TO STDOUT", SHARE_OTHER},
    {"SET LOCAL a.b = 1", SHARE_OTHER},
    {"CREATE TABLE x (a int)", SHARE_OTHER},
    {"EXPLAIN SELECT 1", SHARE_OTHER},
    {"SHOW all", SHARE_OTHER},
    {"VACUUM", SHARE_OTHER},

    {"SET a.b = 1", SHARE_SESSION},
    {"LISTEN x", SHARE_SESSION},
    {"SELECT set_config('a.b', 'c', false)", SHARE_SESSION},
    {"INSERT INTO x SELECT set_config($1, $2, $3)", SHARE_SESSION},
    {"SELECT pg_advisory_lock(1)", SHARE_SESSION},
    {"SELECT pg_advisory_unlock_all()", SHARE_SESSION},
    {"SELECT * FROM pg_temp.x", SHARE_SESSION},
    {"CREATE TEMP TABLE x (a int)", SHARE_SESSION},
    {"DO 'BEGIN END'", SHARE_SESSION},
    {"CALL f()", SHARE_SESSION},
    {"PREPARE x AS SELECT 1", SHARE_SESSION},

    {"SELEC 1", SHARE_UNREADABLE},
    {"SELECT 'a", SHARE_UNREADABLE},
};

START_TEST(a_text_is_judged)
{
    ck_assert_msg(share_judge(texts[_i].text) == texts[_i].verdict, "%s: %d", texts[_i].text,
                  (int)share_judge(texts[_i].text));
}
END_TEST

START_TEST(a_text_too_long_or_too_deep_is_not_read)
{
    char *text = malloc(40000);

    memset(text, ' ', 39999);
    memcpy(text, "SELECT 1", 8);
    text[39999] = '\0';
    ck_assert_int_eq(share_judge(text), SHARE_UNREADABLE);
    memset(text, '(', 8000);
    strcpy(text + 8000, "SELECT 1");
    ck_assert_int_ne(share_judge(text), SHARE_READ);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("share");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, a_text_is_judged, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(all, a_text_too_long_or_too_deep_is_not_read);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

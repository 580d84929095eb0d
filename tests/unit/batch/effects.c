/* That what a text leaves in its session is found in it, and that ordinary texts are not read. */
#include "sluice/batch/effects.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    unsigned begins, ends;
    const char *name; /* of the first setting */
} texts[] = {
    {"SET a.b = 1", EFFECT_SETTINGS, 0, "a.b"},
    {"  /* x /* y */ */ -- z\n\tsEt SESSION \"A.b\" TO 1;", EFFECT_SETTINGS, 0, "A.b"},
    {"SELECT 1;SET x = 1", EFFECT_SETTINGS, 0, "x"},
    {"RESET x", EFFECT_SETTINGS, 0, "x"},
    {"SET x FROM CURRENT", EFFECT_SETTINGS, 0, "x"},
    {"SET x TO DEFAULT", EFFECT_SETTINGS | EFFECT_DEFAULT, 0, "x"},
    {"SET ROLE x", EFFECT_SETTINGS, 0, "role"},
    {"SET SESSION AUTHORIZATION x", EFFECT_SETTINGS | EFFECT_AUTHORIZATION, 0,
     "session_authorization"},
    {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", EFFECT_SETTINGS, 0,
     "default_transaction_isolation"},
    {"SET LOCAL x = 1", 0, 0, NULL},
    {"SET TRANSACTION READ ONLY", 0, 0, NULL},
    {"RESET ALL", EFFECT_SETTINGS | EFFECT_RESET_ALL, 0, NULL},
    {"SELECT set_config('x.y', $1, false)", EFFECT_SETTINGS, 0, "x.y"},
    {"SELECT f(pg_catalog.set_config($1, $2, $3)) FROM x", EFFECT_SETTINGS | EFFECT_UNKNOWN, 0,
     NULL},
    {"SELECT set_config($1, $2, true), SET_CONFIG($1, $2, 't'::bool)", 0, 0, NULL},
    {"create temporary table x (y int)", EFFECT_TEMPORARY, 0, NULL},
    {"CREATE\nTEMP VIEW x AS SELECT 1", EFFECT_TEMPORARY, 0, NULL},
    {"SELECT 1 INTO TEMP x", EFFECT_TEMPORARY, 0, NULL},
    {"CREATE TABLE pg_temp.x (y int)", EFFECT_TEMPORARY, 0, NULL},
    {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", EFFECT_TEMPORARY, 0,
     NULL},
    {"DROP TABLE x", 0, EFFECT_TEMPORARY, NULL},
    {"DISCARD TEMP", 0, EFFECT_TEMPORARY, NULL},
    {"LISTEN x", EFFECT_LISTEN, 0, NULL},
    {"UNLISTEN *", 0, EFFECT_LISTEN, NULL},
    {"SELECT pg_advisory_lock(1)", EFFECT_LOCK, 0, NULL},
    {"SELECT pg_try_advisory_lock_shared(1)", EFFECT_LOCK, 0, NULL},
    {"SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)", 0, 0, NULL},
    {"SELECT pg_advisory_unlock_all()", 0, EFFECT_LOCK, NULL},
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", EFFECT_CURSOR, 0, NULL},
    {"DECLARE c CURSOR FOR SELECT 1", 0, 0, NULL},
    {"CLOSE c", 0, EFFECT_CURSOR, NULL},
    {"PREPARE x AS SELECT 1", EFFECT_PREPARE, 0, NULL},
    {"DEALLOCATE x", 0, EFFECT_PREPARE, NULL},
    {"DO 'x'", EFFECTS_ALL, 0, NULL},
    {"CALL x()", EFFECTS_ALL, 0, NULL},
    {"SET nonsense nonsense", EFFECTS_ALL, 0, NULL},
};

START_TEST(an_effect_is_found)
{
    struct effects effects;

    ck_assert(effects_possible(texts[_i].text, strlen(texts[_i].text) + 1));
    effects_find(texts[_i].text, &effects);
    ck_assert_uint_eq(effects.begins, texts[_i].begins);
    ck_assert_uint_eq(effects.ends, texts[_i].ends);
    ck_assert_uint_eq(effects.count, texts[_i].name ? 1 : 0);
    if (texts[_i].name)
        ck_assert_str_eq(effects.names[0], texts[_i].name);
}
END_TEST

START_TEST(ordinary_texts_are_not_read)
{
    static const char *const ordinary[] = {
        "",
        ";",
        "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
        "UPDATE settings SET x = 1; COMMIT;",
        "INSERT INTO temperatures (temp_c) VALUES (1) RETURNING temp_c AS temperature",
        "SELECT listen, reset FROM loads; SELECT settings FROM sets",
        "BEGIN; SELECT tempo FROM contempt; END",
        "/* SET",
        "-- SET",
    };

    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
        ck_assert_msg(!effects_possible(ordinary[i], strlen(ordinary[i]) + 1), "%s", ordinary[i]);
}
END_TEST

START_TEST(what_cannot_be_read_may_leave_anything)
{
    static char text[EFFECTS_TEXT_BYTES_MAX + 2];
    struct effects effects;

    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, "SET x = 1", 9);
    effects_find(text, &effects);
    ck_assert_uint_eq(effects.begins, EFFECTS_ALL);
    memset(text, '(', EFFECTS_TEXT_BYTES_MAX - 1);
    memcpy(text, "SELECT ", 7);
    text[EFFECTS_TEXT_BYTES_MAX - 1] = '\0';
    effects_find(text, &effects);
    ck_assert_uint_eq(effects.begins, EFFECTS_ALL);
}
END_TEST

START_TEST(more_names_than_are_kept_are_said_to_be_unknown)
{
    char text[1024] = "";
    struct effects effects;

    for (int i = 0; i <= EFFECTS_NAMES_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "SET x%d = 1;", i);
    effects_find(text, &effects);
    ck_assert_uint_eq(effects.begins, EFFECT_SETTINGS | EFFECT_UNKNOWN);
    ck_assert_uint_eq(effects.count, EFFECTS_NAMES_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("effects");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, an_effect_is_found, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(all, ordinary_texts_are_not_read);
    tcase_add_test(all, what_cannot_be_read_may_leave_anything);
    tcase_add_test(all, more_names_than_are_kept_are_said_to_be_unknown);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* That a statement of the simple protocol gives the same rows, columns and errors when its literals
 * are parameters: over many types, each literal quoted and as a number. */
#include "generate.h"
#include "pg.h"

#include "sluice/batch/literals.h"

#include <string.h>

/* L and M are literals. */
static const char *const conditions[] = {
    "c = L",
    "L = c",
    "c <> L",
    "c < L",
    "c >= L",
    "c IN (L, M)",
    "c NOT IN (L)",
    "c BETWEEN L AND M",
    "NOT (c = L OR n = 3)",
    "c = L AND n >= -2 AND id < 2147483648 AND n <> 1.5 AND s <> 'x''y'",
    "c = L AND t.c = (SELECT v.c FROM t v WHERE v.id = 3)",
    "c = L UNION SELECT 'u', 1 FROM t WHERE n = -  1",
};

static unsigned compared, failed_alike, numbers;

static void setup(void)
{
    pg_start();
    samples_create_types();
}

static void put_literals(char *to, const char *condition, const char *const literals[2])
{
    for (; *condition != '\0'; condition++) {
        if ((*condition == 'L' || *condition == 'M') && strncmp(condition, "LECT", 4) != 0)
            to = stpcpy(to, literals[*condition - 'L']);
        else
            *to++ = *condition;
    }
    *to = '\0';
}

static PGresult *ask_normal(const struct literals_normal *normal)
{
    Oid types[LOOKUP_PARAMS_MAX];
    const char *values[LOOKUP_PARAMS_MAX];

    for (unsigned i = 0; i < normal->count; i++) {
        types[i] = normal->params[i].type;
        values[i] = normal->params[i].value;
    }
    return PQexecParams(pg, normal->text, (int)normal->count, types, values, NULL, NULL, 0);
}

static void compare(const char *text, const PGresult *plain, const PGresult *normal)
{
    if (PQresultStatus(plain) != PGRES_TUPLES_OK) {
        ck_assert_str_eq(PQresultErrorField(plain, PG_DIAG_SQLSTATE),
                         PQresultErrorField(normal, PG_DIAG_SQLSTATE));
        failed_alike++;
        return;
    }
    ck_assert_msg(PQresultStatus(normal) == PGRES_TUPLES_OK, "%s: %s", text,
                  PQresultErrorMessage(normal));
    ck_assert_int_eq(PQnfields(plain), PQnfields(normal));
    ck_assert_msg(PQntuples(plain) == PQntuples(normal), "%s", text);
    for (int column = 0; column < PQnfields(plain); column++) {
        ck_assert_str_eq(PQfname(plain, column), PQfname(normal, column));
        ck_assert_uint_eq(PQftype(plain, column), PQftype(normal, column));
        ck_assert_int_eq(PQfmod(plain, column), PQfmod(normal, column));
        for (int row = 0; row < PQntuples(plain); row++) {
            ck_assert_int_eq(PQgetisnull(plain, row, column), PQgetisnull(normal, row, column));
            ck_assert_msg(strcmp(PQgetvalue(plain, row, column), PQgetvalue(normal, row, column)) ==
                              0,
                          "%s", text);
        }
    }
    compared++;
}

static void try_text(const char *text)
{
    static char memory[LITERALS_BYTES_MAX];
    struct literals literals;
    struct literals_choice choice;
    struct literals_normal normal;
    struct lookup *lookup;
    PGresult *plain, *other;

    /* A number may be written in a way that stays in the text. */
    if (!literals_find(&literals, text))
        return;
    choice = literals_choose(&literals, text);
    if (choice.refusal != LOOKUP_NONE)
        return;
    literals_normalise(&literals, &choice, text, memory, &normal);
    lookup = lookup_new(normal.text);
    ck_assert_msg(lookup->refusal == LOOKUP_NONE, "%s: %s", normal.text,
                  lookup_refusal_text(lookup->refusal));
    ck_assert_uint_eq(lookup->params, normal.count);
    for (unsigned i = 0; i < normal.count; i++)
        numbers += normal.params[i].type != 0;
    lookup_free(lookup);
    plain = PQexec(pg, text);
    other = ask_normal(&normal);
    compare(text, plain, other);
    PQclear(plain);
    PQclear(other);
}

START_TEST(literals_as_parameters_change_nothing)
{
    const struct sample *sample = &samples[_i];
    char *quoted[SAMPLE_VALUES_MAX];
    size_t count = 0;

    samples_create_table(sample);
    while (count < SAMPLE_VALUES_MAX && sample->values[count] != NULL) {
        quoted[count] = PQescapeLiteral(pg, sample->values[count], strlen(sample->values[count]));
        count++;
    }
    for (size_t v = 0; v < count; v++) {
        const char *literals[][2] = {{quoted[v], quoted[(v + 1) % count]},
                                     {sample->values[v], quoted[(v + 1) % count]}};
        bool number = strspn(sample->values[v], "0123456789.e-+") == strlen(sample->values[v]);

        for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
            for (int form = 0; form <= (number && *sample->values[v] != '\0'); form++) {
                char condition[1024], text[2048];

                put_literals(condition, conditions[i], literals[form]);
                snprintf(text, sizeof(text), "SELECT s, id FROM t WHERE %s ORDER BY 2, 1;",
                         condition);
                try_text(text);
            }
        }
    }
    for (size_t v = 0; v < count; v++)
        PQfreemem(quoted[v]);
}
END_TEST

START_TEST(enough_was_compared)
{
    printf("%u results compared, %u errors, %u numbers\n", compared, failed_alike, numbers);
    ck_assert_uint_ge(compared, 2000);
    ck_assert_uint_ge(numbers, 500);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simple");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    if (!pg_available())
        return PG_SKIP;
    tcase_add_unchecked_fixture(all, setup, pg_stop);
    tcase_add_loop_test(all, literals_as_parameters_change_nothing, 0, (int)samples_count);
    tcase_add_test(all, enough_was_compared);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

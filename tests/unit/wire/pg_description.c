/* Descriptions of statements: equal when PostgreSQL would take the results for the same. */
#include "sluice/wire/pg_description.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/wire/pg.h"

struct column {
    const char *name;
    uint32_t table, type, modifier;
    uint16_t format;
};

static struct pg_description columns_of(const struct column *columns, size_t count, size_t cut)
{
    struct pg_description description = {0};
    uint8_t body[256], *exact;
    struct pg_writer writer = pg_writer_of(body, sizeof(body));

    pg_write_u16(&writer, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        pg_write_text(&writer, columns[i].name);
        pg_write_u32(&writer, columns[i].table);
        pg_write_u16(&writer, 1);
        pg_write_u32(&writer, columns[i].type);
        pg_write_u16(&writer, 4);
        pg_write_u32(&writer, columns[i].modifier);
        pg_write_u16(&writer, columns[i].format);
    }
    exact = malloc(writer.length - cut); /* so that a sanitizer sees what is read behind it */
    memcpy(exact, body, writer.length - cut);
    pg_description_take(&description, PG_ROW_DESCRIPTION, exact, writer.length - cut,
                        writer.length);
    free(exact);
    return description;
}

START_TEST(names_types_and_modifiers_of_columns_count)
{
    static const struct column base[] = {{"x", 16385, 23, 0, 0}, {"y", 16385, 25, 0, 0}};
    static const struct column others[][2] = {
        {{"z", 16385, 23, 0, 0}, {"y", 16385, 25, 0, 0}},
        {{"x", 16385, 20, 0, 0}, {"y", 16385, 25, 0, 0}},
        {{"x", 16385, 23, 0, 0}, {"y", 16385, 25, 14, 0}},
        {{"y", 16385, 25, 0, 0}, {"x", 16385, 23, 0, 0}},
    };
    static const struct column same[] = {{"x", 16400, 23, 0, 1}, {"y", 0, 25, 0, 1}};
    struct pg_description description = columns_of(base, 2, 0);

    ck_assert(pg_description_agrees(description, columns_of(same, 2, 0)));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert(!pg_description_agrees(description, columns_of(others[i], 2, 0)));
    ck_assert(!pg_description_agrees(description, columns_of(base, 1, 0)));
}
END_TEST

START_TEST(parameters_and_no_columns_count_too)
{
    static const uint8_t one[] = {0, 1, 0, 0, 0, 23}, other[] = {0, 1, 0, 0, 0, 25};
    struct pg_description description = {0}, changed = {0}, nothing = {0};

    pg_description_take(&description, PG_PARAMETER_DESCRIPTION, one, sizeof(one), sizeof(one));
    pg_description_take(&description, PG_NO_DATA, NULL, 0, 0);
    pg_description_take(&changed, PG_PARAMETER_DESCRIPTION, other, sizeof(other), sizeof(other));
    changed.columns = description.columns;
    ck_assert(description.params && description.columns);
    ck_assert(!pg_description_agrees(description, changed));
    changed.params = description.params;
    ck_assert(pg_description_agrees(description, changed));
    ck_assert(pg_description_agrees(nothing, changed));
    ck_assert(!pg_description_agrees(changed, nothing));
}
END_TEST

START_TEST(what_is_cut_is_read_no_further)
{
    static const struct column base[] = {{"long name", 16385, 23, 0, 0}, {"y", 1, 25, 0, 0}};

    for (size_t cut = 1; cut < 50; cut++) {
        struct pg_description description = columns_of(base, 2, cut);

        ck_assert(pg_description_agrees(description, columns_of(base, 2, cut)));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_description");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, names_types_and_modifiers_of_columns_count);
    tcase_add_test(tcase, parameters_and_no_columns_count_too);
    tcase_add_test(tcase, what_is_cut_is_read_no_further);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

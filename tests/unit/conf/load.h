/* load: settings files for the tests of conf, in a directory of their own that ends with the test.
 * The current directory is that directory, so that files can name one another. */
#ifndef TESTS_UNIT_CONF_LOAD_H
#define TESTS_UNIT_CONF_LOAD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/conf/conf.h"
#include "sluice/conf/sections.h"

static char load_directory[64], load_before[4096];
static struct conf_report report;

static void load_setup(void)
{
    snprintf(load_directory, sizeof(load_directory), "/tmp/sluice-conf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(load_directory));
    ck_assert_ptr_nonnull(getcwd(load_before, sizeof(load_before)));
    ck_assert_int_eq(chdir(load_directory), 0);
    conf_report_init(&report);
}

static void load_teardown(void)
{
    char command[128];

    conf_report_fini(&report);
    ck_assert_int_eq(chdir(load_before), 0);
    snprintf(command, sizeof(command), "rm -rf %s", load_directory);
    ck_assert_int_eq(system(command), 0);
}

__attribute__((unused)) static void write_bytes(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

__attribute__((unused)) static void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

/* Loads the text as conf.ini, with an empty report. */
__attribute__((unused)) static struct conf *load_text(const char *text)
{
    write_text("conf.ini", text);
    conf_report_fini(&report);
    return conf_load("conf.ini", &report);
}

/* The same, and nothing may be wrong with it; warnings are allowed. */
__attribute__((unused)) static struct conf *load_good(const char *text)
{
    struct conf *conf = load_text(text);

    for (size_t i = 0; i < report.count && !conf; i++)
        fprintf(stderr, "%s\n", report.lines[i].text);
    ck_assert_ptr_nonnull(conf);
    ck_assert_uint_eq(report.error_count, 0);
    return conf;
}

/* True if a line of the report is exactly this. */
__attribute__((unused)) static bool reported(const char *text)
{
    for (size_t i = 0; i < report.count; i++)
        if (strcmp(report.lines[i].text, text) == 0)
            return true;
    for (size_t i = 0; i < report.count; i++)
        fprintf(stderr, "reported: %s\n", report.lines[i].text);
    return false;
}

/* Loading the text must fail with exactly this one line. */
__attribute__((unused)) static void refused(const char *text, const char *line)
{
    ck_assert_ptr_null(load_text(text));
    ck_assert_msg(reported(line), "not reported: %s", line);
    ck_assert_uint_eq(report.error_count, 1);
}

static int load_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, load_setup, load_teardown);
    tcase_set_timeout(cases, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define LOAD_MAIN(name, ...)                                            \
    int main(void)                                                      \
    {                                                                   \
        const TTest *const tests[] = {__VA_ARGS__};                     \
                                                                        \
        return load_run(name, tests, sizeof(tests) / sizeof(tests[0])); \
    }

#endif

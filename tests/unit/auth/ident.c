/* Ident maps: who may be whom, and that every mistake is told with its line. */
#include "sluice/auth/ident.h"

#include <check.h>
#include <string.h>

static struct conf_report report;

static void setup(void)
{
    conf_report_init(&report);
}

static void teardown(void)
{
    conf_report_fini(&report);
}

START_TEST(without_a_map_the_names_must_be_equal)
{
    ck_assert(ident_match(NULL, NULL, "ann", "ann"));
    ck_assert(!ident_match(NULL, NULL, "ann", "Ann"));
    ck_assert(!ident_match(NULL, "staff", "ann", "ann"));
}
END_TEST

START_TEST(a_map_lists_who_may_be_whom)
{
    struct ident *ident = ident_parse("# map user as\n"
                                      "staff ann app\n"
                                      "staff ann report # both\n"
                                      "staff \"Bob B\" app\n"
                                      "admins root all\n"
                                      "quoted root \"all\"\n",
                                      "ident.conf", &report);

    ck_assert_ptr_nonnull(ident);
    ck_assert(ident_match(ident, "staff", "ann", "app"));
    ck_assert(ident_match(ident, "staff", "ann", "report"));
    ck_assert(ident_match(ident, "staff", "Bob B", "app"));
    ck_assert(!ident_match(ident, "staff", "Bob B", "report"));
    ck_assert(!ident_match(ident, "staff", "ann", "ann"));
    ck_assert(!ident_match(ident, "staff", "root", "app"));
    ck_assert(ident_match(ident, "admins", "root", "anybody"));
    ck_assert(!ident_match(ident, "admins", "ann", "anybody"));
    ck_assert(!ident_match(ident, "quoted", "root", "anybody"));
    ck_assert(ident_match(ident, "quoted", "root", "all"));
    ck_assert(!ident_match(ident, "nowhere", "ann", "app"));
    ident_free(ident);
}
END_TEST

START_TEST(every_mistake_is_told_with_its_line)
{
    static const char *const mistakes[] = {
        "ident.conf:2: missing entry at end of line",
        "ident.conf:3: missing entry at end of line",
        "ident.conf:4: garbage at end of line",
        "ident.conf:5: regular expressions are not supported",
        "ident.conf:6: roles as groups are not supported",
        "ident.conf:7: multiple values in a field",
    };

    ck_assert_ptr_null(ident_parse("good ann app\n"
                                   "staff\n"
                                   "staff ann\n"
                                   "staff ann app extra\n"
                                   "staff /^(.*)@x$ app\n"
                                   "staff ann +group\n"
                                   "staff ann,bob app\n",
                                   "ident.conf", &report));
    ck_assert_uint_eq(report.count, sizeof(mistakes) / sizeof(mistakes[0]));
    for (size_t i = 0; i < report.count; i++)
        ck_assert_str_eq(report.lines[i].text, mistakes[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ident");
    TCase *tcase = tcase_create("ident");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, without_a_map_the_names_must_be_equal);
    tcase_add_test(tcase, a_map_lists_who_may_be_whom);
    tcase_add_test(tcase, every_mistake_is_told_with_its_line);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

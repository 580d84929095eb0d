/* Text that peers have made up, as others may be shown it. */
#include "sluice/base/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(characters_have_the_lengths_of_rfc_3629)
{
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {
        {"a", 1},
        {"\xc3\xa4", 2},         /* a letter of two bytes */
        {"\xe2\x82\xac", 3},     /* of three */
        {"\xf0\x9f\x98\x80", 4}, /* of four */
        {"\xff", 0},
        {"\x80", 0},     /* continues nothing */
        {"\xc3", 0},     /* is cut off */
        {"\xc0\xaf", 0}, /* longer than need be */
        {"\xe0\x80\xaf", 0},
        {"\xed\xa0\x80", 0},     /* half of a pair */
        {"\xf4\x90\x80\x80", 0}, /* beyond the last */
        {"\xc2\x9b", 0},         /* begins a command to a terminal */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_uint_eq(utf8_bytes((const unsigned char *)rows[i].text), rows[i].length);
}
END_TEST

START_TEST(what_is_no_character_is_told_by_its_number)
{
    char shown[32];

    ck_assert_uint_eq(utf8_show("a\xff\xc3\xa4", shown, sizeof(shown)), 7);
    ck_assert_str_eq(shown, "a\\xff\xc3\xa4");
}
END_TEST

START_TEST(nothing_is_shown_in_part)
{
    char shown[5];

    ck_assert_uint_eq(utf8_show("abc\xe2\x82\xac", shown, sizeof(shown)), 3);
    ck_assert_str_eq(shown, "abc");
    ck_assert_uint_eq(utf8_show("a\xff", shown, sizeof(shown)), 1);
    ck_assert_str_eq(shown, "a");
    ck_assert_uint_eq(utf8_show("\xffz", shown, sizeof(shown)), 4);
    ck_assert_str_eq(shown, "\\xff");
}
END_TEST

START_TEST(a_cut_leaves_whole_characters)
{
    ck_assert_uint_eq(utf8_cut("ab", 2), 2);
    ck_assert_uint_eq(utf8_cut("ab\xc3\xa4", 4), 4);
    ck_assert_uint_eq(utf8_cut("ab\xc3\xa4", 3), 2);
    ck_assert_uint_eq(utf8_cut("a\xe2\x82\xac", 3), 1);
    ck_assert_uint_eq(utf8_cut("a\xf0\x9f\x98\x80", 4), 1);
    ck_assert_uint_eq(utf8_cut("a\xf0\x9f\x98\x80", 5), 5);
    ck_assert_uint_eq(utf8_cut("\x80\x80", 2), 2); /* never was a character */
    ck_assert_uint_eq(utf8_cut("", 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, characters_have_the_lengths_of_rfc_3629);
    tcase_add_test(tests, what_is_no_character_is_told_by_its_number);
    tcase_add_test(tests, nothing_is_shown_in_part);
    tcase_add_test(tests, a_cut_leaves_whole_characters);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* auth_file: which lines name a user, how its quotes work, and how it meets [users]. */
#include "load.h"

#include <fcntl.h>
#include <sys/stat.h>

#define CONF "[sluice]\nauth_file = users.txt\n"

START_TEST(users_and_secrets_are_read)
{
    struct conf *conf;

    write_text("users.txt", "; a comment\n"
                            "\n"
                            "\"plain\" \"pass word\"\n"
                            "  \"hash\"\t\"md545f2603610af569b6155c45067268c6b\" \"\" extra\n"
                            "\"scram\" \"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy\"\r\n"
                            "\"quo\"\"ted\" \"a\"\"b\"\"\"\n"
                            "\"empty\" \"\"\n"
                            "\"tight\"\"no\" x \"odd\" ; rest\n"
                            "\"twice\" \"1\"\n\"twice\" \"2\"\n"
                            "\"last\" \"no newline\"");
    conf = load_good(CONF);
    ck_assert_str_eq(conf_find_user(conf, "plain")->secret, "pass word");
    ck_assert_str_eq(conf_find_user(conf, "hash")->secret, "md545f2603610af569b6155c45067268c6b");
    ck_assert_str_eq(conf_find_user(conf, "scram")->secret,
                     "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
    ck_assert_str_eq(conf_find_user(conf, "quo\"ted")->secret, "a\"b\"");
    ck_assert_str_eq(conf_find_user(conf, "empty")->secret, "");
    ck_assert_str_eq(conf_find_user(conf, "tight\"no")->secret, "odd");
    ck_assert_str_eq(conf_find_user(conf, "twice")->secret, "2");
    ck_assert_str_eq(conf_find_user(conf, "last")->secret, "no newline");
    ck_assert_ptr_null(conf_find_user(conf, "nobody"));
    ck_assert_uint_eq(conf->user_count, 8);
    conf_drop(conf);
}
END_TEST

START_TEST(a_user_of_both_is_one_user)
{
    struct conf *conf;

    write_text("users.txt", "\"both\" \"s\"\n\"only\" \"t\"\n");
    conf = load_good(CONF "[users]\nboth = pool_size=3\nsection = pool_size=4\n");
    ck_assert_uint_eq(conf->user_count, 3);
    ck_assert_str_eq(conf_find_user(conf, "both")->secret, "s");
    ck_assert_int_eq(conf_find_user(conf, "both")->pool_size, 3);
    ck_assert_str_eq(conf_find_user(conf, "only")->secret, "t");
    ck_assert_int_eq(conf_find_user(conf, "only")->pool_size, CONF_UNSET);
    ck_assert_ptr_null(conf_find_user(conf, "section")->secret);
    conf_drop(conf);
}
END_TEST

/* The file's mistakes, all of them, and never a secret among the words. */
START_TEST(mistakes_are_listed_by_line)
{
    write_text("users.txt", "\"good\" \"x\"\n"
                            "bare hunter2\n"
                            "\"open hunter2\n"
                            "\"alone\"\n"
                            "\"half\" \"hunter2\n"
                            "\"\" \"hunter2\"\n");
    ck_assert_ptr_null(load_text(CONF));
    ck_assert(reported("users.txt:2: expected: \"user\" \"secret\""));
    ck_assert(reported("users.txt:3: expected: \"user\" \"secret\""));
    ck_assert(reported("users.txt:4: the user's secret is missing; expected: \"user\" \"secret\""));
    ck_assert(reported("users.txt:5: the user's secret is missing; expected: \"user\" \"secret\""));
    ck_assert(reported("users.txt:6: the user's name is empty"));
    ck_assert_uint_eq(report.error_count, 5);
    for (size_t i = 0; i < report.count; i++)
        ck_assert_ptr_null(strstr(report.lines[i].text, "hunter2"));
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_an_error_unless_nobody_needs_it)
{
    struct conf *conf;

    refused(CONF, "cannot read auth_file users.txt: No such file or directory");
    conf = load_good(CONF "auth_type = any\n");
    ck_assert_uint_eq(report.warning_count, 1);
    ck_assert(reported("cannot read auth_file users.txt: No such file or directory"));
    conf_drop(conf);
    ck_assert_int_eq(mkdir("users.txt", 0700), 0);
    refused(CONF, "cannot read auth_file users.txt: Is a directory");
}
END_TEST

START_TEST(a_binary_file_is_refused)
{
    char bytes[] = "\"u\" \"s\0t\"\n";

    write_bytes("users.txt", bytes, sizeof(bytes) - 1);
    refused(CONF, "users.txt:1: a NUL byte; this is not a list of users");
}
END_TEST

START_TEST(a_long_secret_arrives)
{
    const size_t length = 100000;
    char *text = malloc(length + 100);
    struct conf *conf;

    ck_assert_ptr_nonnull(text);
    strcpy(text, "\"u\" \"");
    memset(text + 5, 's', length);
    strcpy(text + 5 + length, "\"\n");
    write_text("users.txt", text);
    conf = load_good(CONF);
    ck_assert_uint_eq(strlen(conf_find_user(conf, "u")->secret), length);
    conf_drop(conf);
    free(text);
}
END_TEST

START_TEST(a_changed_file_is_noticed_and_read_again)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct conf *conf, *next;

    write_text("users.txt", "\"a\" \"1\"\n\"b\" \"1\"\n");
    conf = load_good(CONF "[users]\nb = pool_size=4\n");
    ck_assert(!conf_auth_file_changed(conf));
    ck_assert_int_eq(utimensat(AT_FDCWD, "users.txt", times, 0), 0);
    ck_assert(conf_auth_file_changed(conf));

    write_text("users.txt", "\"b\" \"22\"\n");
    ck_assert(conf_auth_file_changed(conf));
    next = conf_with_auth_file(conf, &report);
    ck_assert_ptr_nonnull(next);
    ck_assert(!conf_auth_file_changed(next));
    ck_assert_ptr_null(conf_find_user(next, "a"));
    ck_assert_str_eq(conf_find_user(next, "b")->secret, "22");
    ck_assert_int_eq(conf_find_user(next, "b")->pool_size, 4);
    ck_assert_str_eq(conf_find_user(conf, "b")->secret, "1");
    conf_drop(conf);

    write_text("users.txt", "broken\n");
    ck_assert_ptr_null(conf_with_auth_file(next, &report));
    ck_assert_int_eq(remove("users.txt"), 0);
    ck_assert(conf_auth_file_changed(next));
    ck_assert_ptr_null(conf_with_auth_file(next, &report));
    conf_drop(next);

    conf = load_good("[sluice]\n");
    ck_assert(!conf_auth_file_changed(conf));
    conf_drop(conf);
}
END_TEST

LOAD_MAIN("userlist", users_and_secrets_are_read, a_user_of_both_is_one_user,
          mistakes_are_listed_by_line,
          a_file_that_cannot_be_read_is_an_error_unless_nobody_needs_it, a_binary_file_is_refused,
          a_long_secret_arrives, a_changed_file_is_noticed_and_read_again)

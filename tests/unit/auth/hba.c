/* Host-based rules: which line decides, and that every mistake is told with its line. */
#include "sluice/auth/hba.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct conf_report report;
static struct hba *hba;

static void setup(void)
{
    conf_report_init(&report);
    hba = NULL;
}

static void teardown(void)
{
    hba_free(hba);
    conf_report_fini(&report);
}

static void parse(const char *text)
{
    hba_free(hba);
    hba = hba_parse(text, "hba.conf", &report);
    ck_assert_msg(hba, "%s", report.count > 0 ? report.lines[0].text : "");
}

/* where: an IP address, or "local"; ", tls" behind it for TLS. */
static struct hba_answer ask(const char *database, const char *user, const char *where)
{
    struct address address = {.family = AF_UNIX};
    struct hba_question question = {.database = database, .user = user, .address = &address};
    char ip[64];

    snprintf(ip, sizeof(ip), "%s", where);
    question.tls = strstr(where, ", tls") != NULL;
    ip[strcspn(ip, ",")] = '\0';
    if (strcmp(where, "local") != 0)
        ck_assert(address_parse(ip, 5432, &address));
    return hba_match(hba, &question);
}

#define ck_assert_line(database, user, where, line_) \
    ck_assert_uint_eq(ask(database, user, where).line, line_)

START_TEST(the_first_line_that_matches_decides)
{
    struct hba_answer answer;

    parse("local all all trust\n"
          "host all all 10.0.0.0/8 md5\n"
          "host all all 0.0.0.0/0 reject\n"
          "host all all 10.0.0.0/8 trust\n");
    answer = ask("d", "u", "local");
    ck_assert_int_eq(answer.method, AUTH_TRUST);
    ck_assert_uint_eq(answer.line, 1);
    answer = ask("d", "u", "10.1.2.3");
    ck_assert_int_eq(answer.method, AUTH_MD5);
    ck_assert_uint_eq(answer.line, 2);
    answer = ask("d", "u", "11.1.2.3");
    ck_assert_int_eq(answer.method, AUTH_REJECT);
    ck_assert_uint_eq(answer.line, 3);
    answer = ask("d", "u", "::1");
    ck_assert_int_eq(answer.method, AUTH_REJECT);
    ck_assert_uint_eq(answer.line, 0);
}
END_TEST

START_TEST(no_rules_let_nobody_in)
{
    parse("");
    ck_assert_int_eq(ask("d", "u", "local").method, AUTH_REJECT);
    parse("\n# nothing\n   \n");
    ck_assert_int_eq(ask("d", "u", "local").method, AUTH_REJECT);
}
END_TEST

START_TEST(each_method_has_its_name)
{
    static const struct {
        const char *line;
        enum auth_method method;
    } rows[] = {
        {"hostssl all all all trust", AUTH_TRUST},
        {"hostssl all all all reject", AUTH_REJECT},
        {"hostssl all all all md5", AUTH_MD5},
        {"hostssl all all all scram-sha-256", AUTH_SCRAM},
        {"hostssl all all all password", AUTH_PLAIN},
        {"hostssl all all all cert", AUTH_CERT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        parse(rows[i].line);
        ck_assert_uint_eq(ask("d", "u", "1.2.3.4, tls").line, 1);
        ck_assert_int_eq(ask("d", "u", "1.2.3.4, tls").method, rows[i].method);
    }
    parse("local all all peer");
    ck_assert_int_eq(ask("d", "u", "local").method, AUTH_PEER);
}
END_TEST

START_TEST(type_tells_tls_from_plain)
{
    parse("hostssl a all all trust\nhostnossl b all all trust\nhost c all all trust\n"
          "local d all trust\n");
    ck_assert_line("a", "u", "1.2.3.4, tls", 1);
    ck_assert_line("a", "u", "1.2.3.4", 0);
    ck_assert_line("a", "u", "local", 0);
    ck_assert_line("b", "u", "1.2.3.4, tls", 0);
    ck_assert_line("b", "u", "1.2.3.4", 2);
    ck_assert_line("c", "u", "1.2.3.4, tls", 3);
    ck_assert_line("c", "u", "::1", 3);
    ck_assert_line("c", "u", "local", 0);
    ck_assert_line("d", "u", "local", 4);
    ck_assert_line("d", "u", "1.2.3.4", 0);
}
END_TEST

START_TEST(lists_and_quotes)
{
    parse("local a,b,\"c d\" x,\"y\"\"z\" trust\n"
          "local \"all\" u trust\n"
          "local e, f\tu trust # a comment\n"
          "local sameuser all trust\n"
          "local \"sameuser\" all trust\n"
          "local g \"#h\" trust#comment\n");
    ck_assert_line("a", "x", "local", 1);
    ck_assert_line("b", "y\"z", "local", 1);
    ck_assert_line("c d", "x", "local", 1);
    ck_assert_line("c", "x", "local", 0);
    ck_assert_line("a", "y", "local", 0);
    ck_assert_line("all", "u", "local", 2);
    ck_assert_line("other", "u", "local", 0);
    ck_assert_line("e", "u", "local", 3);
    ck_assert_line("f", "u", "local", 3);
    ck_assert_line("me", "me", "local", 4);
    ck_assert_line("sameuser", "u", "local", 5);
    ck_assert_line("g", "#h", "local", 6);
}
END_TEST

START_TEST(addresses)
{
    parse("host all a 192.168.1.77/24 trust\n"
          "host all b 192.168.1.0 255.255.255.128 trust\n"
          "host all c 2001:db8::/33 trust\n"
          "host all d 2001:db8::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff trust\n"
          "host all e 127.0.0.1/32 trust\n"
          "host all f 0.0.0.0/0 trust\n"
          "host all g ::/0 trust\n");
    ck_assert_line("x", "a", "192.168.1.1", 1);
    ck_assert_line("x", "a", "192.168.2.1", 0);
    ck_assert_line("x", "a", "::ffff:192.168.1.1", 1);
    ck_assert_line("x", "b", "192.168.1.127", 2);
    ck_assert_line("x", "b", "192.168.1.128", 0);
    ck_assert_line("x", "c", "2001:db8:7fff::1", 3);
    ck_assert_line("x", "c", "2001:db8:8000::1", 0);
    ck_assert_line("x", "c", "32.1.13.184", 0);
    ck_assert_line("x", "d", "2001:db8::1", 4);
    ck_assert_line("x", "d", "2001:db8::2", 0);
    ck_assert_line("x", "e", "127.0.0.1", 5);
    ck_assert_line("x", "e", "127.0.0.2", 0);
    ck_assert_line("x", "f", "255.255.255.255", 6);
    ck_assert_line("x", "f", "::1", 0);
    ck_assert_line("x", "g", "::1", 7);
    ck_assert_line("x", "g", "1.2.3.4", 0);
}
END_TEST

START_TEST(samehost_is_what_the_caller_says)
{
    struct hba_question question = {.database = "d", .user = "u"};
    struct address address;

    parse("host all all samehost trust\n");
    ck_assert(address_parse("10.0.0.1", 1, &address));
    question.address = &address;
    ck_assert_uint_eq(hba_match(hba, &question).line, 0);
    question.same_host = true;
    ck_assert_uint_eq(hba_match(hba, &question).line, 1);
}
END_TEST

START_TEST(physical_replication_is_a_database_of_its_own)
{
    struct address address = {.family = AF_UNIX};
    struct hba_question question = {
        .database = "replication", .user = "u", .address = &address, .replication = true};

    parse("local all all trust\nlocal \"replication\" u trust\nlocal replication u trust\n");
    ck_assert_uint_eq(hba_match(hba, &question).line, 3);
    question.replication = false;
    ck_assert_uint_eq(hba_match(hba, &question).line, 1);
    parse("local replication u trust\n");
    ck_assert_uint_eq(hba_match(hba, &question).line, 0);
}
END_TEST

START_TEST(a_map_is_handed_back)
{
    parse("local all a peer map=staff\nlocal all b peer\nlocal all c peer \"map=two words\"\n"
          "hostssl all d all cert map=cns\n");
    ck_assert_str_eq(ask("x", "a", "local").map, "staff");
    ck_assert_ptr_null(ask("x", "b", "local").map);
    ck_assert_str_eq(ask("x", "c", "local").map, "two words");
    ck_assert_str_eq(ask("x", "d", "1.2.3.4, tls").map, "cns");
}
END_TEST

START_TEST(continued_lines_and_all_kinds_of_line_ends)
{
    parse("local all \\\n  a trust\r\nlocal all b\\\r\nb trust\r\n\r\n\tlocal all c trust\n"
          "local all d trust");
    ck_assert_line("x", "a", "local", 1);
    ck_assert_line("x", "bb", "local", 3);
    ck_assert_line("x", "c", "local", 6);
    ck_assert_line("x", "d", "local", 7);
}
END_TEST

START_TEST(every_mistake_is_told_with_its_line)
{
    static const struct {
        const char *line, *mistake;
    } rows[] = {
        {"remote all all trust", "invalid connection type \"remote\""},
        {"\"local\" all all trust", "invalid connection type \"local\""},
        {"hostgssenc all all all trust", "invalid connection type \"hostgssenc\""},
        {"include other.conf", "invalid connection type \"include\""},
        {"local,host all all trust", "multiple values specified for connection type"},
        {"local", "end-of-line before database name"},
        {"local all", "end-of-line before role name"},
        {"local all,", "end-of-line before database name"},
        {"local all all", "end-of-line before authentication method"},
        {"local all all trust,md5", "multiple values specified for authentication method"},
        {"local all all magic", "invalid authentication method \"magic\""},
        {"local all all any", "invalid authentication method \"any\""},
        {"local all all plain", "invalid authentication method \"plain\""},
        {"local all all ident", "invalid authentication method \"ident\""},
        {"local all all cert", "cert authentication is only supported on hostssl connections"},
        {"host all all all cert", "cert authentication is only supported on hostssl connections"},
        {"host all all all peer", "peer authentication is only supported on local sockets"},
        {"local all all peer map=", "unrecognized authentication option \"map=\""},
        {"local all all peer pam=x", "unrecognized authentication option \"pam=x\""},
        {"local all all peer map=a,b", "unrecognized authentication option \"map=a\""},
        {"local all all md5 map=x", "authentication option \"map\" is only valid for "
                                    "authentication methods peer and cert"},
        {"local @dbs all trust", "database name \"@dbs\": names from a file are not supported"},
        {"local all a,@users trust", "role name \"@users\": names from a file are not supported"},
        {"local all +staff trust", "role name \"+staff\": roles as groups are not supported"},
        {"local samerole all trust", "database name \"samerole\": roles as groups are not "
                                     "supported"},
        {"local /^a all trust", "database name \"/^a\": regular expressions are not supported"},
        {"host all all", "end-of-line before IP address specification"},
        {"host all all 1.2.3.4", "end-of-line before netmask specification"},
        {"host all all 1.2.3.4 trust", "invalid IP mask \"trust\""},
        {"host all all 1.2.3.4 ffff:: trust", "IP address and mask do not match"},
        {"host all all 1.2.3.4/33 trust", "invalid CIDR mask \"33\""},
        {"host all all ::/129 trust", "invalid CIDR mask \"129\""},
        {"host all all ::/ trust", "invalid CIDR mask \"\""},
        {"host all all ::/-1 trust", "invalid CIDR mask \"-1\""},
        {"host all all ::/1x trust", "invalid CIDR mask \"1x\""},
        {"host all all ::/00000000000000000000001 trust",
         "invalid CIDR mask \"00000000000000000000001\""},
        {"host all all 1.2.3/8 trust", "\"1.2.3/8\" is not an IP address; host names are not "
                                       "supported"},
        {"host all all example.org trust", "\"example.org\" is not an IP address; host names are "
                                           "not supported"},
        {"host all all samenet trust", "samenet is not supported: name the network"},
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    char text[8192], expected[256];
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "# a comment\nlocal all all trust\n%s\n", rows[i].line);
    ck_assert_ptr_null(hba_parse(text, "hba.conf", &report));
    ck_assert_uint_eq(report.count, count);
    for (size_t i = 0; i < count; i++) {
        snprintf(expected, sizeof(expected), "hba.conf:%zu: %s", 3 * i + 3, rows[i].mistake);
        ck_assert_str_eq(report.lines[i].text, expected);
        ck_assert_int_eq(report.lines[i].severity, CONF_ERROR);
    }
}
END_TEST

START_TEST(an_old_mistake_in_the_report_is_not_ours)
{
    conf_report_add(&report, CONF_ERROR, "sluice.ini", 1, "something else");
    parse("local all all trust\n");
}
END_TEST

START_TEST(cut_anywhere_a_file_is_parsed_or_refused)
{
    static const char text[] = "local a,\"b\"\"c\" \\\n all trust # x\nhost all all 1.2.3.4 "
                               "255.0.0.0 md5\r\nhostssl \"all\" u ::1/128 cert map=x\n";

    for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
        char *cut = strndup(text, bytes);
        struct hba *parsed = hba_parse(cut, "cut", &report);

        if (parsed)
            ck_assert(bytes == 0 || strchr("t5x\n\r #c", text[bytes - 1]) || bytes > 20);
        hba_free(parsed);
        free(cut);
    }
    ck_assert_uint_gt(report.error_count, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hba");
    TCase *tcase = tcase_create("hba");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_first_line_that_matches_decides);
    tcase_add_test(tcase, no_rules_let_nobody_in);
    tcase_add_test(tcase, each_method_has_its_name);
    tcase_add_test(tcase, type_tells_tls_from_plain);
    tcase_add_test(tcase, lists_and_quotes);
    tcase_add_test(tcase, addresses);
    tcase_add_test(tcase, samehost_is_what_the_caller_says);
    tcase_add_test(tcase, physical_replication_is_a_database_of_its_own);
    tcase_add_test(tcase, a_map_is_handed_back);
    tcase_add_test(tcase, continued_lines_and_all_kinds_of_line_ends);
    tcase_add_test(tcase, every_mistake_is_told_with_its_line);
    tcase_add_test(tcase, an_old_mistake_in_the_report_is_not_ours);
    tcase_add_test(tcase, cut_anywhere_a_file_is_parsed_or_refused);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

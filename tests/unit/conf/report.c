/* That all mistakes are listed, not only the first, and warnings once; how a report prints them and
 * that it is bounded. */
#include "load.h"

START_TEST(all_mistakes_are_listed)
{
    write_text("users.txt", "broken\n");
    write_text("more.ini", "verbose = x\n");
    ck_assert_ptr_null(load_text("verbose = 1\n"
                                 "[sluice]\n"
                                 "max_clien_conn = 5\n"
                                 "listen_port = 0\n"
                                 "no equals sign\n"
                                 "%include more.ini\n"
                                 "%include missing.ini\n"
                                 "auth_file = users.txt\n"
                                 "[databases]\n"
                                 "a = hots=x port=0\n"
                                 "pgbouncer =\n"
                                 "[user]\n"
                                 "ignored = whatever\n"
                                 "[users]\n"
                                 "u = pool_size=-1\n"
                                 "[peers]\n"
                                 "p = host=a\n"));
    ck_assert(reported("conf.ini:1: \"verbose\" stands before the first [section]"));
    ck_assert(reported("conf.ini:3: unknown setting \"max_clien_conn\"; did you mean "
                       "\"max_client_conn\"?"));
    ck_assert(reported("conf.ini:4: listen_port = \"0\" must be a whole number from 1 to 65535"));
    ck_assert(reported("conf.ini:5: expected: name = value"));
    ck_assert(reported("more.ini:1: verbose = \"x\" must be a whole number from 0 to 10"));
    ck_assert(reported("conf.ini:7: cannot open missing.ini: No such file or directory"));
    ck_assert(reported("users.txt:1: expected: \"user\" \"secret\""));
    ck_assert(reported("conf.ini:10: database \"a\": unknown setting \"hots\"; did you mean "
                       "\"host\"?"));
    ck_assert(reported("conf.ini:10: database \"a\": port = \"0\" must be a whole number from 1 to "
                       "65535"));
    ck_assert(reported("conf.ini:11: database \"pgbouncer\": the name belongs to the console"));
    ck_assert(reported("conf.ini:12: unknown section [user]; did you mean [users]?"));
    ck_assert(reported("conf.ini:15: user \"u\": pool_size = \"-1\" must be a whole number from 0 "
                       "to 1000000"));
    ck_assert(reported("conf.ini:17: peer \"p\": the name must be a number from 1 to 16383"));
    ck_assert_uint_eq(report.error_count, 13);
}
END_TEST

START_TEST(a_setting_without_effect_is_named_once)
{
    struct conf *conf = load_good("[sluice]\npkt_buf = 8192\npkt_buf = 16384\n"
                                  "login_notify_message = hello\n"
                                  "dns_zone_check_period = 0\n" /* as it is anyway */
                                  "[databases]\na = auth_user=x\nb = auth_user=y\n");

    ck_assert(reported("conf.ini:2: pkt_buf has no effect in Sluice"));
    ck_assert(reported("conf.ini:4: login_notify_message has no effect yet"));
    ck_assert(reported("conf.ini:7: auth_user has no effect yet"));
    ck_assert_uint_eq(report.warning_count, 3);
    conf_drop(conf);
}
END_TEST

START_TEST(a_report_prints_a_line_for_each)
{
    char *text;
    size_t length;
    FILE *stream = open_memstream(&text, &length);

    conf_report_add(&report, CONF_WARNING, "a.ini", 7, "one %d", 1);
    conf_report_add(&report, CONF_ERROR, "a.ini", 0, "two\n\x1b[31m");
    conf_report_add(&report, CONF_ERROR, NULL, 0, "three");
    conf_report_print(&report, stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_str_eq(text, "warning: a.ini:7: one 1\na.ini: two\\x0a\\x1b[31m\nthree\n");
    free(text);
}
END_TEST

START_TEST(a_report_is_bounded)
{
    char line[60], *text;
    size_t length;
    FILE *stream = open_memstream(&text, &length);

    for (int i = 0; i < CONF_REPORT_LINES + 5; i++)
        conf_report_add(&report, CONF_ERROR, "x", 1, "%0*d", 5000, i);
    ck_assert_uint_eq(report.count, CONF_REPORT_LINES);
    ck_assert_uint_eq(report.error_count, CONF_REPORT_LINES + 5);
    conf_report_print(&report, stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_uint_lt(length, CONF_REPORT_LINES * 1100);
    snprintf(line, sizeof(line), "\n5 further lines left out\n");
    ck_assert_str_eq(text + length - strlen(line), line);
    free(text);
}
END_TEST

LOAD_MAIN("report", all_mistakes_are_listed, a_setting_without_effect_is_named_once,
          a_report_prints_a_line_for_each, a_report_is_bounded)

/* How the text of each type of setting is read, where its limits are, and how it is shown. */
#include "load.h"

/* What SHOW CONFIG says of one key. */
struct shown {
    const char *name;
    char value[200];
};

static void note_shown(void *context, const char *name, const char *value, const char *standard,
                       bool changeable)
{
    struct shown *shown = context;

    if (strcmp(name, shown->name) == 0)
        snprintf(shown->value, sizeof(shown->value), "%s", value ? value : "unset");
}

static void shows(const char *key, const char *value, const char *display)
{
    struct shown shown = {.name = key};
    char text[300];
    struct conf *conf;

    snprintf(text, sizeof(text), "[sluice]\n%s = %s\n", key, value);
    conf = load_good(text);
    conf_each_setting(conf, note_shown, &shown);
    ck_assert_str_eq(shown.value, display);
    conf_drop(conf);
}

static void bad(const char *key, const char *value, const char *must)
{
    char text[300], line[600];

    snprintf(text, sizeof(text), "[sluice]\n%s = %s\n", key, value);
    snprintf(line, sizeof(line), "conf.ini:2: %s = \"%s\" %s", key, value, must);
    refused(text, line);
}

START_TEST(switches)
{
    const char must[] = "must be 0 or 1 (or off, on, no, yes, false, true)";

    shows("log_stats", "0", "0");
    shows("syslog", "1", "1");
    shows("log_stats", "no", "0");
    shows("syslog", "Yes", "1");
    shows("log_stats", "off", "0");
    shows("syslog", "on", "1");
    shows("log_stats", "false", "0");
    shows("syslog", "TRUE", "1");
    bad("syslog", "2", must);
    bad("syslog", "-1", must);
    bad("syslog", "", must);
    bad("syslog", "y", must);
}
END_TEST

START_TEST(whole_numbers)
{
    const char must[] = "must be a whole number from 1 to 65535";

    shows("listen_port", "1", "1");
    shows("listen_port", "65535", "65535");
    shows("listen_port", "0x10", "16");
    bad("listen_port", "0", must);
    bad("listen_port", "65536", must);
    bad("listen_port", "-1", must);
    bad("listen_port", "", must);
    bad("listen_port", "6432 ;", must);
    bad("listen_port", "64.5", must);
    bad("listen_port", "1e3", must);
    bad("listen_port", "99999999999999999999", must);
    bad("listen_port", "18446744073709551617", must);
}
END_TEST

START_TEST(modes_are_octal)
{
    shows("unix_socket_mode", "0700", "0700");
    shows("unix_socket_mode", "0", "00");
    bad("unix_socket_mode", "777", "must be an octal number from 00 to 0777");
    bad("unix_socket_mode", "01000", "must be an octal number from 00 to 0777");
}
END_TEST

START_TEST(workers_may_be_auto)
{
    struct conf *conf = load_good("[sluice]\nworkers = 3\n");

    ck_assert_uint_eq(conf_workers(conf), 3);
    conf_drop(conf);
    shows("workers", "AUTO", "auto");
    shows("workers", "64", "64");
    bad("workers", "0", "must be auto or a whole number from 1 to 64");
    bad("workers", "65", "must be auto or a whole number from 1 to 64");
    bad("workers", "many", "must be auto or a whole number from 1 to 64");
    bad("listen_backlog", "auto", "must be a whole number from 1 to 65535");
}
END_TEST

START_TEST(times)
{
    const char must[] = "must be a time from 0 to 31536000 seconds, with a fraction or a unit (us, "
                        "ms, s, m, h, d) if need be";

    shows("query_timeout", "0", "0");
    shows("query_timeout", "7", "7");
    shows("query_timeout", "0.0", "0");
    shows("query_timeout", "1.5", "1.5");
    shows("query_timeout", "0.000001", "0.000001");
    shows("query_timeout", "0.12345678901234567890", "0.123456");
    shows("query_timeout", "2.", "2");
    shows("query_timeout", "250ms", "0.25");
    shows("query_timeout", "3 us", "0.000003");
    shows("query_timeout", "10s", "10");
    shows("query_timeout", "2m", "120");
    shows("query_timeout", "2min", "120");
    shows("query_timeout", "1.5h", "5400");
    shows("query_timeout", "365d", "31536000");
    bad("query_timeout", "366d", must);
    bad("query_timeout", "-1", must);
    bad("query_timeout", "", must);
    bad("query_timeout", ".5", must);
    bad("query_timeout", "5 parsecs", must);
    bad("query_timeout", "nan", must);
    bad("query_timeout", "inf", must);
    bad("query_timeout", "31536000.000001", must);
    bad("query_timeout", "18446744073709551615", must);
    bad("query_timeout", "18446744073709551616", must);
    bad("query_timeout", "213503982334602d", must); /* 2^64 us and a bit */
    bad("stats_period", "0",
        "must be a time from 1 to 31536000 seconds, with a fraction or a unit (us, ms, s, m, h, d) "
        "if need be");
}
END_TEST

START_TEST(a_time_in_milliseconds)
{
    struct conf *conf = load_good("[sluice]\ntcp_user_timeout = 1500\n");

    ck_assert_uint_eq(conf->tcp_user_timeout_us, 1500000);
    conf_drop(conf);
    shows("tcp_user_timeout", "2s", "2000");
    shows("tcp_user_timeout", "1.5", "1.5");
    shows("tcp_user_timeout", "7us", "0.007");
}
END_TEST

START_TEST(sizes)
{
    const char must[] =
        "must be a size from 1024 to 2147483647 bytes, with a unit (kB, MB, GB) if need be";

    shows("max_packet_size", "1024", "1024");
    shows("max_packet_size", "1kB", "1024");
    shows("max_packet_size", "2 MB", "2097152");
    shows("max_packet_size", "1.5k", "1536");
    shows("max_packet_size", "1g", "1073741824");
    bad("max_packet_size", "1023", must);
    bad("max_packet_size", "2GB", must);
    bad("max_packet_size", "1 furlong", must);
    bad("max_packet_size", "16777216TB", must); /* 2^64 */
}
END_TEST

START_TEST(words)
{
    struct conf *conf = load_good("[sluice]\npool_mode = Transaction\nauth_type = SCRAM-SHA-256\n"
                                  "log_format = json\nsyslog_facility = LOCAL3\n");

    ck_assert_int_eq(conf->pool_mode, POOL_MODE_TRANSACTION);
    ck_assert_int_eq(conf->auth_type, AUTH_TYPE_SCRAM_SHA_256);
    ck_assert_int_eq(conf->log_format, LOG_FORMAT_JSON);
    ck_assert_str_eq(conf->syslog_facility, "local3");
    conf_drop(conf);
    shows("pool_mode", "statement", "statement");
    bad("pool_mode", "tx", "must be session, transaction, statement");
    bad("log_format", "xml", "must be text, json");
    bad("syslog_facility", "kern",
        "must be auth, authpriv, daemon, user, local0, local1, local2, local3, local4, local5, "
        "local6, local7");
}
END_TEST

/* A word that promises protection must not be taken and then not be kept. */
START_TEST(words_that_promise_what_is_not_there_are_refused)
{
    bad("auth_type", "ldap",
        "is not supported yet; it may be any, trust, plain, md5, scram-sha-256, cert, hba");
}
END_TEST

START_TEST(lists)
{
    struct conf *conf =
        load_good("[sluice]\nlisten_addr = 127.0.0.1 ,::1,, *,\t localhost ,\nadmin_users = ,\n");

    ck_assert_uint_eq(conf->listen_addr.count, 4);
    ck_assert_str_eq(conf->listen_addr.items[0], "127.0.0.1");
    ck_assert_str_eq(conf->listen_addr.items[1], "::1");
    ck_assert_str_eq(conf->listen_addr.items[2], "*");
    ck_assert_str_eq(conf->listen_addr.items[3], "localhost");
    ck_assert_uint_eq(conf->admin_users.count, 0);
    conf_drop(conf);
    shows("listen_addr", "a,b , c", "a, b, c");
    shows("listen_addr", "", "");
    shows("auth_user", "", "unset");
    shows("auth_user", "ada", "ada");
}
END_TEST

LOAD_MAIN("value", switches, whole_numbers, modes_are_octal, workers_may_be_auto, times,
          a_time_in_milliseconds, sizes, words, words_that_promise_what_is_not_there_are_refused,
          lists)

/* That all mistakes are listed, not only the first, and warnings once; that hostile files end in a
 * report and nothing else. */
#include "load.h"

#include <stdint.h>

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
    struct conf *conf = load_good("[sluice]\npkt_buf = 8192\npkt_buf = 16384\nmax_delay = 5ms\n"
                                  "disable_pqexec = 0\n" /* as it is anyway */
                                  "[databases]\na = auth_user=x\nb = auth_user=y\n"
                                  "[redis]\nr = listen_port=1\ns = listen_port=2\n");

    ck_assert(reported("conf.ini:2: pkt_buf has no effect in Sluice"));
    ck_assert(reported("conf.ini:4: max_delay has no effect yet"));
    ck_assert(reported("conf.ini:7: auth_user has no effect yet"));
    ck_assert(reported("conf.ini:10: section [redis] has no effect yet"));
    ck_assert_uint_eq(report.warning_count, 4);
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

/* Every line is wrong, in one of the ways that a parser could trip over. */
START_TEST(a_file_of_mistakes_is_not_read_to_its_end)
{
    char *text = malloc(400000), *end = text;

    ck_assert_ptr_nonnull(text);
    end += sprintf(end, "[sluice]\n");
    for (int i = 0; i < 20000; i++)
        end += sprintf(end, "%s\n", i % 3 == 0 ? "=" : i % 3 == 1 ? "[x" : "%");
    ck_assert_ptr_null(load_text(text));
    ck_assert_uint_le(report.error_count, CONF_REPORT_LINES + 2);
    free(text);
}
END_TEST

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Nothing to compare with: that it ends, cleanly under the sanitizers, is the result. */
static void load_anything(const char *bytes, size_t length)
{
    struct conf *conf;

    write_bytes("conf.ini", bytes, length);
    conf_report_fini(&report);
    conf = conf_load("conf.ini", &report);
    ck_assert_msg((conf != NULL) == (report.error_count == 0), "errors and outcome disagree");
    conf_drop(conf);
}

START_TEST(binary_garbage_is_refused)
{
    char bytes[4096];

    random_state = 88172645463325252ULL;
    for (int turn = 0; turn < 200; turn++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)(next_random() >> 32);
        load_anything(bytes, sizeof(bytes));
        ck_assert_uint_gt(report.error_count, 0);
    }
}
END_TEST

START_TEST(a_nul_byte_ends_the_file_with_a_mistake)
{
    char bytes[] = "[sluice]\nverbose = 1\0\nverbose = 2\n";

    load_anything(bytes, sizeof(bytes) - 1);
    ck_assert(reported("conf.ini:2: a NUL byte; this is not a settings file"));
}
END_TEST

/* Pieces of real files in any order: half right, half wrong. */
START_TEST(shuffled_pieces_of_settings_are_read_or_refused)
{
    static const char *const pieces[] = {
        "[sluice]\n",
        "[databases]\n",
        "[users]\n",
        "[redis]\n",
        "[lookups]\n",
        "[peers]\n",
        "[",
        "]",
        "\n",
        "\r\n",
        " ",
        "\t",
        "=",
        ";",
        "#",
        ":",
        "%",
        "%include ",
        "conf.ini",
        "/dev/null",
        "'",
        "''",
        "\"",
        "\"\"",
        "host",
        "port",
        "1",
        "*",
        "pool_size",
        "verbose",
        "query",
        "database",
        ",",
        "-1",
        "a",
        "\xff",
        "auth_file",
        "listen_port",
        "999999999999999999999999",
    };
    char bytes[2048];

    random_state = 1234567;
    for (int turn = 0; turn < 500; turn++) {
        size_t length = 0, count = next_random() % 60;

        for (size_t i = 0; i < count; i++) {
            const char *piece = pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))];

            memcpy(bytes + length, piece, strlen(piece));
            length += strlen(piece);
        }
        load_anything(bytes, length);
    }
}
END_TEST

START_TEST(a_huge_line_without_an_end_is_refused)
{
    const size_t length = 3 << 20;
    char *bytes = malloc(length);

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', length);
    load_anything(bytes, length);
    ck_assert(reported("conf.ini:1: the line is 3145728 bytes long; at most 1048576 are allowed"));
    memset(bytes, '[', length);
    load_anything(bytes, length);
    ck_assert_uint_gt(report.error_count, 0);
    free(bytes);
}
END_TEST

/* Ten files that each include the next one a hundred times would be 10^20 readings. */
START_TEST(includes_that_multiply_are_stopped)
{
    char path[20], text[4000];

    for (int i = 1; i <= 9; i++) {
        text[0] = '\0';
        for (int copy = 0; copy < 100; copy++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%%include %d.ini\n", i + 1);
        snprintf(path, sizeof(path), "%d.ini", i);
        write_text(path, text);
    }
    write_text("10.ini", "verbose = 1\n");
    ck_assert_ptr_null(load_text("[sluice]\n%include 1.ini\n"));
    ck_assert(reported("9.ini:82: %include 10.ini: too many files include one another"));
    ck_assert_uint_le(report.error_count, CONF_REPORT_LINES + 1);
}
END_TEST

START_TEST(endless_files_are_refused)
{
    refused("[sluice]\n%include /dev/zero\n", "conf.ini:2: /dev/zero: too large for settings");
    refused("[sluice]\nauth_file = /dev/zero\n", "cannot read auth_file /dev/zero: File too large");
}
END_TEST

LOAD_MAIN("mistakes", all_mistakes_are_listed, a_setting_without_effect_is_named_once,
          a_report_prints_a_line_for_each, a_report_is_bounded,
          a_file_of_mistakes_is_not_read_to_its_end, binary_garbage_is_refused,
          a_nul_byte_ends_the_file_with_a_mistake, shuffled_pieces_of_settings_are_read_or_refused,
          a_huge_line_without_an_end_is_refused, includes_that_multiply_are_stopped,
          endless_files_are_refused)

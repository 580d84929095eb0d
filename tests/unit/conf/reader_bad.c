/* That a hostile file ends in a report and nothing else. */
#include "load.h"

#include <stdint.h>

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
    for (int turn = 0; turn < 50; turn++) {
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
    for (int turn = 0; turn < 300; turn++) {
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

LOAD_MAIN("reader_bad", a_file_of_mistakes_is_not_read_to_its_end, binary_garbage_is_refused,
          a_nul_byte_ends_the_file_with_a_mistake, shuffled_pieces_of_settings_are_read_or_refused,
          a_huge_line_without_an_end_is_refused, includes_that_multiply_are_stopped,
          endless_files_are_refused)

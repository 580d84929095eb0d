/* What the log writes where, and that no peer can forge a line of it. */
#include "sluice/base/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITERS 4
#define LINES_EACH 500
#define REOPENS 50

/* The C library's syslog under both of its names (the second one with _FORTIFY_SOURCE). */
void syslog(int priority, const char *format, ...);
void __syslog_chk(int priority, int flag, const char *format, ...);

static char directory[] = "/tmp/sluice-log-XXXXXX";
static char path[64], rotated[64], error[256];
static struct log_settings settings;
static char to_syslog[4096];
static int syslog_priority;

void syslog(int priority, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(to_syslog, sizeof(to_syslog), format, list);
    va_end(list);
    syslog_priority = priority;
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(to_syslog, sizeof(to_syslog), format, list);
    va_end(list);
    syslog_priority = priority;
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/log", directory);
    snprintf(rotated, sizeof(rotated), "%s/log.1", directory);
    settings = (struct log_settings){
        .file = path,
        .syslog_ident = "sluice",
        .syslog_facility = "daemon",
        .format = LOG_FORMAT_TEXT,
        .level = LOG_LEVEL_INFO,
    };
    ck_assert(log_configure(&settings, error, sizeof(error)));
    to_syslog[0] = '\0';
}

static void teardown(void)
{
    settings.file = "";
    settings.syslog = false;
    ck_assert(log_configure(&settings, error, sizeof(error)));
    unlink(path);
    unlink(rotated);
    rmdir(directory);
    memcpy(strrchr(directory, '-'), "-XXXXXX", sizeof("-XXXXXX"));
}

/* All of a file as a string, to be freed. */
static char *slurp(const char *name)
{
    FILE *file = fopen(name, "r");
    char *text = NULL;
    size_t size = 0;

    ck_assert_ptr_nonnull(file);
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

static size_t lines_in(const char *text)
{
    size_t lines = 0;

    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static void ensure_matches(const char *text, const char *pattern)
{
    regex_t regex;

    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "\"%s\" is not as %s", text, pattern);
    regfree(&regex);
}

static void ensure_ends(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    ck_assert_uint_ge(length, end_length);
    ck_assert_str_eq(text + length - end_length, end);
}

START_TEST(text_is_as_pgbouncers)
{
    char *text;

    log_write(LOG_LEVEL_INFO, "C-0x55d0: app/eve@10.0.0.1:4711", "login attempt: db=%s", "app");
    text = slurp(path);
    ensure_matches(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} "
                         "[A-Z0-9+-]+ \\[[0-9]+\\] LOG C-0x55d0: app/eve@10\\.0\\.0\\.1:4711 "
                         "login attempt: db=app\n$");
    free(text);
}
END_TEST

START_TEST(no_subject_leaves_no_gap)
{
    char *text;

    log_warning("low on descriptors");
    text = slurp(path);
    ensure_ends(text, "] WARNING low on descriptors\n");
    free(text);
}
END_TEST

START_TEST(levels_above_the_set_one_are_silent)
{
    char *text;

    ck_assert(!log_enabled(LOG_LEVEL_DEBUG));
    log_debug("unseen");
    log_noise("unseen");
    settings.level = LOG_LEVEL_DEBUG;
    ck_assert(log_configure(&settings, error, sizeof(error)));
    ck_assert(log_enabled(LOG_LEVEL_DEBUG));
    log_debug("seen");
    log_noise("unseen");
    text = slurp(path);
    ensure_ends(text, "] DEBUG seen\n");
    ck_assert_uint_eq(lines_in(text), 1);
    free(text);
}
END_TEST

START_TEST(no_peer_can_forge_a_line_in_text)
{
    char *text;

    log_write(LOG_LEVEL_INFO, "C-1: a\n2026/x", "%s",
              "b\r\nc\td \x1b[2J \x7f \xc2\x9bm \xff\xc3\xa9");
    text = slurp(path);
    ensure_ends(text,
                " LOG C-1: a\\n2026/x b\\r\\nc\\td \\x1b[2J \\x7f \\xc2\\x9bm \\xff\xc3\xa9\n");
    ck_assert_uint_eq(lines_in(text), 1);
    free(text);
}
END_TEST

START_TEST(json_is_one_valid_object_a_line)
{
    json_t *object;
    char *text;

    settings.format = LOG_FORMAT_JSON;
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_write(LOG_LEVEL_ERROR, "C-1: \"a\"\\b", "%s",
              "x\ny\x01\x7f\"},{\"level\":\"LOG \xff \xed\xa0\x80 \xc3\xa9");
    text = slurp(path);
    ck_assert_uint_eq(lines_in(text), 1);
    object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "level")), "ERROR");
    ck_assert_str_eq(json_string_value(json_object_get(object, "subject")), "C-1: \"a\"\\b");
    ck_assert_str_eq(json_string_value(json_object_get(object, "message")),
                     "x\ny\x01\x7f\"},{\"level\":\"LOG \xef\xbf\xbd "
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xc3\xa9");
    ck_assert_int_eq(json_integer_value(json_object_get(object, "pid")), getpid());
    ensure_matches(json_string_value(json_object_get(object, "time")),
                   "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$");
    json_decref(object);
    free(text);
}
END_TEST

START_TEST(json_without_a_subject_has_no_such_field)
{
    json_t *object;
    char *text;

    settings.format = LOG_FORMAT_JSON;
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_info("up");
    text = slurp(path);
    object = json_loads(text, 0, NULL);
    ck_assert_ptr_null(json_object_get(object, "subject"));
    ck_assert_str_eq(json_string_value(json_object_get(object, "message")), "up");
    json_decref(object);
    free(text);
}
END_TEST

/* The worst case of both formats: everything at its limit, and every byte escaped at its longest.
 */
START_TEST(long_parts_are_cut)
{
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};
    char subject[1000], message[5000];
    json_t *object;
    char *text;

    settings.format = formats[_i];
    ck_assert(log_configure(&settings, error, sizeof(error)));
    memset(subject, 0x01, sizeof(subject) - 1);
    memset(message, 0x02, sizeof(message) - 1);
    subject[sizeof(subject) - 1] = message[sizeof(message) - 1] = '\0';
    log_write(LOG_LEVEL_WARNING, subject, "%s", message);
    text = slurp(path);
    if (formats[_i] == LOG_FORMAT_JSON) {
        object = json_loads(text, 0, NULL);
        ck_assert_ptr_nonnull(object);
        ck_assert_uint_eq(json_string_length(json_object_get(object, "subject")), 500);
        ck_assert_uint_eq(json_string_length(json_object_get(object, "message")), 2000);
        json_decref(object);
    } else {
        ck_assert_uint_eq(strlen(strstr(text, " WARNING ")),
                          strlen(" WARNING  \n") + (500 + 2000) * strlen("\\x01"));
    }
    free(text);
}
END_TEST

START_TEST(a_cut_keeps_characters_whole)
{
    char message[2004] = {0};
    char *text;

    memset(message, 'a', 1999);
    memcpy(message + 1999, "\xe2\x82\xac", 4);
    log_info("%s", message);
    text = slurp(path);
    ensure_ends(text, "aaa\n");
    free(text);
}
END_TEST

START_TEST(a_rotated_file_is_reopened)
{
    char *text;

    log_info("before");
    ck_assert_int_eq(rename(path, rotated), 0);
    log_info("between");
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_info("after");
    text = slurp(rotated);
    ensure_ends(text, "] LOG between\n");
    ck_assert_uint_eq(lines_in(text), 2);
    free(text);
    text = slurp(path);
    ensure_ends(text, "] LOG after\n");
    ck_assert_uint_eq(lines_in(text), 1);
    free(text);
}
END_TEST

START_TEST(a_file_taken_away_gets_nothing_more)
{
    char *text;

    settings.file = "";
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_info("nowhere");
    text = slurp(path);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

START_TEST(bad_settings_leave_the_log_as_it_was)
{
    char *text;

    settings.file = "/nonexistent/log";
    settings.level = LOG_LEVEL_DEBUG;
    ck_assert(!log_configure(&settings, error, sizeof(error)));
    ck_assert_str_eq(error, "cannot open log file \"/nonexistent/log\": No such file or directory");
    settings.file = path;
    settings.syslog = true;
    settings.syslog_facility = "kern";
    ck_assert(!log_configure(&settings, error, sizeof(error)));
    ck_assert_str_eq(error, "unknown syslog facility \"kern\"");
    log_debug("unseen");
    log_info("still here");
    text = slurp(path);
    ensure_ends(text, "] LOG still here\n");
    ck_assert_uint_eq(lines_in(text), 1);
    ck_assert_str_eq(to_syslog, "");
    free(text);
}
END_TEST

START_TEST(syslog_gets_facility_and_priority_and_no_time)
{
    settings.syslog = true;
    settings.syslog_facility = "local3";
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_write(LOG_LEVEL_WARNING, "S-0x1: app/eve@db:5432", "closing because: 100%% idle");
    ck_assert_str_eq(to_syslog, "S-0x1: app/eve@db:5432 closing because: 100% idle");
    ck_assert_int_eq(syslog_priority, (19 << 3) | 4); /* RFC 5424, tables 1 and 2 */
}
END_TEST

START_TEST(standard_error_is_one_of_the_places)
{
    int kept = dup(STDERR_FILENO), fd = open(rotated, O_CREAT | O_RDWR, 0600);
    char *text;

    dup2(fd, STDERR_FILENO);
    log_info("to the file only");
    settings.standard_error = true;
    ck_assert(log_configure(&settings, error, sizeof(error)));
    log_info("to both");
    dup2(kept, STDERR_FILENO);
    close(fd);
    close(kept);
    text = slurp(rotated);
    ck_assert_uint_eq(lines_in(text), 1);
    ensure_ends(text, "] LOG to both\n");
    free(text);
    settings.standard_error = false;
}
END_TEST

START_TEST(errno_survives)
{
    errno = EXDEV;
    log_info("%s", strerror(errno));
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

static void *write_lines(void *argument)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_write(LOG_LEVEL_INFO, "W", "%d of writer %d", i, (int)(intptr_t)argument);
    return NULL;
}

START_TEST(no_line_is_lost_or_mixed_while_the_file_is_reopened)
{
    pthread_t writers[WRITERS];
    size_t lines = 0;
    char *text, *rest;

    for (int i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, write_lines, (void *)(intptr_t)i);
    for (int i = 0; i < REOPENS; i++)
        ck_assert(log_configure(&settings, error, sizeof(error)));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    text = rest = slurp(path);
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++)
        ensure_matches(line, "^[^]]*\\] LOG W [0-9]+ of writer [0-3]$");
    ck_assert_uint_eq(lines, WRITERS * LINES_EACH);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/log");
    TCase *lines = tcase_create("lines"), *places = tcase_create("places");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(lines, setup, teardown);
    tcase_add_test(lines, text_is_as_pgbouncers);
    tcase_add_test(lines, no_subject_leaves_no_gap);
    tcase_add_test(lines, levels_above_the_set_one_are_silent);
    tcase_add_test(lines, no_peer_can_forge_a_line_in_text);
    tcase_add_test(lines, json_is_one_valid_object_a_line);
    tcase_add_test(lines, json_without_a_subject_has_no_such_field);
    tcase_add_loop_test(lines, long_parts_are_cut, 0, 2);
    tcase_add_test(lines, a_cut_keeps_characters_whole);
    tcase_add_test(lines, errno_survives);
    suite_add_tcase(suite, lines);
    tcase_add_checked_fixture(places, setup, teardown);
    tcase_add_test(places, a_rotated_file_is_reopened);
    tcase_add_test(places, a_file_taken_away_gets_nothing_more);
    tcase_add_test(places, bad_settings_leave_the_log_as_it_was);
    tcase_add_test(places, syslog_gets_facility_and_priority_and_no_time);
    tcase_add_test(places, standard_error_is_one_of_the_places);
    tcase_add_test(places, no_line_is_lost_or_mixed_while_the_file_is_reopened);
    suite_add_tcase(suite, places);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

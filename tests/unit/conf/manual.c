/* That docs/settings.md is what the tables say, and that the sample file is good. */
#include "load.h"

/* A path in the source tree: beside this file, as the compiler was given it. */
static const char *source_path(const char *name)
{
    static char path[8192];

    snprintf(path, sizeof(path), "%s/%.*s/../../../%s", __FILE__[0] == '/' ? "" : load_before,
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__, name);
    return path;
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "r"), *stream;
    char *text;
    size_t length;
    int byte;

    ck_assert_msg(file != NULL, "cannot open %s", path);
    stream = open_memstream(&text, &length);
    while ((byte = getc(file)) != EOF)
        putc(byte, stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

static char *written(void (*write)(FILE *file))
{
    char *text;
    size_t length;
    FILE *stream = open_memstream(&text, &length);

    write(stream);
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}

START_TEST(the_manual_is_up_to_date)
{
    char *now = written(conf_write_manual), *kept = read_whole(source_path("docs/settings.md"));

    ck_assert_msg(
        strcmp(now, kept) == 0,
        "docs/settings.md is not what the tables say: sluice --settings > docs/settings.md");
    free(now);
    free(kept);
}
END_TEST

static void is_in_manual(void *context, const char *name, const char *value, const char *standard,
                         bool changeable)
{
    char cell[200];

    snprintf(cell, sizeof(cell), "\n| `%s`%s | ", name, changeable ? "" : " †");
    ck_assert_msg(strstr(context, cell) != NULL, "%s", name);
}

START_TEST(the_manual_has_a_line_for_every_setting)
{
    char *manual = written(conf_write_manual);
    struct conf *conf = load_good("[sluice]\n");

    conf_each_setting(conf, is_in_manual, manual);
    ck_assert_ptr_nonnull(strstr(manual, "\n## [redis]\n"));
    ck_assert_ptr_nonnull(strstr(manual, "\n| `load_balance_hosts` | `round-robin` | disable, "
                                         "round-robin | "));
    conf_drop(conf);
    free(manual);
}
END_TEST

static void is_in_manual_page(void *context, const char *name, const char *value,
                              const char *standard, bool changeable)
{
    char line[200];

    snprintf(line, sizeof(line), "\n.TP\n.B %s%s\n", name, changeable ? "" : " \\(dg");
    ck_assert_msg(strstr(context, line) != NULL, "%s", name);
}

START_TEST(the_manual_page_has_every_setting_too)
{
    char *page = written(conf_write_manual_page);
    struct conf *conf = load_good("[sluice]\n");

    conf_each_setting(conf, is_in_manual_page, page);
    ck_assert_ptr_null(strchr(page, '`'));
    conf_drop(conf);
    free(page);
}
END_TEST

START_TEST(the_sample_loads_without_a_warning)
{
    struct conf *conf = conf_load(source_path("conf/sluice.ini"), &report);

    conf_report_print(&report, stderr);
    ck_assert_ptr_nonnull(conf);
    ck_assert_uint_eq(report.count, 0);
    ck_assert_str_eq(conf_find_database(conf, "anything")->host.items[0], "127.0.0.1");
    conf_drop(conf);
}
END_TEST

/* What the sample offers in comments must work when somebody takes the ; away. */
START_TEST(the_sample_loads_with_its_comments_taken_in)
{
    char *text = read_whole(source_path("conf/sluice.ini"));
    struct conf *conf;

    for (char *at = text; (at = strstr(at, "\n;")) != NULL; at += 2)
        if (at[2] != ' ')
            at[1] = ' ';
    write_text("userlist.txt", "\"u\" \"s\"\n");
    for (char *at; (at = strstr(text, "/etc/sluice/")) != NULL;)
        memmove(at, at + strlen("/etc/sluice/"), strlen(at + strlen("/etc/sluice/")) + 1);
    conf = load_good(text);
    ck_assert_uint_eq(conf->redis_count, 2);
    ck_assert_uint_eq(conf->database_count, 3);
    ck_assert_ptr_nonnull(conf_find_user(conf, "nightly"));
    ck_assert_str_eq(conf_find_user(conf, "u")->secret, "s");
    conf_drop(conf);
    free(text);
}
END_TEST

LOAD_MAIN("manual", the_manual_is_up_to_date, the_manual_has_a_line_for_every_setting,
          the_manual_page_has_every_setting_too, the_sample_loads_without_a_warning,
          the_sample_loads_with_its_comments_taken_in)

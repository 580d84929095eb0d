/* That a value arrives as it stands in the file, whatever inih thinks of it, and that mistakes are
 * reported with the right file and line. */
#include "load.h"

#include <errno.h>
#include <sys/stat.h>

/* The value of server_reset_query, which takes any text, after this line. */
static void arrives(const char *line, const char *value)
{
    char text[1000];
    struct conf *conf;

    snprintf(text, sizeof(text), "[sluice]\n%s\n[databases]\n", line);
    conf = load_good(text);
    ck_assert_str_eq(conf->server_reset_query, value);
    conf_drop(conf);
}

START_TEST(a_value_is_the_rest_of_the_line)
{
    arrives("server_reset_query=x", "x");
    arrives("server_reset_query \t=\t x y  z \t ", "x y  z");
    arrives("   server_reset_query = indented", "indented");
    arrives("server_reset_query =", "");
    arrives("server_reset_query = ", "");
    arrives("server_reset_query = x\r", "x");
    arrives("server_reset_query = a ; b", "a ; b");
    arrives("server_reset_query = ;x", ";x");
    arrives("server_reset_query = # x # y", "# x # y");
    arrives("server_reset_query = a=b : c=d", "a=b : c=d");
    arrives("server_reset_query = [a] %include x", "[a] %include x");
    arrives("server_reset_query = \"a\" 'b''c'", "\"a\" 'b''c'");
    arrives("server_reset_query = 100%25 %zz %", "100%25 %zz %");
    arrives("server_reset_query = \\n \\", "\\n \\");
    arrives("server_reset_query = \xc3\xa4\xff\x80", "\xc3\xa4\xff\x80");
    arrives("server_reset_query = a\tb\x01\x7f"
            "c",
            "a\tb\x01\x7f"
            "c");
}
END_TEST

START_TEST(comments_and_blank_lines_are_skipped)
{
    struct conf *conf = load_good("; a comment\n# another\n\n   \t\n  ; indented\n"
                                  "[sluice] ; behind a section\n"
                                  ";verbose = 1\n#verbose = 2\nverbose = 3\n\t# verbose = 4\n");

    ck_assert_int_eq(conf->verbose, 3);
    conf_drop(conf);
}
END_TEST

START_TEST(a_file_without_a_last_newline_loads)
{
    struct conf *conf = load_good("[sluice]\nverbose = 3");

    ck_assert_int_eq(conf->verbose, 3);
    conf_drop(conf);
}
END_TEST

START_TEST(line_ends_and_marks_of_other_systems_are_understood)
{
    struct conf *conf = load_good("\xef\xbb\xbf[sluice]\r\nverbose = 3\r\n\r\npool_mode=statement"
                                  "\r\n");

    ck_assert_int_eq(conf->verbose, 3);
    ck_assert_int_eq(conf->pool_mode, POOL_MODE_STATEMENT);
    conf_drop(conf);
}
END_TEST

START_TEST(a_setting_may_stand_behind_its_section)
{
    struct conf *conf = load_good("[databases] a = port=1\n[sluice]verbose=2\n");

    ck_assert_int_eq(conf->verbose, 2);
    ck_assert_int_eq(conf_find_database(conf, "a")->port, 1);
    conf_drop(conf);
}
END_TEST

START_TEST(both_names_of_the_main_section_are_one)
{
    struct conf *conf = load_good("[pgbouncer]\nverbose = 1\nlisten_port = 1234\n[databases]\n"
                                  "[sluice]\nverbose = 2\n");

    ck_assert_int_eq(conf->verbose, 2);
    ck_assert_int_eq(conf->listen_port, 1234);
    conf_drop(conf);
}
END_TEST

/* Bytes of every kind, so that a cut or a shift anywhere would show. */
static char *long_value(size_t length)
{
    static const char signs[] = "abc;#:=%[]\"' 0123456789,ABC  x";
    char *value = malloc(length + 1);

    ck_assert_ptr_nonnull(value);
    for (size_t i = 0; i < length; i++)
        value[i] = signs[(i * 7 + i / 31) % (sizeof(signs) - 1)];
    value[0] = value[length - 1] = 'v';
    value[length] = '\0';
    return value;
}

static void long_line_arrives(size_t length)
{
    char *value = long_value(length), *text = malloc(length + 200);
    struct conf *conf;

    ck_assert_ptr_nonnull(text);
    sprintf(text, "[sluice]\nserver_reset_query = %s\nverbose = 2\n", value);
    conf = load_good(text);
    ck_assert_str_eq(conf->server_reset_query, value);
    ck_assert_int_eq(conf->verbose, 2);
    conf_drop(conf);
    free(text);
    free(value);
}

START_TEST(a_line_of_any_length_near_the_limit_of_inih_arrives)
{
    for (size_t length = 1; length < 420; length++)
        long_line_arrives(length);
}
END_TEST

START_TEST(a_line_of_4000_bytes_arrives)
{
    long_line_arrives(4000);
}
END_TEST

START_TEST(a_line_of_200000_bytes_arrives)
{
    long_line_arrives(200000);
}
END_TEST

START_TEST(lines_are_counted_as_in_the_file)
{
    char *value = long_value(5000), *text = malloc(5200);

    ck_assert_ptr_nonnull(text);
    sprintf(text, "[sluice]\nserver_reset_query = %s\nverbos = 2\n", value);
    refused(text, "conf.ini:3: unknown setting \"verbos\"; did you mean \"verbose\"?");
    free(text);
    free(value);
}
END_TEST

START_TEST(a_line_of_a_megabyte_is_the_longest)
{
    const size_t most = 1 << 20;
    const char *head = "server_reset_query = ";
    char *value = long_value(most), *text = malloc(most + 200);
    struct conf *conf;

    ck_assert_ptr_nonnull(text);
    sprintf(text, "[sluice]\n%s%.*s\n", head, (int)(most - strlen(head)), value);
    conf = load_good(text);
    ck_assert_uint_eq(strlen(conf->server_reset_query), most - strlen(head));
    conf_drop(conf);

    sprintf(text, "[sluice]\n%s%.*s\nverbose = 2\n", head, (int)(most + 1 - strlen(head)), value);
    refused(text, "conf.ini:2: the line is 1048577 bytes long; at most 1048576 are allowed");
    free(text);
    free(value);
}
END_TEST

START_TEST(names_may_be_quoted)
{
    struct conf *conf = load_good("[sluice]\n[databases]\n"
                                  "\"my-db\" = port=1\n"
                                  "\"a=b : c\" = port=2\n"
                                  "\"say \"\"hi\"\";#[]%\"=port=3\n"
                                  "plain_1.x-y* = port=4\n"
                                  "\xc3\xa4 = port=5\n");

    ck_assert_int_eq(conf_find_database(conf, "my-db")->port, 1);
    ck_assert_int_eq(conf_find_database(conf, "a=b : c")->port, 2);
    ck_assert_int_eq(conf_find_database(conf, "say \"hi\";#[]%")->port, 3);
    ck_assert_int_eq(conf_find_database(conf, "plain_1.x-y*")->port, 4);
    ck_assert_int_eq(conf_find_database(conf, "\xc3\xa4")->port, 5);
    conf_drop(conf);
}
END_TEST

START_TEST(names_are_as_long_as_inih_can_take)
{
    char text[600], name[300];
    struct conf *conf;

    memset(name, 'n', sizeof(name));
    snprintf(text, sizeof(text), "[sluice]\n[databases]\n%.127s = port=7 user='%.300s'\n", name,
             name);
    conf = load_good(text);
    ck_assert_int_eq(conf_find_database(conf, strndupa(name, 127))->port, 7);
    ck_assert_uint_eq(strlen(conf_find_database(conf, strndupa(name, 127))->user), 300);
    conf_drop(conf);
    snprintf(text, sizeof(text), "[sluice]\n[databases]\n%.250s = port=7\n", name);
    refused(text, "conf.ini:3: the name is too long");
}
END_TEST

/* Two statements of one name in a row are not one that is folded. */
START_TEST(the_last_of_equal_names_counts)
{
    struct conf *conf = load_good("[sluice]\nverbose = 1\nverbose = 2\n[databases]\n"
                                  "a = port=1 pool_size=7\na = port=2\n");

    ck_assert_int_eq(conf->verbose, 2);
    ck_assert_uint_eq(conf->database_count, 1);
    ck_assert_int_eq(conf_find_database(conf, "a")->port, 2);
    ck_assert_int_eq(conf_find_database(conf, "a")->pool_size, CONF_UNSET);
    conf_drop(conf);
}
END_TEST

START_TEST(mistakes_of_form_are_explained)
{
    refused("[sluice]\nverbose\n", "conf.ini:2: expected: name = value");
    refused("[sluice]\nverbose: 3\n", "conf.ini:2: expected: name = value");
    refused("[sluice]\n= 3\n", "conf.ini:2: there is no name before the =");
    refused("[sluice]\n\"\" = 3\n", "conf.ini:2: there is no name before the =");
    refused("[sluice]\n[databases]\nmy db = port=1\n",
            "conf.ini:3: a name with blanks or signs must stand in double quotes");
    refused("[sluice]\n[databases]\n\"my db = port=1\n",
            "conf.ini:3: the name's closing quote is missing");
    refused("[sluice]\n[databases\n", "conf.ini:2: the ] of the section is missing");
    refused("verbose = 1\n[sluice]\n", "conf.ini:1: \"verbose\" stands before the first [section]");
    refused("[sluice]\n%inclde x\n", "conf.ini:2: expected: %include FILE");
    refused("[sluice]\n%include\n", "conf.ini:2: expected: %include FILE");
}
END_TEST

START_TEST(unknown_sections_are_explained)
{
    char text[200] = "[sluice]\n[", *end = text + strlen(text);

    refused("[sluice]\n[database]\na = host=b\nc = d\n",
            "conf.ini:2: unknown section [database]; did you mean [databases]?");
    refused("[sluice]\n[a ;b]\n", "conf.ini:2: unknown section [a??b]");
    refused("[sluice]\n[]\n", "conf.ini:2: unknown section []");
    memset(end, 'x', 100);
    strcpy(end + 100, "]\n");
    refused(text, "conf.ini:2: the section's name is too long");
    refused("[databases]\n", "conf.ini: there is no section [sluice] (or [pgbouncer])");
    refused("", "conf.ini: there is no section [sluice] (or [pgbouncer])");
}
END_TEST

/* ---- include ---- */

START_TEST(an_included_file_is_read_in_place)
{
    struct conf *conf;

    ck_assert_int_eq(mkdir("more", 0700), 0);
    write_text("first.ini", "verbose = 2\n[databases]\na = port=1\n");
    write_text("more/second.ini", "b = port=2\n%include third.ini\n");
    write_text("more/third.ini", "c = port=3"); /* beside the one that includes; no newline */
    conf = load_good("[sluice]\nverbose = 1\n%include first.ini  \n  %include \tmore/second.ini\n"
                     "d = port=4\n");
    ck_assert_int_eq(conf->verbose, 2);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(conf_find_database(conf, (char[]){(char)('a' + i), '\0'})->port, i + 1);
    conf_drop(conf);
}
END_TEST

START_TEST(mistakes_in_an_included_file_name_it)
{
    write_text("more.ini", "\n\nverbose = x\n");
    refused("[sluice]\n%include more.ini\n",
            "more.ini:3: verbose = \"x\" must be a whole number from 0 to 10");
    write_text("more.ini", "\n\n");
    refused("[sluice]\n%include more.ini\nverbose = x\n",
            "conf.ini:3: verbose = \"x\" must be a whole number from 0 to 10");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    refused("[sluice]\n%include missing.ini\n",
            "conf.ini:2: cannot open missing.ini: No such file or directory");
    refused("[sluice]\n%include folder\n", "conf.ini:2: cannot read folder: Is a directory");
    conf_report_fini(&report);
    ck_assert_ptr_null(conf_load("missing.ini", &report));
    ck_assert(reported("cannot open missing.ini: No such file or directory"));
}
END_TEST

START_TEST(a_file_that_includes_itself_is_refused)
{
    refused("[sluice]\n%include conf.ini\n", "conf.ini:2: conf.ini includes itself");
    write_text("a.ini", "%include b.ini\n");
    write_text("b.ini", "%include a.ini\n");
    refused("[sluice]\n%include a.ini\n", "b.ini:1: a.ini includes itself");
}
END_TEST

START_TEST(files_include_one_another_ten_deep)
{
    char path[20], text[40];
    struct conf *conf;

    for (int i = 1; i <= 11; i++) {
        snprintf(path, sizeof(path), "%d.ini", i);
        snprintf(text, sizeof(text), "verbose = %d\n", i < 10 ? i : 10);
        if (i < 10)
            snprintf(text, sizeof(text), "%%include %d.ini\n", i + 1);
        write_text(path, text);
    }
    conf = load_good("[sluice]\n%include 1.ini\n");
    ck_assert_int_eq(conf->verbose, 10);
    conf_drop(conf);
    write_text("10.ini", "%include 11.ini\n");
    refused("[sluice]\n%include 1.ini\n",
            "10.ini:1: %include 11.ini: too many files include one another");
}
END_TEST

LOAD_MAIN("reader", a_value_is_the_rest_of_the_line, comments_and_blank_lines_are_skipped,
          a_file_without_a_last_newline_loads, line_ends_and_marks_of_other_systems_are_understood,
          a_setting_may_stand_behind_its_section, both_names_of_the_main_section_are_one,
          a_line_of_any_length_near_the_limit_of_inih_arrives, a_line_of_4000_bytes_arrives,
          a_line_of_200000_bytes_arrives, lines_are_counted_as_in_the_file,
          a_line_of_a_megabyte_is_the_longest, names_may_be_quoted,
          names_are_as_long_as_inih_can_take, the_last_of_equal_names_counts,
          mistakes_of_form_are_explained, unknown_sections_are_explained,
          an_included_file_is_read_in_place, mistakes_in_an_included_file_name_it,
          a_file_that_cannot_be_read_is_named, a_file_that_includes_itself_is_refused,
          files_include_one_another_ten_deep)

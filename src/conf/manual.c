/* manual: what the tables say, as docs/settings.md and as the manual page sluice.ini(5). */
#include <inttypes.h>
#include <string.h>

#include "conf/table.h"
#include "sluice/conf/conf.h"

static void write_choices(FILE *file, const struct conf_row *row)
{
    for (const struct conf_choice *choice = row->choices; choice->name; choice++)
        fprintf(file, "%s%s%s", choice == row->choices ? "" : ", ", choice->name,
                choice->later ? " (not yet)" : "");
}

static void write_values(FILE *file, const struct conf_row *row)
{
    switch (row->type) {
    case CONF_BOOL:
        fprintf(file, "0, 1");
        break;
    case CONF_INT:
        fprintf(file, "%s%" PRId64 " to %" PRId64, row->automatic ? "auto, " : "", row->min,
                row->max);
        break;
    case CONF_MODE:
        fprintf(file, "0%" PRIo64 " to 0%" PRIo64, (uint64_t)row->min, (uint64_t)row->max);
        break;
    case CONF_TIME:
        fprintf(file, "%" PRId64 " to %" PRId64 " s", row->min, row->max);
        break;
    case CONF_TIME_MS:
        fprintf(file, "%" PRId64 " to %" PRId64 " ms", row->min, row->max);
        break;
    case CONF_SIZE:
        fprintf(file, "%" PRId64 " to %" PRId64 " bytes", row->min, row->max);
        break;
    case CONF_LIST:
        fprintf(file, "list");
        break;
    case CONF_TEXT:
    case CONF_ENUM:
        if (row->choices)
            write_choices(file, row);
        else
            fprintf(file, "text");
        break;
    }
}

static void write_row(FILE *file, const struct conf_row *row)
{
    static const char *const effects[] = {
        [CONF_WORKS] = "", [CONF_LATER] = " *No effect yet.*", [CONF_INERT] = " *No effect.*"};

    fprintf(file, "| `%s`%s | ", row->name,
            row->change == CONF_RESTART || row->change == CONF_RECONNECT ? " †" : "");
    if (row->from)
        fprintf(file, "as `%s`", row->from);
    else if (row->standard && row->standard[0])
        fprintf(file, "`%s`", row->standard);
    fprintf(file, " | ");
    write_values(file, row);
    fprintf(file, " | %s%s |\n", row->meaning, effects[row->effect]);
}

static void write_head(FILE *file, const char *title)
{
    fprintf(file, "\n%s\n\n| key | default | values | meaning |\n|---|---|---|---|\n", title);
}

static const char origin[] =
    "# Settings\n"
    "\n"
    "This page is made from the tables in `include/sluice/conf/*.def`; change it there, then run\n"
    "`sluice --settings > docs/settings.md`.\n"
    "\n";

static const char introduction[] =
    "The file has sections in brackets and lines of the form `name = value`. A line that begins\n"
    "with `;` or `#` is a comment; within a line these signs mean nothing. `%include FILE` reads\n"
    "another file at that place, relative to the working directory or else to the file that\n"
    "includes. `[pgbouncer]` is the same section as `[sluice]`: a `pgbouncer.ini` works as it is.\n"
    "\n"
    "* A time is in seconds and may have a fraction or a unit: `us`, `ms`, `s`, `m`, `h`, `d`.\n"
    "* A size is in bytes and may have a unit: `kB`, `MB`, `GB`.\n"
    "* A switch is `0` or `1`; `off`, `on`, `no`, `yes`, `false`, `true` are understood.\n"
    "* A list has commas between its items.\n"
    "* A whole number may be octal (`0777`) or hexadecimal (`0x1ff`).\n"
    "\n"
    "`sluice --check FILE` lists every mistake in a file. All settings change by a reload "
    "(SIGHUP,\n"
    "`RELOAD`) or by the console's `SET`, except those marked †, which need a restart.\n";

static const char sections_title[] = "Lines of the other sections";

static const char sections_introduction[] =
    "A line is `name = key=value key=value ...`. A value with blanks stands in single quotes, in\n"
    "which two of them are one. A name with other characters than letters, digits and `_.-*` "
    "stands\n"
    "in double quotes. A user's setting goes before the database's, that before the one of\n"
    "`[sluice]`. When a key marked † changes by a reload, open servers are replaced by new ones.\n";

static const char *const introductions[CONF_SECTIONS] = {
    [CONF_DATABASES] = "What clients may ask for, and where it is. The name `*` stands for every "
                       "name that has no line.",
    [CONF_USERS] = "What holds for one user. Secrets are in `auth_file`.",
    [CONF_PEERS] = "Other processes that serve the same clients, by number; a cancel request goes "
                   "to the one that has the client.",
    [CONF_REDIS] = "One pool for Redis each.",
    [CONF_LOOKUPS] = "Statements that are asked for many clients at once.",
};

void conf_write_manual(FILE *file)
{
    fputs(origin, file);
    fputs(introduction, file);
    for (enum conf_section section = CONF_MAIN; section < CONF_SECTIONS; section++) {
        const struct conf_table *table = &conf_tables[section];
        char title[400];

        if (section == CONF_DATABASES)
            fprintf(file, "\n# %s\n\n%s", sections_title, sections_introduction);
        if (section != CONF_MAIN) {
            snprintf(title, sizeof(title), "## [%s]\n\n%s%s", table->name, introductions[section],
                     table->effect == CONF_LATER ? " *No effect yet.*" : "");
            write_head(file, title);
        }
        for (size_t i = 0; i < table->row_count; i++) {
            if (table->rows[i].name) {
                write_row(file, &table->rows[i]);
                continue;
            }
            snprintf(title, sizeof(title), "## %s", table->rows[i].meaning);
            write_head(file, title);
        }
    }
}

/* --- the manual page: man(7) --- */

#define DAGGER "†"

/* Markdown of the simple kind that the tables use: `words`, and items that begin with "* ". */
static void write_roff(FILE *file, const char *text)
{
    bool line_begins = true, bold = false;

    for (; *text; text++) {
        if (line_begins && text[0] == '*' && text[1] == ' ') {
            fputs(".IP \\(bu 2\n", file);
            text++;
        } else if (line_begins && text[0] == '\n') {
            fputs(".PP\n", file);
        } else if (*text == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", file);
        } else if (strncmp(text, DAGGER, strlen(DAGGER)) == 0) {
            fputs("\\(dg", file);
            text += strlen(DAGGER) - 1;
        } else if (*text == '\\') {
            fputs("\\e", file);
        } else if (*text == '-') {
            fputs("\\-", file);
        } else if (line_begins && (*text == '.' || *text == '\'')) {
            fprintf(file, "\\&%c", *text);
        } else {
            fputc(*text, file);
        }
        line_begins = *text == '\n';
    }
}

static void write_row_roff(FILE *file, const struct conf_row *row)
{
    static const char *const effects[] = {
        [CONF_WORKS] = "", [CONF_LATER] = " No effect yet.", [CONF_INERT] = " No effect."};

    fprintf(file, ".TP\n.B %s%s\n", row->name,
            row->change == CONF_RESTART || row->change == CONF_RECONNECT ? " \\(dg" : "");
    write_roff(file, row->meaning);
    fprintf(file, "%s\n.br\nValues: ", effects[row->effect]);
    write_values(file, row);
    fprintf(file, ". Default: ");
    if (row->from)
        fprintf(file, "that of \\fB%s\\fR", row->from);
    else
        write_roff(file, row->standard && row->standard[0] ? row->standard : "none");
    fputs(".\n", file);
}

void conf_write_manual_page(FILE *file)
{
    fputs(".TH SLUICE.INI 5 \"\" \"sluice " SLUICE_VERSION "\"\n"
          ".SH NAME\nsluice.ini \\- settings of sluice(8)\n.SH DESCRIPTION\n",
          file);
    write_roff(file, introduction);
    for (enum conf_section section = CONF_MAIN; section < CONF_SECTIONS; section++) {
        const struct conf_table *table = &conf_tables[section];

        if (section == CONF_DATABASES) {
            fprintf(file, ".SH %s\n", sections_title);
            write_roff(file, sections_introduction);
        }
        fprintf(file, ".SH [%s]\n", table->name);
        if (introductions[section])
            write_roff(file, introductions[section]);
        fprintf(file, "%s\n", table->effect == CONF_LATER ? " No effect yet." : "");
        for (size_t i = 0; i < table->row_count; i++) {
            if (table->rows[i].name)
                write_row_roff(file, &table->rows[i]);
            else
                fprintf(file, ".SS %s\n", table->rows[i].meaning);
        }
    }
    fputs(".SH SEE ALSO\n.BR sluice (8)\n", file);
}

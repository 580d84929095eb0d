#include "sluice/auth/ident.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hba_line.h"
#include "sluice/base/memory.h"

#define FIELDS 3

struct ident_row {
    const char *map, *system_user;
    struct hba_word user;
};

struct ident {
    char *text; /* taken apart; rows point into it */
    struct ident_row *rows;
    size_t row_count;
};

/* Takes a line's fields. False if there is none (*count 0) or a mistake (*mistake says which). */
static bool take_fields(struct hba_line *line, struct hba_word fields[FIELDS], size_t *count,
                        const char **mistake)
{
    struct hba_word extra;

    for (*count = 0; *count < FIELDS && hba_line_word(line, &fields[*count]); ++*count) {
        struct hba_word *field = &fields[*count];

        if (field->more)
            *mistake = "multiple values in a field";
        else if (!field->quoted && field->text[0] == '/')
            *mistake = "regular expressions are not supported";
        else if (!field->quoted && field->text[0] == '+')
            *mistake = "roles as groups are not supported";
    }
    if (*count == 0)
        return false;
    if (!*mistake && *count < FIELDS)
        *mistake = "missing entry at end of line";
    else if (!*mistake && hba_line_word(line, &extra))
        *mistake = "garbage at end of line";
    return !*mistake;
}

static void parse_line(struct ident *ident, struct hba_line *line, const char *file,
                       struct conf_report *report)
{
    struct hba_word fields[FIELDS];
    const char *mistake = NULL;
    size_t count;

    if (take_fields(line, fields, &count, &mistake)) {
        ident->rows = memory_resize(ident->rows, (ident->row_count + 1) * sizeof(*ident->rows));
        ident->rows[ident->row_count++] =
            (struct ident_row){fields[0].text, fields[1].text, fields[2]};
    } else if (mistake) {
        conf_report_add(report, CONF_ERROR, file, line->number, "%s", mistake);
    }
}

struct ident *ident_parse(const char *text, const char *file, struct conf_report *report)
{
    struct ident *ident = memory_new(sizeof(*ident));
    size_t errors_before = report->error_count;
    struct hba_lines lines;
    struct hba_line line;

    ident->text = memory_text(text, strlen(text));
    hba_lines_init(&lines, ident->text);
    while (hba_lines_next(&lines, &line))
        parse_line(ident, &line, file, report);
    if (report->error_count > errors_before) {
        ident_free(ident);
        return NULL;
    }
    return ident;
}

void ident_free(struct ident *ident)
{
    if (!ident)
        return;
    free(ident->rows);
    free(ident->text);
    free(ident);
}

bool ident_match(const struct ident *ident, const char *map, const char *system_user,
                 const char *user)
{
    if (!map)
        return strcmp(system_user, user) == 0;
    for (size_t i = 0; ident && i < ident->row_count; i++) {
        const struct ident_row *row = &ident->rows[i];

        if (strcmp(row->map, map) == 0 && strcmp(row->system_user, system_user) == 0 &&
            (hba_word_is(&row->user, "all") || strcmp(row->user.text, user) == 0))
            return true;
    }
    return false;
}

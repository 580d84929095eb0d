#include "auth/hba_line.h"

#include <string.h>

void hba_lines_init(struct hba_lines *lines, char *text)
{
    lines->next = text;
    lines->line_count = 0;
}

/* Joins continued lines by moving the following ones forward over backslash and newline. */
bool hba_lines_next(struct hba_lines *lines, struct hba_line *line)
{
    char *from = lines->next, *to = from;

    if (*from == '\0')
        return false;
    line->rest = from;
    line->number = lines->line_count + 1;
    while (*from != '\0') {
        size_t length = strcspn(from, "\n"), kept = length;
        bool ended = from[length] == '\n', continued = false;

        if (kept > 0 && from[kept - 1] == '\r')
            kept--;
        if (kept > 0 && from[kept - 1] == '\\' && ended) {
            continued = true;
            kept--;
        }
        memmove(to, from, kept);
        to += kept;
        from += length + ended;
        lines->line_count++;
        if (!continued)
            break;
    }
    lines->next = from;
    /* At the end of the text `to` may stand on the final zero, else on a byte already read. */
    *to = '\0';
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

bool hba_line_word(struct hba_line *line, struct hba_word *word)
{
    char *from = line->rest, *to;
    bool in_quotes = false;

    while (is_blank(*from) || *from == ',')
        from++;
    if (*from == '\0' || *from == '#') {
        line->rest = from + strlen(from);
        return false;
    }
    word->quoted = *from == '"';
    word->text = to = from;
    for (; *from != '\0'; from++) {
        if (!in_quotes && (is_blank(*from) || *from == ',' || *from == '#'))
            break;
        if (*from != '"')
            *to++ = *from;
        else if (in_quotes && from[1] == '"')
            *to++ = *from++; /* a doubled quote is one */
        else
            in_quotes = !in_quotes;
    }
    word->more = *from == ',';
    line->rest = *from == '#' ? from + strlen(from) : *from == '\0' ? from : from + 1;
    *to = '\0';
    return true;
}

bool hba_word_is(const struct hba_word *word, const char *keyword)
{
    return !word->quoted && strcmp(word->text, keyword) == 0;
}

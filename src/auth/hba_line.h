/* hba_line: lines and words of pg_hba.conf and pg_ident.conf. The text is taken apart in place:
 * words end up as strings inside it. Private to this folder. */
#ifndef SLUICE_AUTH_HBA_LINE_H
#define SLUICE_AUTH_HBA_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct hba_lines {
    char *next;        /* what has not been looked at */
    size_t line_count; /* physical lines before it */
};

/* A line without its continuations: words are taken off its front. */
struct hba_line {
    char *rest;
    size_t number; /* of its first physical line, from 1 */
};

struct hba_word {
    const char *text;
    bool quoted; /* began with a quote: not a keyword */
    bool more;   /* a comma follows: the next word is of the same field */
};

/* text must stay, and may be written to, while words of it are in use. */
void hba_lines_init(struct hba_lines *lines, char *text);

/* The next line, also an empty one. False at the end. */
bool hba_lines_next(struct hba_lines *lines, struct hba_line *line);

/* False at the end of the line. An unclosed quote reaches to the end, as in PostgreSQL. */
bool hba_line_word(struct hba_line *line, struct hba_word *word);

/* True if the word is this one, not quoted. */
bool hba_word_is(const struct hba_word *word, const char *keyword);

#endif

/* reader: an ini file, and what it includes, as a sequence of statements.
 *
 * inih does the sections and the lines, but it cuts long ones and takes ';' and ':' as special
 * where PgBouncer does not. So the reader stands between the file and inih: it splits off the name,
 * writes every byte that inih could misread as %XX and folds a long line into inih's continuation
 * lines; the handler puts the value together again. A value arrives as it stands in the file. */
#ifndef SLUICE_CONF_READER_H
#define SLUICE_CONF_READER_H

#include <stddef.h>

#include "sluice/conf/report.h"

#define READER_LINE_BYTES (1 << 20)  /* longest line */
#define READER_FILE_BYTES (16 << 20) /* all files together */
#define READER_DEPTH 10              /* files included in one another, as in PgBouncer */

struct statement {
    const char *section; /* NULL before the first [section] */
    const char *name;    /* NULL: a section begins here */
    const char *value;
    const char *file;
    size_t line;
};

/* Calls each() for every section and every name = value, in order; what it is given lives during
 * the call. Mistakes of form and unreadable files go to the report; the rest is read nevertheless.
 */
void reader_read(const char *path, struct conf_report *report,
                 void (*each)(void *context, const struct statement *statement), void *context);

#endif

/* report: what was found wrong in the settings, one line each: "file:line: message". Owned by who
 * asked for the settings to be read; one thread at a time. */
#ifndef SLUICE_CONF_REPORT_H
#define SLUICE_CONF_REPORT_H

#include <stddef.h>
#include <stdio.h>

#define CONF_REPORT_LINES 1000 /* later ones are counted, and their number is the last line */

enum conf_severity { CONF_WARNING, CONF_ERROR };

struct conf_report_line {
    enum conf_severity severity;
    char *text;
};

struct conf_report {
    struct conf_report_line *lines;
    size_t count;
    size_t error_count;   /* also those beyond the limit */
    size_t warning_count; /* likewise */
};

void conf_report_init(struct conf_report *report);
void conf_report_fini(struct conf_report *report);

/* file may be NULL and line 0: then that part is left out. */
void conf_report_add(struct conf_report *report, enum conf_severity severity, const char *file,
                     size_t line, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* All lines in order: to the log (as WARNING and ERROR), or to a stream for --check. */
void conf_report_log(const struct conf_report *report);
void conf_report_print(const struct conf_report *report, FILE *stream);

#endif

#include "sluice/conf/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"

#define LINE_BYTES 1000

void conf_report_init(struct conf_report *report)
{
    *report = (struct conf_report){0};
}

void conf_report_fini(struct conf_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->lines[i].text);
    free(report->lines);
    *report = (struct conf_report){0};
}

/* What a file holds may be anything; a line stays one line, of printable bytes. */
static char *printable(const char *text)
{
    char *copy = memory_new(strlen(text) * 4 + 1), *to = copy;

    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte < 0x20 || byte == 0x7f)
            to += snprintf(to, 5, "\\x%02x", byte);
        else
            *to++ = (char)byte;
    }
    *to = '\0';
    return copy;
}

void conf_report_add(struct conf_report *report, enum conf_severity severity, const char *file,
                     size_t line, const char *format, ...)
{
    char text[LINE_BYTES] = "";
    size_t used = 0;
    va_list list;

    if (severity == CONF_ERROR)
        report->error_count++;
    else
        report->warning_count++;
    if (report->count == CONF_REPORT_LINES)
        return;

    if (file && line > 0)
        used = (size_t)snprintf(text, sizeof(text), "%s:%zu: ", file, line);
    else if (file)
        used = (size_t)snprintf(text, sizeof(text), "%s: ", file);
    va_start(list, format);
    if (used < sizeof(text))
        vsnprintf(text + used, sizeof(text) - used, format, list);
    va_end(list);

    report->lines = memory_resize(report->lines, (report->count + 1) * sizeof(*report->lines));
    report->lines[report->count++] =
        (struct conf_report_line){.severity = severity, .text = printable(text)};
}

static size_t report_left_out(const struct conf_report *report)
{
    return report->error_count + report->warning_count - report->count;
}

void conf_report_log(const struct conf_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        log_write(report->lines[i].severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                  NULL, "%s", report->lines[i].text);
    if (report_left_out(report) > 0)
        log_error("%zu further lines left out", report_left_out(report));
}

void conf_report_print(const struct conf_report *report, FILE *stream)
{
    for (size_t i = 0; i < report->count; i++)
        fprintf(stream, "%s%s\n",
                report->lines[i].severity == CONF_ERROR ? "" : "warning: ", report->lines[i].text);
    if (report_left_out(report) > 0)
        fprintf(stream, "%zu further lines left out\n", report_left_out(report));
}

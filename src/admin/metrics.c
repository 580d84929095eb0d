#include "metrics.h"

#include <inttypes.h>
#include <string.h>

#include "sluice/base/clock.h"
#include "sluice/base/ensure.h"
#include "sluice/base/utf8.h"

#define VALUE_BYTES 1280

void metrics_labels_init(struct metrics_labels *labels)
{
    labels->text[0] = '\0';
    labels->length = 0;
}

static void put(struct metrics_labels *labels, char byte)
{
    ensure(labels->length + 1 < sizeof(labels->text));
    labels->text[labels->length++] = byte;
    labels->text[labels->length] = '\0';
}

void metrics_labels_add(struct metrics_labels *labels, const char *name, const char *value)
{
    char shown[VALUE_BYTES];

    if (labels->length > 0)
        put(labels, ',');
    for (const char *at = name; *at; at++)
        put(labels, *at);
    put(labels, '=');
    put(labels, '"');
    utf8_show(value, shown, sizeof(shown));
    for (const char *at = shown; *at; at++) {
        if (*at == '"' || *at == '\\' || *at == '\n')
            put(labels, '\\');
        put(labels, *at == '\n' ? 'n' : *at);
    }
    put(labels, '"');
}

void metrics_head(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP sluice_%s %s.\n# TYPE sluice_%s %s\n", name, help, name, type);
}

static void put_name(FILE *page, const char *name, const char *labels)
{
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";

    fprintf(page, "sluice_%s%s%s%s ", name, open, labels, close);
}

void metrics_count(FILE *page, const char *name, const char *labels, int64_t value)
{
    put_name(page, name, labels);
    fprintf(page, "%" PRId64 "\n", value);
}

void metrics_seconds(FILE *page, const char *name, const char *labels, uint64_t us)
{
    put_name(page, name, labels);
    fprintf(page, "%.6f\n", (double)us / (double)US_PER_S);
}

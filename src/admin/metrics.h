/* metrics: pieces of Prometheus' text format 0.0.4, of which page_metrics.c and its neighbours make
 * /metrics. Each name begins with "sluice_", which is left out here. Main thread. */
#ifndef SLUICE_ADMIN_METRICS_H
#define SLUICE_ADMIN_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "show.h"

/* Three names at their longest, each byte of which may need five. */
#define METRICS_LABELS_BYTES 4096

/* The labels of a sample, as they stand between the braces. */
struct metrics_labels {
    char text[METRICS_LABELS_BYTES];
    size_t length;
};

/* Empties them. */
void metrics_labels_init(struct metrics_labels *labels);

/* Adds one with what has to be escaped escaped; a byte that is no UTF-8, for which Prometheus
 * would refuse the whole page, is told by its number. */
void metrics_labels_add(struct metrics_labels *labels, const char *name, const char *value);

/* The lines in front of a metric's samples. type: gauge, counter, histogram. */
void metrics_head(FILE *page, const char *name, const char *type, const char *help);

/* A sample. labels: the text of some, "" for none. */
void metrics_count(FILE *page, const char *name, const char *labels, int64_t value);
void metrics_seconds(FILE *page, const char *name, const char *labels, uint64_t us);

/* page_gauges.c: what there is now. */
void page_gauges(FILE *page, const struct show_source *source);

/* page_histograms.c: how long things took. */
void page_histograms(FILE *page, const struct show_source *source);

#endif

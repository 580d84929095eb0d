/* page: what the stats port says, as text: Prometheus' format and JSON. Main thread. */
#ifndef SLUICE_ADMIN_PAGE_H
#define SLUICE_ADMIN_PAGE_H

#include <stdio.h>

#include "show.h"

/* Prometheus text format 0.0.4. */
void page_metrics(FILE *page, const struct show_source *source);

/* An object with an array of objects for each of the console's tables. */
void page_json(FILE *page, const struct show_source *source);

/* What the dashboard draws: the figures of all pools after the step source->after, who waits
 * longest, and totals. */
void page_history(FILE *page, const struct show_source *source);

/* The dashboard, which asks for /history.json: dashboard.html, as it was when this was built. */
extern const unsigned char dashboard_html[];
extern const unsigned long dashboard_html_bytes;

#endif

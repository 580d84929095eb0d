/* http: the stats port: GET and HEAD of a few pages, by libevent's evhttp on the main thread's
 * loop. No request changes anything. Connections are few and short-lived, so that slow or broken
 * clients cannot use up what others need. Main thread. */
#ifndef SLUICE_ADMIN_HTTP_H
#define SLUICE_ADMIN_HTTP_H

#include "sluice/admin/admin.h"

struct http;

/* Listens on what stats_listen says; an address that cannot be had is told on the log. */
struct http *http_new(struct admin *admin);
void http_free(struct http *http);

#endif

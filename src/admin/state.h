/* state: what the files of this folder share: the struct admin behind the console and the stats
 * port. Main thread. */
#ifndef SLUICE_ADMIN_STATE_H
#define SLUICE_ADMIN_STATE_H

#include "history.h"
#include "readiness.h"
#include "sluice/admin/admin.h"
#include "stats.h"

struct console;
struct http;

struct admin {
    struct admin_host host;
    struct list consoles; /* struct console */
    struct stats stats, redis_stats;
    struct history history;
    struct readiness readiness;
    struct counters_values commands; /* of the console, which has no pool */
    struct http *http;
    uint64_t started_us;
    bool paused, suspended; /* everything, not single databases */
    bool ending;
    struct console *suspender; /* its end is a RESUME */
};

static inline const struct conf *admin_conf(const struct admin *admin)
{
    return admin->host.conf(admin->host.owner);
}

/* Undoes PAUSE and SUSPEND (control.c). */
void admin_resume(struct admin *admin);

#endif

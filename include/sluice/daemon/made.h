/* made: what the settings name, read and made ready: certificates, access rules, lookups. Main
 * thread. */
#ifndef SLUICE_DAEMON_MADE_H
#define SLUICE_DAEMON_MADE_H

#include <stdbool.h>

#include "sluice/net/tls.h"
#include "sluice/proxy/access.h"

struct made {
    struct tls *tls;
    struct access *access;
};

/* False when something is wrong with any of it, and then nothing is made; every mistake is added to
 * the report. */
bool made_from(struct made *made, const struct conf *conf, struct conf_report *report);

void made_drop(struct made *made);

#endif

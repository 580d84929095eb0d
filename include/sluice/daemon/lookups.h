/* lookups: the statements of [lookups] are checked when the settings are read. Main thread. */
#ifndef SLUICE_DAEMON_LOOKUPS_H
#define SLUICE_DAEMON_LOOKUPS_H

#include <stdbool.h>

#include "sluice/conf/conf.h"

/* False when one of them can never be batched; the report then says which and why. */
bool lookups_valid(const struct conf *conf, struct conf_report *report);

#endif

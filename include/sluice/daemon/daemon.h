/* daemon: the main thread while the workers run: accepts, signals, reloads, the stats line, the
 * end. Everything in it belongs to the main thread. */
#ifndef SLUICE_DAEMON_DAEMON_H
#define SLUICE_DAEMON_DAEMON_H

#include "sluice/daemon/made.h"
#include "sluice/daemon/options.h"
#include "sluice/daemon/process.h"

/* Runs until it is told to end; takes over conf, tls and the listening sockets. Returns the exit
 * status. */
int daemon_run(const struct options *options, struct conf *conf, struct made made,
               struct listening *listening, int listening_count);

/* Applies the settings of the log. */
bool daemon_configure_log(const struct options *options, const struct conf *conf);

#endif

/* top: sluice --top FILE.ini: a view of a running Sluice for people on a shell, refreshed each
 * second, read from its console by the Unix socket of the settings, as user pgbouncer. A process of
 * its own; its only thread. */
#ifndef SLUICE_DAEMON_TOP_H
#define SLUICE_DAEMON_TOP_H

struct conf;

/* Shows it until interrupted; once, after a second, when standard output is no terminal. Returns
 * the exit status. */
int top_run(const struct conf *conf);

#endif

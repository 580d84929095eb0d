/* options: the command line. Main thread. */
#ifndef SLUICE_DAEMON_OPTIONS_H
#define SLUICE_DAEMON_OPTIONS_H

#include <stdbool.h>

struct options {
    bool daemonize, quiet, check, top;
    int verbose; /* how often -v was given */
    const char *user, *file;
};

/* Reads the command line. Returns true to go on; else the process ends with *status (after --help,
 * --version, or a mistake that has been told). */
bool options_read(struct options *options, int count, char **arguments, int *status);

#endif

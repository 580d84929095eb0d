/* process: what a daemon does to its own process: user, limits, background, pid file, listening
 * sockets. Main thread, before any other exists. All tell what is wrong on the log and return
 * false. */
#ifndef SLUICE_DAEMON_PROCESS_H
#define SLUICE_DAEMON_PROCESS_H

#include <stdbool.h>

#include "sluice/conf/conf.h"

/* Raises the limit of open files as far as allowed, and warns when the settings need more. */
void process_raise_limits(const struct conf *conf);

/* Becomes user (NULL or "": stays). Refuses to stay root. */
bool process_become(const char *user);

/* Goes into the background; standard streams are closed. */
bool process_daemonize(const struct conf *conf);

/* True when no running process owns the pid file; writes it; removes it. "" = none. */
bool process_pidfile_free(const char *path);
bool process_write_pidfile(const char *path);
void process_remove_pidfile(const char *path);

/* A listening socket that is open but not served yet. */
struct listening {
    int fd;
    char *unix_path;  /* NULL for TCP */
    char *redis_line; /* whose clients come in here; NULL: PostgreSQL's */
};

#define LISTENING_MAX 256

/* Closes what process_listen() opened, when it is not going to be served. */
void process_close_listening(struct listening listening[LISTENING_MAX]);

/* Opens all that the settings name. Returns how many, or -1. */
int process_listen(const struct conf *conf, struct listening listening[LISTENING_MAX]);

#endif

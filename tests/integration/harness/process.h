/* process: children of a test (the pooler, private servers) that can never outlive it, with the
 * user that root's servers run as, and the directories and ports they need. */
#ifndef TESTS_HARNESS_PROCESS_H
#define TESTS_HARNESS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A new directory below /tmp that the servers' user owns; removed when the test ends well. */
char *process_directory(void);

/* Starts a program as SLUICE_RUN_AS (when we are root), output appended to a file. It gets `death`
 * when the test ends in any way. `variables` are NULL-terminated "NAME=value" to set, or NULL. */
pid_t process_start(const char *program, char *const arguments[], const char *output,
                    char *const variables[], int death);

/* The wait status if it ended within so many seconds, else -1. */
int process_await(pid_t pid, double seconds);

/* A TCP port that nobody uses on any address. */
uint16_t process_free_port(void);

/* Gives a path to the servers' user (nothing to do unless root). */
void process_give(const char *path);

/* The whole file, NUL-terminated; "" if it cannot be read. */
char *file_read(const char *path);
void file_write(const char *path, const char *contents);

/* A value of the environment; fails the test with a hint if it is missing. */
const char *environment(const char *name);

#endif

/* console: asking the SQL console of the pooler under test. */
#ifndef TESTS_HARNESS_CONSOLE_H
#define TESTS_HARNESS_CONSOLE_H

#include <libpq-fe.h>

#include "harness/sluice.h"

/* Who may use it. */
#define CONSOLE_USERS "admin_users = user1\nstats_users = user2\n"

/* Starts the pooler with these settings besides; a connection of user1 to its console. */
PGconn *console_start(struct sluice *sluice, const char *settings);

/* Ends both. */
void console_end(PGconn *console, struct sluice *sluice);

/* The value in the column of the row whose first column is `key`; fails the test without one. */
char *console_cell(PGconn *console, const char *sql, const char *key, const char *column);

/* The same of a statement's row in SHOW LOOKUPS or SHOW STATEMENTS, by a connection of its own. */
char *console_told(const struct sluice *sluice, const char *sql, const char *statement,
                   const char *column);

/* The sum of a column, by a connection of its own. */
long console_sum(const struct sluice *sluice, const char *sql, const char *column);

/* How many rows it has. */
int console_rows(PGconn *console, const char *sql);

#endif

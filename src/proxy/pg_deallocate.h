/* pg_deallocate: recognises SQL's DEALLOCATE and DISCARD by their first words. Pure; any thread. */
#ifndef SLUICE_PROXY_PG_DEALLOCATE_H
#define SLUICE_PROXY_PG_DEALLOCATE_H

#include <stdbool.h>
#include <stddef.h>

#define PG_DEALLOCATE_NAME_BYTES 64

/* True when the statement begins with one of the two. */
bool pg_deallocate_begins(const char *sql, size_t bytes);

/* True for DEALLOCATE [PREPARE] name, and nothing else in the statement: writes the name as
 * PostgreSQL reads it. False for ALL. sql: with its NUL at sql[bytes - 1]. */
bool pg_deallocate_name(const char *sql, size_t bytes, char name[PG_DEALLOCATE_NAME_BYTES]);

#endif

/* ident: maps from system users (of peer) and certificates' common names (of cert) to database
 * users, in the form of pg_ident.conf:  map  system-user  database-user.  A database user of `all`
 * is any. Parsed from text that the caller has read; immutable after that; any thread may match. */
#ifndef SLUICE_AUTH_IDENT_H
#define SLUICE_AUTH_IDENT_H

#include <stdbool.h>

#include "sluice/conf/report.h"

struct ident;

/* Parses; mistakes are added to the report under the file's name, all of them. NULL if there was
 * any. Regular expressions and groups are mistakes. */
struct ident *ident_parse(const char *text, const char *file, struct conf_report *report);
void ident_free(struct ident *ident);

/* True if the system user may log in as user by this map; map NULL: if they are the same name.
 * ident NULL: there are no maps. */
bool ident_match(const struct ident *ident, const char *map, const char *system_user,
                 const char *user);

#endif

/* pg_access: which rule of auth_hba_file a client's login falls under. Part of pg_client; same
 * owner, same thread. */
#ifndef SLUICE_PROXY_PG_ACCESS_H
#define SLUICE_PROXY_PG_ACCESS_H

#include "pg_client.h"
#include "sluice/proxy/access.h"

/* The rule for what its startup packet asks for. */
struct hba_answer pg_access_rule(struct pg_client *client);

/* With the method peer: may the system user at the other end of its socket log in by the rule? */
bool pg_access_peer(const struct pg_client *client, const struct hba_answer *rule);

#endif

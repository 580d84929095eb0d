/* pg_encryption: TLS with a client that speaks PostgreSQL's protocol: how it begins, and what it
 * says about who the client is. Part of pg_client; same owner, same thread. */
#ifndef SLUICE_PROXY_PG_ENCRYPTION_H
#define SLUICE_PROXY_PG_ENCRYPTION_H

#include "pg_client.h"
#include "sluice/proxy/access.h"

/* The first byte of TLS (a handshake record), which no startup packet begins with. */
#define PG_FIRST_BYTE_OF_TLS 0x16

/* An SSLRequest or GSSENCRequest, and how many bytes have come behind it. False: the client is
 * closed. */
bool pg_encryption_request(struct pg_client *client, uint32_t version, size_t behind);

/* The first bytes of a client that begins with TLS at once. False: the client is closed. */
bool pg_encryption_direct(struct pg_client *client, const uint8_t *bytes, size_t length);

/* True when the settings ask for TLS and the client did not. */
bool pg_encryption_missing(const struct pg_client *client);

/* Adds to the terms of its login: the channel binding, and whether its certificate names the user,
 * by the map of the rule, if one has let it in (auth_type = hba), else NULL. */
void pg_encryption_terms(const struct pg_client *client, const struct hba_answer *rule,
                         struct login_terms *terms);

/* For the log: protocol and cipher, or "no". */
const char *pg_encryption_text(const struct pg_client *client, char text[STREAM_TLS_BYTES]);

#endif

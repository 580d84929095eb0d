/* tls: certificates of our own, a PostgreSQL that speaks TLS, and a tunnel by which the raw client
 * and the fake server speak it too, cut into pieces as small as a test wants. */
#ifndef TESTS_HARNESS_TLS_H
#define TESTS_HARNESS_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness/client.h"
#include "harness/postgres.h"

/* The directory with, all as NAME.crt and NAME.key:
 *     ca, rogue         authorities; nobody trusts the second
 *     server            localhost and 127.0.0.1
 *     renewed           the same, another certificate
 *     elsewhere         db.example.com only
 *     expired           as server, but its time is over
 *     rogue-server      as server, by the rogue authority
 *     sha384, sha1      as server, signed with that hash
 *     user1, user2      clients' certificates for these common names
 *     user1-expired, user1-rogue
 * Made on the first call in a test. */
const char *certificates(void);

/* The three lines of [pgbouncer] that offer TLS with this certificate, in this mode. */
char *client_tls(const char *mode, const char *certificate);

/* A private server that speaks TLS with this certificate, and verifies clients' by ca.crt; lines of
 * pg_hba.conf come before the usual ones. */
void postgres_start_tls(struct postgres *postgres, const char *certificate, const char *hba);

/* The same server with another certificate from now on. */
void postgres_use_certificate(struct postgres *postgres, const char *certificate);

/* Carries what passes between the returned descriptor (plain) and fd (TLS) by a thread of its own,
 * which takes and sends at most `piece` bytes at a time on the side of TLS; it closes both when
 * either ends. answer: as the side that answers, with this certificate; else NULL. alpn: our
 * protocol is named. */
int tls_tunnel(int fd, const char *answer, bool alpn, size_t piece);

/* SSLRequest, its answer, and a tunnel. */
void client_secure(struct client *client, size_t piece);

/* A context for tests that speak TLS themselves; verifies nothing. */
SSL_CTX *tls_context(const char *answer);

#endif

/* tls: what the settings say about TLS, made ready: one context for clients and one for servers.
 * Made by the main thread at the start and at each reload; immutable; counted, so that a worker
 * goes on with the one it has until the next has come by mailbox. Any thread may use it. Open
 * connections keep what they were opened with. What happens inside a stream is stream.h's. */
#ifndef SLUICE_NET_TLS_H
#define SLUICE_NET_TLS_H

#include "sluice/conf/conf.h"

/* The one protocol that we name in ALPN, as PostgreSQL 17 does. */
#define TLS_PROTOCOL "postgresql"

struct ssl_ctx_st;

struct tls {
    _Atomic unsigned holders;
    enum sslmode client_mode, server_mode;
    bool server_direct;         /* to servers without an SSLRequest */
    struct ssl_ctx_st *clients; /* where we answer; NULL: no TLS with clients */
    struct ssl_ctx_st *servers; /* where we ask; NULL: no TLS with servers */
};

/* Reads the files that the settings name. NULL when something is wrong with them; every mistake is
 * added to the report. The count is one. */
struct tls *tls_new(const struct conf *conf, struct conf_report *report);

/* Counts; any thread. NULL is allowed. */
const struct tls *tls_hold(const struct tls *tls);
void tls_drop(const struct tls *tls);

/* The first of OpenSSL's errors in words, without file and line; empties its queue. */
#define TLS_ERROR_BYTES 160
const char *tls_error(char text[TLS_ERROR_BYTES]);

#endif

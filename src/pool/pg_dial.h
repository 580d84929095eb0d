/* pg_dial: whether and how TLS begins on a connection to a PostgreSQL server, as libpq's sslmode
 * says. Embedded in a login and in a cancel request; same owner, same thread. */
#ifndef SLUICE_POOL_PG_DIAL_H
#define SLUICE_POOL_PG_DIAL_H

#include "sluice/net/stream.h"
#include "sluice/net/tls.h"

enum pg_dial_state {
    PG_DIAL_PLAIN,   /* without TLS, from the start or after the server said no */
    PG_DIAL_ASKED,   /* SSLRequest is on its way */
    PG_DIAL_SECURED, /* TLS has begun; its handshake may still go on */
    PG_DIAL_FAILED,
};

struct pg_dial {
    enum pg_dial_state state;
    bool tls_wanted;
    bool tls_required;
    bool retried; /* at this address the other way has been tried before */
    const char *problem;
};

/* For a new address: the first way that the mode tries. */
void pg_dial_init(struct pg_dial *dial, const struct tls *tls, bool unix_socket);

/* The way of a connection that exists. */
void pg_dial_like(struct pg_dial *dial, bool secured);

/* The socket is connected. host: its name as the settings have it; it may be NULL. */
enum pg_dial_state pg_dial_begin(struct pg_dial *dial, struct stream *stream, const struct tls *tls,
                                 const char *host);

/* While ASKED: reads the answer. Stays ASKED when it has not come; FAILED: problem says why, or is
 * NULL when the stream has ended. */
enum pg_dial_state pg_dial_answer(struct pg_dial *dial, struct stream *stream,
                                  const struct tls *tls, const char *host);

/* The attempt failed: in the handshake, or (refused) since the server refuses this kind of
 * connection. True: the same address is to be tried the other way, which the mode allows. */
bool pg_dial_other_way(struct pg_dial *dial, const struct stream *stream, const struct tls *tls,
                       bool refused);

#endif

#include "pg_dial.h"

#include "sluice/wire/pg.h"

void pg_dial_init(struct pg_dial *dial, const struct tls *tls, bool unix_socket)
{
    bool possible = tls->servers && !unix_socket;

    *dial = (struct pg_dial){
        .tls_wanted = possible && tls->server_mode >= SSLMODE_PREFER,
        .tls_required = possible && tls->server_mode >= SSLMODE_REQUIRE,
        /* Nowhere to go from there. */
        .retried = !possible || tls->server_mode >= SSLMODE_REQUIRE,
    };
}

void pg_dial_like(struct pg_dial *dial, bool secured)
{
    *dial = (struct pg_dial){.tls_wanted = secured, .tls_required = secured, .retried = true};
}

static enum pg_dial_state dial_fail(struct pg_dial *dial, const char *problem)
{
    dial->problem = problem;
    return dial->state = PG_DIAL_FAILED;
}

enum pg_dial_state pg_dial_begin(struct pg_dial *dial, struct stream *stream, const struct tls *tls,
                                 const char *host)
{
    uint8_t request[8];

    if (!dial->tls_wanted)
        return dial->state = PG_DIAL_PLAIN;
    if (!tls->servers)
        return dial_fail(dial, "TLS with servers has been turned off");
    if (tls->server_direct) {
        stream_connect_tls(stream, tls, host);
        return dial->state = PG_DIAL_SECURED;
    }
    pg_put_u32(request, sizeof(request));
    pg_put_u32(request + 4, PG_REQUEST_SSL);
    stream_write(stream, request, sizeof(request));
    return dial->state = PG_DIAL_ASKED;
}

enum pg_dial_state pg_dial_answer(struct pg_dial *dial, struct stream *stream,
                                  const struct tls *tls, const char *host)
{
    uint8_t bytes[2];
    ssize_t got = stream_read(stream, bytes, sizeof(bytes));

    if (got == 0)
        return dial->state;
    if (got < 0)
        return dial_fail(dial, NULL);
    /* Such bytes would be taken for what came protected by TLS (CVE-2021-23222). */
    if (got > 1 && bytes[0] == 'S')
        return dial_fail(dial, "received unencrypted data after SSL response");
    if (bytes[0] == 'S' && got == 1 && tls->servers) {
        stream_connect_tls(stream, tls, host);
        return dial->state = PG_DIAL_SECURED;
    }
    if (bytes[0] == 'N' && got == 1) {
        if (dial->tls_required)
            return dial_fail(dial, "server does not support SSL, but SSL was required");
        dial->retried = true;
        return dial->state = PG_DIAL_PLAIN;
    }
    /* An error text that came without TLS may be anybody's (CVE-2024-10977). */
    if (bytes[0] == 'E')
        return dial_fail(dial, "server sent an error response during SSL exchange");
    return dial_fail(dial, "received invalid response to SSL negotiation");
}

bool pg_dial_other_way(struct pg_dial *dial, const struct stream *stream, const struct tls *tls,
                       bool refused)
{
    bool handshake_failed =
        dial->state == PG_DIAL_SECURED && !stream_tls_established(stream) && !refused;

    if (dial->retried || (!handshake_failed && !refused) || !tls->servers)
        return false;
    dial->retried = true;
    dial->tls_wanted = !dial->tls_wanted;
    return true;
}

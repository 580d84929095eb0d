/* What a client may ask before its startup packet: SSLRequest and GSSENCRequest (protocol
 * documentation, "SSL Session Encryption"), or TLS begun at once, as PostgreSQL 17 takes it. */
#include "pg_encryption.h"

#include <string.h>

#include "sluice/base/log.h"
#include "sluice/wire/pg.h"

#define NEGOTIATIONS_MAX 2
#define COMMON_NAME_BYTES 256

/* TLS with this client, if the settings offer it to anybody; never on a Unix socket. */
static const struct tls *encryption_offer(const struct pg_client *client)
{
    const struct tls *tls = client->worker->tls;

    return tls->clients && client->from.family != AF_UNIX ? tls : NULL;
}

bool pg_encryption_request(struct pg_client *client, uint32_t version, size_t behind)
{
    const struct tls *tls = encryption_offer(client);

    if (client->stream.tls || client->login->negotiations++ >= NEGOTIATIONS_MAX) {
        pg_client_close(client, "invalid startup packet");
        return false;
    }
    if (version != PG_REQUEST_SSL || !tls) {
        stream_write(&client->stream, "N", 1);
        return true;
    }
    /* Such bytes would be taken for what came protected by TLS (CVE-2021-23214). */
    if (behind > 0) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_BEHIND_SSL_REQUEST));
        return false;
    }
    stream_write(&client->stream, "S", 1);
    stream_accept_tls(&client->stream, tls, NULL, 0);
    return true;
}

bool pg_encryption_direct(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    const struct tls *tls = encryption_offer(client);

    if (!tls || client->stream.tls || client->login->negotiations > 0) {
        pg_client_close(client, "TLS begun without being offered");
        return false;
    }
    stream_accept_tls(&client->stream, tls, bytes, length);
    return true;
}

bool pg_encryption_missing(const struct pg_client *client)
{
    return client->worker->tls->client_mode >= SSLMODE_REQUIRE && client->from.family != AF_UNIX &&
           !client->stream.tls;
}

void pg_encryption_terms(const struct pg_client *client, const struct hba_answer *rule,
                         struct login_terms *terms)
{
    struct channel_binding *binding = &terms->binding;
    char name[COMMON_NAME_BYTES];

    if (!client->stream.tls)
        return;
    binding->bytes =
        (uint8_t)stream_tls_binding(&client->stream, binding->data, sizeof(binding->data));
    if (terms->method == AUTH_CERT)
        terms->identity_matches =
            stream_tls_common_name(&client->stream, name, sizeof(name)) &&
            (rule ? access_names(client->worker->access, rule, name, terms->user)
                  : strcmp(name, terms->user) == 0);
}

const char *pg_encryption_text(const struct pg_client *client, char text[STREAM_TLS_BYTES])
{
    stream_tls_text(&client->stream, text);
    return text[0] ? text : "no";
}

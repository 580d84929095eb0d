/* check: one client's login: which authentication request to send, and whether the answers are
 * right. It knows payloads only; the caller frames them ('R' out, 'p' in), limits their length and
 * times the whole. Embedded in a client that logs in; touched by its worker. Nothing allocates.
 *
 *     verdict = login_check_start(&check, &request);
 *     while (verdict == LOGIN_SEND) { send 'R' request; wait for 'p'; verdict = login_check_step();
 * }
 *
 * Which exchange is run (PgBouncer's rules):
 *     method         | plain secret | md5 secret      | SCRAM secret | none, or unknown user
 *     trust          | Ok           | Ok              | Ok           | Ok; unknown fails
 *     any            | Ok           | Ok              | Ok           | Ok
 *     plain          | cleartext    | cleartext       | cleartext    | as usual_kind, fails
 *     md5            | md5          | md5             | SCRAM        | as usual_kind, fails
 *     scram-sha-256  | SCRAM        | SCRAM that fails| SCRAM        | SCRAM that fails
 * A user who cannot get in is given a made-up secret and goes through the very same code, so that
 * neither the messages nor the time tell whether the user exists. */
#ifndef SLUICE_AUTH_CHECK_H
#define SLUICE_AUTH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/auth/error.h"
#include "sluice/auth/md5.h"
#include "sluice/auth/scram.h"
#include "sluice/auth/secret.h"

enum auth_method {
    AUTH_TRUST,
    AUTH_ANY,
    AUTH_PLAIN,
    AUTH_MD5,
    AUTH_SCRAM,
    AUTH_CERT,
    AUTH_PEER,
    AUTH_REJECT,
};

/* First word of an 'R' message (protocol documentation, "Message Formats"). */
enum auth_request_code {
    AUTH_REQUEST_OK = 0,
    AUTH_REQUEST_KERBEROS_5 = 2,
    AUTH_REQUEST_CLEARTEXT = 3,
    AUTH_REQUEST_MD5 = 5,
    AUTH_REQUEST_GSS = 7,
    AUTH_REQUEST_GSS_CONTINUE = 8,
    AUTH_REQUEST_SSPI = 9,
    AUTH_REQUEST_SASL = 10,
    AUTH_REQUEST_SASL_CONTINUE = 11,
    AUTH_REQUEST_SASL_FINAL = 12,
};

enum login_verdict {
    LOGIN_SEND,   /* send the payload, wait for the peer's next message */
    LOGIN_OK,     /* logged in; for a client there may be one more payload to send before Ok */
    LOGIN_FAILED, /* the error says why; close after telling the peer */
};

/* Payload of an 'R' message: the code, then data (inside struct login_check, valid until the next
 * call). */
struct auth_request {
    enum auth_request_code code;
    const void *data;
    size_t bytes;
};

/* Everything that a check has to know. All pointers are borrowed until login_check_fini(). */
struct login_terms {
    enum auth_method method;
    const char *user;
    const struct secret *secret;           /* NULL: no such user */
    const struct scram_verifier *verifier; /* of a plain secret, derived when the users were loaded;
                                            * NULL: derived now, a millisecond by which a known user
                                            * can be told from an unknown one */
    enum secret_kind usual_kind;           /* of most users here: what an unknown one looks like;
                                            * SECRET_NONE is taken as SECRET_SCRAM */
    const struct auth_key *key;
    uint32_t scram_iterations;
    struct channel_binding binding; /* with bytes: PLUS is offered too */
    bool identity_matches;          /* AUTH_CERT, AUTH_PEER: the certificate or the system user may
                                     * log in as this user (auth/ident.h) */
};

enum login_check_state {
    LOGIN_CHECK_START,
    LOGIN_CHECK_CLEARTEXT,
    LOGIN_CHECK_MD5,
    LOGIN_CHECK_MECHANISM, /* SASL: the client has to choose */
    LOGIN_CHECK_SCRAM,
    LOGIN_CHECK_OVER,
};

struct login_check {
    enum login_check_state state;
    const struct login_terms *terms; /* borrowed */
    struct secret secret;            /* the user's, or made up */
    bool doomed;                     /* the secret is made up */
    uint8_t salt[MD5_SALT_BYTES];
    char mock_text[MD5_SECRET_BYTES + 1];
    struct scram_server scram;
    struct auth_error error;
};

/* The method named as in auth_type or a pg_hba line ("password" is "plain"); false if unknown. */
bool auth_method_parse(const char *name, enum auth_method *method);

/* terms stays with the caller until _fini, which wipes. */
void login_check_init(struct login_check *check, const struct login_terms *terms);
void login_check_fini(struct login_check *check);

/* The first verdict: LOGIN_SEND with the request, or at once LOGIN_OK or LOGIN_FAILED. */
enum login_verdict login_check_start(struct login_check *check, struct auth_request *request);

/* Takes the payload of a 'p' message (any length and content). With LOGIN_OK, when request->code is
 * not AUTH_REQUEST_OK, that request is sent first; AuthenticationOk is always the caller's to send.
 * With LOGIN_FAILED, check->error is set. */
enum login_verdict login_check_step(struct login_check *check, const void *answer, size_t bytes,
                                    struct auth_request *request);

/* After LOGIN_OK by SCRAM: true and the keys with which to log in to a server as this client. */
bool login_check_keys(const struct login_check *check, struct scram_keys *keys);

#endif

/* scram: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks them, both
 * roles: scram_server verifies our clients, scram_client logs us in to servers. Nothing here
 * allocates. Structs are embedded in a login and touched by its worker; finish each with its _fini,
 * which wipes it. The user name inside the messages is ignored, as PostgreSQL does.
 *
 * Passwords are hashed as their bytes are. For ASCII that is what SASLprep (RFC 4013) makes of
 * them, and so it is for other UTF-8 that NFKC normalisation leaves alone (precomposed letters of
 * any script). A plain password with characters that NFKC changes (a micro sign, a superscript two,
 * a no-break space) matches only peers that do not normalise either; PostgreSQL does. Store such a
 * user's SCRAM secret instead, which needs no hashing here. */
#ifndef SLUICE_AUTH_SCRAM_H
#define SLUICE_AUTH_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/auth/error.h"
#include "sluice/auth/secret.h"

#define SCRAM_MECHANISM "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"

#define SCRAM_MESSAGE_BYTES_MAX 1024 /* of one message of the peer; PostgreSQL's limit too */
#define SCRAM_NONCE_BYTES 24         /* of our nonces: 18 random bytes in base64 */
#define SCRAM_NONCE_BYTES_MAX 256    /* of both nonces together */
#define SCRAM_ITERATIONS_MAX 1000000 /* that a server may ask of us: about a second of CPU */
#define SCRAM_TEXT_BYTES 2560        /* three messages of the largest size that we take */
#define CHANNEL_BINDING_BYTES_MAX 64

/* tls-server-end-point (RFC 5929): the hash of the server's certificate. bytes 0 = no TLS, or a
 * certificate without one: channel binding is then neither offered nor used. */
struct channel_binding {
    uint8_t bytes;
    uint8_t data[CHANNEL_BINDING_BYTES_MAX];
};

/* What a client has to know to log in without the password: ClientKey and ServerKey hold for one
 * salt and iteration count. Also the cache that spares PBKDF2 at each login to a server. */
struct scram_keys {
    uint32_t iterations; /* 0 = empty */
    uint8_t salt_bytes;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

enum scram_verdict {
    SCRAM_SEND,   /* send the message, wait for the next one */
    SCRAM_DONE,   /* the peer has proved itself; the server role has a last message to send */
    SCRAM_WRONG,  /* well-formed, but the proof is wrong (or the user was doomed from the start) */
    SCRAM_FAILED, /* *error says what is wrong with the message */
};

struct scram_message {
    const char *text; /* inside the exchange's struct, valid until the next call */
    size_t bytes;
};

/* The AuthMessage of RFC 5802 as it grows: client-first-bare "," server-first "," client-final-
 * without-proof. */
struct scram_text {
    size_t bytes;
    char data[SCRAM_TEXT_BYTES];
};

enum scram_server_state {
    SCRAM_SERVER_FIRST,
    SCRAM_SERVER_FINAL,
    SCRAM_SERVER_PROVEN,
    SCRAM_SERVER_OVER,
};

struct scram_server {
    enum scram_server_state state;
    bool plus;     /* the client chose SCRAM-SHA-256-PLUS */
    bool doomed;   /* must fail at the end whatever the client proves */
    char gs2_flag; /* 'n', 'y' or 'p' */
    struct scram_verifier verifier;
    struct channel_binding binding;
    char own_nonce[SCRAM_NONCE_BYTES_MAX / 2 + 1];
    size_t nonce_at, nonce_bytes; /* both nonces, in text */
    struct scram_text text;
    char final[48]; /* server-final-message */
    uint8_t client_key[SCRAM_KEY_BYTES];
};

enum scram_client_state {
    SCRAM_CLIENT_FIRST,
    SCRAM_CLIENT_FINAL,
    SCRAM_CLIENT_VERIFY,
    SCRAM_CLIENT_OVER,
};

struct scram_client {
    enum scram_client_state state;
    bool plus;
    struct channel_binding binding;
    const char *password;    /* borrowed, or NULL */
    struct scram_keys *keys; /* borrowed, or NULL */
    char own_nonce[SCRAM_NONCE_BYTES_MAX / 2 + 1];
    uint8_t server_signature[SCRAM_KEY_BYTES];
    size_t header_bytes; /* gs2-header, in text in front of the AuthMessage */
    struct scram_text text;
};

/* Writes 24 printable random characters and an ending zero. False if there is no randomness. */
bool scram_nonce(char nonce[SCRAM_NONCE_BYTES + 1]);

/* The salt of a user who has no stored one, the same in every call with the same key. */
bool scram_salt(const struct auth_key *key, const char *user, uint8_t salt[SCRAM_SALT_BYTES]);

/* Derives a verifier from a password; about a millisecond for 4,096 iterations. Do it once per user
 * (when the user list is loaded, or at the first login) and keep the verifier; never once per
 * login. salt_bytes is at most SCRAM_SALT_BYTES_MAX. False if the cryptographic library fails. */
bool scram_verifier_from_password(struct scram_verifier *verifier, const char *password,
                                  uint32_t iterations, const uint8_t *salt, size_t salt_bytes);

/* The verifier that a user without one is shown: right salt and iterations, keys nobody can match.
 */
bool scram_verifier_mock(struct scram_verifier *verifier, const struct auth_key *key,
                         const char *user, uint32_t iterations);

/* Sets *match to whether the password is the verifier's. Costs a PBKDF2. */
bool scram_check_password(const struct scram_verifier *verifier, const char *password, bool *match);

/* Starts the server role. The verifier and the binding are copied. doomed: run the whole exchange
 * and fail (unknown user). plus: the client chose SCRAM-SHA-256-PLUS (binding then has bytes).
 * A binding with bytes also means that PLUS was offered, so that a client which says that we did
 * not offer it is refused (downgrade). The nonce is copied: printable, at most half of
 * SCRAM_NONCE_BYTES_MAX, never used before (scram_nonce). */
void scram_server_init(struct scram_server *server, const struct scram_verifier *verifier,
                       bool doomed, bool plus, const struct channel_binding *binding,
                       const char *nonce);
void scram_server_fini(struct scram_server *server);

/* Takes client-first, then client-final (bytes from the network, any length and content). Sets
 * *reply for SCRAM_SEND (server-first) and SCRAM_DONE (server-final). */
enum scram_verdict scram_server_step(struct scram_server *server, const void *message, size_t bytes,
                                     struct scram_message *reply, struct auth_error *error);

/* After SCRAM_DONE: what the client proved to know, to log in to a server in its name. The server
 * must hold the very verifier that was used here. */
void scram_server_keys(const struct scram_server *server, struct scram_keys *keys);

/* Starts the client role with a password, with keys, or with both (at least one is not NULL; both
 * are borrowed until _fini). With a password and keys, keys is a cache: used when salt and
 * iterations match, else derived and overwritten. With keys alone, other salt or iterations fail.
 * plus: we chose SCRAM-SHA-256-PLUS. */
void scram_client_init(struct scram_client *client, const char *password, struct scram_keys *keys,
                       bool plus, const struct channel_binding *binding, const char *nonce);
void scram_client_fini(struct scram_client *client);

/* Makes client-first. */
void scram_client_first(struct scram_client *client, struct scram_message *message);

/* Takes server-first (SCRAM_SEND with client-final in *reply), then server-final (SCRAM_DONE, no
 * reply). A wrong server signature is SCRAM_FAILED: the server does not know the password. */
enum scram_verdict scram_client_step(struct scram_client *client, const void *message, size_t bytes,
                                     struct scram_message *reply, struct auth_error *error);

#endif

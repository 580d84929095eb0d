/* secret: what is stored about a user's password, in any of the forms that PostgreSQL knows.
 * A secret borrows its text; whoever owns the text (the settings, a row of auth_query) keeps it for
 * as long as the secret is in use. Once parsed it is read only: any thread. */
#ifndef SLUICE_AUTH_SECRET_H
#define SLUICE_AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_KEY_BYTES 32      /* of SHA-256 */
#define SCRAM_SALT_BYTES 16     /* of the salts that we make, as PostgreSQL's */
#define SCRAM_SALT_BYTES_MAX 64 /* of the salts that we take */
#define SCRAM_ITERATIONS_DEFAULT 4096
#define MD5_SECRET_BYTES 35 /* "md5" and 32 hexadecimal digits, without the ending zero */

enum secret_kind {
    SECRET_NONE,  /* the user has no password: no method that asks for one lets it in */
    SECRET_PLAIN, /* the password itself */
    SECRET_MD5,   /* "md5" + hex(md5(password + user)) */
    SECRET_SCRAM, /* "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>" */
};

/* What a server has to know to verify a SCRAM client (RFC 5802 section 3). */
struct scram_verifier {
    uint32_t iterations; /* 0 = empty */
    uint8_t salt_bytes;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

struct secret {
    enum secret_kind kind;
    const char *text;            /* as stored; "" for SECRET_NONE. Borrowed. */
    struct scram_verifier scram; /* SECRET_SCRAM only */
};

/* Random bytes drawn once per process. From it come the salts of users that do not exist or whose
 * secret is plain, so that they are the same at every login and tell nobody which users exist. */
struct auth_key {
    uint8_t bytes[32];
};

/* Draws the key. False if the system has no randomness to give. */
bool auth_key_init(struct auth_key *key);

/* Random bytes for keys, at most 1,024. False if the system has none to give. */
bool secret_random(void *bytes, size_t count);

/* Tells the kind of a stored secret as PostgreSQL does: text that merely resembles a hash (wrong
 * length, bad base64, salt of more than SCRAM_SALT_BYTES_MAX) is a plain password. text NULL or ""
 * gives SECRET_NONE. */
void secret_parse(struct secret *secret, const char *text);

/* Overwrites memory in a way that the compiler keeps. Use it for all that held a password or key.
 */
void secret_wipe(void *memory, size_t bytes);

/* True if both are equal; takes the same time wherever they differ. */
bool secret_equal(const void *a, const void *b, size_t bytes);

#endif

/* md5: PostgreSQL's AuthenticationMD5Password, both ends of it:
 *     "md5" + hex(md5(hex(md5(password + user)) + salt))
 * (protocol documentation, "Message Flow"). Pure functions; any thread.
 * All return false when the cryptographic library has no md5 (FIPS). */
#ifndef SLUICE_AUTH_MD5_H
#define SLUICE_AUTH_MD5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/auth/secret.h"

#define MD5_SALT_BYTES 4

/* Writes the stored form, "md5" + 32 digits + zero, of a password. */
bool md5_hash_password(const char *password, const char *user, char hash[MD5_SECRET_BYTES + 1]);

/* Writes the answer to a server's salt, or the answer to expect from a client. The secret is plain
 * or md5. */
bool md5_answer(const struct secret *secret, const char *user, const uint8_t salt[MD5_SALT_BYTES],
                char answer[MD5_SECRET_BYTES + 1]);

/* Sets *match to whether `answer` (bytes from the network, without the ending zero) is right;
 * constant time for a given length. */
bool md5_check(const struct secret *secret, const char *user, const uint8_t salt[MD5_SALT_BYTES],
               const char *answer, size_t bytes, bool *match);

#endif

#include "sluice/auth/md5.h"

#include <string.h>

#include "auth/crypto.h"
#include "sluice/base/ensure.h"

/* Writes "md5", the digest of first + second in hexadecimal, and a zero. */
static bool md5_text(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                     char text[MD5_SECRET_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[CRYPTO_MD5_BYTES];

    if (!crypto_md5(first, first_bytes, second, second_bytes, digest))
        return false;
    memcpy(text, "md5", 3);
    for (size_t i = 0; i < sizeof(digest); i++) {
        text[3 + 2 * i] = digits[digest[i] >> 4];
        text[4 + 2 * i] = digits[digest[i] & 15];
    }
    text[MD5_SECRET_BYTES] = '\0';
    secret_wipe(digest, sizeof(digest));
    return true;
}

bool md5_hash_password(const char *password, const char *user, char hash[MD5_SECRET_BYTES + 1])
{
    return md5_text(password, strlen(password), user, strlen(user), hash);
}

bool md5_answer(const struct secret *secret, const char *user, const uint8_t salt[MD5_SALT_BYTES],
                char answer[MD5_SECRET_BYTES + 1])
{
    char hash[MD5_SECRET_BYTES + 1];
    bool done = true;

    ensure(secret->kind == SECRET_PLAIN || secret->kind == SECRET_MD5);
    if (secret->kind == SECRET_MD5)
        memcpy(hash, secret->text, sizeof(hash));
    else
        done = md5_hash_password(secret->text, user, hash);
    done = done && md5_text(hash + 3, MD5_SECRET_BYTES - 3, salt, MD5_SALT_BYTES, answer);
    secret_wipe(hash, sizeof(hash));
    return done;
}

bool md5_check(const struct secret *secret, const char *user, const uint8_t salt[MD5_SALT_BYTES],
               const char *answer, size_t bytes, bool *match)
{
    char expected[MD5_SECRET_BYTES + 1];

    *match = false;
    if (!md5_answer(secret, user, salt, expected))
        return false;
    *match = bytes == MD5_SECRET_BYTES && secret_equal(answer, expected, MD5_SECRET_BYTES);
    secret_wipe(expected, sizeof(expected));
    return true;
}

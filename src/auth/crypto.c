#include "auth/crypto.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "sluice/auth/secret.h"
#include "sluice/base/ensure.h"

#define BASE64_TEXT_MAX 512 /* nothing that we read in base64 is longer */

/* Drawn for many logins at once: each draw costs a system call. */
static _Thread_local struct {
    uint8_t bytes[1024];
    size_t left;
} drawn;

bool crypto_random(void *bytes, size_t count)
{
    uint8_t *from;

    ensure(count <= sizeof(drawn.bytes));
    if (count > drawn.left) {
        if (RAND_bytes(drawn.bytes, sizeof(drawn.bytes)) != 1)
            return false;
        drawn.left = sizeof(drawn.bytes);
    }
    drawn.left -= count;
    from = drawn.bytes + drawn.left;
    memcpy(bytes, from, count);
    secret_wipe(from, count);
    return true;
}

bool crypto_md5(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                uint8_t digest[CRYPTO_MD5_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
                EVP_DigestUpdate(context, first, first_bytes) == 1 &&
                EVP_DigestUpdate(context, second, second_bytes) == 1 &&
                EVP_DigestFinal_ex(context, digest, NULL) == 1;

    EVP_MD_CTX_free(context);
    return done;
}

bool crypto_sha256(const void *data, size_t bytes, uint8_t digest[CRYPTO_SHA256_BYTES])
{
    return EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL) == 1;
}

bool crypto_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                 uint8_t digest[CRYPTO_SHA256_BYTES])
{
    ensure(key_bytes <= INT32_MAX);
    return HMAC(EVP_sha256(), key, (int)key_bytes, data, bytes, digest, NULL) != NULL;
}

bool crypto_pbkdf2(const char *password, size_t bytes, const uint8_t *salt, size_t salt_bytes,
                   uint32_t iterations, uint8_t digest[CRYPTO_SHA256_BYTES])
{
    ensure(bytes <= INT32_MAX && salt_bytes <= INT32_MAX);
    ensure(iterations > 0 && iterations <= INT32_MAX);
    return PKCS5_PBKDF2_HMAC(password, (int)bytes, salt, (int)salt_bytes, (int)iterations,
                             EVP_sha256(), CRYPTO_SHA256_BYTES, digest) == 1;
}

size_t crypto_base64_encode(const void *data, size_t bytes, char *text)
{
    ensure(bytes <= BASE64_TEXT_MAX);
    return (size_t)EVP_EncodeBlock((uint8_t *)text, data, (int)bytes);
}

/* OpenSSL's decoder skips spaces and takes padding anywhere, so the form is checked first. */
bool crypto_base64_decode(const char *text, size_t bytes, uint8_t *data, size_t room,
                          size_t *decoded_bytes)
{
    uint8_t decoded[BASE64_TEXT_MAX / 4 * 3];
    size_t padding = 0;

    if (bytes % 4 != 0 || bytes > BASE64_TEXT_MAX)
        return false;
    while (padding < 2 && padding < bytes && text[bytes - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < bytes - padding; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c > 0x7F || (!isalnum(c) && c != '+' && c != '/'))
            return false;
    }
    *decoded_bytes = bytes / 4 * 3 - padding;
    if (*decoded_bytes > room)
        return false;
    if (bytes > 0 && EVP_DecodeBlock(decoded, (const uint8_t *)text, (int)bytes) < 0)
        return false;
    memcpy(data, decoded, *decoded_bytes);
    secret_wipe(decoded, sizeof(decoded));
    return true;
}

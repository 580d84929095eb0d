/* crypto: the few primitives that auth needs, on OpenSSL. Private to this folder. Functions return
 * false when the library fails (no memory, an algorithm that is switched off). Any thread. */
#ifndef SLUICE_AUTH_CRYPTO_H
#define SLUICE_AUTH_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_MD5_BYTES 16
#define CRYPTO_SHA256_BYTES 32

/* Characters of base64, padded, without an ending zero. */
#define CRYPTO_BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4)

/* At most 1,024 bytes. A process may not fork and go on in both after the first call. */
bool crypto_random(void *bytes, size_t count);

/* md5 of the two pieces one after the other. */
bool crypto_md5(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                uint8_t digest[CRYPTO_MD5_BYTES]);

bool crypto_sha256(const void *data, size_t bytes, uint8_t digest[CRYPTO_SHA256_BYTES]);

bool crypto_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                 uint8_t digest[CRYPTO_SHA256_BYTES]);

/* PBKDF2 with HMAC-SHA-256. */
bool crypto_pbkdf2(const char *password, size_t bytes, const uint8_t *salt, size_t salt_bytes,
                   uint32_t iterations, uint8_t digest[CRYPTO_SHA256_BYTES]);

/* Writes CRYPTO_BASE64_BYTES(bytes) characters and an ending zero; returns the characters. */
size_t crypto_base64_encode(const void *data, size_t bytes, char *text);

/* Strict: padded, no spaces. False if it is not base64 or more than `room` bytes. */
bool crypto_base64_decode(const char *text, size_t bytes, uint8_t *data, size_t room,
                          size_t *decoded_bytes);

#endif

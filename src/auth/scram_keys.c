#include "auth/scram_keys.h"

#include <string.h>

#include "auth/crypto.h"
#include "sluice/base/ensure.h"

bool scram_nonce(char nonce[SCRAM_NONCE_BYTES + 1])
{
    uint8_t bytes[SCRAM_NONCE_BYTES / 4 * 3];

    if (!crypto_random(bytes, sizeof(bytes)))
        return false;
    crypto_base64_encode(bytes, sizeof(bytes), nonce);
    return true;
}

bool scram_keys_derive(struct scram_keys *keys, const char *password, uint32_t iterations,
                       const uint8_t *salt, size_t salt_bytes)
{
    uint8_t salted[SCRAM_KEY_BYTES];
    bool done;

    ensure(salt_bytes > 0 && salt_bytes <= SCRAM_SALT_BYTES_MAX);
    *keys = (struct scram_keys){.iterations = iterations, .salt_bytes = (uint8_t)salt_bytes};
    memcpy(keys->salt, salt, salt_bytes);
    done = crypto_pbkdf2(password, strlen(password), salt, salt_bytes, iterations, salted) &&
           crypto_hmac(salted, sizeof(salted), "Client Key", 10, keys->client_key) &&
           crypto_hmac(salted, sizeof(salted), "Server Key", 10, keys->server_key);
    secret_wipe(salted, sizeof(salted));
    if (!done)
        secret_wipe(keys, sizeof(*keys));
    return done;
}

bool scram_stored_key(const uint8_t client_key[SCRAM_KEY_BYTES],
                      uint8_t stored_key[SCRAM_KEY_BYTES])
{
    return crypto_sha256(client_key, SCRAM_KEY_BYTES, stored_key);
}

bool scram_sign(const uint8_t key[SCRAM_KEY_BYTES], const char *message, size_t bytes,
                uint8_t signature[SCRAM_KEY_BYTES])
{
    return crypto_hmac(key, SCRAM_KEY_BYTES, message, bytes, signature);
}

void scram_xor(const uint8_t a[SCRAM_KEY_BYTES], const uint8_t b[SCRAM_KEY_BYTES],
               uint8_t out[SCRAM_KEY_BYTES])
{
    for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
        out[i] = a[i] ^ b[i];
}

bool scram_salt(const struct auth_key *key, const char *user, uint8_t salt[SCRAM_SALT_BYTES])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];

    if (!crypto_hmac(key->bytes, sizeof(key->bytes), user, strlen(user), digest))
        return false;
    memcpy(salt, digest, SCRAM_SALT_BYTES);
    return true;
}

bool scram_verifier_from_password(struct scram_verifier *verifier, const char *password,
                                  uint32_t iterations, const uint8_t *salt, size_t salt_bytes)
{
    struct scram_keys keys;
    bool done;

    *verifier =
        (struct scram_verifier){.iterations = iterations, .salt_bytes = (uint8_t)salt_bytes};
    done = scram_keys_derive(&keys, password, iterations, salt, salt_bytes) &&
           scram_stored_key(keys.client_key, verifier->stored_key);
    memcpy(verifier->salt, keys.salt, sizeof(verifier->salt));
    memcpy(verifier->server_key, keys.server_key, SCRAM_KEY_BYTES);
    secret_wipe(&keys, sizeof(keys));
    return done;
}

bool scram_verifier_mock(struct scram_verifier *verifier, const struct auth_key *key,
                         const char *user, uint32_t iterations)
{
    *verifier = (struct scram_verifier){.iterations = iterations, .salt_bytes = SCRAM_SALT_BYTES};
    return scram_salt(key, user, verifier->salt) &&
           crypto_sha256(key->bytes, sizeof(key->bytes), verifier->stored_key) &&
           crypto_sha256(verifier->stored_key, SCRAM_KEY_BYTES, verifier->server_key);
}

bool scram_check_password(const struct scram_verifier *verifier, const char *password, bool *match)
{
    struct scram_keys keys;

    *match = false;
    if (!scram_keys_derive(&keys, password, verifier->iterations, verifier->salt,
                           verifier->salt_bytes))
        return false;
    *match = secret_equal(keys.server_key, verifier->server_key, SCRAM_KEY_BYTES);
    secret_wipe(&keys, sizeof(keys));
    return true;
}

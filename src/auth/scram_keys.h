/* scram_keys: the key schedule of RFC 5802 section 3, for both roles. Private to this folder. */
#ifndef SLUICE_AUTH_SCRAM_KEYS_H
#define SLUICE_AUTH_SCRAM_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/auth/scram.h"

/* ClientKey and ServerKey of a password: the expensive step. */
bool scram_keys_derive(struct scram_keys *keys, const char *password, uint32_t iterations,
                       const uint8_t *salt, size_t salt_bytes);

/* StoredKey = H(ClientKey). */
bool scram_stored_key(const uint8_t client_key[SCRAM_KEY_BYTES],
                      uint8_t stored_key[SCRAM_KEY_BYTES]);

/* ClientSignature or ServerSignature: HMAC(StoredKey or ServerKey, AuthMessage). */
bool scram_sign(const uint8_t key[SCRAM_KEY_BYTES], const char *message, size_t bytes,
                uint8_t signature[SCRAM_KEY_BYTES]);

/* out = a XOR b, which takes ClientKey to ClientProof and back. */
void scram_xor(const uint8_t a[SCRAM_KEY_BYTES], const uint8_t b[SCRAM_KEY_BYTES],
               uint8_t out[SCRAM_KEY_BYTES]);

#endif

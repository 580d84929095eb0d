#include "sluice/auth/secret.h"

#include <openssl/crypto.h>
#include <string.h>

#include "auth/crypto.h"

static const char scram_prefix[] = "SCRAM-SHA-256$";

bool secret_random(void *bytes, size_t count)
{
    return crypto_random(bytes, count);
}

bool auth_key_init(struct auth_key *key)
{
    return crypto_random(key->bytes, sizeof(key->bytes));
}

static bool parse_iterations(const char *text, size_t bytes, uint32_t *iterations)
{
    uint64_t value = 0;

    if (bytes == 0 || bytes > 10)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value == 0 || value > INT32_MAX)
        return false;
    *iterations = (uint32_t)value;
    return true;
}

static bool parse_key(const char *text, size_t bytes, uint8_t key[SCRAM_KEY_BYTES])
{
    size_t decoded;

    return crypto_base64_decode(text, bytes, key, SCRAM_KEY_BYTES, &decoded) &&
           decoded == SCRAM_KEY_BYTES;
}

/* SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> */
static bool parse_scram(const char *text, struct scram_verifier *verifier)
{
    const char *iterations, *salt, *stored, *server;
    size_t salt_bytes;

    if (strncmp(text, scram_prefix, sizeof(scram_prefix) - 1) != 0)
        return false;
    iterations = text + sizeof(scram_prefix) - 1;
    salt = strchr(iterations, ':');
    if (!salt++)
        return false;
    stored = strchr(salt, '$');
    if (!stored++)
        return false;
    server = strchr(stored, ':');
    if (!server++)
        return false;
    if (!parse_iterations(iterations, (size_t)(salt - iterations) - 1, &verifier->iterations) ||
        !crypto_base64_decode(salt, (size_t)(stored - salt) - 1, verifier->salt,
                              sizeof(verifier->salt), &salt_bytes) ||
        salt_bytes == 0 ||
        !parse_key(stored, (size_t)(server - stored) - 1, verifier->stored_key) ||
        !parse_key(server, strlen(server), verifier->server_key))
        return false;
    verifier->salt_bytes = (uint8_t)salt_bytes;
    return true;
}

static bool is_md5(const char *text)
{
    return strncmp(text, "md5", 3) == 0 && strlen(text) == MD5_SECRET_BYTES &&
           strspn(text + 3, "0123456789abcdef") == MD5_SECRET_BYTES - 3;
}

void secret_parse(struct secret *secret, const char *text)
{
    *secret = (struct secret){.kind = SECRET_PLAIN, .text = text ? text : ""};
    if (secret->text[0] == '\0')
        secret->kind = SECRET_NONE;
    else if (is_md5(secret->text))
        secret->kind = SECRET_MD5;
    else if (parse_scram(secret->text, &secret->scram))
        secret->kind = SECRET_SCRAM;
    else
        secret_wipe(&secret->scram, sizeof(secret->scram));
}

void secret_wipe(void *memory, size_t bytes)
{
    OPENSSL_cleanse(memory, bytes);
}

bool secret_equal(const void *a, const void *b, size_t bytes)
{
    return CRYPTO_memcmp(a, b, bytes) == 0;
}

#include "sluice/pool/statement.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/auth/digest.h"
#include "sluice/base/memory.h"

void statement_key(const uint8_t *body, size_t body_bytes, uint8_t key[STATEMENT_KEY_BYTES])
{
    uint8_t digest[DIGEST_BYTES];

    digest_of(body, body_bytes, digest);
    memcpy(key, digest, STATEMENT_KEY_BYTES);
}

void statement_name(const uint8_t key[STATEMENT_KEY_BYTES], char name[STATEMENT_NAME_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *at = stpcpy(name, STATEMENT_NAME_PREFIX);

    for (size_t i = 0; i < STATEMENT_KEY_BYTES; i++) {
        *at++ = digits[key[i] >> 4];
        *at++ = digits[key[i] & 15];
    }
    *at = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool statement_key_of_name(const char *name, uint8_t key[STATEMENT_KEY_BYTES])
{
    if (strlen(name) != STATEMENT_NAME_BYTES - 1 ||
        strncmp(name, STATEMENT_NAME_PREFIX, sizeof(STATEMENT_NAME_PREFIX) - 1) != 0)
        return false;
    name += sizeof(STATEMENT_NAME_PREFIX) - 1;
    for (size_t i = 0; i < STATEMENT_KEY_BYTES; i++) {
        int high = digit_value(name[2 * i]), low = digit_value(name[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

struct pg_statement *statement_find(const struct statements *statements,
                                    const uint8_t key[STATEMENT_KEY_BYTES])
{
    struct pg_statement *statement;

    HASH_FIND(hh, statements->by_key, key, STATEMENT_KEY_BYTES, statement);
    return statement;
}

struct pg_statement *statement_get(struct statements *statements,
                                   const uint8_t key[STATEMENT_KEY_BYTES], const uint8_t *body,
                                   size_t body_bytes)
{
    struct pg_statement *statement = statement_find(statements, key);

    if (!statement) {
        statement = memory_new(sizeof(*statement) + body_bytes);
        memcpy(statement->key, key, STATEMENT_KEY_BYTES);
        statement_name(key, statement->name);
        statement->body_bytes = body_bytes;
        memcpy(statement->body, body, body_bytes);
        HASH_ADD(hh, statements->by_key, key, STATEMENT_KEY_BYTES, statement);
    }
    statement->holders++;
    return statement;
}

void statement_drop(struct statements *statements, struct pg_statement *statement)
{
    if (!statement || --statement->holders > 0)
        return;
    HASH_DEL(statements->by_key, statement);
    free(statement);
}

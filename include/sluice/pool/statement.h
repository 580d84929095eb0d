/* statement: the content of prepared statements, text and parameter types, kept once however many
 * clients have it. The name that a statement has on servers is made from its content, so that it is
 * the same on every server and worker. A struct statements belongs to one worker, and the
 * statements in it. */
#ifndef SLUICE_POOL_STATEMENT_H
#define SLUICE_POOL_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#define STATEMENT_KEY_BYTES 16
#define STATEMENT_NAME_PREFIX "sluice_"
/* The prefix, two digits for each byte of the key, and a NUL. */
#define STATEMENT_NAME_BYTES (sizeof(STATEMENT_NAME_PREFIX) + 2 * STATEMENT_KEY_BYTES)

struct pg_statement {
    UT_hash_handle hh;
    uint8_t key[STATEMENT_KEY_BYTES]; /* of the SHA-256 of body */
    char name[STATEMENT_NAME_BYTES];  /* on servers */
    size_t holders;
    bool sql;          /* PREPARE has made it: body is that statement's text, behind its name */
    uint64_t stale_us; /* when a server last said that the tables have changed under it */
    size_t body_bytes;
    uint8_t body[]; /* of the Parse message, from the text on; or see sql */
};

struct statements {
    struct pg_statement *by_key; /* hash */
};

void statement_key(const uint8_t *body, size_t body_bytes, uint8_t key[STATEMENT_KEY_BYTES]);

/* The name on servers of the statement with this key, with a NUL; and back: false when it is no
 * such name. */
void statement_name(const uint8_t key[STATEMENT_KEY_BYTES], char name[STATEMENT_NAME_BYTES]);
bool statement_key_of_name(const char *name, uint8_t key[STATEMENT_KEY_BYTES]);

/* The statement with this content, made when new; held for the caller. key is its statement_key().
 */
struct pg_statement *statement_get(struct statements *statements,
                                   const uint8_t key[STATEMENT_KEY_BYTES], const uint8_t *body,
                                   size_t body_bytes);

/* NULL when no client of this worker has it. Not held. */
struct pg_statement *statement_find(const struct statements *statements,
                                    const uint8_t key[STATEMENT_KEY_BYTES]);

/* NULL is ignored. */
void statement_drop(struct statements *statements, struct pg_statement *statement);

#endif

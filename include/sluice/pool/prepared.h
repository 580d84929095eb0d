/* prepared: which statements a PostgreSQL server has prepared, by their keys (statement.h), and in
 * which order they were used. What is sent is believed at once within the same stretch up to a
 * Sync, since the server skips the rest of it if something fails, and for sure once it is answered.
 * Where the outcome is not known the statement is in doubt: closing a statement that does not exist
 * is no error, so Close and Parse together make it sure again. Belongs to its server's thread;
 * moves with the server. */
#ifndef SLUICE_POOL_PREPARED_H
#define SLUICE_POOL_PREPARED_H

#include "sluice/base/list.h"
#include "sluice/pool/statement.h"
#include "sluice/wire/pg_description.h"

enum prepared_state {
    PREPARED_NOT,     /* the server does not have it */
    PREPARED_SURE,    /* it has it */
    PREPARED_SENT,    /* Parse was sent in this stretch */
    PREPARED_EARLIER, /* Parse or Close was sent in an earlier stretch: the answer will tell */
    PREPARED_DOUBT,   /* perhaps: Close it before Parse */
};

struct prepared_entry;

struct prepared {
    struct prepared_entry *by_key; /* hash */
    struct list by_use;            /* the one used last first; without those being closed */
    uint32_t serial;               /* of the last change sent */
};

void prepared_init(struct prepared *prepared);
void prepared_fini(struct prepared *prepared);

/* stretch: number of the present one, from 1 on. */
enum prepared_state prepared_look(const struct prepared *prepared,
                                  const uint8_t key[STATEMENT_KEY_BYTES], uint32_t stretch);

/* It is used: the last of all to be evicted. It must be there. */
void prepared_used(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES]);

/* A Parse is sent; returns the serial number for prepared_settle(). */
uint32_t prepared_parse(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                        uint32_t stretch);

/* When more than `most` are there, picks the one that was used longest ago, as being closed from
 * now on; its key and serial number. False: there are not so many. */
bool prepared_evict(struct prepared *prepared, size_t most, uint32_t stretch,
                    uint8_t key[STATEMENT_KEY_BYTES], uint32_t *serial);

/* The server has answered a change, or skipped or refused it. */
void prepared_settle(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                     uint32_t serial, bool done);

/* The server has answered, at that time, what parameters and columns it has there. Ignored when it
 * is not sure any more. */
void prepared_describe(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                       struct pg_description description, uint64_t now_us);

/* That, and when it was; all 0 when it is not sure, or was not told. */
struct pg_description prepared_description(const struct prepared *prepared,
                                           const uint8_t key[STATEMENT_KEY_BYTES],
                                           uint64_t *described_us);

/* Nothing is sure of this one, of any any more. */
void prepared_doubt(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES]);
void prepared_doubt_all(struct prepared *prepared);

#endif

/* effects: what a statement may leave in its session when its transaction is over: settings,
 * temporary tables, locks ... First effects_possible(), a scan that lets ordinary statements pass
 * at about a nanosecond a byte; effects_find() then reads the text with PostgreSQL's own parser.
 * Where the text does not tell, more is said than may be true: who acts on it asks the server
 * afterwards. What functions do cannot be seen. Pure; any thread. */
#ifndef SLUICE_BATCH_EFFECTS_H
#define SLUICE_BATCH_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EFFECTS_TEXT_BYTES_MAX 16384
#define EFFECTS_NAMES_MAX 16
#define EFFECTS_NAME_BYTES 64

enum effect {
    EFFECT_SETTINGS = 1 << 0,  /* SET, RESET, set_config(..., false) */
    EFFECT_UNKNOWN = 1 << 1,   /* a setting whose name the text does not tell */
    EFFECT_TEMPORARY = 1 << 2, /* temporary tables, views, sequences, functions ... */
    EFFECT_LISTEN = 1 << 3,
    EFFECT_LOCK = 1 << 4,    /* advisory locks of the session */
    EFFECT_CURSOR = 1 << 5,  /* DECLARE ... WITH HOLD */
    EFFECT_PREPARE = 1 << 6, /* SQL's PREPARE */
    EFFECT_LOAD = 1 << 7, /* LOAD; its CommandComplete tells, not its text */
    EFFECT_AUTHORIZATION = 1 << 8, /* SET or RESET SESSION AUTHORIZATION */
    EFFECT_RESET_ALL = 1 << 9,     /* RESET ALL, DISCARD ALL */
    EFFECT_DEFAULT = 1 << 10,      /* SET ... TO DEFAULT */
};

#define EFFECTS_ALL                                                                     \
    (EFFECT_SETTINGS | EFFECT_TEMPORARY | EFFECT_LISTEN | EFFECT_LOCK | EFFECT_CURSOR | \
     EFFECT_PREPARE | EFFECT_AUTHORIZATION)

struct effects {
    unsigned begins; /* EFFECT_ bits: it may leave these */
    unsigned ends;   /* it may do away with these */
    unsigned count;  /* of the settings that it names */
    char names[EFFECTS_NAMES_MAX][EFFECTS_NAME_BYTES];
};

/* False: the statement leaves nothing that could be seen in its text. */
bool effects_possible(const char *text, size_t bytes);

/* text: with a NUL. A text that is too long, or that cannot be read, may leave anything. */
void effects_find(const char *text, struct effects *effects);

#endif

/* lookup: statements that may be asked for many clients at once. Decides from the text whether a
 * statement is a pure lookup, says what to ask the server to be sure, writes the batched statement.
 * No I/O; any thread. A struct lookup never changes once made: cache it by text. docs/lookups.md
 * has what is proven, what is assumed, and why.
 *
 * Life of a lookup, for the caller:
 *  1. lookup_new(text); refusal says no, or that the text itself is harmless.
 *  2. On a server, under the session parameters of the clients: Parse and Describe the client's own
 *     text, which gives the parameters' type OIDs, then ask lookup_probe(). Both hold for one
 *     (database, user, session parameters, text, declared parameter types), no wider. Ask the probe
 *     anew where the batched statement is prepared on another server connection: the catalogs move.
 *  3. lookup_rewrite(): Parse it without parameter types, and Describe it: unless its columns are
 *     _sluice_ord (int8) and then the very types of step 2, do not use it.
 *  4. Per batch, each parameter is one array (batch/array.h), a key per element. Each row begins
 *     with the int8 ordinal, from 1, of the key it belongs to. Keys come in order, and a key's rows
 *     in the order of the client's statement; demultiplex by the ordinal all the same.
 *
 * Only sessions alike in all of these may share a batch, or a prepared batched statement:
 *  - user and role, search_path, row_security: what the names mean and what may be read;
 *  - client_encoding (see lookup_encoding_safe), DateStyle, IntervalStyle, TimeZone,
 *    extra_float_digits, bytea_output, lc_monetary, lc_numeric, lc_time, xmloption, xmlbinary,
 *    default_text_search_config: how values are read and written. Constants of the text are read
 *    as it is prepared: what was prepared under one TimeZone or DateStyle is wrong for another;
 *  - transform_null_equals, standard_conforming_strings and array_nulls (both must be on): what the
 *    text means. A session that has SET anything which is not tracked must not be batched.
 * Those with equal timeouts, isolation level and planner settings see what they would alone. */
#ifndef SLUICE_BATCH_LOOKUP_H
#define SLUICE_BATCH_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOKUP_TEXT_BYTES_MAX 16384 /* longer ones could nest too deep for a stack of 2 MB */
#define LOOKUP_PARAMS_MAX 64
#define LOOKUP_DETAIL_BYTES 64

enum lookup_refusal {
#define REFUSAL(name, text) LOOKUP_##name,
#include "sluice/batch/refusals.def"
#undef REFUSAL
    LOOKUP_REFUSALS
};

struct lookup_place { /* of one $n */
    size_t offset;    /* in the text */
    unsigned number;
};

struct lookup {
    enum lookup_refusal refusal;      /* LOOKUP_NONE: may be batched if the probe agrees */
    char detail[LOOKUP_DETAIL_BYTES]; /* the name that led to the refusal, or "" */
    unsigned params;                  /* n of $1 ... $n */

    /* For lookup.c only: */
    char *text;   /* ends with the statement */
    size_t start; /* of the statement */
    bool limited; /* has a LIMIT, OFFSET or FETCH of its own */
    struct lookup_place *places;
    size_t places_count;
    char *probe;
};

/* What the probe says of a parameter's type. */
struct lookup_type {
    const char *name; /* quoted, with schema */
    bool text_only;   /* values in binary format cannot be batched (array types, box) */
};

/* The refusal in words, for logs and the console. */
const char *lookup_refusal_text(enum lookup_refusal refusal);

/* Analyses a statement of the extended protocol, in ASCII or UTF-8. Never NULL; free it. */
struct lookup *lookup_new(const char *text);
void lookup_free(struct lookup *lookup);

/* The question to ask of the server, owned by the lookup; only if not refused. Its parameter $1 is
 * the oid[] of the described parameter types. It answers with one row per parameter, in order:
 * refusal (int4: an enum lookup_refusal, the same in every row), type name (text) and text_only
 * (bool); name and text_only mean something only when the refusal is LOOKUP_NONE. */
const char *lookup_probe(const struct lookup *lookup);

/* Reads a refusal that the probe answered with, in text format. What is no refusal of this build
 * counts as LOOKUP_CONSTRUCT. */
enum lookup_refusal lookup_probe_refusal(const char *answer);

/* The batched statement, for the caller to free(). `types` has one entry per parameter. NULL if
 * count is not the statement's number of parameters (a client may declare more than it uses). */
char *lookup_rewrite(const struct lookup *lookup, const struct lookup_type *types, unsigned count);

/* True if no character of this client_encoding (as the server reports it) contains an ASCII byte.
 * Under the others, such as SJIS or GBK, a backslash or quote may be half a character: text beyond
 * ASCII cannot be parsed, nor text values put into arrays; do not batch. */
bool lookup_encoding_safe(const char *client_encoding);

#endif

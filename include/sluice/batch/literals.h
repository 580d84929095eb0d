/* literals: statements of the simple protocol as statements with parameters, so that those which
 * differ in their literals only are one lookup. Pure; any thread; nothing here allocates but
 * literals_choose(), which parses (15 to 100 us) and is asked once for each shape.
 *
 *  1. literals_find() finds the literals, literals_shape() writes the text without them.
 *  2. What literals_choose() said is kept by shape: which literals may be parameters.
 *  3. literals_normalise() writes the statement with these as $1 ... $n, and their values. The text
 *     together with the parameters' types is the key under which lookup_new()'s result is kept; it
 *     says whether the statement is a lookup.
 *
 * A literal becomes a parameter where its value alone can matter: a plain number or '...' that
 * WHERE compares with a column (column = literal, also < > <= >= <>, and turned round; column IN
 * (...); column BETWEEN). All others stay in the text: in the select list or ORDER BY or LIMIT,
 * typed ones, patterns, other notations. */
#ifndef SLUICE_BATCH_LITERALS_H
#define SLUICE_BATCH_LITERALS_H

#include "sluice/batch/lookup.h"

#define LITERALS_MAX LOOKUP_PARAMS_MAX

enum literal_kind { LITERAL_INTEGER = 'i', LITERAL_NUMBER = 'n', LITERAL_STRING = 's' };

struct literal { /* of a text: bytes start to end - 1, quotes included, sign not */
    uint32_t start, end;
    enum literal_kind kind; /* as the parser tells them apart: an integer fits int4 */
};

struct literals {
    size_t bytes; /* of the text */
    unsigned count;
    struct literal items[LITERALS_MAX];
};

/* Which literals become parameters: a bit for each of `items`. The same for all texts of a shape.
 */
struct literals_choice {
    enum lookup_refusal refusal; /* LOOKUP_NONE, or why none does */
    uint64_t params;
    uint64_t negative; /* of these: the minus sign before it belongs to it */
};

struct literals_param {
    const char *value; /* text format, NUL-terminated, in the caller's memory */
    size_t bytes;
    uint32_t type; /* OID to declare: int4, int8, numeric; 0 for a string, as untyped as it was */
};

struct literals_normal {
    const char *text; /* NUL-terminated, in the caller's memory */
    size_t bytes;
    unsigned count;
    struct literals_param params[LITERALS_MAX];
};

/* Finds all plain numbers and strings in a statement. It must be in an encoding that is safe by
 * lookup_encoding_safe(), under standard_conforming_strings = on. False if there are none, too
 * many, an E'...', or one without end, or if the text is longer than LOOKUP_TEXT_BYTES_MAX: then
 * relay it as it is. */
bool literals_find(struct literals *literals, const char *text);

/* Memory that literals_shape() and literals_normalise() need at most. */
#define LITERALS_BYTES_MAX (2 * LOOKUP_TEXT_BYTES_MAX + 8 * LITERALS_MAX)

/* Writes the text with each literal replaced by a mark of its kind. Returns the length. */
size_t literals_shape(const struct literals *literals, const char *text, char *shape);

/* Parses the text to choose the literals that may be parameters. */
struct literals_choice literals_choose(const struct literals *literals, const char *text);

/* Applies a choice made for this shape. `memory` is LITERALS_BYTES_MAX, and must outlive `normal`.
 */
void literals_normalise(const struct literals *literals, const struct literals_choice *choice,
                        const char *text, char *memory, struct literals_normal *normal);

#endif

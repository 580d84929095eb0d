/* prepare: SQL's own statements about prepared statements, found in a text: which name they mean
 * and where in the text it stands, so that it can be another one on the server. Pure; any thread.
 */
#ifndef SLUICE_BATCH_PREPARE_H
#define SLUICE_BATCH_PREPARE_H

#include <stdbool.h>
#include <stddef.h>

#define PREPARE_NAME_BYTES 64

enum prepare_kind {
    PREPARE_NONE,    /* nothing in the text is about the names of prepared statements */
    PREPARE_NAMES,   /* it is PREPARE name ..., and nothing else */
    PREPARE_EXECUTE, /* it is EXECUTE name ..., and nothing else */
    PREPARE_HIDDEN,  /* such a statement may be in it, where it cannot be given another name */
};

struct prepare {
    enum prepare_kind kind;
    char name[PREPARE_NAME_BYTES]; /* as PostgreSQL reads it */
    size_t start, end;             /* where it stands in the text, with its quotes */
};

/* True when the text begins with PREPARE, EXECUTE or a comment. */
bool prepare_begins(const char *text, size_t bytes);

/* True when a word of the text could be one of these statements. DISCARD is none of them. */
bool prepare_mentioned(const char *text, size_t bytes);

/* text: with a NUL, at most EFFECTS_TEXT_BYTES_MAX. DEALLOCATE by itself is PREPARE_NONE. */
void prepare_find(const char *text, struct prepare *prepare);

#endif

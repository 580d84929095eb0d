/* walk: goes through a statement's tree, refuses whatever is not known to be safe, and notes what
 * the rewriting and the probe need. One walk belongs to who started it; any thread. */
#ifndef SLUICE_BATCH_WALK_H
#define SLUICE_BATCH_WALK_H

#include "sluice/batch/lookup.h"
#include "statement.h"

#include <stdio.h>

/* Names for the probe; each a list of SQL string literals with ", " before each one. */
enum walk_names {
    WALK_RELATIONS, /* quoted, as to_regclass() reads them */
    WALK_FUNCTIONS,
    WALK_OPERATORS,
    WALK_FIELDS, /* b of a.b: a column, or the call b(a) */
    WALK_NAMES
};

struct walk {
    const struct statement *statement;
    enum lookup_refusal refusal; /* the first one found */
    char *detail;                /* LOOKUP_DETAIL_BYTES of the caller's: the culprit's name */
    bool table_seen;
    struct lookup_place *places; /* of the parameters, in the tree's order; to be freed */
    size_t places_count, places_size;
    FILE *names[WALK_NAMES];
    char *names_text[WALK_NAMES]; /* complete after walk_statement(); to be freed */
};

void walk_statement(struct walk *walk, const struct statement *statement, char *detail);

/* Notes why the statement cannot be batched; only the first reason counts. detail may be NULL. */
void walk_refuse(struct walk *walk, enum lookup_refusal refusal, const char *detail);

/* checks.c: what a node's kind and fields alone do not tell. Each gets the node's fields. */
void check_column(struct walk *walk, json_t *fields);
void check_constant(struct walk *walk, json_t *fields);
void check_expression(struct walk *walk, json_t *fields);
void check_function(struct walk *walk, json_t *fields);
void check_indirection(struct walk *walk, json_t *fields);
void check_param(struct walk *walk, json_t *fields);
void check_select(struct walk *walk, json_t *fields);
void check_sort(struct walk *walk, json_t *fields);
void check_sublink(struct walk *walk, json_t *fields);
void check_table(struct walk *walk, json_t *fields);
void check_target(struct walk *walk, json_t *fields);
void check_type(struct walk *walk, json_t *fields);
void check_window(struct walk *walk, json_t *fields);
void check_with(struct walk *walk, json_t *fields);

#endif

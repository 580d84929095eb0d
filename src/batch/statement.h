/* statement: one SELECT as PostgreSQL's own parser reads it, by libpg_query. The tree is
 * libpg_query's JSON: a node is {"Kind": {fields}}; fields that are zero, false or empty are left
 * out (and, a quirk of version 15, integer constants below zero: read those from the text). Any
 * thread. */
#ifndef SLUICE_BATCH_STATEMENT_H
#define SLUICE_BATCH_STATEMENT_H

#include "sluice/batch/lookup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct statement {
    const char *text;  /* the caller's */
    size_t start, end; /* of the statement: without a semicolon and what follows it */
    json_t *tree;      /* owns all nodes */
    json_t *select;    /* the fields of the SelectStmt */
};

/* The tree of a text of any statements, for the caller to json_decref(); NULL, and why, when it
 * cannot be read. Texts beyond LOOKUP_TEXT_BYTES_MAX could nest too deep for the parser. */
json_t *statement_tree(const char *text, enum lookup_refusal *refusal);

/* Returns LOOKUP_NONE, or why the text is not one readable SELECT; statement_fini() in any case. */
enum lookup_refusal statement_init(struct statement *statement, const char *text);
void statement_fini(struct statement *statement);

/* The kind of a node and its fields, or NULL for what is no node, such as the empty one {}. */
const char *node_kind(const json_t *node, json_t **fields);

/* The fields of a node if it is of this kind, else NULL. */
json_t *node_of(const json_t *node, const char *kind);

/* The last name of a list of String nodes ("f" of pg_catalog.f), or NULL. */
const char *names_last(const json_t *names);

/* True if a parameter is anywhere below: in a node, its fields, or a list of nodes. */
bool node_has_param(const json_t *node);

/* The byte of the text that the node begins at; `end` of the statement if it does not say. */
size_t node_location(const struct statement *statement, const json_t *fields);

#endif

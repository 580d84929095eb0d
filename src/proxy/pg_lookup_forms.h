/* pg_lookup_forms: statements of the simple protocol as lookups. A form is a statement with a mark
 * in the place of each literal (batch/literals.h); kept with it is which of the literals become
 * parameters, or why none does. So a Query is parsed when its form comes for the second time, and
 * only turned into a request with parameters afterwards. Bounded. Belongs to one part of a pool. */
#ifndef SLUICE_PROXY_PG_LOOKUP_FORMS_H
#define SLUICE_PROXY_PG_LOOKUP_FORMS_H

#include <uthash.h>

#include "pg_lookup_request.h"
#include "sluice/base/list.h"
#include "sluice/batch/literals.h"

struct pg_lookups;

struct lookup_form {
    UT_hash_handle hh;     /* key: content */
    struct list_node node; /* of forms->by_use */
    struct literals_choice choice;
    char *masked; /* when it is refused: its text, for people to read */
    char content[];
};

struct lookup_forms {
    struct pg_lookups *lookups;
    struct lookup_form *by_content;
    struct list by_use; /* the one used last first */
    /* Of the query at hand: */
    struct literals literals;
    struct literals_normal normal;
    char content[LITERALS_BYTES_MAX];
    char memory[LITERALS_BYTES_MAX];
    uint8_t statement[LITERALS_BYTES_MAX + 2 + 4 * LITERALS_MAX]; /* as a Parse has it */
    uint8_t values[LOOKUP_VALUES_BYTES_MAX];                      /* as a Bind has them */
};

struct lookup_forms *lookup_forms_new(struct pg_lookups *lookups);

/* NULL is ignored. */
void lookup_forms_free(struct lookup_forms *forms);

/* True when the bytes are exactly one Query that may be a lookup. What is found points into `forms`
 * and holds until the next call. */
bool lookup_forms_read(struct lookup_forms *forms, struct lookup_request *request,
                       const uint8_t *bytes, size_t length);

#endif

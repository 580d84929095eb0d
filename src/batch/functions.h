/* functions: PostgreSQL's built-in functions whose result depends on nothing but their arguments,
 * the database's contents and session parameters, and which do nothing else. Constant; any thread.
 */
#ifndef SLUICE_BATCH_FUNCTIONS_H
#define SLUICE_BATCH_FUNCTIONS_H

#include <stddef.h>

enum function_class {
    FUNCTION_UNKNOWN,
    FUNCTION_CLOCK, /* known, but reads the clock */
    FUNCTION_PLAIN,
    FUNCTION_GATHERS, /* aggregates and window functions */
};

/* By the name in pg_catalog, as the parser gives it (folded to lower case). */
enum function_class function_class(const char *name);

/* All functions of a class: names[0] to names[count - 1]. */
const char *const *functions_of(enum function_class which, size_t *count);

#endif

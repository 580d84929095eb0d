/* pairs: the value of a line in [databases], [users] and so on: key=value pairs between blanks, as
 * PgBouncer reads them. A value in single quotes may hold blanks; two single quotes are one. */
#ifndef SLUICE_CONF_PAIRS_H
#define SLUICE_CONF_PAIRS_H

#include <stdbool.h>

#include "conf/table.h"
#include "conf/text.h"

struct pairs {
    enum conf_section section;
    const char *at; /* what is left */
    struct text key, value;
};

enum pairs_verdict { PAIRS_ONE, PAIRS_END, PAIRS_NO_VALUE, PAIRS_NO_EQUALS, PAIRS_OPEN_QUOTE };

void pairs_init(struct pairs *pairs, enum conf_section section, const char *line);
void pairs_fini(struct pairs *pairs);

/* Reads the next pair. After PAIRS_NO_VALUE ("key=", then the end or another key of the section)
 * one may go on; PAIRS_NO_EQUALS and PAIRS_OPEN_QUOTE end the line. `key` is set in all cases but
 * PAIRS_END. */
enum pairs_verdict pairs_next(struct pairs *pairs);

#endif

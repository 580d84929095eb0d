/* value: from the text of a setting to the member that its row names, and back. `base` is the
 * struct that has the member. Any thread, as far as the struct allows it. */
#ifndef SLUICE_CONF_VALUE_H
#define SLUICE_CONF_VALUE_H

#include <stdbool.h>

#include "conf/arena.h"
#include "conf/table.h"
#include "conf/text.h"

/* Sets the member; texts are copied into the arena. Returns false, writes into problem what a value
 * must be ("must be a whole number from 1 to 9") and leaves the member alone if the text is bad. */
bool value_parse(const struct conf_row *row, const char *text, struct arena *arena, void *base,
                 struct text *problem);

/* Adds the member's value as text that value_parse reads back to the same value. */
void value_format(const struct conf_row *row, const void *base, struct text *text);

/* Marks the member of a database or a user as unset (conf.h). */
void value_unset(const struct conf_row *row, void *base);

/* Copies a member to another of the same type; texts stay shared. */
void value_copy(const struct conf_row *from, const void *from_base, const struct conf_row *to,
                void *to_base);

/* True if the two structs say the same. */
bool value_equal(const struct conf_row *row, const void *base, const void *other_base);

#endif

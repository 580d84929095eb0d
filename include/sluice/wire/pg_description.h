/* pg_description: what the answer to a Describe says, in eight bytes: enough to see that a
 * statement has other parameters or other columns than it had. Two are equal when PostgreSQL would
 * take them for the same result (equalTupleDescs): the names, types and modifiers of the columns
 * count, which table they come from and their format do not. Pure; any thread. */
#ifndef SLUICE_WIRE_PG_DESCRIPTION_H
#define SLUICE_WIRE_PG_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hashes, 0 where nothing is known. */
struct pg_description {
    uint32_t params, columns;
};

/* Takes in a message of the answer: ParameterDescription, RowDescription or NoData; others say
 * nothing. body: `have` bytes of `length`; what is there of a longer message stands for all. */
void pg_description_take(struct pg_description *description, uint8_t type, const uint8_t *body,
                         size_t have, size_t length);

/* True when nothing that `told` says is other than in `description`. */
bool pg_description_agrees(struct pg_description told, struct pg_description description);

#endif

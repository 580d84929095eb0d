/* redis_command_table: the rows behind redis_command, sorted by name. Private to wire; constant. */
#ifndef SLUICE_WIRE_REDIS_COMMAND_TABLE_H
#define SLUICE_WIRE_REDIS_COMMAND_TABLE_H

#include "sluice/wire/redis_command.h"

extern const struct redis_command redis_command_rows[];
extern const size_t redis_command_row_count;

#endif

/* mask: a statement as one line without its literals, for people to read: what the slow log, the
 * dashboard and SHOW STATEMENTS tell of a statement, since literals may be secrets. Each literal
 * becomes `?`, lists of them `?, ...`, comments and the width of blanks are dropped. It needs no
 * parser, so that it also does texts that are cut off or that no server would accept; what begins
 * as a literal and has no end is one. Read as under standard_conforming_strings = on. Pure. */
#ifndef SLUICE_BATCH_MASK_H
#define SLUICE_BATCH_MASK_H

#include <stddef.h>

/* Writes at most size - 1 bytes and a NUL; returns their number. */
size_t mask_text(const char *text, size_t length, char *masked, size_t size);

#endif

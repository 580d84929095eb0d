/* resp_inline: requests given as a line of words, as people type them. Private to wire; pure. */
#ifndef SLUICE_WIRE_RESP_INLINE_H
#define SLUICE_WIRE_RESP_INLINE_H

#include <stddef.h>
#include <stdint.h>

/* Counts the words of a line (its newline included); -1 if quotes are unbalanced. Copies the start
 * of the first word, resolved, to `first`, and sets *first_bytes to its whole length. */
int64_t resp_inline_check(const uint8_t *line, size_t length, uint8_t *first, size_t room,
                          size_t *first_bytes);

#endif

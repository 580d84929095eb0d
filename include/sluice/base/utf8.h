/* utf8: is it text that others may be shown? Pure; any thread. */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stddef.h>

/* The length of the UTF-8 character at `text`, 0 when it is none (RFC 3629, section 4), and 0 too
 * for the C1 control characters, which terminals obey. The text ends with a zero byte. */
size_t utf8_bytes(const unsigned char *text);

/* Copies text that may be anything, as UTF-8: a byte that belongs to no character is told by its
 * number, as \xff. What has no room within size - 1 bytes is left out from a whole character on; a
 * zero byte follows. Returns the length. */
size_t utf8_show(const char *text, char *shown, size_t size);

/* How much of `length` bytes of text remains when a character that was cut at their end is left
 * out; text that is no UTF-8 there remains as it is. */
size_t utf8_cut(const char *text, size_t length);

#endif

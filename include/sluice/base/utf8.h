/* utf8: is it text that others may be shown? Pure; any thread. */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stddef.h>

/* The length of the UTF-8 character at `text`, 0 when it is none (RFC 3629, section 4), and 0 too
 * for the C1 control characters, which terminals obey. The text ends with a zero byte. */
size_t utf8_bytes(const unsigned char *text);

#endif

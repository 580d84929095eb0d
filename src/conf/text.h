/* text: bytes that grow, with a NUL after them, wiped whenever memory is given back, since settings
 * hold passwords. Zero-initialised is empty. One thread at a time. */
#ifndef SLUICE_CONF_TEXT_H
#define SLUICE_CONF_TEXT_H

#include <stddef.h>

struct text {
    char *data; /* NULL while nothing was ever added */
    size_t length, capacity;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_add_byte(struct text *text, char byte);
void text_addf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull));
void text_clear(struct text *text); /* keeps the memory */
void text_fini(struct text *text);

/* The bytes as a C string; never NULL. */
const char *text_get(const struct text *text);

/* Adds what is left in the file, at most `limit` bytes. Returns 0, or an errno; EFBIG: longer. */
int text_add_file(struct text *text, int fd, size_t limit);

#endif

/* digest: SHA-256 for those outside auth who need a short name for long content. Pure; any
 * thread. */
#ifndef SLUICE_AUTH_DIGEST_H
#define SLUICE_AUTH_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

void digest_of(const void *data, size_t bytes, uint8_t digest[DIGEST_BYTES]);

#endif

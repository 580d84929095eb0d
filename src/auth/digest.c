#include "sluice/auth/digest.h"

#include "auth/crypto.h"
#include "sluice/base/ensure.h"

void digest_of(const void *data, size_t bytes, uint8_t digest[DIGEST_BYTES])
{
    bool done = crypto_sha256(data, bytes, digest);

    ensure(done);
}

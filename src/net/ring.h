/* ring: many sends and receives in one system call, by Linux' io_uring. Everything asked for has
 * ended when the call returns: there is nothing in flight between two calls, and no memory that the
 * kernel still holds. Belongs to the thread that made it. The only file that knows liburing. */
#ifndef SLUICE_NET_RING_H
#define SLUICE_NET_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RING_TRANSFERS_MAX 64u

struct ring;

/* One send() or recv() that does not wait. */
struct transfer {
    int fd;
    bool sends;
    void *bytes;
    size_t length;
    ssize_t result; /* how many bytes, or -errno */
};

/* NULL when the kernel has no such thing or does not allow it (errno says which). */
struct ring *ring_new(void);
void ring_free(struct ring *ring);

/* Does at most RING_TRANSFERS_MAX transfers, in order; a single one by a plain call. */
void ring_transfer(struct ring *ring, struct transfer *transfers, unsigned count);

#endif

#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

struct ring {
    struct io_uring uring;
    bool broken; /* the kernel refused what it took before: one call each from now on */
};

struct ring *ring_new(void)
{
    struct ring *ring = memory_new(sizeof(*ring));
    /* What the kernel puts off is done when we ask for it, not by interrupting us (Linux 6.1). */
    int error = -io_uring_queue_init(RING_TRANSFERS_MAX, &ring->uring,
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

    if (error == EINVAL)
        error = -io_uring_queue_init(RING_TRANSFERS_MAX, &ring->uring, 0);
    /* Linux 5.7: what we ask for is all there. */
    if (!error && !(ring->uring.features & IORING_FEAT_FAST_POLL)) {
        io_uring_queue_exit(&ring->uring);
        error = ENOSYS;
    }
    if (error) {
        free(ring);
        errno = error;
        return NULL;
    }
    return ring;
}

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

static void transfer_plainly(struct transfer *transfer)
{
    do {
        transfer->result =
            transfer->sends
                ? send(transfer->fd, transfer->bytes, transfer->length, MSG_NOSIGNAL | MSG_DONTWAIT)
                : recv(transfer->fd, transfer->bytes, transfer->length, MSG_DONTWAIT);
    } while (transfer->result < 0 && errno == EINTR);
    if (transfer->result < 0)
        transfer->result = -errno;
}

static void ring_ask(struct ring *ring, struct transfer *transfer, unsigned index)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    ensure(entry);
    if (transfer->sends)
        io_uring_prep_send(entry, transfer->fd, transfer->bytes, transfer->length,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    else
        io_uring_prep_recv(entry, transfer->fd, transfer->bytes, transfer->length, MSG_DONTWAIT);
    io_uring_sqe_set_data64(entry, index);
}

/* Takes what has ended. Returns how many. */
static unsigned ring_reap(struct ring *ring, struct transfer *transfers, unsigned count)
{
    struct io_uring_cqe *entry;
    unsigned head, ended = 0;

    io_uring_for_each_cqe(&ring->uring, head, entry)
    {
        uint64_t index = io_uring_cqe_get_data64(entry);

        ensure(index < count);
        transfers[index].result = entry->res;
        ended++;
    }
    io_uring_cq_advance(&ring->uring, ended);
    return ended;
}

void ring_transfer(struct ring *ring, struct transfer *transfers, unsigned count)
{
    unsigned sent = 0, ended = 0;

    ensure(count <= RING_TRANSFERS_MAX);
    if (count == 1) {
        transfer_plainly(transfers);
        return;
    }
    for (unsigned i = 0; i < count && !ring->broken; i++)
        ring_ask(ring, &transfers[i], i);
    while (!ring->broken && ended < count) {
        int took = io_uring_submit_and_wait(&ring->uring, count - ended);

        if (took >= 0)
            sent += (unsigned)took;
        else if (took != -EINTR && took != -EAGAIN && took != -EBUSY)
            ring->broken = true;
        ended += ring_reap(ring, transfers, count);
    }
    if (!ring->broken)
        return;
    /* Entries are taken in order, and what was taken ends at once, since nothing waits; the others
     * never will be taken: nobody submits to a broken ring again. */
    ensure(ended == sent);
    for (unsigned i = sent; i < count; i++)
        transfer_plainly(&transfers[i]);
}

/* helper: one call that may block, made in a thread of its own for a thread that may not. It comes
 * back by mail. Embedded in what it works on, which from helper_start() on belongs to the helper;
 * for what library calls do nothing else: a thread for each is dear. */
#ifndef SLUICE_NET_HELPER_H
#define SLUICE_NET_HELPER_H

#include <pthread.h>
#include <stdbool.h>

#include "sluice/net/mailbox.h"

struct helper {
    struct mail mail;
    struct mailbox *mailbox; /* of who asked */
    pthread_mutex_t lock;    /* of the next two */
    bool abandoned, sent;
    void (*run)(struct helper *helper);     /* the call; on its own thread */
    void (*done)(struct helper *helper);    /* afterwards, on the thread that asked; frees */
    void (*discard)(struct helper *helper); /* instead, when nobody waits any more; either thread */
};

/* run, done and discard are set. False, and nothing has happened, when there can be no thread. */
bool helper_start(struct helper *helper, struct mailbox *mailbox);

/* By the thread that asked, before done(): nobody waits any more. The helper may be gone when this
 * returns. */
void helper_abandon(struct helper *helper);

/* Any thread: true when run() may as well stop. */
bool helper_abandoned(struct helper *helper);

/* At the end of the process, when all are abandoned: waits until they have noticed, but no longer
 * than so many microseconds: a call that blocks is left to itself. */
void helpers_end(uint64_t longest_us);

#endif

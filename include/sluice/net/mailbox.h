/* mailbox: how threads speak to each other. Any thread may send; the thread that owns the loop
 * receives, in order, on its own turn. A mail is embedded in what it moves, so sending allocates
 * nothing and cannot fail; from the moment of sending it belongs to the receiver. */
#ifndef SLUICE_NET_MAILBOX_H
#define SLUICE_NET_MAILBOX_H

#include <stdatomic.h>

#include "sluice/net/loop.h"

struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail, void *receiver); /* runs on the receiver's thread */
};

struct mailbox {
    _Atomic(struct mail *) newest; /* any thread: what was sent and not stolen yet, newest first */
    int wake_fd;                   /* any thread writes */
    struct event *wake_event;      /* receiver only, like all below */
    void *receiver;
};

/* receiver is handed to each mail's deliver(). */
void mailbox_init(struct mailbox *mailbox, struct loop *loop, void *receiver);

/* Mails that were not received must not matter any more. */
void mailbox_fini(struct mailbox *mailbox);

/* Delivers what is in the box now; returns how many mails that were. The receiver's loop does it by
 * itself; only who ends a thread has to, for what came too late. */
size_t mailbox_drain(struct mailbox *mailbox);

/* Any thread. Wakes the receiver only when the box was empty. */
void mailbox_send(struct mailbox *mailbox, struct mail *mail);

#endif

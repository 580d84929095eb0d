/* console_client: a client that has logged in to the console, on its way from its worker to the
 * main thread, which owns it from then on. */
#ifndef SLUICE_PROXY_CONSOLE_CLIENT_H
#define SLUICE_PROXY_CONSOLE_CLIENT_H

#include "sluice/proxy/worker.h"

/* The low 26 bits of the process id in its cancel key: the number of a worker that there may be,
 * and a slot that no client there has (pg_cancels.c). */
#define PG_CANCEL_CONSOLE 63u
#define PG_CANCEL_CONSOLE_SHIFT 26

struct console_client {
    struct mail mail;
    struct process *process;
    struct stream stream; /* detached; its `ready` is the new owner's to set */
    struct buffer in;     /* what it has sent behind its login */
    void *owner;          /* the new owner's */
    struct address from;
    uint64_t id, connected_us;
    bool admin; /* it may do everything; else only look */
    char user[256], database[256];
    char application_name[64];
};

#endif

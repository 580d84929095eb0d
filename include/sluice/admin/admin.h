/* admin: what operators see and do: the SQL console and the stats port. One per process; everything
 * in it belongs to the main thread. What the workers have it learns by surveys (proxy/survey.h);
 * what they have counted it reads from the registry, whose mutex no query takes. */
#ifndef SLUICE_ADMIN_ADMIN_H
#define SLUICE_ADMIN_ADMIN_H

#include "sluice/proxy/worker.h"

enum admin_ending { ADMIN_END_NOW, ADMIN_END_AFTER_SERVERS, ADMIN_END_AFTER_CLIENTS };

/* What the console asks of the daemon. */
struct admin_host {
    struct process *process;
    struct loop *loop;
    void *owner; /* the first argument of all below */
    const struct conf *(*conf)(void *owner);
    bool (*reload)(void *owner);
    /* Takes up conf, which is the daemon's from now on; false, with the reason in the report, when
     * its files are no good. */
    bool (*configure)(void *owner, struct conf *conf, struct conf_report *report);
    /* PAUSE, RESUME of everything; SUSPEND also stops accepting clients. */
    void (*pause)(void *owner, bool paused);
    void (*suspend)(void *owner, bool suspended);
    /* SHUTDOWN; may end the loop. */
    void (*end)(void *owner, enum admin_ending ending);
};

struct admin;

struct admin *admin_new(const struct admin_host *host);

/* After the workers have ended. */
void admin_free(struct admin *admin);

/* What process->console_client calls. */
void admin_console_client(struct admin *admin, struct console_client *client);

/* What process->console_cancel calls. */
void admin_console_cancel(struct admin *admin, uint32_t process_id, uint32_t secret);

/* The daemon was paused or resumed by a signal. */
void admin_paused(struct admin *admin, bool paused);

#endif

/* orders: what the console has all workers do to clients and servers. Main thread; each worker
 * carries an order out on its own turn, in the order in which they were given: a survey that is
 * taken behind an order shows its effect. A name is that of a database, of a line of [redis], or of
 * both; NULL means all. */
#ifndef SLUICE_PROXY_ORDERS_H
#define SLUICE_PROXY_ORDERS_H

#include "sluice/proxy/worker.h"

/* PAUSE and RESUME of a name; also for its pools that do not exist yet. */
void workers_pause_named(struct process *process, const char *name, bool paused);

/* DISABLE and ENABLE: whether new clients are let in. */
void workers_disable(struct process *process, const char *name, bool disabled);

/* RECONNECT: servers are closed as soon as they are free. */
void workers_reconnect(struct process *process, const char *name);

/* KILL: closes all clients and servers. */
void workers_kill(struct process *process, const char *name);

/* KILL_CLIENT: closes the client with this id, wherever it is. */
void workers_kill_client(struct process *process, uint64_t id);

#endif

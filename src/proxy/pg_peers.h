/* pg_peers: cancel requests for clients of another Sluice process ([peers]), which a load balancer
 * or so_reuseport brought here. Each goes on by a connection of its own and ends with it. Belongs
 * to a worker. */
#ifndef SLUICE_PROXY_PG_PEERS_H
#define SLUICE_PROXY_PG_PEERS_H

#include <stddef.h>
#include <stdint.h>

#include "pg_cancels.h"
#include "sluice/conf/sections.h"
#include "sluice/proxy/worker.h"

/* Told once, when the peer has ended the connection or could not be reached in
 * cancel_wait_timeout; never inside pg_peers_send(). */
struct pg_peers_notice {
    void (*over)(struct pg_peers_notice *notice);
};

/* Sends the bytes of a CancelRequest, at most PG_CANCEL_REQUEST_BYTES, to the peer. Returns false,
 * and tells nobody, when pool_size of them are on their way to it from this worker. */
bool pg_peers_send(struct worker *worker, const struct conf_peer *peer, const uint8_t *request,
                   size_t bytes, struct pg_peers_notice *notice);

/* Ends all that are on their way. */
void pg_peers_end(struct worker *worker);

#endif

#include "pg_peers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/net/resolver.h"

struct pg_peer {
    struct list_node node; /* of worker->peers */
    struct stream stream;
    struct timer timer;
    struct worker *worker;
    struct pg_peers_notice *notice;
    struct resolver_question *question; /* while its name is looked up */
    unsigned id;
    uint16_t port;
    uint8_t bytes;
    uint8_t request[PG_CANCEL_REQUEST_BYTES];
};

static void peer_end(struct pg_peer *peer, const char *why)
{
    struct pg_peers_notice *notice = peer->notice;

    if (why)
        log_warning("cancel request for peer %u: %s", peer->id, why);
    if (peer->question)
        peer->question->asker = NULL;
    timer_cancel(&peer->worker->loop, &peer->timer);
    stream_close(&peer->stream);
    list_remove(&peer->worker->peers, &peer->node);
    free(peer);
    notice->over(notice);
}

static void peer_expired(struct timer *timer)
{
    peer_end(container_of(timer, struct pg_peer, timer), "no answer in cancel_wait_timeout");
}

static void peer_ready(struct stream *stream, unsigned what)
{
    struct pg_peer *peer = container_of(stream, struct pg_peer, stream);
    uint8_t byte;

    if (what & STREAM_CONNECTED) {
        if (stream->error)
            peer_end(peer, strerror(stream->error));
        else
            stream_write(stream, peer->request, peer->bytes);
        return;
    }
    /* Only its end is expected. */
    if (stream_read(stream, &byte, 1) != 0)
        peer_end(peer, stream->error ? strerror(stream->error) : NULL);
}

static void peer_connect(struct pg_peer *peer, const struct sockaddr *address, socklen_t bytes)
{
    struct stream_options options = {0};

    stream_connect(&peer->stream, &peer->worker->loop, address, bytes, &options, peer_ready);
}

static void peer_connect_to(struct pg_peer *peer, struct address *address)
{
    if (address->family == AF_INET)
        address->ipv4.sin_port = htons(peer->port);
    else
        address->ipv6.sin6_port = htons(peer->port);
    peer_connect(peer, (const struct sockaddr *)address, address_size(address));
}

static void peer_resolved(struct resolver_question *question)
{
    struct pg_peer *peer = question->asker;

    if (peer) {
        peer->question = NULL;
        if (question->count > 0)
            peer_connect_to(peer, &question->addresses[0]);
        else
            peer_end(peer, question->error);
    }
    free(question);
}

/* False: there is no such address. */
static bool peer_find(struct pg_peer *peer, const char *host)
{
    struct resolver_question *question;
    struct sockaddr_un local;
    struct address numeric;
    char path[512];
    socklen_t bytes;

    if (host[0] == '/' || host[0] == '@') {
        snprintf(path, sizeof(path), "%s/.s.PGSQL.%u", host, peer->port);
        bytes = address_unix(path, &local);
        if (bytes > 0)
            peer_connect(peer, (const struct sockaddr *)&local, bytes);
        return bytes > 0;
    }
    if (address_parse(host, peer->port, &numeric)) {
        peer_connect_to(peer, &numeric);
        return true;
    }
    if (strlen(host) >= sizeof(question->name))
        return false;
    question = memory_new(sizeof(*question));
    strcpy(question->name, host);
    question->asker = peer;
    question->done = peer_resolved;
    peer->question = question;
    resolver_ask(peer->worker->process->resolver, question, &peer->worker->mailbox);
    return true;
}

static size_t peers_busy(const struct worker *worker, unsigned id)
{
    size_t busy = 0;

    LIST_EACH_SAFE (&worker->peers, node, next)
        busy += container_of(node, struct pg_peer, node)->id == id;
    return busy;
}

bool pg_peers_send(struct worker *worker, const struct conf_peer *to, const uint8_t *request,
                   size_t bytes, struct pg_peers_notice *notice)
{
    struct pg_peer *peer;

    ensure(bytes <= sizeof(peer->request));
    if (peers_busy(worker, to->id) >= (size_t)to->pool_size) {
        log_warning("cancel request for peer %u dropped: pool_size of them are under way", to->id);
        return false;
    }
    peer = memory_new(sizeof(*peer));
    peer->worker = worker;
    peer->notice = notice;
    peer->id = to->id;
    peer->port = (uint16_t)to->port;
    peer->bytes = (uint8_t)bytes;
    memcpy(peer->request, request, bytes);
    peer->timer.expired = peer_expired;
    if (!peer_find(peer, to->host)) {
        log_warning("cancel request for peer %u dropped: \"%s\" is no address", to->id, to->host);
        free(peer);
        return false;
    }
    list_push_back(&worker->peers, &peer->node);
    if (worker->conf->cancel_wait_timeout_us)
        timer_set(&worker->loop, &peer->timer,
                  loop_now_us(&worker->loop) + worker->conf->cancel_wait_timeout_us);
    return true;
}

void pg_peers_end(struct worker *worker)
{
    struct list_node *node;

    while ((node = list_first(&worker->peers)))
        peer_end(container_of(node, struct pg_peer, node), NULL);
}

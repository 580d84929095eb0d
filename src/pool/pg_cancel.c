#include "pg_cancel.h"

#include <stdlib.h>
#include <string.h>

#include "pg_dial.h"
#include "pg_libpq.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

struct pg_cancel {
    struct stream stream;
    struct list_node node; /* of pools->cancels */
    struct pools *pools;
    struct loop *loop;
    struct pg_server *pg; /* NULL when it was closed meanwhile */
    struct pg_dial dial;  /* as the connection that it is for: a key never goes unprotected */
    const struct tls *tls;
    char *host;
    struct pg_libpq_call *call; /* of a server that libpq opened, which has its key */
    struct timer timer;
    void (*done)(struct pg_server *pg);
    uint8_t request[16];
    struct pg_cancel_notice *notices; /* told when it ends */
    struct pg_cancel_notice *later;   /* came while it was under way */
    bool repeat;
};

static void notices_tell(struct pg_cancel_notice *notice)
{
    while (notice) {
        struct pg_cancel_notice *next = notice->next;

        notice->over(notice);
        notice = next;
    }
}

static void cancel_connect(struct pg_cancel *cancel);

static void cancel_end(struct pg_cancel *cancel)
{
    struct pg_server *pg = cancel->pg;
    void (*done)(struct pg_server * pg) = cancel->done;

    timer_cancel(cancel->loop, &cancel->timer);
    stream_close(&cancel->stream);
    pg_libpq_abandon(cancel->call);
    cancel->call = NULL;
    notices_tell(cancel->notices);
    cancel->notices = cancel->later;
    cancel->later = NULL;
    if (pg && cancel->repeat && !pg_pipeline_idle(&pg->pipeline)) {
        cancel->repeat = false;
        cancel_connect(cancel);
        return;
    }
    notices_tell(cancel->notices);
    list_remove(&cancel->pools->cancels, &cancel->node);
    tls_drop(cancel->tls);
    free(cancel->host);
    free(cancel);
    if (pg) {
        pg->cancel = NULL;
        done(pg);
    }
}

static void cancel_dialled(struct pg_cancel *cancel, enum pg_dial_state state)
{
    if (state == PG_DIAL_FAILED)
        cancel_end(cancel);
    else if (state != PG_DIAL_ASKED)
        stream_write(&cancel->stream, cancel->request, sizeof(cancel->request));
}

static void cancel_ready(struct stream *stream, unsigned what)
{
    struct pg_cancel *cancel = container_of(stream, struct pg_cancel, stream);
    uint8_t byte;

    if (what & STREAM_CONNECTED) {
        if (stream->error) {
            cancel_end(cancel);
            return;
        }
        cancel_dialled(cancel, pg_dial_begin(&cancel->dial, stream, cancel->tls, cancel->host));
        return;
    }
    if (cancel->dial.state == PG_DIAL_ASKED) {
        cancel_dialled(cancel, pg_dial_answer(&cancel->dial, stream, cancel->tls, cancel->host));
        return;
    }
    /* Nothing but the end is expected; anything else of a confused server counts as the end. */
    if (stream_read(stream, &byte, 1) != 0)
        cancel_end(cancel);
}

static void cancel_by_libpq_over(void *owner)
{
    struct pg_cancel *cancel = owner;

    cancel->call = NULL;
    cancel_end(cancel);
}

static void cancel_expired(struct timer *timer)
{
    cancel_end(container_of(timer, struct pg_cancel, timer));
}

/* Ends in a later turn even when it cannot be sent. */
static void cancel_by_libpq(struct pg_cancel *cancel)
{
    cancel->call = pg_libpq_cancel(cancel->pg, cancel_by_libpq_over, cancel);
    if (!cancel->call)
        timer_set(cancel->loop, &cancel->timer, loop_now_us(cancel->loop));
}

static void cancel_connect(struct pg_cancel *cancel)
{
    struct pg_server *pg = cancel->pg;
    const struct conf *conf = pg->base.pool->pools->conf;
    struct stream_options options = {0};

    pg_dial_like(&cancel->dial, pg->base.stream.tls);
    if (conf->cancel_wait_timeout_us)
        timer_set(cancel->loop, &cancel->timer,
                  loop_now_us(cancel->loop) + conf->cancel_wait_timeout_us);
    if (pg->libpq) {
        cancel_by_libpq(cancel);
        return;
    }
    stream_connect(&cancel->stream, cancel->loop, &pg->base.address.any, pg->base.address_bytes,
                   &options, cancel_ready);
}

void pg_cancel_start(struct pg_server *pg, struct pg_cancel_notice *notice,
                     void (*done)(struct pg_server *pg))
{
    struct pg_cancel *cancel = memory_new(sizeof(*cancel));
    struct pools *pools = pg->base.pool->pools;

    ensure(!pg->cancel);
    cancel->pools = pools;
    list_push_back(&pools->cancels, &cancel->node);
    cancel->loop = pools->loop;
    cancel->pg = pg;
    cancel->done = done;
    cancel->timer.expired = cancel_expired;
    cancel->tls = tls_hold(pools->tls);
    if (pg->host)
        cancel->host = memory_text(pg->host, strlen(pg->host));
    pg_put_u32(cancel->request, sizeof(cancel->request));
    pg_put_u32(cancel->request + 4, PG_REQUEST_CANCEL);
    pg_put_u32(cancel->request + 8, pg->process_id);
    pg_put_u32(cancel->request + 12, pg->secret);
    pg->cancel = cancel;
    counter_add(&pg->base.pool->counters.cancel_count, 1);
    if (notice)
        notice->next = NULL;
    cancel->notices = notice;
    cancel_connect(cancel);
}

void pg_cancel_repeat(struct pg_server *pg, struct pg_cancel_notice *notice)
{
    pg->cancel->repeat = true;
    if (notice) {
        notice->next = pg->cancel->later;
        pg->cancel->later = notice;
    }
}

void pg_cancel_abandon(struct pg_server *pg)
{
    if (pg->cancel)
        pg->cancel->pg = NULL;
    pg->cancel = NULL;
}

void pg_cancels_end(struct pools *pools)
{
    struct list_node *node;

    while ((node = list_first(&pools->cancels))) {
        struct pg_cancel *cancel = container_of(node, struct pg_cancel, node);

        ensure(!cancel->pg);
        cancel_end(cancel);
    }
}

/* loop: one thread's event loop: sockets by libevent, timers, work deferred to the end of the turn,
 * and what every owner of streams on this thread shares (clock reading, block cache, scratch
 * buffer). Owned by its thread; nothing here may be touched by another one. */
#ifndef SLUICE_NET_LOOP_H
#define SLUICE_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/base/buffer.h"
#include "sluice/base/clock.h"
#include "sluice/base/heap.h"
#include "sluice/base/list.h"

struct event;
struct event_base;
struct turn;

#define LOOP_SCRATCH_BYTES (64u * 1024u)

struct loop {
    struct event_base *base;
    struct event *timer_event; /* armed for the first timer of the heap */
    struct event *soon_event;  /* the same, when it is due within a millisecond; NULL: none */
    int soon_fd;             /* of the kernel's timer; -1: none, so that it is due a little later */
    uint64_t timer_event_us; /* what is armed for; 0 = neither */
    struct heap timers;
    struct list deferred; /* struct task */
    struct buffer_cache buffers;
    uint8_t *scratch;  /* LOOP_SCRATCH_BYTES; valid only inside one callback */
    uint64_t now_us;   /* 0 = not read yet in this turn */
    struct turn *turn; /* NULL: streams read and write one by one */
    bool stopping;
};

/* Something to run at the end of the present turn of the loop. Embedded in its owner. */
struct task {
    struct list_node node;
    void (*run)(struct task *task);
};

/* A point in time at which to be called. Embedded in its owner; unset when zeroed. */
struct timer {
    struct heap_node node;
    void (*expired)(struct timer *timer);
};

void loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* Has what streams read and write in one turn done by one system call each; to be called by the
 * thread that runs the loop. False, with errno, when the kernel cannot or may not: then all goes on
 * one by one. */
bool loop_share_calls(struct loop *loop);

/* Runs turns until loop_stop(). A turn: wait for sockets, serve them, expire timers, run the tasks
 * that were deferred before this point (those deferred by tasks run in the next turn), send what
 * was written meanwhile. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn: waits until something happens, unless tasks are deferred already. */
void loop_turn(struct loop *loop);

/* Monotonic microseconds, read once a turn. */
static inline uint64_t loop_now_us(struct loop *loop)
{
    if (loop->now_us == 0)
        loop->now_us = clock_us();
    return loop->now_us;
}

/* Runs task->run at the end of this turn; does nothing when it is deferred already. */
static inline void loop_defer(struct loop *loop, struct task *task)
{
    if (!list_node_linked(&task->node))
        list_push_back(&loop->deferred, &task->node);
}

/* Takes a deferred task back; does nothing when it is not deferred. */
static inline void loop_undefer(struct loop *loop, struct task *task)
{
    if (list_node_linked(&task->node))
        list_remove(&loop->deferred, &task->node);
}

/* Sets or moves the timer. It expires at due_us or up to a millisecond later; a timer that is set
 * less than a millisecond before it is due does so within microseconds. */
void timer_set(struct loop *loop, struct timer *timer, uint64_t due_us);

/* Makes sure that the timer expires at due_us or earlier. An owner whose deadlines mostly move
 * later calls this and looks at its real deadline when it expires: that keeps the query path free
 * of timer work. */
static inline void timer_set_by(struct loop *loop, struct timer *timer, uint64_t due_us)
{
    if (timer->node.place == 0 || timer->node.key > due_us)
        timer_set(loop, timer, due_us);
}

void timer_cancel(struct loop *loop, struct timer *timer);

#endif

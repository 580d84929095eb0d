#include "sluice/net/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "turn.h"

/* epoll_wait() counts in milliseconds. What is due sooner than that gets a timer of the kernel. */
static void loop_arm_soon(struct loop *loop, uint64_t wait_us)
{
    struct itimerspec soon = {.it_value.tv_nsec = (long)wait_us * 1000};

    ensure(timerfd_settime(loop->soon_fd, 0, &soon, NULL) == 0);
}

static void loop_arm(struct loop *loop)
{
    struct heap_node *first = heap_first(&loop->timers);
    struct timeval wait;
    uint64_t now_us, wait_us;

    if (!first) {
        if (loop->timer_event_us)
            event_del(loop->timer_event);
        loop->timer_event_us = 0;
        return;
    }
    if (loop->timer_event_us == first->key)
        return;
    now_us = clock_us();
    wait_us = first->key > now_us ? first->key - now_us : 0;
    loop->timer_event_us = first->key;
    if (wait_us > 0 && wait_us < US_PER_MS && loop->soon_fd >= 0) {
        loop_arm_soon(loop, wait_us);
        return;
    }
    wait.tv_sec = (time_t)(wait_us / US_PER_S);
    wait.tv_usec = (suseconds_t)(wait_us % US_PER_S);
    event_add(loop->timer_event, &wait);
}

static void loop_expire(evutil_socket_t fd, short what, void *argument)
{
    struct loop *loop = argument;
    struct heap_node *first;

    loop->timer_event_us = 0;
    while ((first = heap_first(&loop->timers)) && first->key <= loop_now_us(loop)) {
        struct timer *timer = container_of(first, struct timer, node);

        heap_remove(&loop->timers, first);
        timer->expired(timer);
    }
}

void loop_init(struct loop *loop)
{
    struct event_config *config = event_config_new();

    memset(loop, 0, sizeof(*loop));
    /* A loop belongs to one thread, so libevent's own locks would only cost. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_ET);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    ensure(loop->base);
    loop->timer_event = event_new(loop->base, -1, 0, loop_expire, loop);
    ensure(loop->timer_event);
    /* Edge-triggered: each time it is set anew is an edge of its own, and nobody has to read it. */
    loop->soon_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->soon_fd >= 0) {
        loop->soon_event =
            event_new(loop->base, loop->soon_fd, EV_READ | EV_PERSIST | EV_ET, loop_expire, loop);
        ensure(loop->soon_event && event_add(loop->soon_event, NULL) == 0);
    }
    list_init(&loop->deferred);
    loop->scratch = memory_new(LOOP_SCRATCH_BYTES);
}

void loop_fini(struct loop *loop)
{
    heap_fini(&loop->timers);
    event_free(loop->timer_event);
    if (loop->soon_event)
        event_free(loop->soon_event);
    if (loop->soon_fd >= 0)
        close(loop->soon_fd);
    event_base_free(loop->base);
    buffer_cache_fini(&loop->buffers);
    turn_free(loop->turn);
    free(loop->scratch);
}

bool loop_share_calls(struct loop *loop)
{
    loop->turn = turn_new();
    return loop->turn != NULL;
}

static void loop_run_deferred(struct loop *loop)
{
    size_t count = loop->deferred.length;

    while (count-- > 0) {
        struct list_node *node = list_pop_front(&loop->deferred);
        struct task *task;

        if (!node)
            return;
        task = container_of(node, struct task, node);
        task->run(task);
    }
}

void loop_turn(struct loop *loop)
{
    int flags = EVLOOP_ONCE | (list_contains_any(&loop->deferred) ? EVLOOP_NONBLOCK : 0);

    loop->now_us = 0;
    loop_arm(loop);
    if (loop->turn)
        turn_begin(loop->turn);
    ensure(event_base_loop(loop->base, flags) >= 0);
    if (loop->turn)
        turn_read(loop->turn);
    loop_run_deferred(loop);
    if (loop->turn)
        turn_end(loop->turn);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping)
        loop_turn(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

void timer_set(struct loop *loop, struct timer *timer, uint64_t due_us)
{
    heap_set(&loop->timers, &timer->node, due_us);
}

void timer_cancel(struct loop *loop, struct timer *timer)
{
    heap_remove(&loop->timers, &timer->node);
}

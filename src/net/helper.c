#include "sluice/net/helper.h"

#include <signal.h>
#include <time.h>

/* Threads that run. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t fewer;
    unsigned count;
} helpers = {.lock = PTHREAD_MUTEX_INITIALIZER, .fewer = PTHREAD_COND_INITIALIZER};

static void helpers_count(int change)
{
    pthread_mutex_lock(&helpers.lock);
    helpers.count += (unsigned)change;
    pthread_cond_signal(&helpers.fewer);
    pthread_mutex_unlock(&helpers.lock);
}

void helpers_end(uint64_t longest_us)
{
    struct timespec until;
    int status = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    longest_us += (uint64_t)until.tv_nsec / 1000;
    until.tv_sec += (time_t)(longest_us / US_PER_S);
    until.tv_nsec = (long)(longest_us % US_PER_S) * 1000;
    pthread_mutex_lock(&helpers.lock);
    while (helpers.count > 0 && status == 0)
        status = pthread_cond_timedwait(&helpers.fewer, &helpers.lock, &until);
    pthread_mutex_unlock(&helpers.lock);
}

static void helper_delivered(struct mail *mail, void *receiver)
{
    struct helper *helper = container_of(mail, struct helper, mail);
    bool abandoned = helper_abandoned(helper); /* waits until the sender has let go of it */

    pthread_mutex_destroy(&helper->lock);
    if (abandoned)
        helper->discard(helper);
    else
        helper->done(helper);
}

static void *helper_run(void *argument)
{
    struct helper *helper = argument;
    bool abandoned;

    helper->run(helper);
    /* The mail leaves under the lock: who abandons the helper knows whether one is on its way, and
     * an abandoned one touches no mailbox. */
    pthread_mutex_lock(&helper->lock);
    abandoned = helper->abandoned;
    helper->sent = !abandoned;
    if (!abandoned)
        mailbox_send(helper->mailbox, &helper->mail);
    pthread_mutex_unlock(&helper->lock);
    if (abandoned) {
        pthread_mutex_destroy(&helper->lock);
        helper->discard(helper);
    }
    helpers_count(-1);
    return NULL;
}

bool helper_start(struct helper *helper, struct mailbox *mailbox)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    bool started;

    helper->mailbox = mailbox;
    helper->mail.deliver = helper_delivered;
    pthread_mutex_init(&helper->lock, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    helpers_count(1);
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&thread, &attributes, helper_run, helper) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!started) {
        helpers_count(-1);
        pthread_mutex_destroy(&helper->lock);
    }
    return started;
}

void helper_abandon(struct helper *helper)
{
    pthread_mutex_lock(&helper->lock);
    helper->abandoned = true;
    pthread_mutex_unlock(&helper->lock);
}

bool helper_abandoned(struct helper *helper)
{
    bool abandoned;

    pthread_mutex_lock(&helper->lock);
    abandoned = helper->abandoned;
    pthread_mutex_unlock(&helper->lock);
    return abandoned;
}

#include "sluice/net/helper.h"

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
    return NULL;
}

bool helper_start(struct helper *helper, struct mailbox *mailbox)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool started;

    helper->mailbox = mailbox;
    helper->mail.deliver = helper_delivered;
    pthread_mutex_init(&helper->lock, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    started = pthread_create(&thread, &attributes, helper_run, helper) == 0;
    pthread_attr_destroy(&attributes);
    if (!started)
        pthread_mutex_destroy(&helper->lock);
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

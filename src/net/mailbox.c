#include "sluice/net/mailbox.h"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sluice/base/ensure.h"

size_t mailbox_drain(struct mailbox *mailbox)
{
    struct mail *mail, *next, *oldest = NULL;
    size_t count = 0;

    mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    for (; mail; mail = next) {
        next = mail->next;
        mail->next = oldest;
        oldest = mail;
    }
    for (mail = oldest; mail; mail = next) {
        next = mail->next;
        mail->deliver(mail, mailbox->receiver);
        count++;
    }
    return count;
}

static void mailbox_receive(evutil_socket_t fd, short what, void *argument)
{
    mailbox_drain(argument);
}

void mailbox_init(struct mailbox *mailbox, struct loop *loop, void *receiver)
{
    atomic_init(&mailbox->newest, NULL);
    mailbox->receiver = receiver;
    mailbox->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ensure(mailbox->wake_fd >= 0);
    /* Edge-triggered: each write is a new edge, so the counter need not be read. */
    mailbox->wake_event = event_new(loop->base, mailbox->wake_fd, EV_READ | EV_ET | EV_PERSIST,
                                    mailbox_receive, mailbox);
    ensure(mailbox->wake_event);
    event_add(mailbox->wake_event, NULL);
}

void mailbox_fini(struct mailbox *mailbox)
{
    event_free(mailbox->wake_event);
    close(mailbox->wake_fd);
}

void mailbox_send(struct mailbox *mailbox, struct mail *mail)
{
    struct mail *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);

    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, mail,
                                                    memory_order_release, memory_order_relaxed));
    if (!newest) {
        uint64_t one = 1;

        if (write(mailbox->wake_fd, &one, sizeof(one)) < 0) {
            /* The counter is full, so the receiver is awake. */
        }
    }
}

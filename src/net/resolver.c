#include "sluice/net/resolver.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "sluice/base/ensure.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"

/* Names kept at most; beyond it the cache is emptied of what nobody waits for. */
#define NAMES_MAX 1024

struct name {
    UT_hash_handle hh;
    struct resolver *resolver;
    struct resolver_question *waiting; /* asked while the look-up is under way */
    bool asking;
    struct evdns_getaddrinfo_request *request; /* NULL: answered, or not asked */
    bool cached;                               /* addresses or error are an answer */
    uint64_t asked_us;
    uint64_t expires_us;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned count;
    const char *error;
    char text[RESOLVER_NAME_BYTES];
};

struct resolver {
    struct loop *loop;
    struct mailbox *mailbox;
    struct evdns_base *dns;
    struct name *names;
    uint64_t ttl_us_max, nxdomain_ttl_us;
    struct histogram lookups; /* how long they took */
};

struct resolver *resolver_new(struct loop *loop, struct mailbox *mailbox, const char *resolv_conf)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));

    resolver->loop = loop;
    resolver->mailbox = mailbox;
    resolver->dns =
        evdns_base_new(loop->base, resolv_conf[0] ? 0 : EVDNS_BASE_INITIALIZE_NAMESERVERS);
    if (!resolver->dns)
        resolver->dns = evdns_base_new(loop->base, 0);
    ensure(resolver->dns);
    if (resolv_conf[0] && evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, resolv_conf))
        log_warning("resolv_conf \"%s\" could not be read in full", resolv_conf);
    evdns_base_load_hosts(resolver->dns, "/etc/hosts");
    resolver->ttl_us_max = resolver->nxdomain_ttl_us = 15 * US_PER_S;
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    struct name *name, *following;

    /* What is cancelled is freed by a turn of the loop. */
    HASH_ITER(hh, resolver->names, name, following)
    if (name->request)
        evdns_getaddrinfo_cancel(name->request);
    event_base_loop(resolver->loop->base, EVLOOP_NONBLOCK);
    evdns_base_free(resolver->dns, 0);
    HASH_ITER(hh, resolver->names, name, following)
    {
        /* The askers have gone; their questions are freed by their own end. */
        while (name->waiting) {
            struct resolver_question *question = name->waiting;

            name->waiting = question->next_waiting;
            question->done(question);
        }
        HASH_DEL(resolver->names, name);
        free(name);
    }
    histogram_fini(&resolver->lookups);
    free(resolver);
}

void resolver_configure(struct resolver *resolver, uint64_t ttl_us_max, uint64_t nxdomain_ttl_us)
{
    resolver->ttl_us_max = ttl_us_max;
    resolver->nxdomain_ttl_us = nxdomain_ttl_us;
}

static void question_deliver(struct mail *mail, void *receiver)
{
    struct resolver_question *question = container_of(mail, struct resolver_question, mail);

    question->done(question);
}

static void question_answer(struct resolver_question *question, const struct name *name)
{
    memcpy(question->addresses, name->addresses, sizeof(name->addresses));
    question->count = name->count;
    question->error = name->error;
    question->mail.deliver = question_deliver;
    mailbox_send(question->answer_to, &question->mail);
}

static void name_answered(int error, struct evutil_addrinfo *found, void *argument)
{
    struct name *name = argument;
    struct resolver *resolver = name->resolver;
    struct resolver_question *question = name->waiting;

    name->request = NULL;
    if (error == EVUTIL_EAI_CANCEL)
        return;
    histogram_add(&resolver->lookups, loop_now_us(resolver->loop) - name->asked_us);
    name->asking = false;
    name->waiting = NULL;
    name->count = 0;
    for (struct evutil_addrinfo *one = found; one && name->count < RESOLVER_ADDRESSES_MAX;
         one = one->ai_next)
        if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
            name->addresses[name->count++] = address_from(one->ai_addr);
    if (found)
        evutil_freeaddrinfo(found);
    name->error = NULL;
    if (name->count == 0)
        name->error = error ? evutil_gai_strerror(error) : "the name has no address";
    name->cached = true;
    name->expires_us = loop_now_us(resolver->loop) +
                       (name->count ? resolver->ttl_us_max : resolver->nxdomain_ttl_us);
    while (question) {
        struct resolver_question *next = question->next_waiting;

        question_answer(question, name);
        question = next;
    }
}

static void resolver_make_room(struct resolver *resolver)
{
    struct name *name, *following;

    if (HASH_COUNT(resolver->names) < NAMES_MAX)
        return;
    HASH_ITER(hh, resolver->names, name, following)
    {
        if (name->asking)
            continue;
        HASH_DEL(resolver->names, name);
        free(name);
    }
}

static struct name *resolver_name(struct resolver *resolver, const char *text)
{
    struct name *name;

    HASH_FIND_STR(resolver->names, text, name);
    if (name)
        return name;
    resolver_make_room(resolver);
    name = memory_new(sizeof(*name));
    name->resolver = resolver;
    strcpy(name->text, text);
    HASH_ADD_STR(resolver->names, text, name);
    return name;
}

static void question_receive(struct mail *mail, void *receiver)
{
    struct resolver_question *question = container_of(mail, struct resolver_question, mail);
    struct resolver *resolver = question->resolver;
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct name *name = resolver_name(resolver, question->name);

    if (name->cached && name->expires_us > loop_now_us(resolver->loop)) {
        question_answer(question, name);
        return;
    }
    question->next_waiting = name->waiting;
    name->waiting = question;
    if (name->asking)
        return;
    name->asking = true;
    name->asked_us = loop_now_us(resolver->loop);
    name->request = evdns_getaddrinfo(resolver->dns, name->text, NULL, &hints, name_answered, name);
}

void resolver_ask(struct resolver *resolver, struct resolver_question *question,
                  struct mailbox *answer_to)
{
    question->resolver = resolver;
    question->answer_to = answer_to;
    question->mail.deliver = question_receive;
    mailbox_send(resolver->mailbox, &question->mail);
}

void resolver_each(struct resolver *resolver,
                   void (*each)(void *context, const char *name, long ttl_s,
                                const struct address *addresses, unsigned count),
                   void *context)
{
    struct name *name, *following;
    uint64_t now_us = loop_now_us(resolver->loop);

    HASH_ITER(hh, resolver->names, name, following)
    {
        long ttl_s = ((long)(name->expires_us / US_PER_S)) - (long)(now_us / US_PER_S);

        if (name->cached)
            each(context, name->text, ttl_s, name->addresses, name->count);
    }
}

unsigned resolver_asking(const struct resolver *resolver)
{
    const struct name *name, *following;
    unsigned count = 0;

    HASH_ITER(hh, resolver->names, name, following)
    count += name->asking;
    return count;
}

const struct histogram *resolver_lookups(const struct resolver *resolver)
{
    return &resolver->lookups;
}

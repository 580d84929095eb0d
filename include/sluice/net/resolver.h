/* resolver: host names to addresses, off the query path, by libevent's evdns (which also reads
 * /etc/hosts), with a cache that keeps answers for dns_max_ttl at most. Owned by the main thread;
 * workers ask by mailbox and are answered by mailbox. */
#ifndef SLUICE_NET_RESOLVER_H
#define SLUICE_NET_RESOLVER_H

#include <stdbool.h>

#include "sluice/net/address.h"
#include "sluice/net/mailbox.h"
#include "sluice/stat/histogram.h"

#define RESOLVER_ADDRESSES_MAX 16
#define RESOLVER_NAME_BYTES 256

/* One question; allocated with memory_new() by the asker, whose it is again once done() is called.
 */
struct resolver_question {
    struct mail mail;          /* set up by resolver_ask() */
    struct resolver *resolver; /* the resolver's, like the next two */
    struct resolver_question *next_waiting;
    struct mailbox *answer_to;
    void (*done)(struct resolver_question *question); /* on the asker's thread */
    void *asker; /* the asker may set it to NULL to say that it does not care any more */
    char name[RESOLVER_NAME_BYTES];
    struct address addresses[RESOLVER_ADDRESSES_MAX]; /* port 0 */
    unsigned count;
    const char *error; /* static text; NULL when count > 0 */
};

struct resolver;

/* main thread. resolv_conf "" = the system's. ttls in microseconds. */
struct resolver *resolver_new(struct loop *loop, struct mailbox *mailbox, const char *resolv_conf);
void resolver_free(struct resolver *resolver);
void resolver_configure(struct resolver *resolver, uint64_t ttl_us_max, uint64_t nxdomain_ttl_us);

/* Asks from any thread; question->name, done and asker are set. */
void resolver_ask(struct resolver *resolver, struct resolver_question *question,
                  struct mailbox *answer_to);

/* main thread: calls each for every cached name (SHOW DNS_HOSTS). ttl_s may be negative. */
void resolver_each(struct resolver *resolver,
                   void (*each)(void *context, const char *name, long ttl_s,
                                const struct address *addresses, unsigned count),
                   void *context);

/* main thread: how many names are being asked for. */
unsigned resolver_asking(const struct resolver *resolver);

/* Any thread: how long look-ups took, those in the cache not counted. */
const struct histogram *resolver_lookups(const struct resolver *resolver);

#endif

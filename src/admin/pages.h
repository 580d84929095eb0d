/* pages: what the stats port can show, as text. A page that takes a survey of the workers is made
 * once for all who wait for it by then, and so seldom that the main thread spends no more than a
 * part of its time on pages, however many are asked for. Main thread. */
#ifndef SLUICE_ADMIN_PAGES_H
#define SLUICE_ADMIN_PAGES_H

#include <stdio.h>

#include "show.h"
#include "sluice/net/loop.h"

struct page {
    const char *path, *type;
    unsigned survey;                                            /* SURVEY_ bits; 0 = none */
    int (*write)(FILE *page, const struct show_source *source); /* the status of HTTP */
    /* NULL, or true when what it tells is known; else pages_look_again() is called later. */
    bool (*known)(const struct show_source *source);
};

/* NULL: there is none. */
const struct page *page_find(const char *path);

struct pages {
    struct admin *admin;
    struct list texts;  /* struct page_text that are wanted or being made, by age */
    struct timer timer; /* when the next one may be begun */
    uint64_t next_us;
};

/* One page as it was at one moment. */
struct page_text {
    struct list_node node;
    struct pages *pages;
    const struct page *page;
    uint64_t after;        /* show.h */
    struct list readers;   /* while it is made; struct page_reader */
    struct survey *survey; /* under way, or there: `surveyed` */
    bool begun, surveyed;
    uint64_t since_us;
    unsigned holders;
    int status;
    char *bytes;
    size_t length;
};

/* Who waits for a page. */
struct page_reader {
    struct list_node node;
    struct page_text *text;
    /* It is there, or will be held for longer; in a later turn than page_read(), unless no survey
     * has to be taken. */
    void (*made)(struct page_reader *reader, struct page_text *text);
};

void pages_init(struct pages *pages, struct admin *admin);
void pages_fini(struct pages *pages);

/* Has the reader's made() called. */
void pages_read(struct pages *pages, const struct page *page, uint64_t after,
                struct page_reader *reader);

/* Before made(): it is not called any more. */
void pages_leave(struct page_reader *reader);

/* What some page waits for may be known now, or it has waited for too long. */
void pages_look_again(struct pages *pages);

void page_text_hold(struct page_text *text);
void page_text_drop(struct page_text *text);

#endif

#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "state.h"

/* So long a page waits for what it has to tell. */
#define ANSWER_US (5 * US_PER_S)
/* Between the beginnings of two pages, and so much longer than the making took. */
#define PAUSE_US (20 * US_PER_MS)
#define PAUSE_FACTOR 4

#define STATUS_OK 200
#define STATUS_UNAVAILABLE 503

static int write_metrics(FILE *page, const struct show_source *source)
{
    page_metrics(page, source);
    return STATUS_OK;
}

static int write_json(FILE *page, const struct show_source *source)
{
    page_json(page, source);
    return STATUS_OK;
}

static int write_history(FILE *page, const struct show_source *source)
{
    page_history(page, source);
    return STATUS_OK;
}

static int write_dashboard(FILE *page, const struct show_source *source)
{
    fwrite(dashboard_html, 1, dashboard_html_bytes, page);
    return STATUS_OK;
}

static int write_health(FILE *page, const struct show_source *source)
{
    fputs("ok\n", page);
    return STATUS_OK;
}

static bool admin_stopped(const struct admin *admin)
{
    return admin->ending || admin->paused || admin->suspended;
}

static bool ready_known(const struct show_source *source)
{
    return admin_stopped(source->admin) ||
           readiness_known(&source->admin->readiness, source->survey);
}

static int write_ready(FILE *page, const struct show_source *source)
{
    if (admin_stopped(source->admin))
        fputs("paused or shutting down\n", page);
    else if (readiness_write(page, &source->admin->readiness, source->survey) == 0) {
        fputs("ok\n", page);
        return STATUS_OK;
    }
    return STATUS_UNAVAILABLE;
}

static const struct page all[] = {
    {"/", "text/html; charset=utf-8", 0, write_dashboard, NULL},
    {"/history.json", "application/json",
     SURVEY_POOLS | SURVEY_WAITING | SURVEY_SLOWEST | SURVEY_BATCH_MAX, write_history, NULL},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", SURVEY_POOLS, write_metrics, NULL},
    {"/stats.json", "application/json", SURVEY_POOLS, write_json, NULL},
    {"/healthz", "text/plain; charset=utf-8", 0, write_health, NULL},
    {"/readyz", "text/plain; charset=utf-8", SURVEY_POOLS, write_ready, ready_known},
};

const struct page *page_find(const char *path)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(path, all[i].path) == 0)
            return &all[i];
    return NULL;
}

/* --- texts --- */

void page_text_hold(struct page_text *text)
{
    text->holders++;
}

void page_text_drop(struct page_text *text)
{
    if (--text->holders > 0)
        return;
    free(text->bytes);
    free(text);
}

static uint64_t now_us(const struct pages *pages)
{
    return loop_now_us(pages->admin->host.loop);
}

static struct page_text *text_new(struct pages *pages, const struct page *page, uint64_t after)
{
    struct page_text *text = memory_new(sizeof(*text));

    text->pages = pages;
    text->page = page;
    text->after = after;
    text->holders = 1;
    text->since_us = now_us(pages);
    list_init(&text->readers);
    list_push_back(&pages->texts, &text->node);
    return text;
}

/* It is made, or nobody wants it. */
static void text_end(struct page_text *text)
{
    list_remove(&text->pages->texts, &text->node);
    if (text->surveyed)
        survey_free(text->survey);
    else if (text->survey)
        text->survey->asker = NULL;
    text->survey = NULL;
    page_text_drop(text);
}

static void text_make(struct page_text *text)
{
    struct pages *pages = text->pages;
    struct show_source source = {
        .admin = pages->admin, .survey = text->survey, .after = text->after};
    uint64_t began_us = clock_us();
    FILE *page = open_memstream(&text->bytes, &text->length);
    struct list_node *node;

    ensure(page);
    text->status = text->page->write(page, &source);
    fclose(page);
    if (text->page->survey)
        pages->next_us = now_us(pages) + PAUSE_US + PAUSE_FACTOR * (clock_us() - began_us);
    while ((node = list_first(&text->readers))) {
        struct page_reader *reader = container_of(node, struct page_reader, node);

        list_remove(&text->readers, node);
        reader->made(reader, text);
    }
    text_end(text);
}

/* Makes it when all is known that it tells, or when that has taken too long. */
static void text_look(struct page_text *text)
{
    struct show_source source = {.admin = text->pages->admin, .survey = text->survey};
    bool late = now_us(text->pages) > text->since_us + ANSWER_US;

    if (!list_contains_any(&text->readers))
        text_end(text);
    else if (!text->page->known || text->page->known(&source) || late)
        text_make(text);
}

static void text_surveyed(struct survey *survey)
{
    struct page_text *text = survey->asker;

    text->surveyed = true;
    text_look(text);
}

static struct page_text *text_wanted(struct pages *pages)
{
    LIST_EACH_SAFE (&pages->texts, node, next) {
        struct page_text *text = container_of(node, struct page_text, node);

        if (!text->begun)
            return text;
    }
    return NULL;
}

/* Begins the page that has been wanted for longest, when it is time. */
static void pages_go_on(struct pages *pages)
{
    struct page_text *text = text_wanted(pages);

    if (!text)
        return;
    if (now_us(pages) < pages->next_us) {
        timer_set(pages->admin->host.loop, &pages->timer, pages->next_us);
        return;
    }
    pages->next_us = now_us(pages) + PAUSE_US;
    text->begun = true;
    text->survey = survey_take(pages->admin->host.process, text->page->survey, text_surveyed, text);
    if (text_wanted(pages))
        timer_set(pages->admin->host.loop, &pages->timer, pages->next_us);
}

static void pages_due(struct timer *timer)
{
    pages_go_on(container_of(timer, struct pages, timer));
}

void pages_init(struct pages *pages, struct admin *admin)
{
    pages->admin = admin;
    pages->timer.expired = pages_due;
    list_init(&pages->texts);
}

void pages_fini(struct pages *pages)
{
    struct list_node *node;

    timer_cancel(pages->admin->host.loop, &pages->timer);
    while ((node = list_first(&pages->texts)))
        text_end(container_of(node, struct page_text, node));
}

void pages_read(struct pages *pages, const struct page *page, uint64_t after,
                struct page_reader *reader)
{
    struct page_text *text = NULL;

    /* One that is begun may not know what the reader has done just before. */
    LIST_EACH_SAFE (&pages->texts, node, next) {
        struct page_text *one = container_of(node, struct page_text, node);

        if (!one->begun && one->page == page && one->after == after)
            text = one;
    }
    if (!text)
        text = text_new(pages, page, after);
    reader->text = text;
    list_push_back(&text->readers, &reader->node);
    if (page->survey)
        pages_go_on(pages);
    else
        text_make(text);
}

void pages_leave(struct page_reader *reader)
{
    list_remove(&reader->text->readers, &reader->node);
}

void pages_look_again(struct pages *pages)
{
    LIST_EACH_SAFE (&pages->texts, node, next) {
        struct page_text *text = container_of(node, struct page_text, node);

        if (text->surveyed)
            text_look(text);
        else if (!text->begun && !list_contains_any(&text->readers))
            text_end(text);
    }
}

#include "statement_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "sluice/base/memory.h"
#include "sluice/batch/mask.h"

#define KEY_BYTES (2 * 256 + STATEMENT_SHOWN_BYTES)

struct statement_entry {
    UT_hash_handle hh; /* key: database NUL user NUL masked text */
    struct list_node node;
    uint64_t calls, run_us, wait_us, waits, rows, errors;
    struct histogram runs;
    size_t user_at, text_at; /* in key */
    char key[];
};

bool statement_timings_wanted(const struct conf *conf)
{
    return conf->log_min_duration_statement >= 0 || conf->statements ||
           conf->stats_listen.count > 0;
}

/* --- the slowest --- */

/* From when on a run is worth remembering: while there is room, or something old to forget. */
static void slowest_settle(struct statement_timings *timings, uint64_t now_us)
{
    uint64_t least_us = UINT64_MAX;

    for (unsigned i = 0; i < SLOWEST_MAX; i++) {
        struct slow_statement *slow = &timings->slowest[i];

        if (slow->run_us && now_us - slow->at_us > SLOWEST_US)
            slow->run_us = 0;
        if (slow->run_us < least_us)
            least_us = slow->run_us;
    }
    timings->slowest_least_us = least_us;
}

void statement_slowest_take(struct statement_timings *timings, const struct statement_run *run)
{
    struct slow_statement *place = NULL;
    char text[STATEMENT_SHOWN_BYTES];

    timings->slowest_looked_us = run->now_us;
    mask_text(run->text, run->text_bytes, text, sizeof(text));
    slowest_settle(timings, run->now_us);
    /* Of the same statement only the slowest run is told. */
    for (unsigned i = 0; i < SLOWEST_MAX && !place; i++)
        if (timings->slowest[i].run_us && strcmp(timings->slowest[i].text, text) == 0 &&
            strncmp(timings->slowest[i].database, run->database, sizeof(place->database) - 1) == 0)
            place = &timings->slowest[i];
    if (place && place->run_us >= run->run_us)
        return;
    for (unsigned i = 0; i < SLOWEST_MAX && !place; i++)
        if (timings->slowest[i].run_us <= timings->slowest_least_us)
            place = &timings->slowest[i];
    ensure(place);
    place->at_us = run->now_us;
    place->wait_us = run->wait_us;
    place->run_us = run->run_us;
    snprintf(place->database, sizeof(place->database), "%s", run->database);
    snprintf(place->user, sizeof(place->user), "%s", run->user);
    memcpy(place->text, text, sizeof(place->text));
    slowest_settle(timings, run->now_us);
}

void survey_slowest(struct survey_part *part, struct statement_timings *timings, uint64_t now_us)
{
    slowest_settle(timings, now_us);
    part->slowest = memory_new(SLOWEST_MAX * sizeof(part->slowest[0]));
    for (unsigned i = 0; i < SLOWEST_MAX; i++)
        if (timings->slowest[i].run_us)
            part->slowest[part->slowest_count++] = timings->slowest[i];
}

/* --- each statement --- */

static void entry_free(struct statement_timings *timings, struct statement_entry *entry)
{
    HASH_DEL(timings->by_key, entry);
    list_remove(&timings->by_use, &entry->node);
    histogram_fini(&entry->runs);
    free(entry);
}

void statement_timings_fini(struct statement_timings *timings)
{
    struct statement_entry *entry, *following;

    HASH_ITER(hh, timings->by_key, entry, following)
    entry_free(timings, entry);
}

static struct statement_entry *entry_of(struct statement_timings *timings, size_t most,
                                        const struct statement_run *run)
{
    char key[KEY_BYTES];
    size_t user_at = strnlen(run->database, 255) + 1, length;
    size_t text_at = user_at + strnlen(run->user, 255) + 1;
    struct statement_entry *entry;

    memcpy(key, run->database, user_at - 1);
    key[user_at - 1] = '\0';
    memcpy(key + user_at, run->user, text_at - user_at - 1);
    key[text_at - 1] = '\0';
    length =
        text_at + mask_text(run->text, run->text_bytes, key + text_at, STATEMENT_SHOWN_BYTES) + 1;
    HASH_FIND(hh, timings->by_key, key, length, entry);
    if (entry) {
        list_remove(&timings->by_use, &entry->node);
        list_push_front(&timings->by_use, &entry->node);
        return entry;
    }
    while (timings->by_use.length >= most)
        entry_free(timings,
                   container_of(list_last(&timings->by_use), struct statement_entry, node));
    entry = memory_new(sizeof(*entry) + length);
    memcpy(entry->key, key, length);
    entry->user_at = user_at;
    entry->text_at = text_at;
    HASH_ADD_KEYPTR(hh, timings->by_key, entry->key, length, entry);
    list_push_front(&timings->by_use, &entry->node);
    return entry;
}

void statement_stats_take(struct statement_timings *timings, size_t most,
                          const struct statement_run *run)
{
    struct statement_entry *entry = entry_of(timings, most, run);

    entry->calls++;
    entry->run_us += run->run_us;
    entry->wait_us += run->wait_us;
    entry->waits += run->wait_us > 0;
    entry->rows += run->rows;
    entry->errors += run->errors;
    histogram_add(&entry->runs, run->run_us);
}

void survey_statements(struct survey_part *part, const struct statement_timings *timings)
{
    part->statements = memory_new((timings->by_use.length + 1) * sizeof(part->statements[0]));
    LIST_EACH_SAFE (&timings->by_use, node, next) {
        const struct statement_entry *entry = container_of(node, struct statement_entry, node);
        struct survey_statement *row = &part->statements[part->statement_count++];

        *row = (struct survey_statement){
            .database = memory_text(entry->key, strlen(entry->key)),
            .user = memory_text(entry->key + entry->user_at, strlen(entry->key + entry->user_at)),
            .text = memory_text(entry->key + entry->text_at, strlen(entry->key + entry->text_at)),
            .calls = entry->calls,
            .run_us = entry->run_us,
            .wait_us = entry->wait_us,
            .waits = entry->waits,
            .rows = entry->rows,
            .errors = entry->errors,
        };
        histogram_copy(&row->runs, &entry->runs);
    }
}

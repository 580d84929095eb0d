#include "sluice/wire/pg_pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define OWN 0x80u
#define FIRST_SIZE 64u

void pg_pipeline_fini(struct pg_pipeline *pipeline)
{
    free(pipeline->owed);
    memset(pipeline, 0, sizeof(*pipeline));
}

void pg_pipeline_clear(struct pg_pipeline *pipeline)
{
    pipeline->first = pipeline->count = 0;
    pipeline->copy_in = pipeline->copy_both = pipeline->skip_until_sync = false;
    pipeline->unsynced = false;
}

static uint8_t owed_at(const struct pg_pipeline *pipeline, uint32_t index)
{
    return pipeline->owed[(pipeline->first + index) & (pipeline->size - 1)];
}

static bool copy_end(uint8_t owed)
{
    return (owed & (uint8_t)~OWN) == PG_COPY_DONE || (owed & (uint8_t)~OWN) == PG_COPY_FAIL;
}

static bool noted(uint8_t owed)
{
    return owed == PG_NOTED_PARSE || owed == PG_NOTED_CLOSE || owed == PG_NOTED_CLOSE_AS_PARSE ||
           owed == PG_NOTED_DESCRIBE || owed == PG_NOTED_BIND;
}

static void owed_pop(struct pg_pipeline *pipeline)
{
    uint8_t owed = owed_at(pipeline, 0) & (uint8_t)~OWN;

    if (noted(owed))
        pipeline->noted_over++;
    pipeline->first = (pipeline->first + 1) & (pipeline->size - 1);
    pipeline->count--;
}

static void pipeline_grow(struct pg_pipeline *pipeline)
{
    uint32_t size = pipeline->size ? pipeline->size * 2 : FIRST_SIZE;
    uint8_t *owed = memory_new(size);

    for (uint32_t i = 0; i < pipeline->count; i++)
        owed[i] = owed_at(pipeline, i);
    free(pipeline->owed);
    pipeline->owed = owed;
    pipeline->size = size;
    pipeline->first = 0;
}

bool pg_pipeline_sent(struct pg_pipeline *pipeline, uint8_t type, bool own)
{
    switch (type) {
    case PG_COPY_DONE:
    case PG_COPY_FAIL:
        /* Owed nothing, but Syncs behind it count again. */
        if (pipeline->copy_in) {
            pipeline->copy_in = false;
            return false;
        }
        if (pipeline->count == 0 || copy_end(owed_at(pipeline, pipeline->count - 1)))
            return false; /* the server ignores it */
        break;
    case PG_SYNC:
        if (pipeline->copy_in)
            return false;
        pipeline->skip_until_sync = pipeline->unsynced = false;
        break;
    case PG_QUERY:
    case PG_FUNCTION_CALL:
        if (!pipeline->skip_until_sync)
            pipeline->unsynced = false;
        pipeline->copy_in = false; /* the server ends the COPY with an error */
        break;
    case PG_PARSE:
    case PG_BIND:
    case PG_DESCRIBE:
    case PG_EXECUTE:
    case PG_CLOSE:
    case PG_NOTED_PARSE:
    case PG_NOTED_CLOSE:
    case PG_NOTED_CLOSE_AS_PARSE:
    case PG_NOTED_DESCRIBE:
    case PG_NOTED_BIND:
        pipeline->unsynced = true;
        pipeline->copy_in = false;
        break;
    default:
        return false;
    }
    if (pipeline->skip_until_sync)
        return false;
    if (pipeline->count == pipeline->size)
        pipeline_grow(pipeline);
    pipeline->owed[(pipeline->first + pipeline->count) & (pipeline->size - 1)] =
        type | (own ? OWN : 0);
    pipeline->count++;
    return true;
}

/* Drops the ends of COPYs that were not on when they arrived: the server ignores them. */
static void pipeline_drop_copy_ends(struct pg_pipeline *pipeline)
{
    while (pipeline->count > 0 && copy_end(owed_at(pipeline, 0)))
        owed_pop(pipeline);
}

/* The first request owed must be one of the types given; it is ticked off when done. */
static enum pg_verdict pipeline_answer(struct pg_pipeline *pipeline, const char *types, bool done)
{
    uint8_t owed;

    if (pipeline->count == 0)
        return PG_UNEXPECTED;
    owed = owed_at(pipeline, 0);
    if (!strchr(types, owed & (uint8_t)~OWN))
        return PG_UNEXPECTED;
    if (done)
        owed_pop(pipeline);
    return owed & OWN ? PG_SWALLOW : PG_PASS;
}

/* CopyInResponse: the server now ignores Syncs until the client ends its COPY, so those that were
 * sent already, behind the Execute, are void. */
static enum pg_verdict pipeline_copy_in(struct pg_pipeline *pipeline)
{
    enum pg_verdict verdict = pipeline_answer(pipeline, "QE", false);
    uint8_t owed;
    uint32_t kept = 1;
    uint32_t next = 1;

    if (verdict == PG_UNEXPECTED)
        return verdict;
    pipeline->copy_in = true;
    while (next < pipeline->count) {
        owed = owed_at(pipeline, next) & (uint8_t)~OWN;
        if (owed == PG_SYNC) {
            next++;
            continue;
        }
        pipeline->copy_in = false;
        if (copy_end(owed))
            next++;
        break;
    }
    if ((owed_at(pipeline, 0) & (uint8_t)~OWN) == PG_EXECUTE)
        pipeline->unsynced = true;
    for (; next < pipeline->count; next++, kept++) {
        owed = owed_at(pipeline, next);
        pipeline->owed[(pipeline->first + kept) & (pipeline->size - 1)] = owed;
        pipeline->unsynced &= (owed & (uint8_t)~OWN) != PG_SYNC;
    }
    pipeline->count = kept;
    return verdict;
}

static enum pg_verdict pipeline_error(struct pg_pipeline *pipeline)
{
    uint8_t owed;
    bool own;

    pipeline->copy_in = false;
    pipeline->noted_done = false;
    pipeline->failed = 0;
    if (pipeline->count == 0)
        return PG_PASS; /* an error out of the blue: the server is about to close */
    owed = owed_at(pipeline, 0) & (uint8_t)~OWN;
    own = owed_at(pipeline, 0) & OWN;
    pipeline->failed = owed;
    if (owed == PG_QUERY || owed == PG_FUNCTION_CALL)
        return own ? PG_SWALLOW : PG_PASS;
    while (pipeline->count > 0 && (owed_at(pipeline, 0) & (uint8_t)~OWN) != PG_SYNC)
        owed_pop(pipeline);
    /* Nothing but a Sync wakes the server now, whatever was sent before this error was seen. */
    if (pipeline->count == 0)
        pipeline->skip_until_sync = pipeline->unsynced = true;
    else if (owed_at(pipeline, 0) & OWN)
        return PG_SWALLOW;
    return PG_PASS;
}

/* ReadyForQuery ends a Query, a FunctionCall or a Sync. */
static enum pg_verdict pipeline_ready(struct pg_pipeline *pipeline)
{
    enum pg_verdict verdict = pipeline_answer(pipeline, "QFS", true);

    pipeline->copy_in = pipeline->copy_both = false;
    pipeline_drop_copy_ends(pipeline);
    return verdict;
}

/* CloseComplete. */
static enum pg_verdict pipeline_closed(struct pg_pipeline *pipeline)
{
    bool as_parse = pipeline->count > 0 && owed_at(pipeline, 0) == PG_NOTED_CLOSE_AS_PARSE;
    enum pg_verdict verdict = pipeline_answer(pipeline, "Cxk", true);

    return as_parse ? PG_PASS_PARSED : verdict;
}

enum pg_verdict pg_pipeline_reply(struct pg_pipeline *pipeline, uint8_t type)
{
    pipeline->noted_over = 0;
    pipeline->noted_done = true;
    if (type == PG_DATA_ROW && pipeline->count > 0 && owed_at(pipeline, 0) == PG_QUERY)
        return PG_PASS;
    pipeline_drop_copy_ends(pipeline);
    switch (type) {
    case PG_READY:
        return pipeline_ready(pipeline);
    case PG_ERROR:
        return pipeline_error(pipeline);
    case PG_PARSE_COMPLETE:
        return pipeline_answer(pipeline, "Pp", true);
    case PG_BIND_COMPLETE:
        return pipeline_answer(pipeline, "Bb", true);
    case PG_CLOSE_COMPLETE:
        return pipeline_closed(pipeline);
    case PG_ROW_DESCRIPTION:
    case PG_NO_DATA:
        if (pipeline->count > 0 && strchr("Di", owed_at(pipeline, 0) & (uint8_t)~OWN))
            return pipeline_answer(pipeline, "Di", true);
        return pipeline_answer(pipeline, "QE", false);
    case PG_PARAMETER_DESCRIPTION:
        return pipeline_answer(pipeline, "Di", false);
    case PG_DATA_ROW:
    case PG_COPY_OUT:
    case PG_COPY_DATA:
    case PG_COPY_DONE:
        return pipeline->copy_both ? PG_PASS : pipeline_answer(pipeline, "QE", false);
    case PG_COMMAND_COMPLETE:
    case PG_EMPTY_QUERY:
    case PG_PORTAL_SUSPENDED:
        if (pipeline->count > 0 && (owed_at(pipeline, 0) & (uint8_t)~OWN) == PG_EXECUTE)
            return pipeline_answer(pipeline, "E", true);
        return pipeline->copy_both ? PG_PASS : pipeline_answer(pipeline, "Q", false);
    case PG_FUNCTION_RESULT:
        return pipeline_answer(pipeline, "F", false);
    case PG_COPY_IN:
        return pipeline_copy_in(pipeline);
    case PG_COPY_BOTH:
        pipeline->copy_both = true;
        return pipeline_answer(pipeline, "QE", false);
    case PG_NOTICE:
    case PG_PARAMETER_STATUS:
        return pipeline->count > 0 && owed_at(pipeline, 0) & OWN ? PG_SWALLOW : PG_PASS;
    case PG_NOTIFICATION:
        return PG_PASS;
    default:
        return PG_UNEXPECTED;
    }
}

bool pg_pipeline_unnoticed(const struct pg_pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->count; i++) {
        uint8_t owed = owed_at(pipeline, i);

        if (owed != (PG_QUERY | OWN) && owed != PG_NOTED_CLOSE_AS_PARSE)
            return false;
    }
    return true;
}

bool pg_pipeline_only_ready(const struct pg_pipeline *pipeline)
{
    return pipeline->count == 1 && !pipeline->unsynced &&
           (owed_at(pipeline, 0) == PG_SYNC || owed_at(pipeline, 0) == PG_QUERY);
}

static bool owed_ready(uint8_t owed)
{
    uint8_t type = owed & (uint8_t)~OWN;

    return type == PG_QUERY || type == PG_FUNCTION_CALL || type == PG_SYNC;
}

bool pg_pipeline_ready_due(const struct pg_pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->count; i++)
        if (owed_ready(owed_at(pipeline, i)))
            return true;
    return false;
}

void pg_pipeline_disown(struct pg_pipeline *pipeline)
{
    ensure(pipeline->count == 1);
    pipeline->owed[pipeline->first] |= OWN;
}

size_t pg_pipeline_readies(const struct pg_pipeline *pipeline, bool *open_tail)
{
    size_t readies = 0;

    *open_tail = pipeline->unsynced || pipeline->copy_both;
    for (uint32_t i = 0; i < pipeline->count; i++) {
        uint8_t owed = owed_at(pipeline, i);

        if (owed_ready(owed) && !(owed & OWN))
            readies++;
    }
    return readies;
}

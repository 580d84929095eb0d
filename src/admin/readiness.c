#include "readiness.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "sluice/base/memory.h"
#include "sluice/pool/reach.h"
#include "state.h"

/* How long an answer is believed, and kept at all. */
#define BELIEVED_US (5 * US_PER_S)
#define KEPT_US (60 * US_PER_S)
/* An address that has not answered by then counts as out of reach. */
#define TIMEOUT_US (2 * US_PER_S)
#define KEY_BYTES 1024

struct readiness_place {
    UT_hash_handle hh;
    struct readiness *readiness;
    struct reach *reach; /* under way, or NULL */
    bool reached;
    uint64_t at_us; /* of the last answer; 0 = none yet */
    char key[];     /* kind, service, port, hosts */
};

void readiness_init(struct readiness *readiness, struct admin *admin, void (*changed)(void *owner),
                    void *owner)
{
    readiness->admin = admin;
    readiness->changed = changed;
    readiness->owner = owner;
}

static void place_free(struct readiness_place *place)
{
    HASH_DEL(place->readiness->places, place);
    if (place->reach)
        reach_end(place->reach);
    free(place);
}

void readiness_fini(struct readiness *readiness)
{
    struct readiness_place *place, *following;

    HASH_ITER(hh, readiness->places, place, following)
    place_free(place);
}

static uint64_t now_us(const struct readiness *readiness)
{
    return loop_now_us(readiness->admin->host.loop);
}

/* --- places --- */

static struct readiness_place *place_of(struct readiness *readiness,
                                        const struct reach_target *target)
{
    struct readiness_place *place;
    char key[KEY_BYTES];
    size_t length = (size_t)snprintf(key, sizeof(key), "%c %u %s", target->redis ? 'r' : 'p',
                                     target->port, target->service ? target->service : "");

    for (size_t i = 0; i < target->hosts.count && length < sizeof(key); i++)
        length +=
            (size_t)snprintf(key + length, sizeof(key) - length, " %s", target->hosts.items[i]);
    HASH_FIND_STR(readiness->places, key, place);
    if (place)
        return place;
    place = memory_new(sizeof(*place) + strlen(key) + 1);
    place->readiness = readiness;
    memcpy(place->key, key, strlen(key) + 1);
    HASH_ADD_STR(readiness->places, key, place);
    return place;
}

static bool place_known(const struct readiness_place *place)
{
    return place->at_us && now_us(place->readiness) < place->at_us + BELIEVED_US;
}

static void place_answered(void *owner, bool reached)
{
    struct readiness_place *place = owner;
    struct readiness *readiness = place->readiness;

    place->reach = NULL;
    place->reached = reached;
    place->at_us = now_us(readiness);
    readiness->changed(readiness->owner);
}

static void place_ask(struct readiness_place *place, const struct reach_target *target)
{
    const struct admin_host *host = &place->readiness->admin->host;
    struct reach_target hurried = *target;

    if (!hurried.timeout_us || hurried.timeout_us > TIMEOUT_US)
        hurried.timeout_us = TIMEOUT_US;
    place->reach = reach_begin(&hurried, host->process->resolver, host->process->main_mailbox,
                               place_answered, place);
}

/* Those of settings that are no more. */
static void readiness_forget(struct readiness *readiness)
{
    struct readiness_place *place, *following;

    HASH_ITER(hh, readiness->places, place, following)
    if (!place->reach && place->at_us + KEPT_US < now_us(readiness))
        place_free(place);
}

/* --- lines of the settings --- */

/* Names of databases, or of lines of [redis]: their pools tell something. */
struct names {
    const char **items;
    size_t count;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool pool_has_servers(const struct survey_pool *pool)
{
    return pool->servers[SERVER_IDLE] + pool->servers[SERVER_LEASED] +
               pool->servers[SERVER_SHARED] + pool->servers[SERVER_CHECKING] +
               pool->servers[SERVER_DRAINING] >
           0;
}

static bool pool_is_unreachable(const struct survey_pool *pool)
{
    return pool->unreachable;
}

/* Those that have a pool of which it is true. */
static struct names names_new(const struct survey *survey, bool redis,
                              bool (*is)(const struct survey_pool *pool))
{
    struct names names = {0};
    size_t count = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        count += redis ? survey->parts[i].redis_pool_count : survey->parts[i].pool_count;
    names.items = memory_new((count + 1) * sizeof(names.items[0]));
    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];
        const struct survey_pool *pools = redis ? part->redis_pools : part->pools;

        count = redis ? part->redis_pool_count : part->pool_count;
        for (size_t j = 0; j < count; j++)
            if (is(&pools[j]))
                names.items[names.count++] = pools[j].database;
    }
    qsort(names.items, names.count, sizeof(names.items[0]), name_compare);
    return names;
}

static bool names_have(const struct names *names, const char *name)
{
    return bsearch(&name, names->items, names->count, sizeof(names->items[0]), name_compare);
}

/* A line that is not known to be ready. */
struct line {
    const char *name;
    bool unreachable; /* its pools say so */
    struct reach_target at;
};

/* Calls each for every such line. */
static void lines_each(struct readiness *readiness, const struct survey *survey,
                       void (*each)(struct readiness *readiness, const struct line *line,
                                    void *context),
                       void *context)
{
    const struct conf *conf = admin_conf(readiness->admin);

    for (unsigned redis = 0; redis < 2; redis++) {
        struct names ready = names_new(survey, redis, pool_has_servers);
        struct names unreachable = names_new(survey, redis, pool_is_unreachable);
        size_t count = redis ? conf->redis_count : conf->database_count;

        for (size_t i = 0; i < count; i++) {
            struct line line = {.name = redis ? conf->redis[i]->name : conf->databases[i]->name};

            if (names_have(&ready, line.name))
                continue;
            line.unreachable = names_have(&unreachable, line.name);
            line.at = redis ? reach_target_of_redis(conf->redis[i])
                            : reach_target_of_database(conf, conf->databases[i]);
            each(readiness, &line, context);
        }
        free(ready.items);
        free(unreachable.items);
    }
}

static void line_ask(struct readiness *readiness, const struct line *line, void *unknown)
{
    struct readiness_place *place;

    if (line->unreachable)
        return;
    place = place_of(readiness, &line->at);
    if (place_known(place))
        return;
    *(bool *)unknown = true;
    if (!place->reach)
        place_ask(place, &line->at);
}

bool readiness_known(struct readiness *readiness, const struct survey *survey)
{
    bool unknown = false;

    readiness_forget(readiness);
    lines_each(readiness, survey, line_ask, &unknown);
    return !unknown;
}

struct report {
    FILE *page;
    unsigned unready;
};

static void line_write(struct readiness *readiness, const struct line *line, void *context)
{
    const struct readiness_place *place = place_of(readiness, &line->at);
    bool known = line->unreachable || place_known(place);
    struct report *report = context;

    if (!line->unreachable && known && place->reached)
        return;
    report->unready++;
    fprintf(report->page, "%s: no server %s\n", line->name,
            known ? "can be reached" : "has answered yet");
}

unsigned readiness_write(FILE *page, struct readiness *readiness, const struct survey *survey)
{
    struct report report = {.page = page};

    lines_each(readiness, survey, line_write, &report);
    return report.unready;
}

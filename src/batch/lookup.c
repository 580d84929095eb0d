#include "sluice/batch/lookup.h"

#include "probe.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "statement.h"
#include "walk.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* All names of our own; walk.c refuses statements that have such names themselves. */
#define KEYS "_sluice_k"
#define KEY KEYS "._sluice_"
#define ROWS "_sluice_q"

static const char *const refusal_texts[] = {
#define REFUSAL(name, text) text,
#include "sluice/batch/refusals.def"
#undef REFUSAL
};

const char *lookup_refusal_text(enum lookup_refusal refusal)
{
    ensure(refusal < LOOKUP_REFUSALS);
    return refusal_texts[refusal];
}

static int compare_places(const void *a, const void *b)
{
    const struct lookup_place *left = a, *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* Puts the places in the order of the text and counts the parameters. */
static bool number_params(struct lookup *lookup)
{
    bool used[LOOKUP_PARAMS_MAX + 1] = {false};

    qsort(lookup->places, lookup->places_count, sizeof(lookup->places[0]), compare_places);
    for (size_t i = 0; i < lookup->places_count; i++) {
        unsigned number = lookup->places[i].number;

        used[number] = true;
        if (number > lookup->params)
            lookup->params = number;
    }
    for (unsigned number = 1; number <= lookup->params; number++) {
        if (!used[number])
            return false;
    }
    return true;
}

static void lookup_init(struct lookup *lookup, const struct statement *statement)
{
    struct walk walk;

    walk_statement(&walk, statement, lookup->detail);
    lookup->refusal = walk.refusal;
    lookup->places = walk.places;
    lookup->places_count = walk.places_count;
    if (lookup->refusal == LOOKUP_NONE && !number_params(lookup))
        lookup->refusal = LOOKUP_PARAM_NUMBER;
    if (lookup->refusal == LOOKUP_NONE) {
        lookup->text = memory_text(statement->text, statement->end);
        lookup->start = statement->start;
        lookup->limited = json_object_get(statement->select, "limitCount") != NULL ||
                          json_object_get(statement->select, "limitOffset") != NULL;
        lookup->probe = probe_new(&walk);
    }
    for (int i = 0; i < WALK_NAMES; i++)
        free(walk.names_text[i]);
}

struct lookup *lookup_new(const char *text)
{
    struct lookup *lookup = memory_new(sizeof(*lookup));
    struct statement statement;

    lookup->refusal = statement_init(&statement, text);
    if (lookup->refusal == LOOKUP_NONE)
        lookup_init(lookup, &statement);
    statement_fini(&statement);
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    free(lookup->probe);
    free(lookup->places);
    free(lookup->text);
    free(lookup);
}

const char *lookup_probe(const struct lookup *lookup)
{
    ensure(lookup->refusal == LOOKUP_NONE);
    return lookup->probe;
}

enum lookup_refusal lookup_probe_refusal(const char *answer)
{
    char *end;
    unsigned long refusal = strtoul(answer, &end, 10);

    if (end == answer || *end != '\0' || refusal >= LOOKUP_REFUSALS)
        return LOOKUP_CONSTRUCT;
    return (enum lookup_refusal)refusal;
}

/* The client's statement with each $n replaced by the key's column; all else byte for byte. */
static void put_statement(FILE *to, const struct lookup *lookup, const struct lookup_type *types)
{
    size_t done = lookup->start;

    for (size_t i = 0; i < lookup->places_count; i++) {
        const struct lookup_place *place = &lookup->places[i];
        const struct lookup_type *type = &types[place->number - 1];

        fwrite(lookup->text + done, 1, place->offset - done, to);
        if (type->text_only)
            fprintf(to, "(" KEY "%u::%s)", place->number, type->name);
        else
            fprintf(to, KEY "%u", place->number);
        for (done = place->offset + 1; isdigit((unsigned char)lookup->text[done]);)
            done++;
    }
    fputs(lookup->text + done, to);
}

/* (SELECT $1) hides the array's length from the planner. It would otherwise take a plan made for
 * the one array at hand to be cheaper than the general one whenever the array has fewer elements
 * than the ten that it supposes, and plan small batches anew each time, at twice their cost. */
char *lookup_rewrite(const struct lookup *lookup, const struct lookup_type *types, unsigned count)
{
    char *text;
    size_t length;
    FILE *to;

    ensure(lookup->refusal == LOOKUP_NONE);
    if (count != lookup->params)
        return NULL;
    to = open_memstream(&text, &length);
    ensure(to != NULL);
    fputs("SELECT " KEY "ord, " ROWS ".* FROM ROWS FROM (", to);
    for (unsigned i = 0; i < count; i++)
        fprintf(to, "%spg_catalog.unnest((SELECT $%u::%s[]))", i == 0 ? "" : ", ", i + 1,
                types[i].text_only ? "pg_catalog.text" : types[i].name);
    fputs(") WITH ORDINALITY AS " KEYS " (", to);
    for (unsigned i = 0; i < count; i++)
        fprintf(to, "_sluice_%u, ", i + 1);
    fputs("_sluice_ord) CROSS JOIN LATERAL (", to);
    put_statement(to, lookup, types);
    /* On a line of its own, as the statement may end in a comment. OFFSET 0 keeps the statement
     * apart, to be run for each key as it would be run alone; a limit does the same. */
    fprintf(to, "\n%s) AS " ROWS, lookup->limited ? "" : "OFFSET 0");
    ensure(fclose(to) == 0);
    return text;
}

bool lookup_encoding_safe(const char *client_encoding)
{
    /* Those that PostgreSQL itself cannot use on the server, for this very reason. */
    static const char *const unsafe[] = {"SJIS",    "BIG5",  "GBK",           "UHC",
                                         "GB18030", "JOHAB", "SHIFT_JIS_2004"};

    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
        if (strcasecmp(client_encoding, unsafe[i]) == 0)
            return false;
    }
    return true;
}

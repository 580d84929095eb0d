#include "conf/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sluice/base/clock.h"
#include "sluice/base/ensure.h"
#include "sluice/conf/conf.h"

/* A plain number in an ini file is in seconds (TIME) or milliseconds (TIME_MS). */
static uint64_t plain_unit_us(const struct conf_row *row)
{
    return row->type == CONF_TIME_MS ? US_PER_MS : US_PER_S;
}

static void *member_of(const struct conf_row *row, const void *base)
{
    return (char *)base + row->offset;
}

/* Writes down what a value must be; a parser returns it. */
#define refuse(problem, ...) (text_addf(problem, __VA_ARGS__), false)

static bool refuse_choice(const struct conf_row *row, bool later, struct text *problem)
{
    text_addf(problem, "%s", later ? "is not supported yet; it may be" : "must be");
    for (const struct conf_choice *choice = row->choices, *before = NULL; choice->name; choice++) {
        if (choice->later)
            continue;
        text_addf(problem, "%s%s", before ? ", " : " ", choice->name);
        before = choice;
    }
    return false;
}

static bool parse_choice(const struct conf_row *row, const char *text,
                         const struct conf_choice **choice, struct text *problem)
{
    for (*choice = row->choices; (*choice)->name; (*choice)++) {
        if (strcasecmp((*choice)->name, text) != 0)
            continue;
        return (*choice)->later ? refuse_choice(row, true, problem) : true;
    }
    return refuse_choice(row, false, problem);
}

static bool parse_bool(const char *text, bool *value, struct text *problem)
{
    static const char *const words[][2] = {
        {"0", "1"}, {"off", "on"}, {"no", "yes"}, {"false", "true"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i][0]) != 0 && strcasecmp(text, words[i][1]) != 0)
            continue;
        *value = strcasecmp(text, words[i][1]) == 0;
        return true;
    }
    return refuse(problem, "must be 0 or 1 (or off, on, no, yes, false, true)");
}

/* As PgBouncer's: decimal, octal with a leading 0, hexadecimal with 0x. */
static bool parse_int(const struct conf_row *row, const char *text, int64_t *value,
                      struct text *problem)
{
    long long number;
    char *end;

    if (row->automatic && strcasecmp(text, "auto") == 0) {
        *value = 0;
        return true;
    }
    errno = 0;
    number = strtoll(text, &end, 0);
    if (end != text && *end == '\0' && errno == 0 && number >= row->min && number <= row->max) {
        *value = number;
        return true;
    }
    if (row->type == CONF_MODE)
        return refuse(problem, "must be an octal number from 0%" PRIo64 " to 0%" PRIo64,
                      (uint64_t)row->min, (uint64_t)row->max);
    return refuse(problem, "must be %sa whole number from %" PRId64 " to %" PRId64,
                  row->automatic ? "auto or " : "", row->min, row->max);
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {"us", 1},
    {"ms", US_PER_MS},
    {"s", US_PER_S},
    {"m", 60 * US_PER_S},
    {"min", 60 * US_PER_S},
    {"h", 3600 * US_PER_S},
    {"d", 86400 * US_PER_S},
    {0},
};

static const struct unit size_units[] = {
    {"B", 1},           {"kB", 1ULL << 10}, {"k", 1ULL << 10},
    {"MB", 1ULL << 20}, {"M", 1ULL << 20},  {"GB", 1ULL << 30},
    {"G", 1ULL << 30},  {"TB", 1ULL << 40}, {0},
};

/* Reads digits, a fraction, blanks and a unit. What would not fit 64 bits is refused. */
static bool parse_amount(const char *text, const struct unit *units, uint64_t plain,
                         uint64_t *amount)
{
    uint64_t whole = 0, part = 0, scale = 1;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*at - '0'), &whole))
            return false;
    if (at == text)
        return false;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++) {
            if (scale == 1000000) /* a millionth of a unit is fine enough */
                continue;
            part = part * 10 + (uint64_t)(*at - '0');
            scale *= 10;
        }
    while (*at == ' ' || *at == '\t')
        at++;
    if (*at != '\0') {
        while (units->name && strcasecmp(units->name, at) != 0)
            units++;
        if (!units->name)
            return false;
        plain = units->factor;
    }
    return !__builtin_mul_overflow(whole, plain, &whole) &&
           !__builtin_add_overflow(whole, part * plain / scale, amount);
}

static bool parse_time(const struct conf_row *row, const char *text, uint64_t *value_us,
                       struct text *problem)
{
    uint64_t unit = plain_unit_us(row), amount;

    if (parse_amount(text, time_units, unit, &amount) && amount >= (uint64_t)row->min * unit &&
        amount <= (uint64_t)row->max * unit) {
        *value_us = amount;
        return true;
    }
    return refuse(problem,
                  "must be a time from %" PRId64 " to %" PRId64
                  " %s, with a fraction or a unit (us, ms, s, m, h, d) if need be",
                  row->min, row->max, row->type == CONF_TIME ? "seconds" : "milliseconds");
}

static bool parse_size(const struct conf_row *row, const char *text, uint64_t *value_bytes,
                       struct text *problem)
{
    uint64_t amount;

    if (parse_amount(text, size_units, 1, &amount) && amount >= (uint64_t)row->min &&
        amount <= (uint64_t)row->max) {
        *value_bytes = amount;
        return true;
    }
    return refuse(problem,
                  "must be a size from %" PRId64 " to %" PRId64
                  " bytes, with a unit (kB, MB, GB) if need be",
                  row->min, row->max);
}

static struct conf_list parse_list(const char *text, struct arena *arena)
{
    const char **items;
    size_t count = 0, most = 1;

    for (const char *at = text; *at; at++)
        most += *at == ',';
    items = arena_alloc(arena, most * sizeof(*items));
    while (*text) {
        size_t length = strcspn(text, ","), used;

        while (length > 0 && (*text == ' ' || *text == '\t')) {
            text++;
            length--;
        }
        used = length;
        while (used > 0 && (text[used - 1] == ' ' || text[used - 1] == '\t'))
            used--;
        if (used > 0)
            items[count++] = arena_text(arena, text, used);
        text += length;
        text += *text == ',';
    }
    return (struct conf_list){.items = items, .count = count};
}

bool value_parse(const struct conf_row *row, const char *text, struct arena *arena, void *base,
                 struct text *problem)
{
    void *member = member_of(row, base);
    const struct conf_choice *choice = NULL;

    switch (row->type) {
    case CONF_BOOL:
        return parse_bool(text, member, problem);
    case CONF_INT:
    case CONF_MODE:
        return parse_int(row, text, member, problem);
    case CONF_TIME:
    case CONF_TIME_MS:
        return parse_time(row, text, member, problem);
    case CONF_SIZE:
        return parse_size(row, text, member, problem);
    case CONF_TEXT:
        if (row->choices && !parse_choice(row, text, &choice, problem))
            return false;
        *(const char **)member = choice ? choice->name : arena_text(arena, text, strlen(text));
        return true;
    case CONF_ENUM:
        if (!parse_choice(row, text, &choice, problem))
            return false;
        *(int *)member = choice->value;
        return true;
    case CONF_LIST:
        *(struct conf_list *)member = parse_list(text, arena);
        return true;
    }
    ensure(!"a type without a parser");
    return false;
}

static void add_time(struct text *text, uint64_t us, uint64_t unit_us)
{
    text_addf(text, "%" PRIu64, us / unit_us);
    if (us % unit_us == 0)
        return;
    text_addf(text, ".%0*" PRIu64, unit_us == US_PER_S ? 6 : 3, us % unit_us);
    while (text->data[text->length - 1] == '0')
        text->data[--text->length] = '\0';
}

void value_format(const struct conf_row *row, const void *base, struct text *text)
{
    const void *member = member_of(row, base);
    const struct conf_list *list = member;

    switch (row->type) {
    case CONF_BOOL:
        text_addf(text, "%d", *(const bool *)member);
        break;
    case CONF_INT:
        if (row->automatic && *(const int64_t *)member == 0)
            text_addf(text, "auto");
        else
            text_addf(text, "%" PRId64, *(const int64_t *)member);
        break;
    case CONF_MODE:
        text_addf(text, "0%" PRIo64, *(const uint64_t *)member);
        break;
    case CONF_TIME:
    case CONF_TIME_MS:
        add_time(text, *(const uint64_t *)member, plain_unit_us(row));
        break;
    case CONF_SIZE:
        text_addf(text, "%" PRIu64, *(const uint64_t *)member);
        break;
    case CONF_TEXT:
        text_add(text, *(const char *const *)member, strlen(*(const char *const *)member));
        break;
    case CONF_ENUM:
        for (const struct conf_choice *choice = row->choices; choice->name; choice++)
            if (choice->value == *(const int *)member)
                text_addf(text, "%s", choice->name);
        break;
    case CONF_LIST:
        for (size_t i = 0; i < list->count; i++) {
            text_add(text, ", ", i > 0 ? 2 : 0);
            text_add(text, list->items[i], strlen(list->items[i]));
        }
        break;
    }
}

static size_t value_bytes(const struct conf_row *row)
{
    switch (row->type) {
    case CONF_BOOL:
        return sizeof(bool);
    case CONF_INT:
    case CONF_MODE:
        return sizeof(int64_t);
    case CONF_TIME:
    case CONF_TIME_MS:
    case CONF_SIZE:
        return sizeof(uint64_t);
    case CONF_TEXT:
        return sizeof(const char *);
    case CONF_ENUM:
        return sizeof(int);
    case CONF_LIST:
        return sizeof(struct conf_list);
    }
    return 0;
}

void value_unset(const struct conf_row *row, void *base)
{
    void *member = member_of(row, base);

    /* CONF_UNSET and CONF_UNSET_US are all ones; an unset text is NULL, an unset list empty. */
    memset(member, row->type == CONF_TEXT || row->type == CONF_LIST ? 0 : 0xff, value_bytes(row));
}

void value_copy(const struct conf_row *from, const void *from_base, const struct conf_row *to,
                void *to_base)
{
    ensure(from->type == to->type);
    memcpy(member_of(to, to_base), member_of(from, from_base), value_bytes(to));
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool list_equal(const struct conf_list *a, const struct conf_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

bool value_equal(const struct conf_row *row, const void *base, const void *other_base)
{
    const void *a = member_of(row, base), *b = member_of(row, other_base);

    if (row->type == CONF_TEXT)
        return text_equal(*(const char *const *)a, *(const char *const *)b);
    if (row->type == CONF_LIST)
        return list_equal(a, b);
    return memcmp(a, b, value_bytes(row)) == 0;
}

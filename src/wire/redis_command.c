#include "sluice/wire/redis_command.h"

#include <endian.h>
#include <string.h>
#include <strings.h>

#include "sluice/base/ensure.h"
#include "wire/redis_command_table.h"

/* A hash index over the rows, made once before main(). A name is three words, lower-case and padded
 * with zeros, so that a comparison is a few instructions; a subcommand's key has its container too.
 * (400 rows in 2,048 slots: a lookup seldom meets a second row.) */

#define NAME_BYTES_MAX 24u
#define SLOTS_LOG2 11
#define SLOTS (1u << SLOTS_LOG2)
#define ROWS_MAX 512u

struct key {
    uint64_t words[3];
    uint64_t place; /* the name's length and its container (row number + 1; 0 = none) */
};

static struct key keys[ROWS_MAX];
static uint16_t slots[SLOTS]; /* row number + 1; 0 = empty */

static const struct redis_command unknown = {
    .name = "", .arity = -1, .class = REDIS_CLASS_SINGLE, .flags = REDIS_STATE};

/* Eight bytes at once: A..Z to a..z, all others as they are. */
static uint64_t lower(uint64_t word)
{
    const uint64_t each = 0x0101010101010101ull;
    uint64_t low = word & 0x7f * each;
    uint64_t from_a = low + (0x80 - 'A') * each, past_z = low + (0x7f - 'Z') * each;
    uint64_t capital = (from_a ^ past_z) & ~word & 0x80 * each;

    return word | capital >> 2;
}

static uint64_t load8(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return lower(le64toh(word));
}

static uint64_t load4(const uint8_t *bytes)
{
    uint32_t word;

    memcpy(&word, bytes, sizeof(word));
    return le32toh(word);
}

/* name of 1 to NAME_BYTES_MAX bytes. Overlapping loads: no byte outside it is read. */
static struct key key_of(const uint8_t *name, size_t length, size_t container)
{
    struct key key = {.place = (uint64_t)container << 8 | length};

    if (length >= 8) {
        key.words[0] = load8(name);
        if (length > 16)
            key.words[2] = load8(name + 8);
        key.words[1] = load8(name + length - 8);
    } else if (length >= 4) {
        key.words[0] = lower(load4(name) | load4(name + length - 4) << (length - 4) * 8);
    } else {
        for (size_t i = 0; i < length; i++)
            key.words[0] |= (uint64_t)name[i] << i * 8;
        key.words[0] = lower(key.words[0]);
    }
    return key;
}

static bool key_equal(const struct key *a, const struct key *b)
{
    return ((a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) |
            (a->words[2] ^ b->words[2]) | (a->place ^ b->place)) == 0;
}

static size_t key_slot(const struct key *key)
{
    uint64_t hash = key->words[0] * 0x9e3779b97f4a7c15ull ^ key->words[1] * 0xc2b2ae3d27d4eb4full ^
                    key->words[2] * 0x165667b19e3779f9ull ^ key->place * 0xd6e8feb86659fd93ull;

    return (size_t)(hash >> (64 - SLOTS_LOG2));
}

static const struct redis_command *row_find(const uint8_t *name, size_t length, size_t container)
{
    struct key key;

    if (length == 0 || length > NAME_BYTES_MAX)
        return NULL;
    key = key_of(name, length, container);
    for (size_t slot = key_slot(&key); slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (key_equal(&keys[slots[slot] - 1], &key))
            return &redis_command_rows[slots[slot] - 1];
    return NULL;
}

__attribute__((constructor)) static void index_build(void)
{
    size_t container = 0, slot;

    ensure(redis_command_row_count <= ROWS_MAX);
    for (size_t row = 0; row < redis_command_row_count; row++) {
        const char *name = redis_command_rows[row].name, *bar = strchr(name, '|');

        if (!bar)
            container = 0;
        name = bar ? bar + 1 : name;
        ensure(strlen(name) <= NAME_BYTES_MAX &&
               !row_find((const uint8_t *)name, strlen(name), container));
        keys[row] = key_of((const uint8_t *)name, strlen(name), container);
        for (slot = key_slot(&keys[row]); slots[slot] != 0;)
            slot = (slot + 1) % SLOTS;
        slots[slot] = (uint16_t)(row + 1);
        if (!bar && redis_command_rows[row].flags & REDIS_CONTAINER)
            container = row + 1;
    }
}

const struct redis_command *redis_command_find(const void *name, size_t length)
{
    return row_find(name, length, 0);
}

const struct redis_command *redis_subcommand_find(const struct redis_command *container,
                                                  const void *name, size_t length)
{
    ensure(container->flags & REDIS_CONTAINER);
    return row_find(name, length, (size_t)(container - redis_command_rows) + 1);
}

/* word: lower case. */
static bool arg_is(const uint8_t *data, const struct resp_request *request, uint32_t index,
                   const char *word)
{
    const struct resp_span *arg = &request->args[index];

    return index < request->seen && arg->length == strlen(word) &&
           strncasecmp((const char *)data + arg->offset, word, arg->length) == 0;
}

/* XREAD and XREADGROUP: is there a BLOCK before STREAMS? Yes, if that cannot be seen. */
static bool call_blocks(const uint8_t *data, const struct resp_request *request, bool group)
{
    uint32_t index = group ? 4 : 1;

    while (index < request->seen) {
        if (arg_is(data, request, index, "block"))
            return true;
        if (arg_is(data, request, index, "streams"))
            return false;
        index += arg_is(data, request, index, "count") ? 2 : 1;
    }
    return request->seen < request->argc;
}

/* Commands whose arguments decide. */
static void call_refine(struct redis_call *call, const uint8_t *data,
                        const struct resp_request *request)
{
    bool group = call->command->id == REDIS_COMMAND_XREADGROUP;

    switch ((int)call->command->id) {
    case REDIS_COMMAND_XREAD:
    case REDIS_COMMAND_XREADGROUP:
        if (!call_blocks(data, request, group)) {
            call->class = REDIS_CLASS_SHARED;
            call->flags &= ~(uint32_t)REDIS_BLOCKING;
        }
        break;
    case REDIS_COMMAND_CLIENT_TRACKING:
    case REDIS_COMMAND_CLIENT_NO_EVICT:
    case REDIS_COMMAND_CLIENT_NO_TOUCH:
        if (request->seen > 2 && !arg_is(data, request, 2, "on"))
            call->class = REDIS_CLASS_SINGLE; /* nothing stays */
        break;
    default:
        break;
    }
}

static bool arity_fits(const struct redis_command *command, uint32_t argc)
{
    return command->arity < 0 ? argc >= (uint32_t)-command->arity
                              : argc == (uint32_t)command->arity;
}

struct redis_call redis_command_classify(const uint8_t *data, const struct resp_request *request)
{
    const struct resp_span *args = request->args;
    const struct redis_command *row = NULL, *sub = NULL;
    struct redis_call call;

    if (request->seen > 0)
        row = redis_command_find(data + args[0].offset, args[0].length);
    if (!row)
        return (struct redis_call){&unknown, unknown.class, unknown.flags};
    if (row->flags & REDIS_CONTAINER && request->argc > 1) {
        if (request->seen > 1)
            sub = redis_subcommand_find(row, data + args[1].offset, args[1].length);
        if (!sub)
            return (struct redis_call){row, REDIS_CLASS_SINGLE, row->flags | REDIS_STATE};
        row = sub;
    }
    call = (struct redis_call){row, row->class, row->flags};
    if (!arity_fits(row, request->argc)) {
        /* Redis looks at the number of arguments before permissions, and does nothing else. */
        call.flags &= ~(uint32_t)(REDIS_GATED | REDIS_BLOCKING);
        if (row->class != REDIS_CLASS_SHARED && row->class != REDIS_CLASS_REFUSE)
            call.class = REDIS_CLASS_SINGLE;
        return call;
    }
    if (row->id != REDIS_COMMAND_OTHER)
        call_refine(&call, data, request);
    return call;
}

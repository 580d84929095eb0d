/* Asking together, the way out. What is unsent is walked when it is about to be written: first from
 * its end, to see which reads have nothing behind them that could not be asked again too, then from
 * its beginning in windows, each of which becomes a list of questions. Lookups of what a read could
 * join go through one table without chains: a slot that is taken by something else only means that
 * fewer are joined. */
#include "redis_batch.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"

#define WINDOW 1024u /* commands that are looked at together */
#define NONE UINT16_MAX
#define SLOTS 4096u
#define LARGE_SLOTS 256u
/* A request that is longer is asked alone. */
#define REQUEST_BYTES_MAX 2048u

/* A request that is asked once, for all entries of its group. */
struct key {
    const uint8_t *request;
    uint32_t length;
    uint32_t what, field; /* where behind the command's name its argument begins, and the next */
    uint32_t number;      /* within its question */
    uint16_t question;
    uint16_t next;        /* key of the same question */
    uint16_t first, last; /* entries of the window */
    uint16_t count;
};

/* One command on the wire. */
struct question {
    uint64_t place;
    uint16_t first, last, keys;
    uint8_t kind; /* enum redis_batch */
};

struct redis_batcher {
    struct buffer bytes, asked;
    struct redis_owed_ring owed;
    uint64_t place;      /* of the last question; only ever grows */
    uint32_t turn;       /* of walking all that is unsent */
    uint64_t slots_turn; /* of the window: slots of others are empty */
    uint32_t question_count, key_count, duplicates;
    struct question questions[WINDOW];
    struct key keys[WINDOW];
    uint16_t entry_next[WINDOW]; /* of the same key */
    struct {
        uint64_t turn;
        uint32_t hash;
        uint16_t key;
    } slots[SLOTS];
    uint32_t large[LARGE_SLOTS]; /* hashes of keys whose values are large */
};

/* Only spreads: what is found by it is compared, and what collides is not joined. Never 0. */
static uint32_t hash_of(const uint8_t *bytes, size_t length, unsigned seed)
{
    uint64_t hash = (length + seed * 31ull) * 0x9e3779b97f4a7c15ull, word;

    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdull;
        hash ^= hash >> 32;
    }
    word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)bytes[i] << i * 8;
    hash = (hash ^ word) * 0xff51afd7ed558ccdull;
    return (uint32_t)(hash >> 32) | 1u;
}

enum redis_batch redis_batch_kind(const struct redis_shared *shared,
                                  const struct redis_input *input)
{
    const struct redis_command *command = input->call.command;

    if (command->batch == REDIS_BATCH_NONE || !shared->pool->redis ||
        !shared->pool->redis->batch_keys || input->length > REQUEST_BYTES_MAX)
        return REDIS_BATCH_NONE;
    if (command->batch != REDIS_BATCH_SAME &&
        (input->request.argc != (uint32_t)command->arity ||
         shared->alone_until_us[command->batch] > loop_now_us(redis_shared_loop(shared))))
        return REDIS_BATCH_NONE;
    return command->batch;
}

/* ---- which may be joined ---- */

static bool kind_has_keys(uint8_t kind)
{
    return kind != REDIS_BATCH_NONE && kind != REDIS_BATCH_SAME;
}

/* Takes the mark from all reads with something behind them that cannot be asked again. Returns how
 * many are left. */
static uint32_t unsent_judge(struct redis_shared *shared)
{
    struct redis_owed_ring *ring = &shared->unsent_owed;
    uint32_t turn = ++shared->batcher->turn, count = 0;

    for (uint32_t i = ring->length; i-- > 0;) {
        struct redis_owed *owed = redis_owed_at(ring, i);
        struct redis_client *client = owed->client;

        if (!client) {
            owed->batch = REDIS_BATCH_NONE;
            continue;
        }
        if (client->batch_turn != turn) {
            client->batch_turn = turn;
            client->batch_plain = false;
        }
        if (owed->action != REDIS_PASS || client->batch_plain)
            owed->batch = REDIS_BATCH_NONE;
        client->batch_plain |= owed->batch == REDIS_BATCH_NONE;
        count += owed->batch != REDIS_BATCH_NONE;
    }
    return count;
}

/* ---- one window ---- */

static uint16_t slot_find(const struct redis_batcher *batcher, uint32_t hash)
{
    uint32_t slot = hash % SLOTS;

    return batcher->slots[slot].turn == batcher->slots_turn && batcher->slots[slot].hash == hash
               ? batcher->slots[slot].key
               : NONE;
}

static void slot_set(struct redis_batcher *batcher, uint32_t hash, uint16_t key)
{
    uint32_t slot = hash % SLOTS;

    batcher->slots[slot].turn = batcher->slots_turn;
    batcher->slots[slot].hash = hash;
    batcher->slots[slot].key = key;
}

static bool bytes_equal(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length)
{
    return a_length == b_length && memcmp(a, b, a_length) == 0;
}

/* The bytes that make the same request of two: all of them, or the arguments. */
static bool key_equal(const struct key *a, const struct key *b)
{
    return bytes_equal(a->request + a->what, a->length - a->what, b->request + b->what,
                       b->length - b->what);
}

/* True if both ask about the same hash or set (all MGETs are about the same). */
static bool subject_equal(const struct key *a, const struct key *b, uint8_t kind)
{
    return kind == REDIS_BATCH_MGET || bytes_equal(a->request + a->what, a->field - a->what,
                                                   b->request + b->what, b->field - b->what);
}

/* Finds the arguments of a read of one key: what they are compared and written by. */
static void key_locate(struct key *key, uint8_t kind)
{
    struct resp_request_parser parser;
    struct resp_request request;

    key->what = key->field = 0;
    if (!kind_has_keys(kind))
        return;
    resp_request_parser_init(&parser, false);
    ensure(resp_request_next(&parser, key->request, key->length, &request) == RESP_REQUEST_WHOLE &&
           request.bytes == key->length);
    key->what = request.args[0].offset + request.args[0].length + 2;
    key->field = request.args[1].offset + request.args[1].length + 2;
}

static void entry_place(struct redis_batcher *batcher, struct redis_client *client,
                        const struct key *key)
{
    if (!client)
        return;
    client->place = batcher->questions[key->question].place;
    client->place_key = key->number;
}

static void question_begin(struct redis_batcher *batcher, uint16_t number, uint8_t kind)
{
    struct key *key = &batcher->keys[number];

    key->question = (uint16_t)batcher->question_count++;
    key->number = 0;
    batcher->questions[key->question] = (struct question){
        .place = ++batcher->place, .first = number, .last = number, .keys = 1, .kind = kind};
}

/* True if the client's next read may be this key, or stand behind it. */
static bool may_join(const struct redis_batcher *batcher, const struct redis_client *client,
                     const struct key *key, bool as_key)
{
    uint64_t place = batcher->questions[key->question].place;

    return client->place < place ||
           (client->place == place && (!as_key || client->place_key <= key->number));
}

/* The question that this key can be put behind, by the slot of its subject; NULL: none. */
static struct question *question_open(struct redis_batcher *batcher, const struct key *key,
                                      const struct redis_client *client, uint8_t kind,
                                      uint32_t hash)
{
    uint16_t found = slot_find(batcher, hash);
    struct question *question;

    if (found == NONE)
        return NULL;
    question = &batcher->questions[batcher->keys[found].question];
    if (question->kind != kind || question->keys >= REDIS_BATCH_KEYS_MAX ||
        !subject_equal(&batcher->keys[found], key, kind) ||
        !may_join(batcher, client, &batcher->keys[found], false))
        return NULL;
    return question;
}

static void key_to_question(struct redis_batcher *batcher, uint16_t number, uint8_t kind,
                            const struct redis_client *client)
{
    struct key *key = &batcher->keys[number];
    struct question *question;
    uint32_t hash;

    if (!kind_has_keys(kind)) {
        question_begin(batcher, number, kind);
        return;
    }
    hash = kind == REDIS_BATCH_MGET
               ? hash_of(NULL, 0, 1)
               : hash_of(key->request + key->what, key->field - key->what, (unsigned)kind * 2 + 1);
    question = question_open(batcher, key, client, kind, hash);
    if (!question) {
        question_begin(batcher, number, kind);
        slot_set(batcher, hash, number);
        return;
    }
    key->question = (uint16_t)(question - batcher->questions);
    key->number = question->keys++;
    batcher->keys[question->last].next = number;
    question->last = number;
}

static bool key_is_large(const struct redis_batcher *batcher, const struct key *key)
{
    uint32_t hash = hash_of(key->request + key->what, key->length - key->what, 0);

    return batcher->large[hash % LARGE_SLOTS] == hash;
}

/* The next command of the window: one entry. */
static void window_add(struct redis_batcher *batcher, const struct redis_owed *owed, uint16_t entry,
                       const uint8_t *request)
{
    uint8_t kind = owed->batch;
    uint16_t number = (uint16_t)batcher->key_count, found;
    struct key *key = &batcher->keys[number];
    uint32_t hash = 0;
    bool alone;

    batcher->entry_next[entry] = NONE;
    *key = (struct key){.request = request,
                        .length = owed->bytes,
                        .next = NONE,
                        .first = entry,
                        .last = entry,
                        .count = 1};
    key_locate(key, kind);
    alone = kind == REDIS_BATCH_NONE || key_is_large(batcher, key);
    if (!alone) {
        hash = hash_of(request + key->what, key->length - key->what, (unsigned)kind * 2);
        found = slot_find(batcher, hash);
        if (found != NONE && batcher->questions[batcher->keys[found].question].kind == kind &&
            key_equal(&batcher->keys[found], key) &&
            may_join(batcher, owed->client, &batcher->keys[found], true)) {
            key = &batcher->keys[found];
            batcher->entry_next[key->last] = entry;
            key->last = entry;
            key->count++;
            batcher->duplicates++;
            entry_place(batcher, owed->client, key);
            return;
        }
    }
    batcher->key_count++;
    if (alone)
        question_begin(batcher, number, kind);
    else
        key_to_question(batcher, number, kind, owed->client);
    if (!alone)
        slot_set(batcher, hash, number);
    entry_place(batcher, owed->client, key);
}

/* ---- writing it ---- */

static void question_write(struct redis_batcher *batcher, struct buffer_cache *cache,
                           const struct question *question, size_t *bytes)
{
    static const struct {
        const char *name;
        uint32_t words; /* besides the keys */
    } forms[] = {[REDIS_BATCH_MGET] = {"$4\r\nMGET\r\n", 1},
                 [REDIS_BATCH_HMGET] = {"$5\r\nHMGET\r\n", 2},
                 [REDIS_BATCH_ZMSCORE] = {"$7\r\nZMSCORE\r\n", 2}};
    const struct key *key = &batcher->keys[question->first];
    size_t before = buffer_length(&batcher->bytes);
    uint8_t head[64];
    struct resp_writer writer = resp_writer_of(head, sizeof(head), 2);

    if (question->keys == 1) {
        buffer_append(&batcher->bytes, cache, key->request, key->length);
        /* Also when nobody joined it: something in front of it may have to be asked again. */
        if (question->kind != REDIS_BATCH_NONE)
            buffer_append(&batcher->asked, cache, key->request, key->length);
        *bytes = key->length;
        return;
    }
    resp_write_array(&writer, question->keys + forms[question->kind].words);
    resp_write_raw(&writer, forms[question->kind].name, strlen(forms[question->kind].name));
    buffer_append(&batcher->bytes, cache, head, writer.length);
    if (question->kind != REDIS_BATCH_MGET)
        buffer_append(&batcher->bytes, cache, key->request + key->what, key->field - key->what);
    for (uint16_t at = question->first; at != NONE; at = key->next) {
        uint32_t from;

        key = &batcher->keys[at];
        from = question->kind == REDIS_BATCH_MGET ? key->what : key->field;
        buffer_append(&batcher->bytes, cache, key->request + from, key->length - from);
        buffer_append(&batcher->asked, cache, key->request, key->length);
    }
    *bytes = buffer_length(&batcher->bytes) - before;
}

/* The entries of a question, key by key. */
static void question_owe(struct redis_batcher *batcher, const struct redis_owed_ring *ring,
                         uint32_t begin, const struct question *question, size_t bytes)
{
    const struct key *key;
    struct redis_owed *owed = NULL;

    for (uint16_t at = question->first; at != NONE; at = key->next) {
        uint16_t left;

        key = &batcher->keys[at];
        left = key->count;
        for (uint16_t entry = key->first; entry != NONE; entry = batcher->entry_next[entry]) {
            owed = redis_owed_push(&batcher->owed);
            *owed = *redis_owed_at(ring, begin + entry);
            owed->bytes = 0;
            owed->batch = REDIS_BATCH_NONE;
            owed->same = left == key->count ? (uint16_t)(left - 1) : 0;
            owed->keys = left == key->count && at == question->first && question->keys > 1
                             ? question->keys
                             : 0;
            owed->asked = left == key->count && question->kind != REDIS_BATCH_NONE
                              ? (uint16_t)key->length
                              : (uint16_t)0;
            left--;
        }
        ensure(left == 0);
    }
    owed->bytes = (uint32_t)bytes;
}

static void window_write(struct redis_shared *shared, uint32_t begin)
{
    struct redis_batcher *batcher = shared->batcher;

    for (uint32_t i = 0; i < batcher->question_count; i++) {
        size_t bytes;

        question_write(batcher, &redis_shared_loop(shared)->buffers, &batcher->questions[i],
                       &bytes);
        question_owe(batcher, &shared->unsent_owed, begin, &batcher->questions[i], bytes);
    }
}

static void window_begin(struct redis_batcher *batcher)
{
    batcher->slots_turn++;
    batcher->question_count = batcher->key_count = 0;
}

bool redis_batch_join(struct redis_shared *shared)
{
    struct redis_owed_ring *ring = &shared->unsent_owed;
    const uint8_t *at = buffer_bytes(&shared->unsent);
    uint32_t begin = 0, entry = 0;

    if (shared->joinable < 2)
        return false;
    if (!shared->batcher)
        shared->batcher = memory_new(sizeof(*shared->batcher));
    if (unsent_judge(shared) < 2)
        return false;
    ensure(shared->batcher->owed.length == 0);
    window_begin(shared->batcher);
    while (begin + entry < ring->length) {
        const struct redis_owed *owed;

        if (entry == WINDOW) {
            window_write(shared, begin);
            window_begin(shared->batcher);
            begin += entry;
            entry = 0;
        }
        owed = redis_owed_at(ring, begin + entry);
        window_add(shared->batcher, owed, (uint16_t)entry++, at);
        at += owed->bytes;
    }
    window_write(shared, begin);
    ensure(shared->batcher->owed.length == ring->length);
    return true;
}

const struct buffer *redis_batch_bytes(const struct redis_shared *shared)
{
    return &shared->batcher->bytes;
}

void redis_batch_drop(struct redis_shared *shared)
{
    struct buffer_cache *cache = &redis_shared_loop(shared)->buffers;

    buffer_clear(&shared->batcher->bytes, cache);
    buffer_clear(&shared->batcher->asked, cache);
    shared->batcher->owed.length = 0;
    shared->batcher->duplicates = 0;
}

void redis_batch_sent(struct redis_shared *shared, struct redis_server *redis)
{
    struct redis_batcher *batcher = shared->batcher;
    struct counters *counters = &shared->pool->counters;
    uint32_t left = 0;

    for (uint32_t i = 0; i < batcher->owed.length; i++) {
        const struct redis_owed *owed = redis_owed_at(&batcher->owed, i);

        if (owed->keys > 0) {
            left = owed->keys;
            counter_add(&counters->batch_count, 1);
            counter_add(&counters->batch_keys, left);
        }
        if (left > 0 || owed->same > 0)
            for (uint32_t j = 0; j <= owed->same; j++) {
                struct redis_client *client = redis_owed_at(&batcher->owed, i + j)->client;

                if (client)
                    client->batched = true;
            }
        left -= left > 0;
        i += owed->same;
    }
    counter_add(&counters->batch_duplicates, batcher->duplicates);
    buffer_append(&redis->asked, &redis_shared_loop(shared)->buffers, buffer_bytes(&batcher->asked),
                  buffer_length(&batcher->asked));
    redis_owed_move(&redis->owed, &batcher->owed);
    shared->unsent_owed.length = 0;
    redis_batch_drop(shared);
}

void redis_batch_free(struct redis_shared *shared)
{
    if (!shared->batcher)
        return;
    redis_batch_drop(shared);
    redis_owed_fini(&shared->batcher->owed);
    free(shared->batcher);
    shared->batcher = NULL;
}

/* ---- back from a lost server ---- */

/* One group: its request for each of it. */
static void group_take_back(struct redis_shared *shared, const struct redis_server *redis,
                            uint32_t first, const uint8_t *request, size_t length,
                            struct redis_owed_ring *ring, struct buffer *together)
{
    uint16_t same = redis_owed_at(&redis->owed, first)->same;

    for (uint32_t i = 0; i <= same; i++) {
        struct redis_owed *owed = redis_owed_push(ring);

        buffer_append(together, &redis_shared_loop(shared)->buffers, request, length);
        *owed = *redis_owed_at(&redis->owed, first + i);
        owed->same = owed->keys = owed->asked = 0;
        owed->bytes = (uint32_t)length;
    }
}

void redis_batch_take_back(struct redis_shared *shared, struct redis_server *redis, uint32_t first,
                           const uint8_t *wire, struct redis_owed_ring *ring,
                           struct buffer *together)
{
    const uint8_t *asked;
    size_t asked_bytes = 0;
    uint32_t keys;

    for (uint32_t i = first; i < redis->owed.length; i++)
        asked_bytes += redis_owed_at(&redis->owed, i)->asked;
    asked = buffer_bytes(&redis->asked) + buffer_length(&redis->asked) - asked_bytes;
    for (uint32_t at = first; at < redis->owed.length;) {
        const struct redis_owed *owed = redis_owed_at(&redis->owed, at);

        keys = owed->keys;
        if (keys == 0) {
            uint32_t last = at + owed->same;
            size_t length = redis_owed_at(&redis->owed, last)->bytes;

            group_take_back(shared, redis, at, wire, length, ring, together);
            wire += length;
            asked += owed->asked;
            at = last + 1;
        }
        for (; keys > 0; keys--) {
            owed = redis_owed_at(&redis->owed, at);
            group_take_back(shared, redis, at, asked, owed->asked, ring, together);
            asked += owed->asked;
            at += owed->same;
            wire += redis_owed_at(&redis->owed, at++)->bytes;
        }
    }
}

void redis_batch_note_large(struct redis_shared *shared, enum redis_batch kind,
                            const uint8_t *request, size_t length)
{
    struct key key = {.request = request, .length = (uint32_t)length};
    uint32_t hash;

    if (!shared->batcher)
        return;
    key_locate(&key, (uint8_t)kind);
    hash = hash_of(request + key.what, length - key.what, 0);
    shared->batcher->large[hash % LARGE_SLOTS] = hash;
}

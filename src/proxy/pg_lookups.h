/* pg_lookups: the lookups (docs/lookups.md) of one part of a pool: which statements are lookups,
 * who waits with a key for which of them, and the batches on their way. Belongs to the part's
 * worker.
 *
 * A client between transactions that asks a lookup waits with its request kept in `in`, as any
 * client without a server does; but in the queue of the pool its lookup waits for all its keys
 * together. When a server comes, a key that is alone goes the ordinary way with it; several go as
 * one batch (pg_batch.h), and their clients are PG_CLIENT_ASKED. As the requests are kept until
 * they are answered, a key can leave at any moment, or be asked alone after all. */
#ifndef SLUICE_PROXY_PG_LOOKUPS_H
#define SLUICE_PROXY_PG_LOOKUPS_H

#include "pg_client.h"
#include "sluice/batch/lookup.h"

struct named;
struct pg_batch;
struct pg_lookups;

/* What a client is told in front of its rows. */
enum pg_key_tells {
    KEY_TELLS_PARSED = 1 << 0,
    KEY_TELLS_STATEMENT = 1 << 1, /* the answer to Describe of the statement */
    KEY_TELLS_BOUND = 1 << 2,
    KEY_TELLS_COLUMNS = 1 << 3, /* the answer to Describe of the portal, or to a Query */
};

/* What one client asks of a lookup; client->key. From a list of spare ones. */
struct pg_key {
    struct list_node node; /* of lookup->keys; while spare, of lookups->spare_keys */
    struct pg_client *client;
    struct pg_lookup *lookup;
    struct pg_batch *batch; /* NULL: it is unsent */
    uint32_t place;         /* in the batch */
    uint32_t at;            /* where the values begin in the client's `in`, when it binds them */
    struct buffer values;   /* of a Query, as a Bind would have them */
    uint32_t values_bytes;
    uint32_t request_bytes;
    uint32_t bind;       /* where the body of Bind begins in `in`; 0: it is a Query */
    struct named *named; /* the client's statement; NULL: an unnamed one */
    uint32_t cursor;     /* while a batch is written: bytes of values that are */
    uint8_t tells;
};

/* What a server said of a lookup; all of it is freed with shape_free(). */
struct pg_shape {
    unsigned params;
    uint32_t types[LOOKUP_PARAMS_MAX];
    struct lookup_type names[LOOKUP_PARAMS_MAX]; /* names are owned */
    uint8_t *parameters; /* ParameterDescription of the client's statement, a whole message */
    size_t parameters_bytes;
    uint8_t *columns; /* RowDescription of it, as of a statement */
    size_t columns_bytes;
    uint8_t *result; /* RowDescription as of a portal, with the formats that are asked for */
    unsigned column_count;
    char *text;                        /* of the batched statement */
    struct pg_description description; /* of the client's statement */
    uint8_t *batched;                  /* RowDescription of a batch's portal; NULL: not known yet */
    size_t batched_bytes;
};

/* What has happened to a lookup so far; the pool's counters lookup_... are the same of all. */
struct pg_lookup_counts {
    uint64_t batches, keys, alone, errors, cuts, changes, again;
    struct histogram sizes; /* of batches, in keys */
    struct histogram waits; /* of the keys in them, unsent */
};

#define LOOKUP_COUNT(lookup, name, amount)                                       \
    do {                                                                         \
        (lookup)->counts.name += (amount);                                       \
        counter_add(&(lookup)->lookups->pool->counters.lookup_##name, (amount)); \
    } while (0)

/* One statement with its parameter types, formats, and what its clients have set. */
struct pg_lookup {
    UT_hash_handle hh;     /* key: content */
    struct list_node node; /* of lookups->by_use */
    struct pg_lookups *lookups;
    struct params *params;   /* that servers report */
    struct params *settings; /* that they do not */
    struct lookup *statement;
    enum lookup_refusal refusal; /* LOOKUP_NONE: it may be batched */
    char detail[LOOKUP_DETAIL_BYTES];
    uint64_t retry_us;      /* when a refusal by a server is looked at again; 0 = never */
    uint64_t id;            /* no other of the process has it */
    uint32_t generation;    /* of the shape; names the prepared statement */
    struct pg_shape *shape; /* NULL: not known yet */
    uint64_t checked_us;    /* when a server last agreed with it */
    struct list keys;       /* unsent */
    struct waiter waiter;
    struct timer delay;
    size_t size_max; /* keys in a batch at most, by the settings */
    size_t size_now; /* and after what was met lately */
    uint64_t max_delay_us;
    unsigned alone;             /* keys gone alone since size_now was 1 */
    struct pg_batch *preparing; /* has a server for the keys, which is not prepared yet */
    unsigned batches;           /* on their way */
    struct pg_lookup_counts counts;
    const uint8_t *formats; /* in content: params and results, as lookup_formats() reads them */
    const char *text;       /* in content */
    const uint8_t *body;    /* of Parse, from the text on; in content */
    size_t body_bytes;
    size_t content_bytes;
    uint8_t content[];
};

struct lookup_forms;

#define SEEN_COUNT 4096

struct pg_lookups {
    struct pool *pool;
    struct worker *worker;
    const struct conf *conf; /* that they were resolved with; held */
    struct pg_lookup *by_content;
    struct list by_use; /* the one used last first */
    struct list spare_keys, spare_batches, batches;
    struct params *no_settings;
    struct lookup_forms *forms; /* NULL before the first Query */
    uint16_t salt;             /* tells the names of this part's statements from an earlier one's */
    uint32_t seen[SEEN_COUNT]; /* hashes of statements that came once */
    uint8_t content[];         /* CONTENT_BYTES_MAX: of the statement looked for */
};

/* The bytes are what a client between transactions has sent, from the beginning of a message. True
 * when they are a lookup that may be batched: the client waits, with the bytes to be kept in `in`.
 */
bool pg_lookups_take(struct pg_client *client, const uint8_t *bytes, size_t length);

/* The client's key is given up, sent or not; does nothing when it has none. */
void pg_lookups_leave(struct pg_client *client);

/* --- for pg_lookup_forms.c --- */

/* True the second time that a text with this hash comes: parsing one takes longer than it is worth
 * for those that come once. */
bool lookups_seen(struct pg_lookups *lookups, unsigned hash);

/* Logs, without its literals, a statement that is not batched. */
void lookups_log_refusal(const struct pg_lookups *lookups, enum lookup_refusal refusal,
                         const char *detail, const char *text);

/* --- for pg_batch.c and pg_prepare.c --- */

/* The formats that Bind gave: of the index-th parameter, and of the index-th column. */
bool lookup_param_binary(const struct pg_lookup *lookup, unsigned index);
bool lookup_result_binary(const struct pg_lookup *lookup, unsigned index);

/* It may not be batched; who waits goes the ordinary way. */
void lookup_refuse(struct pg_lookup *lookup, enum lookup_refusal refusal, const char *detail);

/* Waits for a server for the unsent keys, unless there are none or it waits already. */
void lookup_wait(struct pg_lookup *lookup);

/* Takes up a shape; it differs from the former one. */
void lookup_reshape(struct pg_lookup *lookup, struct pg_shape *shape);

/* A key of a batch that is over: back among the unsent ones, in front; or the ordinary way. */
void key_ask_again(struct pg_key *key);
void key_ask_alone(struct pg_key *key);

/* True when the lookup's answer is what the client was told of its statement, or it is told now
 * (pg_described.h). key_told: it has been. */
bool key_agrees(const struct pg_key *key);
void key_told(const struct pg_key *key);

/* Has the client no key any more. */
void key_release(struct pg_key *key);

void shape_free(struct pg_shape *shape);

#endif

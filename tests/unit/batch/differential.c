/* That a batch answers each key as the client's own statement would: generated lookups over many
 * types, keys that repeat, are missing or NULL, parameters and results in text and binary, under
 * several settings of the planner; rows compared byte for byte. */
#include "generate.h"
#include "pg.h"

#include "sluice/batch/array.h"

#include <string.h>

#define KEYS_MAX 12
#define STATEMENTS 50 /* for each type */
#define BATCH_BYTES 65536
#define INT8_OID 20

static const char *const planners[] = {
    "RESET ALL",
    "SET enable_indexscan = off; SET enable_bitmapscan = off",
    "SET enable_nestloop = off",
    "SET enable_seqscan = off; SET enable_hashagg = off",
    "SET plan_cache_mode = force_generic_plan",
    "SET plan_cache_mode = force_custom_plan",
    "SET enable_material = off; SET enable_sort = off; SET enable_hashjoin = off",
};

/* Starting processes takes long: for a few statements only. */
static const char parallel[] = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
                               "SET min_parallel_table_scan_size = 0;"
                               "SET max_parallel_workers_per_gather = 1;"
                               "SET parallel_leader_participation = off";

static struct {
    unsigned tried, batched, keys, rows, errors, unneeded;
} totals;

/* What one client sends: its parameters, in one format each. */
struct key {
    char *values[LOOKUP_PARAMS_MAX]; /* NULL: a NULL */
    int lengths[LOOKUP_PARAMS_MAX];
    PGresult *alone;
};

/* One statement on trial. */
struct trial {
    struct generated statement;
    const struct sample *sample;
    struct described described;
    int formats[LOOKUP_PARAMS_MAX]; /* of the parameters: 0 text, 1 binary */
    int result_format;
    struct key keys[KEYS_MAX];
    int keys_count;
};

/* A value in text format, by the role of its parameter; NULL now and then. */
static char *make_value(const struct trial *trial, char role)
{
    static const char *const ints[] = {"0", "1", "2", "3", "5", "7", "39", "40", "-1"};
    static const char *const limits[] = {"0", "1", "2", "1000"};
    const struct sample *sample = trial->sample;
    const char *value = sample->values[random_below(SAMPLE_VALUES_MAX)];
    struct array array;
    char *text;

    if (random_below(9) == 0)
        return NULL;
    switch (role) {
    case 'i':
        return strdup(ints[random_below(sizeof(ints) / sizeof(ints[0]))]);
    case 'l':
        return strdup(limits[random_below(sizeof(limits) / sizeof(limits[0]))]);
    case 'C':
        text = malloc(1024);
        array_init(&array, text, 1023, false, 0);
        for (unsigned i = random_below(4); i > 0; i--) {
            value = sample->values[random_below(SAMPLE_VALUES_MAX)];
            array_add(&array, value, value == NULL ? -1 : (int32_t)strlen(value));
        }
        text[array_finish(&array)] = '\0';
        return text;
    default:
        return value == NULL ? NULL : strdup(value);
    }
}

/* Turns a value into binary format, as a client would send it. False if it is no value at all. */
static bool make_binary(struct key *key, unsigned param, const char *type)
{
    const char *values[] = {key->values[param]};
    char sql[256];
    PGresult *result;
    bool good;

    snprintf(sql, sizeof(sql), "SELECT $1::%s", type);
    result = PQexecParams(pg, sql, 1, NULL, values, NULL, NULL, 1);
    good = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (good) {
        key->lengths[param] = PQgetlength(result, 0, 0);
        free(key->values[param]);
        key->values[param] = malloc((size_t)key->lengths[param] + 1);
        memcpy(key->values[param], PQgetvalue(result, 0, 0), (size_t)key->lengths[param] + 1);
    }
    PQclear(result);
    return good;
}

static void make_keys(struct trial *trial)
{
    trial->keys_count = 1 + (int)random_below(KEYS_MAX);
    for (int k = 0; k < trial->keys_count; k++) {
        struct key *key = &trial->keys[k];

        for (unsigned i = 0; i < trial->statement.params; i++) {
            const struct key *earlier = k > 0 ? &trial->keys[random_below((size_t)k)] : NULL;
            bool repeat = earlier != NULL && random_below(4) == 0;

            if (repeat && earlier->values[i] != NULL) {
                key->lengths[i] = earlier->lengths[i];
                key->values[i] = malloc((size_t)key->lengths[i] + 1);
                memcpy(key->values[i], earlier->values[i], (size_t)key->lengths[i] + 1);
                continue;
            }
            key->values[i] = repeat ? NULL : make_value(trial, trial->statement.roles[i]);
            key->lengths[i] = key->values[i] == NULL ? 0 : (int)strlen(key->values[i]);
            if (trial->formats[i] == 1 && key->values[i] != NULL &&
                !make_binary(key, i, trial->described.types[i].name)) {
                free(key->values[i]);
                key->values[i] = NULL;
            }
        }
        key->alone = NULL;
    }
}

static PGresult *ask_alone(const struct trial *trial, const struct key *key)
{
    return PQexecPrepared(pg, "alone", (int)trial->statement.params,
                          (const char *const *)key->values, key->lengths, trial->formats,
                          trial->result_format);
}

static PGresult *ask_batch(const struct trial *trial)
{
    static uint8_t memory[LOOKUP_PARAMS_MAX][BATCH_BYTES];
    const char *values[LOOKUP_PARAMS_MAX];
    int lengths[LOOKUP_PARAMS_MAX];

    for (unsigned i = 0; i < trial->statement.params; i++) {
        struct array array;

        array_init(&array, memory[i], BATCH_BYTES - 1, trial->formats[i] == 1,
                   trial->described.oids[i]);
        for (int k = 0; k < trial->keys_count; k++) {
            const struct key *key = &trial->keys[k];

            ck_assert(array_add(&array, key->values[i], key->values[i] ? key->lengths[i] : -1));
        }
        lengths[i] = (int)array_finish(&array);
        memory[i][lengths[i]] = '\0';
        values[i] = (const char *)memory[i];
    }
    return PQexecPrepared(pg, "batch", (int)trial->statement.params, values, lengths,
                          trial->formats, trial->result_format);
}

static uint64_t ordinal(const PGresult *result, int row)
{
    const uint8_t *value = (const uint8_t *)PQgetvalue(result, row, 0);
    uint64_t number = 0;

    if (PQfformat(result, 0) == 0)
        return strtoull((const char *)value, NULL, 10);
    for (int i = 0; i < 8; i++)
        number = number << 8 | value[i];
    return number;
}

static bool same_value(const PGresult *alone, int row, const PGresult *batch, int from, int column)
{
    int length = PQgetlength(alone, row, column);

    return PQgetisnull(alone, row, column) == PQgetisnull(batch, from, column + 1) &&
           length == PQgetlength(batch, from, column + 1) &&
           memcmp(PQgetvalue(alone, row, column), PQgetvalue(batch, from, column + 1),
                  (size_t)length) == 0;
}

static bool same_row(const PGresult *alone, int row, const PGresult *batch, int from)
{
    for (int column = 0; column < PQnfields(alone); column++) {
        if (!same_value(alone, row, batch, from, column))
            return false;
    }
    return true;
}

/* Compares a key's rows with the batch's from `first` on; returns the row behind them. */
static int compare_key(const struct trial *trial, const PGresult *batch, int k, int first)
{
    const PGresult *alone = trial->keys[k].alone;
    int count = PQntuples(alone), end = first;
    bool *used = calloc((size_t)count + 1, sizeof(*used));

    while (end < PQntuples(batch) && ordinal(batch, end) == (uint64_t)k + 1)
        end++;
    ck_assert_msg(end - first == count, "key %d: %d rows alone, %d in the batch: %s", k, count,
                  end - first, trial->statement.text);
    for (int row = 0; row < count; row++) {
        int like = row;

        if (!trial->statement.ordered) {
            like = 0;
            while (like < count && (used[like] || !same_row(alone, row, batch, first + like)))
                like++;
        }
        ck_assert_msg(like < count && same_row(alone, row, batch, first + like),
                      "key %d, row %d differs: %s", k, row, trial->statement.text);
        used[like] = true;
    }
    free(used);
    totals.rows += (unsigned)count;
    return end;
}

/* By the descriptions of the statements: a plan for one client's values may know a column's typmod
 * more exactly than its statement does. */
static void compare_columns(const struct trial *trial)
{
    PGresult *alone = PQdescribePrepared(pg, "alone"), *batch = PQdescribePrepared(pg, "batch");

    ck_assert_int_eq(PQnfields(batch), PQnfields(alone) + 1);
    ck_assert_uint_eq(PQftype(batch, 0), INT8_OID);
    ck_assert_str_eq(PQfname(batch, 0), "_sluice_ord");
    for (int i = 0; i < PQnfields(alone); i++) {
        ck_assert_msg(PQftype(alone, i) == PQftype(batch, i + 1) &&
                          PQfmod(alone, i) == PQfmod(batch, i + 1) &&
                          PQftable(alone, i) == PQftable(batch, i + 1) &&
                          PQftablecol(alone, i) == PQftablecol(batch, i + 1),
                      "column %d is another: %s", i, trial->statement.text);
    }
    PQclear(alone);
    PQclear(batch);
}

/* A key that fails alone, in a batch that does not: PostgreSQL computed something of parameters
 * alone, such as 100 / $1, that no row needs; it does so ahead of time in one plan and not in
 * another. Returns the row behind the key's. */
static int skip_key(const PGresult *batch, int k, int first)
{
    while (first < PQntuples(batch) && ordinal(batch, first) == (uint64_t)k + 1)
        first++;
    totals.unneeded++;
    return first;
}

static void compare(struct trial *trial)
{
    bool errors = false;
    PGresult *batch;
    int row = 0;

    for (int k = 0; k < trial->keys_count; k++) {
        trial->keys[k].alone = ask_alone(trial, &trial->keys[k]);
        if (PQresultStatus(trial->keys[k].alone) != PGRES_TUPLES_OK)
            errors = true;
    }
    batch = ask_batch(trial);
    if (PQresultStatus(batch) != PGRES_TUPLES_OK) {
        ck_assert_msg(errors, "only the batch fails: %s: %s", trial->statement.text,
                      PQresultErrorMessage(batch));
        totals.errors++;
    } else {
        for (int k = 0; k < trial->keys_count; k++) {
            bool good = PQresultStatus(trial->keys[k].alone) == PGRES_TUPLES_OK;

            row = good ? compare_key(trial, batch, k, row) : skip_key(batch, k, row);
        }
        /* Nothing is left: the rows came key by key, in the order of the keys. */
        ck_assert_msg(row == PQntuples(batch), "out of order: %s", trial->statement.text);
        totals.keys += (unsigned)trial->keys_count;
        totals.batched++;
    }
    PQclear(batch);
}

static bool array_in_binary(const struct trial *trial)
{
    for (unsigned i = 0; i < trial->statement.params; i++) {
        if (trial->formats[i] == 1 && trial->described.types[i].text_only)
            return true;
    }
    return false;
}

static void run_keys(struct trial *trial)
{
    trial->result_format = (int)random_below(2);
    for (unsigned i = 0; i < trial->statement.params; i++)
        trial->formats[i] = (int)random_below(2);
    for (unsigned i = 0; array_in_binary(trial); i++)
        trial->formats[i] = 0;
    make_keys(trial);
    compare(trial);
    for (int k = 0; k < trial->keys_count; k++) {
        for (unsigned i = 0; i < trial->statement.params; i++)
            free(trial->keys[k].values[i]);
        PQclear(trial->keys[k].alone);
    }
}

static void try_statement(struct trial *trial, const char *planner)
{
    struct lookup *lookup;
    char *text;

    generate(&trial->statement, trial->sample);
    pg_run("DEALLOCATE ALL");
    totals.tried++;
    if (trial->statement.params == 0 || !pg_prepare("alone", trial->statement.text))
        return;
    lookup = lookup_new(trial->statement.text);
    ck_assert_msg(lookup->refusal == LOOKUP_NONE, "%s: %s %s", trial->statement.text,
                  lookup_refusal_text(lookup->refusal), lookup->detail);
    pg_probe(lookup, "alone", &trial->described);
    if (trial->described.refusal == LOOKUP_PARAM_TYPE && strcmp(trial->sample->type, "pair") == 0) {
        PQclear(trial->described.probe); /* composite parameters are refused */
        lookup_free(lookup);
        return;
    }
    ck_assert_msg(trial->described.refusal == LOOKUP_NONE, "%s: %s", trial->statement.text,
                  lookup_refusal_text(trial->described.refusal));
    text = lookup_rewrite(lookup, trial->described.types, trial->described.params);
    ck_assert_ptr_nonnull(text);
    ck_assert_msg(pg_prepare("batch", text), "%s: %s", text, PQerrorMessage(pg));
    compare_columns(trial);
    pg_run("%s", planner);
    for (int round = 0; round < 2; round++)
        run_keys(trial);
    pg_run("RESET ALL");
    PQclear(trial->described.probe);
    free(text);
    lookup_free(lookup);
}

static void setup(void)
{
    pg_start();
    samples_create_types();
}

START_TEST(a_batch_answers_as_each_statement_alone)
{
    struct trial trial = {.sample = &samples[_i]};

    samples_create_table(trial.sample);
    for (int i = 0; i < STATEMENTS; i++)
        try_statement(&trial, PICK(planners));
}
END_TEST

START_TEST(parallel_plans_change_nothing)
{
    struct trial trial = {.sample = &samples[0]};

    samples_create_table(trial.sample);
    for (int i = 0; i < 5; i++)
        try_statement(&trial, parallel);
}
END_TEST

START_TEST(enough_was_compared)
{
    printf("%u statements generated; %u batches, %u keys and %u rows compared; %u batches failed, "
           "%u keys failed only alone\n",
           totals.tried, totals.batched, totals.keys, totals.rows, totals.errors, totals.unneeded);
    ck_assert_uint_le(totals.unneeded, totals.keys / 200);
    ck_assert_uint_ge(totals.batched, totals.tried);
    ck_assert_uint_ge(totals.rows, 10000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("differential");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    if (!pg_available())
        return PG_SKIP;
    tcase_add_unchecked_fixture(all, setup, pg_stop);
    tcase_add_loop_test(all, a_batch_answers_as_each_statement_alone, 0, (int)samples_count);
    tcase_add_test(all, parallel_plans_change_nothing);
    tcase_add_test(all, enough_was_compared);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* That lookups asked together answer byte for byte as each alone: generated statements over many
 * types, parameters and results in text and binary, statements described or not, or in the simple
 * protocol with literals; keys that are missing, NULL, equal, or errors. One way is through a pool
 * that batches, the other through one that does not. */
#include <ctype.h>

#include "../unit/batch/generate.h"
#include "lookups_crowd.h"

enum { STATEMENTS = 12, QUERIES = 16, ANSWER_MAX = 1 << 20, MESSAGES_MAX = 4096 };

/* Everything up to ReadyForQuery. Lengths of types in a description are left out, and rows without
 * an order of their own are sorted. */
struct answer {
    size_t count, bytes;
    bool failed;
    struct {
        const unsigned char *bytes; /* type, then payload */
        size_t size;
    } messages[MESSAGES_MAX];
    unsigned char memory[ANSWER_MAX];
};

/* What one client sends. */
struct key {
    char *values[LOOKUP_PARAMS_MAX];
    int lengths[LOOKUP_PARAMS_MAX];
};

struct trial {
    struct generated statement;
    const struct sample *sample;
    Oid types[LOOKUP_PARAMS_MAX];
    bool binary[LOOKUP_PARAMS_MAX];
    bool binary_result, describes_statement, describes_portal;
    bool simple, numbers; /* a Query: values that can be are numbers, the others are quoted */
    struct key keys[CROWD];
};

/* Of the simple protocol; $n is a literal. The others of the generator have theirs in places where
 * they are not parameters. */
static const char *const queries[] = {
    "SELECT * FROM t WHERE c = $1 ORDER BY id",
    "SELECT * FROM t WHERE $1 = c ORDER BY id LIMIT 3",
    "select t.c, 'k' AS k, 1.50 FROM t WHERE c = $1 AND n >= 2 ORDER BY id;",
    "SELECT id FROM t WHERE c <> $1 ORDER BY id",
    "SELECT id, c FROM t WHERE c < $1 OR c >= $2 ORDER BY id",
    "SELECT id FROM t WHERE c IN ($1, $2) ORDER BY id",
    "SELECT id FROM t WHERE c NOT IN ($1) /* not $ */ ORDER BY id",
    "SELECT id FROM t WHERE NOT c BETWEEN $1 AND $2 ORDER BY id -- end",
    "SELECT count(*), min(s) FROM t WHERE c = $1 AND (n = 3 OR n<-1 OR s='s1')",
    "(SELECT c, id FROM t WHERE c = $1) UNION ALL SELECT c, -1 FROM t WHERE c = $2 ORDER BY 2",
    "WITH q AS (SELECT * FROM t WHERE n < 7) SELECT * FROM q WHERE c = $1 ORDER BY id",
    "SELECT t.id, u.w FROM t JOIN u ON u.t_id = t.id WHERE t.c = $1 ORDER BY u.id",
};

static struct client single;
static struct answer alone, together;
static struct {
    unsigned statements, keys, errors, unneeded;
} totals;

/* --- statements and their keys --- */

static char *make_value(const struct trial *trial, char role)
{
    static const char *const ints[] = {"0", "1", "2", "3", "5", "7", "39", "40", "-1"};
    static const char *const lists[] = {"{}", "{NULL}"};
    const char *value = trial->sample->values[random_below(SAMPLE_VALUES_MAX)];

    if (random_below(9) == 0)
        return NULL;
    if (role == 'i' || role == 'l')
        return strdup(ints[random_below(role == 'l' ? 4 : sizeof(ints) / sizeof(ints[0]))]);
    if (role == 'C')
        return strdup(lists[random_below(2)]);
    return value ? strdup(value) : NULL;
}

/* Turns a value into binary format. What is no value of the type becomes NULL. */
static void make_binary(PGconn *connection, struct key *key, unsigned param, Oid type)
{
    const char *values[] = {key->values[param]};
    Oid types[] = {type};
    PGresult *result = PQexecParams(connection, "SELECT $1", 1, types, values, NULL, NULL, 1);

    free(key->values[param]);
    key->values[param] = NULL;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        key->lengths[param] = PQgetlength(result, 0, 0);
        key->values[param] = malloc((size_t)key->lengths[param] + 1);
        memcpy(key->values[param], PQgetvalue(result, 0, 0), (size_t)key->lengths[param] + 1);
    }
    PQclear(result);
}

static void make_keys(PGconn *connection, struct trial *trial)
{
    for (int i = 0; i < CROWD; i++)
        for (unsigned param = 0; param < trial->statement.params; param++) {
            struct key *key = &trial->keys[i];

            free(key->values[param]);
            key->values[param] = make_value(trial, trial->statement.roles[param]);
            key->lengths[param] = key->values[param] ? (int)strlen(key->values[param]) : 0;
            if (key->values[param] && trial->binary[param])
                make_binary(connection, key, param, trial->types[param]);
        }
}

/* False: PostgreSQL does not take the statement. */
static bool make_statement(PGconn *connection, struct trial *trial)
{
    PGresult *result;
    bool good;

    generate(&trial->statement, trial->sample);
    result = PQprepare(connection, "", trial->statement.text, 0, NULL);
    good = PQresultStatus(result) == PGRES_COMMAND_OK && trial->statement.params > 0;
    PQclear(result);
    if (!good)
        return false;
    result = PQdescribePrepared(connection, "");
    for (unsigned param = 0; param < trial->statement.params; param++) {
        trial->types[param] = PQparamtype(result, (int)param);
        trial->binary[param] = trial->statement.roles[param] != 'C' && random_below(3) == 0;
    }
    PQclear(result);
    trial->binary_result = random_below(2);
    trial->describes_statement = random_below(3) == 0;
    trial->describes_portal = random_below(2);
    return true;
}

/* A value as it stands in a Query. */
static char *literal(PGconn *connection, const struct trial *trial, const char *value)
{
    size_t length = strlen(value);
    char *quoted;

    if (trial->numbers && length > 0 && strspn(value, "-0123456789.") == length)
        return text("%s", value);
    quoted = PQescapeLiteral(connection, value, length);
    value = text("%s", quoted);
    PQfreemem(quoted);
    return (char *)(uintptr_t)value;
}

/* The statement with its parameters replaced by literals. */
static struct packet *query(PGconn *connection, const struct trial *trial, const struct key *key)
{
    static char sql[65536];
    char *to = sql, *after;
    struct packet *packet = put_new();

    for (const char *from = trial->statement.text; *from; from++) {
        const char *value;

        if (*from != '$' || !isdigit((unsigned char)from[1])) {
            *to++ = *from;
            continue;
        }
        value = key->values[strtoul(from + 1, &after, 10) - 1];
        value = value ? literal(connection, trial, value) : "NULL";
        ck_assert_uint_lt((size_t)(to - sql) + strlen(value), sizeof(sql) / 2);
        to = stpcpy(to, value);
        from = after - 1;
    }
    *to = '\0';
    return put_query(packet, sql);
}

static void make_query(struct trial *trial)
{
    trial->numbers = random_below(2);
    if (!trial->sample->order || random_below(4) == 0) {
        generate(&trial->statement, trial->sample);
        return;
    }
    snprintf(trial->statement.text, sizeof(trial->statement.text), "%s", PICK(queries));
    trial->statement.params = strstr(trial->statement.text, "$2") ? 2 : 1;
    memset(trial->statement.roles, 'c', 2);
    trial->statement.ordered = true;
}

static struct packet *request(PGconn *connection, const struct trial *trial, const struct key *key)
{
    unsigned params = trial->statement.params;
    struct packet *bind, *packet;

    if (trial->simple)
        return query(connection, trial, key);
    bind = put_new();
    packet = put_new();
    put_text(put_text(bind, ""), "");
    put_int16(bind, (uint16_t)params);
    for (unsigned i = 0; i < params; i++)
        put_int16(bind, trial->binary[i]);
    put_int16(bind, (uint16_t)params);
    for (unsigned i = 0; i < params; i++) {
        put_int32(bind, key->values[i] ? (uint32_t)key->lengths[i] : UINT32_MAX);
        if (key->values[i])
            put_bytes(bind, key->values[i], (size_t)key->lengths[i]);
    }
    put_int16(put_int16(bind, 1), trial->binary_result);
    put_parse(packet, "", trial->statement.text);
    if (trial->describes_statement)
        put_describe(packet, 'S', "");
    put_message(packet, 'B', bind->bytes, bind->size);
    if (trial->describes_portal)
        put_describe(packet, 'P', "");
    free(bind->bytes);
    free(bind);
    return put_sync(put_execute(packet, "", 0));
}

/* --- answers --- */

/* A plan for one client's values may know a type's length more exactly than its statement does. */
static void forget_lengths(unsigned char *columns, size_t size)
{
    unsigned char *at = columns + 2, *end = columns + size;

    while (at < end) {
        at += strlen((const char *)at) + 1;
        memset(at + 12, 0, 4);
        at += 18;
    }
}

static void answer_read(struct answer *answer, struct client *client, bool lengths)
{
    struct message message;

    answer->count = answer->bytes = 0;
    answer->failed = false;
    do {
        unsigned char *to = answer->memory + answer->bytes;

        message = client_read(client);
        ck_assert_uint_lt(answer->bytes + message.size + 1, ANSWER_MAX);
        ck_assert_uint_lt(answer->count, MESSAGES_MAX);
        ck_assert_int_ne(message.type, '\0');
        to[0] = (unsigned char)message.type;
        memcpy(to + 1, message.payload, message.size);
        if (message.type == 'T' && !lengths)
            forget_lengths(to + 1, message.size);
        answer->failed |= message.type == 'E';
        answer->messages[answer->count].bytes = to;
        answer->messages[answer->count++].size = message.size + 1;
        answer->bytes += message.size + 1;
    } while (message.type != 'Z');
}

static int compare_messages(const void *one, const void *other)
{
    const struct {
        const unsigned char *bytes;
        size_t size;
    } *a = one, *b = other;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->bytes, b->bytes, size);

    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static bool answers_equal(bool ordered)
{
    if (!ordered) {
        qsort(alone.messages, alone.count, sizeof(alone.messages[0]), compare_messages);
        qsort(together.messages, together.count, sizeof(together.messages[0]), compare_messages);
    }
    if (alone.count != together.count)
        return false;
    for (size_t i = 0; i < alone.count; i++)
        if (compare_messages(&alone.messages[i], &together.messages[i]) != 0)
            return false;
    return true;
}

static void compare(PGconn *connection, const struct trial *trial)
{
    hold();
    for (int i = 0; i < CROWD; i++)
        client_send(&crowd[i], request(connection, trial, &trial->keys[i]));
    settle_waiting(CROWD);
    release();
    for (int i = 0; i < CROWD; i++) {
        answer_read(&together, &crowd[i], trial->simple);
        client_send(&single, request(connection, trial, &trial->keys[i]));
        answer_read(&alone, &single, trial->simple);
        totals.keys++;
        totals.errors += alone.failed;
        /* PostgreSQL may compute ahead of time what no row needs, and fail; a batch does not. */
        if (alone.failed && !together.failed)
            totals.unneeded++;
        else
            ck_assert_msg(answers_equal(trial->statement.ordered), "key %d differs: %s (%s)", i,
                          trial->statement.text,
                          trial->keys[i].values[0] ? trial->keys[i].values[0] : "null");
    }
}

static void create_types(void)
{
    postgres_value(sluice.postgres, "%s GRANT ALL ON u TO PUBLIC", SAMPLES_CREATE);
}

static void create_table(PGconn *connection, const struct sample *sample)
{
    sql_do(connection, text("DROP TABLE IF EXISTS t;"
                            "CREATE TABLE t (id int PRIMARY KEY, c %s, n int, s text);"
                            "GRANT ALL ON t TO PUBLIC",
                            sample->type));
    for (int id = 0; id < 40; id++) {
        const char *value = sample->values[random_below(SAMPLE_VALUES_MAX)];
        char *literal = value ? PQescapeLiteral(connection, value, strlen(value)) : NULL;

        sql_do(connection, text("INSERT INTO t VALUES (%d, %s, %d, 's%d')", id,
                                literal ? literal : "NULL", id % 9, id % 5));
        PQfreemem(literal);
    }
    if (sample->order)
        sql_do(connection, "CREATE INDEX ON t (c)");
    sql_do(connection, "ANALYZE t");
}

static PGconn *connect_postgres(void)
{
    const char *options =
        text("host=%s port=%d user=postgres dbname=%s", sluice.postgres->socket_dir,
             sluice.postgres->port, sluice.postgres->database);
    PGconn *connection = PQconnectdb(options);

    ck_assert_int_eq(PQstatus(connection), CONNECTION_OK);
    return connection;
}

static void try_statements(PGconn *connection, struct trial *trial)
{
    for (int i = 0; i < (trial->simple ? QUERIES : STATEMENTS); i++) {
        if (trial->simple)
            make_query(trial);
        else if (!make_statement(connection, trial))
            continue;
        totals.statements++;
        for (int round = 0; round < 2; round++) {
            make_keys(connection, trial);
            compare(connection, trial);
        }
    }
}

static int batches_all(void)
{
    return (int)console_sum(&sluice, "SHOW LOOKUPS", "batches");
}

/* So that values look otherwise than they do by default. */
static void set_otherwise(struct client *client)
{
    static const char *const settings[] = {
        "DateStyle = 'SQL, DMY'", "IntervalStyle = iso_8601", "TimeZone = 'Asia/Kolkata'",
        "bytea_output = escape",  "extra_float_digits = -2",  "lc_monetary = 'C'",
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        ck_assert_ptr_nonnull(strstr(client_query(client, text("SET %s", settings[i])), "C(SET)"));
}

/* The part-th sixth of all types. */
static void try_types(int part, bool plain, bool otherwise)
{
    static struct trial trial;
    PGconn *connection;

    start("");
    create_types();
    client_login(&single, &sluice, "user1", "q");
    for (int i = 0; i < CROWD && otherwise; i++)
        set_otherwise(&crowd[i]);
    if (otherwise)
        set_otherwise(&single);
    connection = connect_postgres();
    for (size_t type = (size_t)part; type < samples_count; type += 6) {
        trial = (struct trial){.sample = &samples[type], .simple = plain};
        create_table(connection, trial.sample);
        try_statements(connection, &trial);
    }
    printf("%u statements, %u keys, %u errors, %u of them of no row, %d batches\n",
           totals.statements, totals.keys, totals.errors, totals.unneeded, batches_all());
    ck_assert_uint_gt(totals.keys, 1000);
    ck_assert_uint_le(totals.unneeded, totals.keys / 50);
    ck_assert_int_gt(batches_all(), 20);
    PQfinish(connection);
    sluice_stop(&sluice);
}

START_TEST(a_batch_answers_as_each_client_alone)
{
    try_types(_i, false, false);
}
END_TEST

START_TEST(a_batch_of_queries_answers_as_each_client_alone)
{
    try_types(_i, true, false);
}
END_TEST

START_TEST(several_workers_answer_as_each_client_alone)
{
    workers = 2;
    try_types(3 * _i + 1, _i, false);
}
END_TEST

START_TEST(other_settings_change_a_batch_s_answer_as_each_one_s)
{
    try_types(_i, _i % 2, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_same");

    suite_add_loop(suite, SUITE_OURS, 60, a_batch_answers_as_each_client_alone, 6);
    suite_add_loop(suite, SUITE_OURS, 60, a_batch_of_queries_answers_as_each_client_alone, 6);
    suite_add_loop(suite, SUITE_OURS, 60, other_settings_change_a_batch_s_answer_as_each_one_s, 6);
    suite_add_loop(suite, SUITE_OURS, 60, several_workers_answer_as_each_client_alone, 2);
    return suite_finish(suite);
}

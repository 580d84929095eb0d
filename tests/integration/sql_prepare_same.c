/* SQL's PREPARE, EXECUTE and DEALLOCATE among all that a client may send, at random: answered as by
 * a server of its own, which a client in session mode has. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static unsigned random_next(unsigned *state, unsigned below)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 16) % below;
}

/* hidden: also where names cannot be carried. */
static const char *random_text(unsigned *state, bool hidden_too)
{
    static const char *const texts[] = {
        "PREPARE ? AS SELECT 1",
        "PREPARE ? AS SELECT 'two', 2",
        "PREPARE ? (int) AS SELECT 12 / $1",
        "PREPARE ? AS SELECT missing",
        "EXECUTE ?",
        "EXECUTE ?(3)",
        "EXECUTE ?(0)",
        "EXECUTE ?(nothing)",
        "EXECUTE ?",
        "EXECUTE ?(4)",
        "DEALLOCATE ?",
        "DEALLOCATE ALL",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SELECT 1/0",
        "SAVEPOINT here",
        "ROLLBACK TO here",
        "SELECT 5",
        "EXECUTE ?; SELECT 6",
        "PREPARE ? AS SELECT 3; SELECT 7",
        "EXPLAIN (COSTS off) EXECUTE ?",
    };
    static const char *const names[] = {"a", "b", "\"C d\""};
    const char *shape = texts[random_next(state, hidden_too ? 22 : 19)];
    const char *place = strchr(shape, '?');

    return place ? text("%.*s%s%s", (int)(place - shape), shape, names[random_next(state, 3)],
                        place + 1)
                 : shape;
}

/* Where names cannot be carried, those that the protocol gives are others than those of SQL. */
static void put_random(struct packet *packet, unsigned *state, bool hidden_too)
{
    static const char *const names[] = {"a", "b", "C d"};
    const char *name = names[random_next(state, 3)];
    const char *parameter = random_next(state, 2) ? NULL : "3";

    switch (random_next(state, 12)) {
    case 0:
        put_sync(put_parse(packet, hidden_too ? "p" : name, "SELECT 'parsed'"));
        break;
    case 1:
        put_sync(put_execute(put_bind(packet, "", name, parameter), "", 0));
        break;
    case 2:
        put_sync(put_describe(packet, 'S', name));
        break;
    case 3:
        put_sync(put_close(packet, 'S', name));
        break;
    case 4:
        if (hidden_too)
            put_sync(put_extended(packet, random_text(state, true), NULL));
        break;
    default:
        put_query(packet, random_text(state, hidden_too));
        break;
    }
}

static struct packet *random_pipeline(unsigned seed, bool hidden_too)
{
    struct packet *packet = put_new();
    unsigned length = 1 + random_next(&seed, 12);

    for (unsigned i = 0; i < length; i++)
        put_random(packet, &seed, hidden_too);
    return put_query(put_query(packet, "ROLLBACK"), "SELECT 'end'");
}

static char *answer_to_end(struct client *who)
{
    char *answer = client_answer(who);

    while (!strstr(answer, "D(end)") && !strstr(answer, "EOF"))
        answer = text("%s %s", answer, client_answer(who));
    return answer;
}

/* When two names mean the same text, or the name is closed meanwhile, the words of such an error
 * may have another name. */
static void mask_names(char *answer)
{
    static const char before[] = "but prepared statement \"";

    while ((answer = strstr(answer, before)) != NULL) {
        char *name = answer + sizeof(before) - 1, *end = strchr(name, '"');

        ck_assert_ptr_nonnull(end);
        memmove(name, end, strlen(end) + 1);
        answer = name;
    }
}

START_TEST(anything_is_answered_as_in_session_mode)
{
    struct client client, other, session;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\ns = {server} pool_mode=session\n",
                 .settings = "pool_mode = transaction\nworkers = 1\nmax_prepared_statements = 2\n");
    client_login(&client, &sluice, "user1", "p");
    for (unsigned round = 0; round < 60; round++) {
        client_login(&session, &sluice, "user1", "s");
        client_login(&other, &sluice, "user1", "p");
        for (unsigned i = 0; i < 8; i++) {
            unsigned seed = (unsigned)_i * 100000 + round * 100 + i;
            char *expected, *seen;

            client_send(&session, random_pipeline(seed, _i % 2));
            expected = answer_to_end(&session);
            client_send(&other, random_pipeline(seed, _i % 2));
            seen = answer_to_end(&other);
            mask_names(expected);
            mask_names(seen);
            ck_assert_msg(strcmp(expected, seen) == 0, "seed %u:\n%s\nbut\n%s", seed, expected,
                          seen);
        }
        client_close(&session);
        client_close(&other);
        ck_assert_str_eq(client_query(&client, "SELECT 1 AS x"), "T(x) D(1) C(SELECT 1) Z(I)");
    }
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sql_prepare_same");

    suite_add_loop(suite, SUITE_OURS, 90, anything_is_answered_as_in_session_mode, 4);
    return suite_finish(suite);
}

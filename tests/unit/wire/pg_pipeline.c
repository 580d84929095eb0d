/* Which replies a server still owes: each exchange is a text of requests (sent) and replies, in the
 * order in which they meet the pooler; after it the server must be free, or owe what is said. */
#include "sluice/wire/pg_pipeline.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ">Q" a request is sent, "+Q" one of our own, "<Z" a reply comes that is passed on, "~Z" one that
 * is swallowed, "!Z" one that nothing asked for. */
static void run(struct pg_pipeline *pipeline, const char *exchange)
{
    for (const char *at = exchange; *at; at++) {
        enum pg_verdict verdict;

        if (*at == ' ')
            continue;
        if (*at == '>' || *at == '+') {
            pg_pipeline_sent(pipeline, (uint8_t)at[1], *at == '+');
        } else {
            verdict = pg_pipeline_reply(pipeline, (uint8_t)at[1]);
            ck_assert_msg(verdict == (*at == '<'   ? PG_PASS
                                      : *at == '~' ? PG_SWALLOW
                                                   : PG_UNEXPECTED),
                          "%s: at %s the verdict is %d", exchange, at, verdict);
        }
        at++;
    }
}

static const struct exchange {
    const char *name, *exchange;
    bool free; /* nothing is owed at the end */
} exchanges[] = {
    {"simple query", ">Q <T <D <D <C <Z", true},
    {"simple query not answered in full", ">Q <T <D <C", false},
    {"several statements in one query", ">Q <C <T <D <C <I <Z", true},
    {"empty query", ">Q <I <Z", true},
    {"error in a query", ">Q <T <D <E <Z", true},
    {"two queries at once", ">Q >Q <C <Z <C <Z", true},
    {"two queries, one answered", ">Q >Q <C <Z", false},
    {"extended query", ">P >B >D >E >S <1 <2 <T <D <C <Z", true},
    {"describe of a statement", ">P >D >S <1 <t <T <Z", true},
    {"describe of nothing", ">P >D >S <1 <t <n <Z", true},
    {"suspended portal", ">B >E >E >S <2 <D <s <D <C <Z", true},
    {"close", ">C >S <3 <Z", true},
    {"flush without Sync is not the end", ">P >H <1", false},
    {"Sync ends what was flushed", ">P >H <1 >S <Z", true},
    {"query ends what was flushed", ">P >H <1 >Q <C <Z", true},
    {"error skips to Sync", ">P >B >E >S <E <Z", true},
    {"error skips only to the next Sync", ">P >S >P >B >E >S <E <Z <1 <2 <C <Z", true},
    {"requests sent after the error was seen are skipped too", ">P <E >B >E >S <Z", true},
    {"error without Sync is not the end", ">P >B <E", false},
    {"a query behind an error is ignored as well", ">P >Q <E", false},
    {"and the Sync behind it is the end", ">P >Q <E >S <Z", true},
    {"an error up to a Sync of our own is our own", ">Q +i +S >Q <E <Z ~E ~Z <C <Z", true},
    {"what we prepared in front fails, and the client is told", "+P <E >S <Z", true},
    {"function call", ">F <V <Z", true},
    {"copy out", ">Q <H <d <d <c <C <Z", true},
    {"copy in by query", ">Q <G >d >d >c <C <Z", true},
    {"copy in failed by the client", ">Q <G >d >f <E <Z", true},
    {"copy in failed by the server, late data", ">Q <G >d <E <Z >d >c", true},
    {"copy data sent before the server asked", ">Q >d >c <G <C <Z", true},
    {"extended copy in", ">P >B >E >H <1 <2 <G >d >c >S <C <Z", true},
    {"extended copy in with an early Sync", ">P >B >E >S <1 <2 <G >d >c >S <C <Z", true},
    {"early Sync alone is not the end", ">P >B >E >S <1 <2 <G >d", false},
    {"a Sync within copy in is void", ">P >B >E <1 <2 <G >S >d >S >c >S <C <Z", true},
    {"copy in and its Sync sent blindly", ">P >B >E >d >c >S <1 <2 <G <C <Z", true},
    {"extended copy in that the server fails", ">P >B >E >S <1 <2 <G >d <E >c >S <Z", true},
    {"copy both", ">Q <W <d >d <d >c <c <C <Z", true},
    {"copy both goes on", ">Q <W <d", false},
    {"notices anywhere", "<N >Q <N <T <D <S <C <Z <N <A", true},
    {"our own query goes in front", "+Q >Q ~C ~S ~Z <T <D <C <Z", true},
    {"an error in our own query", "+Q >Q ~E ~Z <C <Z", true},
    {"our own Parse in front of a Bind", "+P >B >E >S ~1 <2 <D <C <Z", true},
    {"CopyDone out of place is ignored", ">c >f >Q >c <C <Z >c", true},
    {"Ready that nobody asked for", "!Z", true},
    {"row that nobody asked for", "!D >Q <C <Z !D !C !T !1 !2 !3 !n !t !s !I !G !V", true},
    {"reply to something else", ">P !2 !C !D !V !Z", false},
    {"unknown type", "!? !\1 >Q !? <C <Z", true},
};

START_TEST(replies_tick_off_requests)
{
    struct pg_pipeline pipeline = {0};

    run(&pipeline, exchanges[_i].exchange);
    ck_assert_msg(pg_pipeline_idle(&pipeline) == exchanges[_i].free, "%s", exchanges[_i].name);
    pg_pipeline_fini(&pipeline);
}
END_TEST

START_TEST(deep_pipelines_are_kept_in_order)
{
    struct pg_pipeline pipeline = {0};

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++)
            run(&pipeline, ">B >E >S");
        ck_assert(!pg_pipeline_full(&pipeline));
        for (int i = 0; i < 5000; i++)
            run(&pipeline, "<2 <D <C <Z");
        ck_assert(pg_pipeline_idle(&pipeline));
    }
    for (uint32_t i = 0; i < PG_PIPELINE_MAX; i++)
        run(&pipeline, ">Q");
    ck_assert(pg_pipeline_full(&pipeline));
    pg_pipeline_clear(&pipeline);
    ck_assert(pg_pipeline_idle(&pipeline));
    pg_pipeline_fini(&pipeline);
}
END_TEST

START_TEST(endless_copy_ends_do_not_grow_the_pipeline)
{
    struct pg_pipeline pipeline = {0};

    run(&pipeline, ">Q");
    for (int i = 0; i < 100000; i++)
        run(&pipeline, ">c >f");
    ck_assert_uint_le(pipeline.count, 2);
    pg_pipeline_fini(&pipeline);
}
END_TEST

START_TEST(what_is_owed_when_a_server_is_lost)
{
    static const struct {
        const char *exchange;
        size_t readies;
        bool open_tail;
    } losses[] = {
        {"", 0, false},
        {">Q", 1, false},
        {">Q >Q >Q <C <Z", 2, false},
        {">P >B >E >S", 1, false},
        {">P >B >E", 0, true},
        {">P >B >E >S >P", 1, true},
        {">P <E", 0, true},
        {"+Q >Q", 1, false},
        {"+Q", 0, false},
        {">Q <G >d", 1, false},
        {">P >B >E >S <1 <2 <G", 0, true},
    };

    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        struct pg_pipeline pipeline = {0};
        bool open_tail;

        run(&pipeline, losses[i].exchange);
        ck_assert_uint_eq(pg_pipeline_readies(&pipeline, &open_tail), losses[i].readies);
        ck_assert_msg(open_tail == losses[i].open_tail, "%s", losses[i].exchange);
        pg_pipeline_fini(&pipeline);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_pipeline");
    TCase *tcase = tcase_create("pg_pipeline");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, replies_tick_off_requests, 0,
                        sizeof(exchanges) / sizeof(exchanges[0]));
    tcase_add_test(tcase, deep_pipelines_are_kept_in_order);
    tcase_add_test(tcase, endless_copy_ends_do_not_grow_the_pipeline);
    tcase_add_test(tcase, what_is_owed_when_a_server_is_lost);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

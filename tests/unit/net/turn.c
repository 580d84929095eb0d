/* Streams of a loop that shares system calls: each owner finds the bytes of its own peer, in order
 * and once, whatever the others do in the same turn. Where the kernel has no io_uring the same must
 * hold, so hardly anything here asks whether it has. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluice/net/stream.h"

#define STREAMS 150

static struct loop loop;
static struct stream streams[STREAMS];
static int peers[STREAMS];
static size_t count;
static unsigned told[STREAMS]; /* how often each was readable */
static void (*on_ready)(size_t index, unsigned what);

static void ready(struct stream *stream, unsigned what)
{
    size_t index = (size_t)(stream - streams);

    if (what & STREAM_READABLE)
        told[index]++;
    if (on_ready)
        on_ready(index, what);
}

static void setup(size_t wanted, void (*callback)(size_t index, unsigned what))
{
    loop_init(&loop);
    loop_share_calls(&loop);
    count = wanted;
    on_ready = callback;
    memset(told, 0, sizeof(told));
    for (size_t i = 0; i < count; i++) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        peers[i] = fds[1];
        stream_open(&streams[i], &loop, fds[0], ready);
    }
}

static void teardown(void)
{
    for (size_t i = 0; i < count; i++) {
        stream_close(&streams[i]);
        close(peers[i]);
    }
    loop_fini(&loop);
}

static void say(size_t index, const char *text)
{
    ck_assert_int_eq(write(peers[index], text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(size_t index, const char *text)
{
    char bytes[64] = "";

    ck_assert_int_eq(read(peers[index], bytes, sizeof(bytes) - 1), (ssize_t)strlen(text));
    ck_assert_str_eq(bytes, text);
}

static void expect_nothing(size_t index)
{
    char byte;

    ck_assert_int_eq(read(peers[index], &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

static void stream_gives(struct stream *stream, const char *text)
{
    char bytes[64] = "";

    ck_assert_int_eq(stream_read(stream, (uint8_t *)bytes, sizeof(bytes) - 1),
                     (ssize_t)strlen(text));
    ck_assert_str_eq(bytes, text);
}

static void echo(size_t index, unsigned what)
{
    uint8_t bytes[64];
    ssize_t got;

    while ((got = stream_read(&streams[index], bytes, sizeof(bytes))) > 0)
        stream_write(&streams[index], bytes, (size_t)got);
}

START_TEST(each_owner_finds_the_bytes_of_its_own_peer)
{
    char text[32];

    setup(STREAMS, echo); /* more than one system call takes */
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            snprintf(text, sizeof(text), "%zu-%d", i, round);
            say(i, text);
        }
        for (size_t i = 0; i < count; i++) {
            while (told[i] <= (unsigned)round)
                loop_turn(&loop);
        }
        for (size_t i = 0; i < count; i++) {
            snprintf(text, sizeof(text), "%zu-%d", i, round);
            expect(i, text);
            ck_assert(!streams[i].readable);
        }
    }
    teardown();
}
END_TEST

START_TEST(more_than_is_read_ahead_comes_whole)
{
    static uint8_t out[2][100000], in[2][sizeof(out[0])];
    size_t got[2] = {0};

    setup(2, NULL);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i % 2][i / 2] = (uint8_t)(i * 7 + i / 1000);
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(write(peers[i], out[i], sizeof(out[i])), sizeof(out[i]));
    while (!told[0] || !told[1])
        loop_turn(&loop);
    for (size_t i = 0; i < 2; i++) {
        ssize_t more;

        while ((more = stream_read(&streams[i], in[i] + got[i], 777)) > 0)
            got[i] += (size_t)more;
        ck_assert_uint_eq(got[i], sizeof(in[i]));
        ck_assert_int_eq(memcmp(in[i], out[i], sizeof(in[i])), 0);
    }
    teardown();
}
END_TEST

START_TEST(what_an_owner_leaves_comes_first_when_it_reads)
{
    setup(3, NULL);
    for (size_t i = 0; i < 3; i++)
        say(i, "first");
    while (!told[0] || !told[1] || !told[2])
        loop_turn(&loop);
    ck_assert(streams[1].readable);
    say(1, "second");
    while (told[1] < 2)
        loop_turn(&loop);
    {
        char bytes[16] = "";
        size_t got = 0;
        ssize_t more;

        while ((more = stream_read(&streams[1], (uint8_t *)bytes + got, 3)) > 0)
            got += (size_t)more;
        ck_assert_str_eq(bytes, "firstsecond");
    }
    teardown();
}
END_TEST

static void close_the_others(size_t index, unsigned what)
{
    for (size_t i = 0; i < count; i++)
        if (i != index)
            stream_close(&streams[i]);
}

START_TEST(an_owner_may_close_the_others_of_its_turn)
{
    unsigned all = 0;

    setup(3, close_the_others);
    for (size_t i = 0; i < 3; i++)
        say(i, "text");
    loop_turn(&loop);
    for (size_t i = 0; i < 3; i++)
        all += told[i];
    ck_assert_uint_eq(all, 1);
    teardown();
}
END_TEST

static struct loop other_loop;

static void move_the_others(size_t index, unsigned what)
{
    on_ready = NULL;
    for (size_t i = 0; i < count; i++) {
        if (i == index)
            continue;
        stream_write(&streams[i], "bye", 3);
        stream_detach(&streams[i]);
        stream_attach(&streams[i], &other_loop);
    }
}

START_TEST(what_was_read_moves_with_its_stream_and_what_was_written_goes_first)
{
    size_t moved = 0;

    loop_init(&other_loop);
    setup(2, move_the_others);
    say(0, "text");
    say(1, "text");
    loop_turn(&loop);
    moved = streams[0].loop == &other_loop ? 0 : 1;
    expect(moved, "bye");
    while (!told[moved])
        loop_turn(&other_loop);
    stream_gives(&streams[moved], "text");
    ck_assert(!streams[moved].readable);
    teardown();
    loop_fini(&other_loop);
}
END_TEST

START_TEST(an_owner_may_move_those_for_which_there_was_no_room)
{
    unsigned all = 0;

    loop_init(&other_loop);
    setup(STREAMS, echo);
    /* After some full turns libevent takes all in one. */
    for (int round = 0; round < 4; round++) {
        memset(told, 0, sizeof(told));
        for (size_t i = 0; i < count; i++)
            say(i, "text");
        for (size_t i = 0; i < count; i++) {
            while (!told[i])
                loop_turn(&loop);
        }
        for (size_t i = 0; i < count; i++)
            expect(i, "text");
    }
    memset(told, 0, sizeof(told));
    on_ready = move_the_others;
    for (size_t i = 0; i < count; i++)
        say(i, "text");
    loop_turn(&loop);
    for (size_t i = 0; i < count; i++)
        all += told[i];
    ck_assert_uint_eq(all, 1);
    for (size_t i = 0; i < count; i++) {
        while (!told[i])
            loop_turn(&other_loop);
        stream_gives(&streams[i], "text");
    }
    teardown();
    loop_fini(&other_loop);
}
END_TEST

static void read_empty(struct timer *timer)
{
    stream_gives(&streams[0], "first");
    ck_assert(!streams[0].readable);
    say(0, "second");
}

START_TEST(what_comes_after_another_has_read_the_stream_is_told)
{
    struct timer timer = {.expired = read_empty};

    setup(2, NULL);
    timer_set(&loop, &timer, 1);
    for (size_t i = 0; i < 2; i++)
        say(i, "first");
    do
        loop_turn(&loop);
    while (!streams[0].readable);
    ck_assert_uint_gt(told[0], 0);
    stream_gives(&streams[0], "second");
    stream_gives(&streams[1], "first");
    teardown();
}
END_TEST

static void write_and_look(size_t index, unsigned what)
{
    on_ready = NULL;
    stream_write(&streams[index], "a", 1);
    stream_write(&streams[index], "b", 1);
    stream_flush_now(&streams[index]);
    ck_assert_uint_eq(stream_pending(&streams[index]), 0);
    expect(index, "ab");
    stream_write(&streams[index], "c", 1);
    stream_close(&streams[index]);
    expect(index, "c");
}

START_TEST(what_was_written_goes_before_the_close_and_at_once_when_it_must)
{
    setup(1, write_and_look);
    say(0, "text");
    while (!told[0])
        loop_turn(&loop);
    ck_assert(!stream_is_open(&streams[0]));
    teardown();
}
END_TEST

static void write_much(size_t index, unsigned what)
{
    static const uint8_t bytes[4000];

    if (!(what & STREAM_READABLE) || told[index] > 1)
        return;
    for (int i = 0; i < 1000; i++)
        stream_write(&streams[index], bytes, sizeof(bytes));
}

START_TEST(small_writes_to_a_peer_that_does_not_read_are_kept_and_all_arrive)
{
    static uint8_t bytes[1 << 16];
    size_t got = 0;

    setup(2, write_much);
    say(0, "text");
    say(1, "text");
    while (!told[0] || !told[1])
        loop_turn(&loop);
    ck_assert_uint_gt(stream_pending(&streams[0]), 0);
    while (got < 4000 * 1000) {
        ssize_t more = read(peers[0], bytes, sizeof(bytes));

        if (more > 0)
            got += (size_t)more;
        else
            loop_turn(&loop);
    }
    ck_assert_uint_eq(stream_pending(&streams[0]), 0);
    expect_nothing(0);
    teardown();
}
END_TEST

static void write_to_all(size_t index, unsigned what)
{
    on_ready = NULL;
    for (size_t i = 0; i < count; i++)
        stream_write(&streams[i], "lost", 4);
}

START_TEST(a_write_that_fails_at_the_end_of_the_turn_is_told_by_reading)
{
    setup(3, write_to_all);
    say(0, "text");
    close(peers[1]);
    peers[1] = dup(0);
    while (streams[1].error == 0)
        loop_turn(&loop);
    ck_assert_int_eq(stream_read(&streams[1], (uint8_t[8]){0}, 8), -1);
    ck_assert_int_eq(streams[1].error, EPIPE);
    /* None of it was sent: it is still there, unless its writer was told at once. */
    if (loop.turn)
        ck_assert_uint_eq(stream_pending(&streams[1]), 4);
    expect(0, "lost");
    expect(2, "lost");
    teardown();
}
END_TEST

START_TEST(what_was_sent_before_the_end_is_read_before_it)
{
    setup(2, NULL);
    for (size_t i = 0; i < 2; i++) {
        say(i, "last");
        close(peers[i]);
        peers[i] = dup(0);
    }
    while (!told[0] || !told[1])
        loop_turn(&loop);
    for (size_t i = 0; i < 2; i++) {
        uint8_t byte;

        stream_gives(&streams[i], "last");
        ck_assert_int_eq(stream_read(&streams[i], &byte, 1), -1);
        ck_assert_int_eq(streams[i].error, 0);
    }
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *tcase = tcase_create("turn");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, each_owner_finds_the_bytes_of_its_own_peer);
    tcase_add_test(tcase, more_than_is_read_ahead_comes_whole);
    tcase_add_test(tcase, what_an_owner_leaves_comes_first_when_it_reads);
    tcase_add_test(tcase, an_owner_may_close_the_others_of_its_turn);
    tcase_add_test(tcase, what_was_read_moves_with_its_stream_and_what_was_written_goes_first);
    tcase_add_test(tcase, an_owner_may_move_those_for_which_there_was_no_room);
    tcase_add_test(tcase, what_comes_after_another_has_read_the_stream_is_told);
    tcase_add_test(tcase, what_was_written_goes_before_the_close_and_at_once_when_it_must);
    tcase_add_test(tcase, small_writes_to_a_peer_that_does_not_read_are_kept_and_all_arrive);
    tcase_add_test(tcase, a_write_that_fails_at_the_end_of_the_turn_is_told_by_reading);
    tcase_add_test(tcase, what_was_sent_before_the_end_is_read_before_it);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

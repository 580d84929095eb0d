/* Streams over a socket pair, loops and mailboxes: what is written arrives, in order and once; what
 * the peer does not take is kept; ends and errors are told by reading. */
#include "sluice/net/stream.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sluice/net/mailbox.h"

static struct loop loop;
static struct stream stream;
static int peer;
static unsigned seen; /* what the stream was ready for */

static void ready(struct stream *which, unsigned what)
{
    ck_assert_ptr_eq(which, &stream);
    seen |= what;
}

static void open_pair(void)
{
    int fds[2];

    loop_init(&loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer = fds[1];
    stream_open(&stream, &loop, fds[0], ready);
}

static void close_pair(void)
{
    stream_close(&stream);
    loop_fini(&loop);
    close(peer);
}

static void await(unsigned what)
{
    while (!(seen & what))
        loop_turn(&loop);
    seen &= ~what;
}

START_TEST(readiness_stays_until_a_read_finds_nothing)
{
    uint8_t bytes[4];

    open_pair();
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), 0);
    ck_assert_int_eq(write(peer, "abcdef", 6), 6);
    await(STREAM_READABLE);
    ck_assert_int_eq(stream_read(&stream, bytes, 4), 4);
    ck_assert(stream.readable); /* a full read says nothing about the rest */
    ck_assert_int_eq(stream_read(&stream, bytes, 4), 2);
    ck_assert(!stream.readable);
    close_pair();
}
END_TEST

START_TEST(what_was_sent_before_the_end_is_read_before_it)
{
    uint8_t bytes[16];

    open_pair();
    ck_assert_int_eq(write(peer, "last", 4), 4);
    close(peer);
    peer = dup(0);
    await(STREAM_READABLE);
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), 4);
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), -1);
    ck_assert_int_eq(stream.error, 0);
    close_pair();
}
END_TEST

START_TEST(what_the_peer_does_not_take_is_kept_and_sent_later)
{
    static uint8_t out[1 << 20], in[sizeof(out)];
    size_t got = 0;

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 + i / 1000);
    open_pair();
    stream_queue(&stream, out, 1000);
    ck_assert_uint_eq(stream_pending(&stream), 1000);
    stream_write(&stream, out + 1000, sizeof(out) - 1000);
    ck_assert_uint_gt(stream_pending(&stream), 0);
    while (got < sizeof(out)) {
        ssize_t more = read(peer, in + got, sizeof(in) - got);

        if (more > 0)
            got += (size_t)more;
        else
            loop_turn(&loop);
    }
    ck_assert_int_eq(memcmp(in, out, sizeof(out)), 0);
    await(STREAM_DRAINED);
    ck_assert_uint_eq(stream_pending(&stream), 0);
    ck_assert_ptr_null(stream.out.data);
    close_pair();
}
END_TEST

START_TEST(a_failed_write_is_told_by_reading_after_what_the_peer_said_last)
{
    uint8_t bytes[16];

    open_pair();
    ck_assert_int_eq(write(peer, "why", 3), 3);
    close(peer);
    peer = dup(0);
    stream_write(&stream, "x", 1);
    await(STREAM_READABLE);
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), 3);
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), -1);
    close_pair();
}
END_TEST

START_TEST(a_stream_moves_to_another_loop_with_all_that_it_holds)
{
    struct loop other;
    uint8_t bytes[16];

    open_pair();
    loop_init(&other);
    ck_assert_int_eq(write(peer, "unread", 6), 6);
    await(STREAM_READABLE);
    stream_queue(&stream, "kept", 4);
    stream_detach(&stream);
    stream_attach(&stream, &other);
    seen = 0;
    while (!(seen & STREAM_READABLE))
        loop_turn(&other);
    ck_assert_int_eq(stream_read(&stream, bytes, sizeof(bytes)), 6);
    while (stream_pending(&stream) > 0)
        loop_turn(&other);
    ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 4);
    stream_close(&stream);
    loop_fini(&other);
    close_pair();
}
END_TEST

START_TEST(a_refused_connection_is_told_on_the_loop)
{
    struct sockaddr_un nobody = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    struct stream_options options = {0};

    loop_init(&loop);
    stream_connect(&stream, &loop, (struct sockaddr *)&nobody, sizeof(nobody), &options, ready);
    ck_assert_uint_eq(seen, 0);
    await(STREAM_CONNECTED);
    ck_assert_int_ne(stream.error, 0);
    stream_close(&stream);
    loop_fini(&loop);
}
END_TEST

#define SENDERS 4
#define MAILS 20000

struct letter {
    struct mail mail;
    int sender, number;
};

static struct mailbox mailbox;
static struct letter letters[SENDERS][MAILS];
static int received[SENDERS], total, disorder;

static void letter_delivered(struct mail *mail, void *receiver)
{
    struct letter *letter = container_of(mail, struct letter, mail);

    disorder += letter->number != received[letter->sender]++;
    if (++total == SENDERS * MAILS)
        loop_stop(receiver);
}

static void *letter_sender(void *argument)
{
    struct letter *first = argument;

    for (int i = 0; i < MAILS; i++)
        mailbox_send(&mailbox, &first[i].mail);
    return NULL;
}

START_TEST(mail_of_many_threads_arrives_once_and_in_each_senders_order)
{
    pthread_t threads[SENDERS];

    loop_init(&loop);
    mailbox_init(&mailbox, &loop, &loop);
    for (int s = 0; s < SENDERS; s++) {
        for (int i = 0; i < MAILS; i++)
            letters[s][i] =
                (struct letter){.mail.deliver = letter_delivered, .sender = s, .number = i};
        pthread_create(&threads[s], NULL, letter_sender, letters[s]);
    }
    loop_run(&loop);
    for (int s = 0; s < SENDERS; s++)
        pthread_join(threads[s], NULL);
    ck_assert_int_eq(total, SENDERS * MAILS);
    ck_assert_int_eq(disorder, 0);
    mailbox_fini(&mailbox);
    loop_fini(&loop);
}
END_TEST

static int order[3], expired;

static void timer_expired(struct timer *timer)
{
    order[expired++] = (int)(timer->node.key % 10);
    if (expired == 3)
        loop_stop(&loop);
}

START_TEST(timers_expire_in_order_and_a_cancelled_one_never)
{
    struct timer timers[4] = {0};
    uint64_t now_us;

    loop_init(&loop);
    now_us = clock_us() / 10 * 10;
    for (int i = 0; i < 4; i++) {
        timers[i].expired = timer_expired;
        timer_set(&loop, &timers[i], now_us + 20000 - (uint64_t)i * 5000 + (uint64_t)i);
    }
    timer_set_by(&loop, &timers[0], now_us + 90000); /* later: nothing changes */
    timer_cancel(&loop, &timers[2]);
    loop_run(&loop);
    ck_assert_int_eq(order[0], 3);
    ck_assert_int_eq(order[1], 1);
    ck_assert_int_eq(order[2], 0);
    loop_fini(&loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tcase = tcase_create("stream");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, readiness_stays_until_a_read_finds_nothing);
    tcase_add_test(tcase, what_was_sent_before_the_end_is_read_before_it);
    tcase_add_test(tcase, what_the_peer_does_not_take_is_kept_and_sent_later);
    tcase_add_test(tcase, a_failed_write_is_told_by_reading_after_what_the_peer_said_last);
    tcase_add_test(tcase, a_stream_moves_to_another_loop_with_all_that_it_holds);
    tcase_add_test(tcase, a_refused_connection_is_told_on_the_loop);
    tcase_add_test(tcase, mail_of_many_threads_arrives_once_and_in_each_senders_order);
    tcase_add_test(tcase, timers_expire_in_order_and_a_cancelled_one_never);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

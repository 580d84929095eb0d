/* The ring of replies that a connection owes: order, growth while it wraps round, and clients that
 * leave. */
#include "sluice/pool/redis_owed.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct redis_client *client_of(uintptr_t number)
{
    return (struct redis_client *)number; /* only ever compared */
}

static void push(struct redis_owed_ring *ring, uintptr_t client, uint32_t bytes)
{
    *redis_owed_push(ring) = (struct redis_owed){.client = client_of(client), .bytes = bytes};
}

static void pops(struct redis_owed_ring *ring, uint32_t bytes)
{
    ck_assert_uint_eq(redis_owed_at(ring, 0)->bytes, bytes);
    redis_owed_pop(ring);
}

START_TEST(replies_come_in_the_order_of_commands)
{
    struct redis_owed_ring ring = {0};

    for (uint32_t i = 0; i < 1000; i++)
        push(&ring, 1, i);
    ck_assert_uint_eq(ring.length, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        pops(&ring, i);
    ck_assert_uint_eq(ring.length, 0);
    redis_owed_fini(&ring);
}
END_TEST

START_TEST(it_grows_while_it_wraps_round)
{
    struct redis_owed_ring ring = {0};
    uint32_t in = 0, out = 0;

    /* Two in, one out: the ring is never empty, and grows at every place of its head. */
    for (int round = 0; round < 500; round++) {
        push(&ring, 1, in++);
        push(&ring, 1, in++);
        pops(&ring, out++);
    }
    while (ring.length > 0)
        pops(&ring, out++);
    ck_assert_uint_eq(in, out);
    redis_owed_fini(&ring);
}
END_TEST

START_TEST(what_it_held_once_it_holds_again_without_growing)
{
    struct redis_owed_ring ring = {0};
    uint32_t size;

    for (uint32_t i = 0; i < 100; i++)
        push(&ring, 1, i);
    size = ring.size;
    for (uint32_t i = 0; i < 100; i++)
        pops(&ring, i);
    for (uint32_t round = 0; round < 1000; round++) {
        for (uint32_t i = 0; i < 100; i++)
            push(&ring, 1, i);
        for (uint32_t i = 0; i < 100; i++)
            pops(&ring, i);
    }
    ck_assert_uint_eq(ring.size, size);
    redis_owed_fini(&ring);
}
END_TEST

START_TEST(the_head_may_wrap_round_its_own_type)
{
    struct redis_owed_ring ring = {0};

    push(&ring, 1, 0);
    redis_owed_pop(&ring);
    ring.head = UINT32_MAX - 3;
    for (uint32_t i = 0; i < 10; i++)
        push(&ring, 1, i);
    for (uint32_t i = 0; i < 10; i++)
        pops(&ring, i);
    redis_owed_fini(&ring);
}
END_TEST

START_TEST(moving_keeps_the_order)
{
    struct redis_owed_ring to = {0}, from = {0};

    for (uint32_t i = 0; i < 5; i++)
        push(&to, 1, i);
    for (uint32_t i = 5; i < 50; i++)
        push(&from, 2, i);
    redis_owed_move(&to, &from);
    ck_assert_uint_eq(from.length, 0);
    for (uint32_t i = 0; i < 50; i++)
        pops(&to, i);
    redis_owed_fini(&to);
    redis_owed_fini(&from);
}
END_TEST

START_TEST(who_leaves_is_forgotten_and_nobody_else)
{
    struct redis_owed_ring ring = {0};

    for (uint32_t i = 0; i < 30; i++)
        push(&ring, 1 + i % 3, i);
    ck_assert_uint_eq(redis_owed_forget(&ring, client_of(2), 10), 10);
    ck_assert_uint_eq(redis_owed_forget(&ring, client_of(2), 10), 0);
    ck_assert_uint_eq(redis_owed_forget(&ring, client_of(9), 1), 0);
    /* No more than it was told: the others are on another connection. */
    ck_assert_uint_eq(redis_owed_forget(&ring, client_of(3), 4), 4);
    for (uint32_t i = 0; i < 30; i++) {
        uintptr_t expected = 1 + i % 3;

        if (expected == 2 || (expected == 3 && i < 12))
            expected = 0;
        ck_assert_ptr_eq(redis_owed_at(&ring, 0)->client, client_of(expected));
        pops(&ring, i);
    }
    redis_owed_fini(&ring);
}
END_TEST

START_TEST(what_is_not_there_cannot_be_taken)
{
    struct redis_owed_ring ring = {0};

    redis_owed_pop(&ring);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_owed");
    TCase *whole = tcase_create("ring"), *fatal;
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(whole, replies_come_in_the_order_of_commands);
    tcase_add_test(whole, it_grows_while_it_wraps_round);
    tcase_add_test(whole, what_it_held_once_it_holds_again_without_growing);
    tcase_add_test(whole, the_head_may_wrap_round_its_own_type);
    tcase_add_test(whole, moving_keeps_the_order);
    tcase_add_test(whole, who_leaves_is_forgotten_and_nobody_else);
    suite_add_tcase(suite, whole);
    /* An abort needs a process of its own. */
    if (srunner_fork_status(runner) == CK_FORK) {
        fatal = tcase_create("fatal");
        tcase_add_test_raise_signal(fatal, what_is_not_there_cannot_be_taken, SIGABRT);
        suite_add_tcase(suite, fatal);
    }
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

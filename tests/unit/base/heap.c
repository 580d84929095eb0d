/* A heap gives its members back in the order of their keys, whatever was done to it before. */
#include "sluice/base/heap.h"

#include <check.h>
#include <stdlib.h>

#define MEMBERS 500

static uint32_t state = 1;

static uint32_t next_number(void)
{
    return state = state * 1664525 + 1013904223;
}

static void check_order(struct heap *heap)
{
    uint64_t last = 0;
    struct heap_node *first;

    while ((first = heap_first(heap))) {
        ck_assert_uint_ge(first->key, last);
        last = first->key;
        heap_remove(heap, first);
        ck_assert_uint_eq(first->place, 0);
    }
    heap_fini(heap);
}

START_TEST(members_come_out_in_order_of_their_keys)
{
    struct heap heap = {0};
    struct heap_node nodes[MEMBERS] = {0};

    for (int i = 0; i < MEMBERS; i++)
        heap_set(&heap, &nodes[i], next_number() % 100);
    ck_assert_uint_eq(heap.length, MEMBERS);
    check_order(&heap);
}
END_TEST

START_TEST(a_member_that_moves_keeps_the_order)
{
    struct heap heap = {0};
    struct heap_node nodes[MEMBERS] = {0};

    for (int i = 0; i < MEMBERS; i++)
        heap_set(&heap, &nodes[i], next_number());
    for (int i = 0; i < 10 * MEMBERS; i++)
        heap_set(&heap, &nodes[next_number() % MEMBERS], next_number());
    ck_assert_uint_eq(heap.length, MEMBERS);
    check_order(&heap);
}
END_TEST

START_TEST(removal_from_anywhere_keeps_the_order)
{
    struct heap heap = {0};
    struct heap_node nodes[MEMBERS] = {0};

    for (int i = 0; i < MEMBERS; i++)
        heap_set(&heap, &nodes[i], next_number());
    for (int i = 0; i < MEMBERS; i += 3)
        heap_remove(&heap, &nodes[i]);
    heap_remove(&heap, &nodes[0]);
    ck_assert_uint_eq(heap.length, MEMBERS - (MEMBERS + 2) / 3);
    check_order(&heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tcase = tcase_create("heap");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, members_come_out_in_order_of_their_keys);
    tcase_add_test(tcase, a_member_that_moves_keeps_the_order);
    tcase_add_test(tcase, removal_from_anywhere_keeps_the_order);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

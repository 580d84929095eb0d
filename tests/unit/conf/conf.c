/* How a snapshot lives: counts, SET, reload; that it never changes and ends with the last drop. */
#include "load.h"

#include <pthread.h>

#define THREADS 4
#define TURNS 20000

START_TEST(set_makes_a_snapshot_that_differs_in_one_setting)
{
    struct conf *before, *after, *again;

    write_text("users.txt", "\"u\" \"s\"\n");
    before = load_good("[sluice]\nauth_file = users.txt\nverbose = 1\n[databases]\na = port=7\n"
                       "[users]\nu = pool_size=3\n[redis]\nr = listen_port=1\n");
    after = conf_with(before, "default_pool_size", "33", &report);
    ck_assert_ptr_nonnull(after);
    again = conf_with(after, "default_pool_size", "44", &report);
    ck_assert_ptr_nonnull(again);
    ck_assert_int_eq(before->default_pool_size, 20);
    ck_assert_int_eq(after->default_pool_size, 33);
    ck_assert_int_eq(again->default_pool_size, 44);
    conf_drop(before);
    conf_drop(after);
    ck_assert_int_eq(again->verbose, 1);
    ck_assert_int_eq(conf_find_database(again, "a")->port, 7);
    ck_assert_int_eq(conf_find_user(again, "u")->pool_size, 3);
    ck_assert_str_eq(conf_find_user(again, "u")->secret, "s");
    ck_assert_int_eq(conf_find_redis(again, "r")->listen_port, 1);
    ck_assert_str_eq(again->conffile, "conf.ini");
    conf_drop(again);
}
END_TEST

START_TEST(set_reaches_what_falls_back_to_it)
{
    struct conf *before = load_good("[sluice]\n[redis]\nr = listen_port=1\n");
    struct conf *after = conf_with(before, "redis_pool_size", "3", &report);

    ck_assert_int_eq(conf_find_redis(before, "r")->pool_size, 8);
    ck_assert_int_eq(conf_find_redis(after, "r")->pool_size, 3);
    conf_drop(before);
    conf_drop(after);
}
END_TEST

START_TEST(set_says_why_it_refuses)
{
    struct conf *conf = load_good("[sluice]\n");

    ck_assert_ptr_null(conf_with(conf, "default_pool_siz", "1", &report));
    ck_assert(reported("unknown setting \"default_pool_siz\"; did you mean "
                       "\"default_pool_size\"?"));
    ck_assert_ptr_null(conf_with(conf, "xyzzy", "1", &report));
    ck_assert(reported("unknown setting \"xyzzy\""));
    ck_assert_ptr_null(conf_with(conf, "default_pool_size", "many", &report));
    ck_assert(reported("default_pool_size = \"many\" must be a whole number from 0 to 1000000"));
    ck_assert_ptr_null(conf_with(conf, "listen_port", "1", &report));
    ck_assert(reported("listen_port needs a restart to change"));
    ck_assert_uint_eq(report.count, 4);
    conf_drop(conf);
}
END_TEST

/* SET does not read files again; a file that has changed meanwhile waits for a reload. */
START_TEST(set_does_not_read_the_files)
{
    struct conf *before, *after;

    write_text("users.txt", "\"u\" \"s\"\n");
    write_text("other.txt", "\"v\" \"t\"\n");
    before = load_good("[sluice]\nauth_file = users.txt\n");
    write_text("conf.ini", "nonsense");
    write_text("users.txt", "nonsense");
    after = conf_with(before, "verbose", "1", &report);
    ck_assert_ptr_nonnull(after);
    ck_assert_str_eq(conf_find_user(after, "u")->secret, "s");
    ck_assert(conf_auth_file_changed(after));
    conf_drop(before);

    before = conf_with(after, "auth_file", "other.txt", &report);
    ck_assert_ptr_nonnull(before);
    ck_assert_ptr_null(conf_find_user(before, "u"));
    ck_assert_str_eq(conf_find_user(before, "v")->secret, "t");
    conf_drop(before);
    ck_assert_ptr_null(conf_with(after, "auth_file", "missing.txt", &report));
    ck_assert(reported("cannot read auth_file missing.txt: No such file or directory"));
    conf_drop(after);
}
END_TEST

/* What a file got wrong, or was warned of, is said when it is read and not at every SET. */
START_TEST(set_does_not_repeat_old_warnings)
{
    struct conf *before = load_good("[sluice]\npkt_buf = 8192\n"), *after;

    ck_assert_uint_eq(report.warning_count, 1);
    after = conf_with(before, "verbose", "1", &report);
    ck_assert_uint_eq(report.warning_count, 1);
    conf_drop(before);
    before = conf_with(after, "login_notify_message", "hello", &report);
    ck_assert_uint_eq(report.warning_count, 2);
    ck_assert(reported("login_notify_message has no effect yet"));
    conf_drop(after);
    conf_drop(before);
}
END_TEST

START_TEST(a_reload_reads_the_files_again_and_forgets_set)
{
    struct conf *first = load_good("[sluice]\nverbose = 1\nmax_waiting = 7\n"), *second, *third;

    second = conf_with(first, "max_waiting", "8", &report);
    write_text("conf.ini", "[sluice]\nverbose = 2\n[databases]\nnew = port=3\n");
    third = conf_reload(second, &report);
    ck_assert_ptr_nonnull(third);
    ck_assert_int_eq(third->verbose, 2);
    ck_assert_int_eq(third->max_waiting, 0);
    ck_assert_int_eq(conf_find_database(third, "new")->port, 3);
    ck_assert_uint_eq(report.count, 0);
    conf_drop(first);
    conf_drop(second);
    conf_drop(third);
}
END_TEST

START_TEST(a_reload_may_read_another_file)
{
    struct conf *first = load_good("[sluice]\n"), *second, *third;

    write_text("other.ini", "[sluice]\nverbose = 3\n");
    second = conf_with(first, "conffile", "other.ini", &report);
    third = conf_reload(second, &report);
    ck_assert_int_eq(third->verbose, 3);
    ck_assert_str_eq(third->conffile, "other.ini");
    conf_drop(first);
    conf_drop(second);
    conf_drop(third);
}
END_TEST

START_TEST(a_reload_keeps_what_needs_a_restart)
{
    struct conf *first = load_good("[sluice]\nworkers = 3\nlisten_port = 7000\n"
                                   "listen_addr = a, b\nunix_socket_mode = 0700\npidfile = /x\n"
                                   "[redis]\nr = listen_port=1\n");
    struct conf *second, *third, *fourth;

    write_text("conf.ini", "[sluice]\nlisten_port = 7001\nlisten_addr = c\nuser = u\n"
                           "unix_socket_mode = 0700\npidfile = /x\nverbose = 4\n"
                           "[redis]\nr = listen_port=1\n");
    conf_report_fini(&report);
    second = conf_reload(first, &report);
    ck_assert_ptr_nonnull(second);
    ck_assert_int_eq(second->workers, 3);
    ck_assert_int_eq(second->listen_port, 7000);
    ck_assert_uint_eq(second->listen_addr.count, 2);
    ck_assert_uint_eq(conf_find_redis(second, "r")->listen_addr.count, 2);
    ck_assert_str_eq(second->user, "");
    ck_assert_int_eq(second->verbose, 4);
    ck_assert(reported("workers: \"auto\" needs a restart; it stays \"3\""));
    ck_assert(reported("listen_port: \"7001\" needs a restart; it stays \"7000\""));
    ck_assert(reported("listen_addr: \"c\" needs a restart; it stays \"a, b\""));
    ck_assert(reported("user: \"u\" needs a restart; it stays \"\""));
    ck_assert_uint_eq(report.count, 4);

    third = conf_with(second, "verbose", "5", &report); /* keeps them too */
    ck_assert_int_eq(third->listen_port, 7000);
    ck_assert_int_eq(third->verbose, 5);
    fourth = conf_reload(third, &report);
    ck_assert_int_eq(fourth->listen_port, 7000);
    conf_drop(first);
    conf_drop(second);
    conf_drop(third);
    conf_drop(fourth);
}
END_TEST

START_TEST(a_failed_reload_leaves_the_running_snapshot_alone)
{
    struct conf *conf = load_good("[sluice]\nverbose = 1\n[databases]\na = port=1\n");

    write_text("conf.ini", "[sluice]\nverbose = x\n");
    ck_assert_ptr_null(conf_reload(conf, &report));
    ck_assert(reported("conf.ini:2: verbose = \"x\" must be a whole number from 0 to 10"));
    ck_assert_int_eq(remove("conf.ini"), 0);
    ck_assert_ptr_null(conf_reload(conf, &report));
    ck_assert_int_eq(conf->verbose, 1);
    ck_assert_int_eq(conf_find_database(conf, "a")->port, 1);
    conf_drop(conf);
}
END_TEST

static void *hold_and_drop(void *context)
{
    const struct conf *conf = context;

    for (int i = 0; i < TURNS; i++) {
        struct conf *held = conf_hold(conf);

        if (held != conf || held->verbose != 7 || !conf_find_database(held, "a"))
            return (void *)context; /* anything but NULL */
        conf_drop(held);
    }
    conf_drop(conf);
    return NULL;
}

START_TEST(any_thread_may_hold_and_drop)
{
    struct conf *conf = load_good("[sluice]\nverbose = 7\n[databases]\na =\n");
    pthread_t threads[THREADS];
    void *wrong;

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_and_drop, conf_hold(conf)), 0);
    conf_drop(conf);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(dropping_nothing_does_nothing)
{
    conf_drop(NULL);
    ck_assert_uint_eq(report.count, 0);
}
END_TEST

LOAD_MAIN("conf", set_makes_a_snapshot_that_differs_in_one_setting,
          set_reaches_what_falls_back_to_it, set_says_why_it_refuses, set_does_not_read_the_files,
          set_does_not_repeat_old_warnings, a_reload_reads_the_files_again_and_forgets_set,
          a_reload_may_read_another_file, a_reload_keeps_what_needs_a_restart,
          a_failed_reload_leaves_the_running_snapshot_alone, any_thread_may_hold_and_drop,
          dropping_nothing_does_nothing)

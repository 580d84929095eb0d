/* How servers' requests are answered: every method with every secret, and what a broken or hostile
 * server may send. */
#include "sluice/auth/answer.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER "maude"
#define PASSWORD "pencil"
#define MD5_SECRET "md5e3c0d7c53b29293d8d7663cc7dfbc6ca"
#define SCRAM_SECRET                                                                            \
    "SCRAM-SHA-256$4096:VKN8kk9pfubNJUAQgvAhMg==$buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0=:" \
    "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ="
#define MECHANISMS "SCRAM-SHA-256\0"
#define MECHANISMS_PLUS "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0"

static struct auth_key key = {{1}};
static struct secret plain, md5, scram, none;
static struct answer_terms terms;
static struct login_answer answer;
static struct login_reply reply;
static struct login_terms server_terms;
static struct login_check server;
static struct auth_request request;

static void setup(void)
{
    secret_parse(&plain, PASSWORD);
    secret_parse(&md5, MD5_SECRET);
    secret_parse(&scram, SCRAM_SECRET);
    secret_parse(&none, "");
}

static void start(const struct secret *secret, struct scram_keys *keys)
{
    terms = (struct answer_terms){.user = USER, .secret = secret, .keys = keys};
    login_answer_init(&answer, &terms);
}

/* Hands over a copy that ends where its allocation ends. */
static enum login_verdict step(uint32_t code, const void *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    enum login_verdict verdict;

    if (bytes > 0)
        memcpy(copy + 1, data, bytes);
    answer.error.sqlstate = NULL;
    verdict = login_answer_step(&answer, code, copy + 1, bytes, &reply);
    free(copy);
    if (verdict == LOGIN_FAILED)
        ck_assert_uint_eq(strlen(answer.error.sqlstate), 5);
    return verdict;
}

static void expect_failure(const char *sqlstate, const char *contains)
{
    ck_assert_str_eq(answer.error.sqlstate, sqlstate);
    ck_assert_msg(strstr(answer.error.message, contains), "%s", answer.error.message);
}

/* Lets our own server role ask, up to the end of both. */
static enum login_verdict log_in(enum auth_method method, const struct secret *stored,
                                 const struct channel_binding *binding)
{
    enum login_verdict asks, answers = LOGIN_SEND;

    server_terms = (struct login_terms){.method = method,
                                        .user = USER,
                                        .secret = stored,
                                        .key = &key,
                                        .scram_iterations = 16,
                                        .binding = *binding};
    login_check_init(&server, &server_terms);
    asks = login_check_start(&server, &request);
    while (asks == LOGIN_SEND) {
        answers = step(request.code, request.data, request.bytes);
        if (answers == LOGIN_FAILED)
            return answers;
        asks = login_check_step(&server, reply.data, reply.bytes, &request);
    }
    if (asks == LOGIN_FAILED)
        return asks;
    if (request.code == AUTH_REQUEST_SASL_FINAL) {
        ck_assert_int_eq(step(request.code, request.data, request.bytes), LOGIN_SEND);
        ck_assert_uint_eq(reply.bytes, 0);
    }
    return step(AUTH_REQUEST_OK, "", 0);
}

static const struct channel_binding no_binding, binding = {.bytes = 32, .data = {1, 2, 3}};

START_TEST(every_method_is_answered_with_a_secret_that_does)
{
    static const struct {
        enum auth_method method;
        const struct secret *stored, *ours;
    } rows[] = {
        {AUTH_ANY, &none, &none},   {AUTH_PLAIN, &plain, &plain}, {AUTH_PLAIN, &scram, &plain},
        {AUTH_MD5, &plain, &plain}, {AUTH_MD5, &md5, &plain},     {AUTH_MD5, &md5, &md5},
        {AUTH_MD5, &plain, &md5},   {AUTH_SCRAM, &plain, &plain}, {AUTH_SCRAM, &scram, &plain},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(rows[i].ours, NULL);
        ck_assert_int_eq(log_in(rows[i].method, rows[i].stored, &no_binding), LOGIN_OK);
    }
}
END_TEST

START_TEST(a_wrong_password_does_not_get_in)
{
    struct secret wrong;

    secret_parse(&wrong, "pencils");
    for (enum auth_method method = AUTH_PLAIN; method <= AUTH_SCRAM; method++) {
        start(&wrong, NULL);
        ck_assert_int_eq(log_in(method, &plain, &no_binding), LOGIN_FAILED);
    }
}
END_TEST

START_TEST(the_channel_is_bound_when_both_can)
{
    start(&plain, NULL);
    terms.binding = binding;
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &binding), LOGIN_OK);
    ck_assert(server.scram.plus);
    start(&plain, NULL);
    terms.binding = binding;
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &no_binding), LOGIN_OK);
    ck_assert_int_eq(server.scram.gs2_flag, 'y');
    start(&plain, NULL);
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &binding), LOGIN_OK);
    ck_assert_int_eq(server.scram.gs2_flag, 'n');
}
END_TEST

START_TEST(a_man_in_the_middle_is_found_out)
{
    struct channel_binding other = binding;

    other.data[0] ^= 1;
    start(&plain, NULL);
    terms.binding = other;
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &binding), LOGIN_FAILED);
    ck_assert_str_eq(server.error.message, "SCRAM channel binding check failed");
}
END_TEST

START_TEST(a_client_that_has_proved_itself_is_logged_in_without_its_password)
{
    const struct secret *secrets[] = {&scram, &none, NULL};
    struct scram_keys keys;

    start(&plain, NULL);
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &no_binding), LOGIN_OK);
    ck_assert(login_check_keys(&server, &keys));
    for (size_t i = 0; i < 3; i++) {
        start(secrets[i], &keys);
        ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &no_binding), LOGIN_OK);
        start(secrets[i], &keys);
        ck_assert_int_eq(log_in(AUTH_SCRAM, &plain, &no_binding), LOGIN_FAILED);
        expect_failure("28P01", "salt or iteration count differs");
    }
}
END_TEST

START_TEST(keys_are_cached_beside_a_password)
{
    struct scram_keys keys = {0}, first;

    start(&plain, &keys);
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &no_binding), LOGIN_OK);
    first = keys;
    ck_assert_uint_eq(first.iterations, 4096);
    start(&plain, &keys);
    ck_assert_int_eq(log_in(AUTH_SCRAM, &scram, &no_binding), LOGIN_OK);
    ck_assert_mem_eq(&keys, &first, sizeof(keys));
    start(&plain, &keys);
    ck_assert_int_eq(log_in(AUTH_SCRAM, &plain, &no_binding), LOGIN_OK);
    ck_assert_uint_eq(keys.iterations, 16);
}
END_TEST

START_TEST(a_missing_or_unfit_secret_is_named)
{
    static const struct {
        const struct secret *secret;
        uint32_t code;
        const char *data;
        size_t bytes;
        const char *contains;
    } rows[] = {
        {NULL, AUTH_REQUEST_CLEARTEXT, "", 0, "no password supplied"},
        {&none, AUTH_REQUEST_MD5, "salt", 4, "no password supplied"},
        {&none, AUTH_REQUEST_SASL, MECHANISMS, 15, "no password supplied"},
        {&md5, AUTH_REQUEST_CLEARTEXT, "", 0, "only an md5 hash"},
        {&md5, AUTH_REQUEST_SASL, MECHANISMS, 15, "only an md5 hash"},
        {&scram, AUTH_REQUEST_CLEARTEXT, "", 0, "only a SCRAM secret"},
        {&scram, AUTH_REQUEST_MD5, "salt", 4, "only a SCRAM secret"},
        {&scram, AUTH_REQUEST_SASL, MECHANISMS, 15, "only a SCRAM secret"},
    };
    struct scram_keys empty = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(rows[i].secret, &empty);
        ck_assert_int_eq(step(rows[i].code, rows[i].data, rows[i].bytes), LOGIN_FAILED);
        expect_failure("28P01", rows[i].contains);
        expect_failure("28P01", USER);
    }
}
END_TEST

START_TEST(methods_that_sluice_does_not_speak_are_named_with_a_way_out)
{
    static const struct {
        uint32_t code;
        const char *contains;
    } rows[] = {
        {AUTH_REQUEST_KERBEROS_5, "Kerberos V5"},
        {AUTH_REQUEST_GSS, "GSSAPI"},
        {AUTH_REQUEST_GSS_CONTINUE, "GSSAPI"},
        {AUTH_REQUEST_SSPI, "SSPI"},
        {6, "request 6"},
        {UINT32_MAX, "request 4294967295"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(&plain, NULL);
        ck_assert_int_eq(step(rows[i].code, "", 0), LOGIN_FAILED);
        expect_failure("0A000", rows[i].contains);
        ck_assert_ptr_nonnull(strstr(answer.error.detail, "login=libpq"));
    }
}
END_TEST

START_TEST(broken_requests_are_refused)
{
    static const struct {
        uint32_t code;
        const char *data;
        size_t bytes;
        const char *sqlstate, *contains;
    } rows[] = {
        {AUTH_REQUEST_MD5, "", 0, "08P01", "md5 salt"},
        {AUTH_REQUEST_MD5, "sal", 3, "08P01", "md5 salt"},
        {AUTH_REQUEST_MD5, "saltsalt", 8, "08P01", "md5 salt"},
        {AUTH_REQUEST_SASL, "", 0, "08P01", "list of authentication mechanisms"},
        {AUTH_REQUEST_SASL, "SCRAM-SHA-256", 13, "08P01", "list of authentication mechanisms"},
        {AUTH_REQUEST_SASL, "SCRAM-SHA-256\0", 14, "08P01", "list of authentication mechanisms"},
        {AUTH_REQUEST_SASL, MECHANISMS "\0", 16, "08P01", "list of authentication mechanisms"},
        {AUTH_REQUEST_SASL, "\0", 1, "0A000", "none of the server's SASL"},
        {AUTH_REQUEST_SASL, "OAUTHBEARER\0", 13, "0A000", "none of the server's SASL"},
        {AUTH_REQUEST_SASL, "SCRAM-SHA-256-PLUS\0", 20, "0A000", "none of the server's SASL"},
        {AUTH_REQUEST_SASL_CONTINUE, "", 0, "08P01", "unexpected"},
        {AUTH_REQUEST_SASL_FINAL, "", 0, "08P01", "unexpected"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(&plain, NULL);
        ck_assert_int_eq(step(rows[i].code, rows[i].data, rows[i].bytes), LOGIN_FAILED);
        expect_failure(rows[i].sqlstate, rows[i].contains);
    }
}
END_TEST

START_TEST(a_second_request_after_the_answer_is_refused)
{
    static const uint32_t codes[] = {AUTH_REQUEST_CLEARTEXT, AUTH_REQUEST_MD5, AUTH_REQUEST_SASL,
                                     AUTH_REQUEST_SASL_FINAL};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        start(&plain, NULL);
        ck_assert_int_eq(step(AUTH_REQUEST_CLEARTEXT, "", 0), LOGIN_SEND);
        ck_assert_uint_eq(reply.bytes, sizeof(PASSWORD));
        ck_assert_mem_eq(reply.data, PASSWORD, sizeof(PASSWORD));
        ck_assert_int_eq(step(codes[i], "salt", 4), LOGIN_FAILED);
        expect_failure("08P01", "unexpected");
    }
    start(&plain, NULL);
    ck_assert_int_eq(step(AUTH_REQUEST_SASL, MECHANISMS, 15), LOGIN_SEND);
    ck_assert_int_eq(step(AUTH_REQUEST_CLEARTEXT, "", 0), LOGIN_FAILED);
    expect_failure("08P01", "unexpected");
    start(&plain, NULL);
    ck_assert_int_eq(step(AUTH_REQUEST_SASL, MECHANISMS, 15), LOGIN_SEND);
    ck_assert_int_eq(step(AUTH_REQUEST_SASL_FINAL, "v=AAAA", 6), LOGIN_FAILED);
    expect_failure("08P01", "unexpected");
}
END_TEST

START_TEST(a_server_must_prove_itself_before_it_says_ok)
{
    start(&plain, NULL);
    ck_assert_int_eq(step(AUTH_REQUEST_SASL, MECHANISMS, 15), LOGIN_SEND);
    ck_assert_int_eq(step(AUTH_REQUEST_OK, "", 0), LOGIN_FAILED);
    expect_failure("08P01", "without proving");
}
END_TEST

START_TEST(nonsense_in_the_scram_exchange_is_refused)
{
    char *nonsense = malloc(100000);

    memset(nonsense, 'r', 100000);
    nonsense[1] = '=';
    for (size_t bytes = 0; bytes <= 100000; bytes = bytes * 3 + 1) {
        start(&plain, NULL);
        terms.binding = binding;
        ck_assert_int_eq(step(AUTH_REQUEST_SASL, MECHANISMS_PLUS, 34), LOGIN_SEND);
        ck_assert_int_eq(step(AUTH_REQUEST_SASL_CONTINUE, nonsense, bytes), LOGIN_FAILED);
        expect_failure("08P01", "malformed SCRAM message from the server");
    }
    free(nonsense);
}
END_TEST

START_TEST(nothing_is_left_after_the_end)
{
    static const struct login_answer zeros;

    start(&plain, NULL);
    ck_assert_int_eq(step(AUTH_REQUEST_SASL, MECHANISMS, 15), LOGIN_SEND);
    login_answer_fini(&answer);
    ck_assert_mem_eq(&answer, &zeros, sizeof(zeros));
}
END_TEST

/* Runs it in a process of its own, which must abort. */
static void expect_abort(void (*run)(void))
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(STDERR_FILENO);
        run();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void step_after_the_end(void)
{
    start(&plain, NULL);
    step(AUTH_REQUEST_OK, "", 0);
    step(AUTH_REQUEST_OK, "", 0);
}

START_TEST(steps_out_of_turn_stop_the_process)
{
    expect_abort(step_after_the_end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answer");
    TCase *tcase = tcase_create("answer");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_unchecked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, every_method_is_answered_with_a_secret_that_does);
    tcase_add_test(tcase, a_wrong_password_does_not_get_in);
    tcase_add_test(tcase, the_channel_is_bound_when_both_can);
    tcase_add_test(tcase, a_man_in_the_middle_is_found_out);
    tcase_add_test(tcase, a_client_that_has_proved_itself_is_logged_in_without_its_password);
    tcase_add_test(tcase, keys_are_cached_beside_a_password);
    tcase_add_test(tcase, a_missing_or_unfit_secret_is_named);
    tcase_add_test(tcase, methods_that_sluice_does_not_speak_are_named_with_a_way_out);
    tcase_add_test(tcase, broken_requests_are_refused);
    tcase_add_test(tcase, a_second_request_after_the_answer_is_refused);
    tcase_add_test(tcase, a_server_must_prove_itself_before_it_says_ok);
    tcase_add_test(tcase, nonsense_in_the_scram_exchange_is_refused);
    tcase_add_test(tcase, nothing_is_left_after_the_end);
    tcase_add_test(tcase, steps_out_of_turn_stop_the_process);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

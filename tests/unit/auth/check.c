/* Which exchange a login runs for each method and secret, that only the right password gets in, and
 * that an unknown user sees what a known one sees. */
#include "sluice/auth/check.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER "maude"
#define MD5_SECRET "md5e3c0d7c53b29293d8d7663cc7dfbc6ca"
#define SCRAM_SECRET                                                                            \
    "SCRAM-SHA-256$4096:VKN8kk9pfubNJUAQgvAhMg==$buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0=:" \
    "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ="
#define PASSWORD "pencil"
#define REFUSED "password authentication failed for user \"" USER "\""

static const struct channel_binding no_binding;
static struct auth_key key = {{1, 2, 3}};
static struct secret plain, md5, scram, none;
static struct login_terms terms;
static struct login_check check;
static struct auth_request request;
static struct scram_client client;
static struct auth_error client_error;

static void setup(void)
{
    secret_parse(&plain, PASSWORD);
    secret_parse(&md5, MD5_SECRET);
    secret_parse(&scram, SCRAM_SECRET);
    secret_parse(&none, "");
}

static enum login_verdict start(enum auth_method method, const struct secret *secret)
{
    terms = (struct login_terms){
        .method = method,
        .user = USER,
        .secret = secret,
        .usual_kind = SECRET_PLAIN,
        .key = &key,
        .scram_iterations = 16, /* fewer than in life, to be quick */
    };
    login_check_init(&check, &terms);
    return login_check_start(&check, &request);
}

/* Hands over a copy that ends where its allocation ends. */
static enum login_verdict step(const void *answer, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    enum login_verdict verdict;

    memcpy(copy + 1, answer, bytes);
    verdict = login_check_step(&check, copy + 1, bytes, &request);
    free(copy);
    return verdict;
}

static void expect_failure(const char *sqlstate, const char *message)
{
    ck_assert_str_eq(check.error.sqlstate, sqlstate);
    ck_assert_str_eq(check.error.message, message);
}

static enum login_verdict answer_md5(const char *password)
{
    char answer[MD5_SECRET_BYTES + 1];
    struct secret secret;

    secret_parse(&secret, password);
    ck_assert_int_eq(request.code, AUTH_REQUEST_MD5);
    ck_assert_uint_eq(request.bytes, MD5_SALT_BYTES);
    ck_assert(md5_answer(&secret, USER, request.data, answer));
    return step(answer, sizeof(answer));
}

static size_t initial_response(const char *mechanism, const void *first, size_t bytes, char *out)
{
    size_t name_bytes = strlen(mechanism) + 1;

    memcpy(out, mechanism, name_bytes);
    out[name_bytes] = out[name_bytes + 1] = 0;
    out[name_bytes + 2] = (char)(bytes >> 8);
    out[name_bytes + 3] = (char)bytes;
    memcpy(out + name_bytes + 4, first, bytes);
    return name_bytes + 4 + bytes;
}

/* Runs the client's side to the end; checks the server's signature when there is one. */
static enum login_verdict answer_sasl(const char *password, const char *mechanism)
{
    bool plus = strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0;
    char nonce[SCRAM_NONCE_BYTES + 1], response[256];
    struct scram_message message;
    enum login_verdict verdict;

    ck_assert_int_eq(request.code, AUTH_REQUEST_SASL);
    ck_assert(scram_nonce(nonce));
    scram_client_init(&client, password, NULL, plus, plus ? &terms.binding : &no_binding, nonce);
    scram_client_first(&client, &message);
    verdict = step(response, initial_response(mechanism, message.text, message.bytes, response));
    ck_assert_int_eq(verdict, LOGIN_SEND);
    ck_assert_int_eq(request.code, AUTH_REQUEST_SASL_CONTINUE);
    ck_assert_int_eq(
        scram_client_step(&client, request.data, request.bytes, &message, &client_error),
        SCRAM_SEND);
    verdict = step(message.text, message.bytes);
    if (verdict == LOGIN_OK) {
        ck_assert_int_eq(request.code, AUTH_REQUEST_SASL_FINAL);
        ck_assert_int_eq(
            scram_client_step(&client, request.data, request.bytes, &message, &client_error),
            SCRAM_DONE);
    }
    scram_client_fini(&client);
    return verdict;
}

static enum login_verdict answer_any(const char *password)
{
    char text[64];

    if (request.code == AUTH_REQUEST_MD5)
        return answer_md5(password);
    if (request.code == AUTH_REQUEST_SASL)
        return answer_sasl(password, SCRAM_MECHANISM);
    ck_assert_int_eq(request.code, AUTH_REQUEST_CLEARTEXT);
    snprintf(text, sizeof(text), "%s", password);
    return step(text, strlen(text) + 1);
}

START_TEST(every_method_and_secret_runs_its_exchange)
{
    static const struct {
        enum auth_method method;
        const struct secret *secret;
        enum auth_request_code code;
    } rows[] = {
        {AUTH_PLAIN, &plain, AUTH_REQUEST_CLEARTEXT}, {AUTH_PLAIN, &md5, AUTH_REQUEST_CLEARTEXT},
        {AUTH_PLAIN, &scram, AUTH_REQUEST_CLEARTEXT}, {AUTH_MD5, &plain, AUTH_REQUEST_MD5},
        {AUTH_MD5, &md5, AUTH_REQUEST_MD5},           {AUTH_MD5, &scram, AUTH_REQUEST_SASL},
        {AUTH_SCRAM, &plain, AUTH_REQUEST_SASL},      {AUTH_SCRAM, &scram, AUTH_REQUEST_SASL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(start(rows[i].method, rows[i].secret), LOGIN_SEND);
        ck_assert_int_eq(request.code, rows[i].code);
        ck_assert_int_eq(answer_any(PASSWORD), LOGIN_OK);
        ck_assert_int_eq(start(rows[i].method, rows[i].secret), LOGIN_SEND);
        ck_assert_int_eq(answer_any(PASSWORD "s"), LOGIN_FAILED);
        expect_failure("28P01", REFUSED);
        ck_assert_str_eq(check.error.reason, "wrong password");
    }
}
END_TEST

START_TEST(a_cached_verifier_is_used_for_a_plain_secret)
{
    terms = (struct login_terms){.method = AUTH_SCRAM,
                                 .user = USER,
                                 .secret = &plain,
                                 .verifier = &scram.scram,
                                 .key = &key,
                                 .scram_iterations = 1};
    login_check_init(&check, &terms);
    ck_assert_int_eq(login_check_start(&check, &request), LOGIN_SEND);
    ck_assert_int_eq(answer_sasl(PASSWORD, SCRAM_MECHANISM), LOGIN_OK);
    ck_assert_uint_eq(check.scram.verifier.iterations, 4096);
}
END_TEST

START_TEST(who_cannot_get_in_sees_the_usual_exchange)
{
    static const struct {
        enum auth_method method;
        enum secret_kind usual;
        enum auth_request_code code;
    } rows[] = {
        {AUTH_PLAIN, SECRET_PLAIN, AUTH_REQUEST_CLEARTEXT},
        {AUTH_PLAIN, SECRET_MD5, AUTH_REQUEST_CLEARTEXT},
        {AUTH_PLAIN, SECRET_SCRAM, AUTH_REQUEST_CLEARTEXT},
        {AUTH_PLAIN, SECRET_NONE, AUTH_REQUEST_CLEARTEXT},
        {AUTH_MD5, SECRET_PLAIN, AUTH_REQUEST_MD5},
        {AUTH_MD5, SECRET_MD5, AUTH_REQUEST_MD5},
        {AUTH_MD5, SECRET_SCRAM, AUTH_REQUEST_SASL},
        {AUTH_MD5, SECRET_NONE, AUTH_REQUEST_SASL},
        {AUTH_SCRAM, SECRET_PLAIN, AUTH_REQUEST_SASL},
        {AUTH_SCRAM, SECRET_MD5, AUTH_REQUEST_SASL},
        {AUTH_SCRAM, SECRET_SCRAM, AUTH_REQUEST_SASL},
    };
    const struct secret *nobody[] = {NULL, &none};

    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        start(rows[i / 2].method, nobody[i % 2]);
        terms.usual_kind = rows[i / 2].usual;
        login_check_init(&check, &terms);
        ck_assert_int_eq(login_check_start(&check, &request), LOGIN_SEND);
        ck_assert_int_eq(request.code, rows[i / 2].code);
        /* Even the made-up secret itself does not open. */
        ck_assert_int_eq(answer_any(request.code == AUTH_REQUEST_SASL ? "x" : check.mock_text),
                         LOGIN_FAILED);
        expect_failure("28P01", REFUSED);
        ck_assert_str_eq(check.error.reason, i % 2 ? "the user has no password" : "no such user");
    }
}
END_TEST

START_TEST(an_md5_secret_fails_scram_at_the_end)
{
    ck_assert_int_eq(start(AUTH_SCRAM, &md5), LOGIN_SEND);
    ck_assert_int_eq(answer_any(PASSWORD), LOGIN_FAILED);
    expect_failure("28P01", REFUSED);
    ck_assert_str_eq(check.error.reason,
                     "the user's secret is an md5 hash, which SCRAM cannot use");
}
END_TEST

/* The challenge that a user sees, without the nonces. */
static void scram_challenge(const struct secret *secret, char challenge[64])
{
    char response[256];

    start(AUTH_SCRAM, secret);
    ck_assert_int_eq(step(response, initial_response(SCRAM_MECHANISM, "n,,n=,r=abc", 11, response)),
                     LOGIN_SEND);
    snprintf(challenge, 64, "%.*s", (int)request.bytes - 29,
             (const char *)request.data + 2 + 3 + SCRAM_NONCE_BYTES);
}

START_TEST(unknown_and_plain_users_are_challenged_alike_each_time)
{
    char known[64], unknown[64], without[64], again[64];

    scram_challenge(&plain, known);
    scram_challenge(NULL, unknown);
    scram_challenge(&none, without);
    scram_challenge(NULL, again);
    ck_assert_int_eq(strncmp(known, ",s=", 3), 0);
    ck_assert_ptr_nonnull(strstr(known, ",i=16"));
    ck_assert_str_eq(known, unknown);
    ck_assert_str_eq(known, without);
    ck_assert_str_eq(known, again);
}
END_TEST

START_TEST(methods_without_a_password)
{
    ck_assert_int_eq(start(AUTH_TRUST, &none), LOGIN_OK);
    ck_assert_int_eq(request.code, AUTH_REQUEST_OK);
    ck_assert_int_eq(start(AUTH_ANY, NULL), LOGIN_OK);
    ck_assert_int_eq(start(AUTH_TRUST, NULL), LOGIN_FAILED);
    expect_failure("28000", "role \"" USER "\" does not exist");
    ck_assert_int_eq(start(AUTH_REJECT, &plain), LOGIN_FAILED);
    expect_failure("28000", "authentication failed for user \"" USER "\": host rejected");
    ck_assert_int_eq(start(AUTH_CERT, &plain), LOGIN_FAILED);
    expect_failure("28000", "certificate authentication failed for user \"" USER "\"");
    ck_assert_int_eq(start(AUTH_PEER, &plain), LOGIN_FAILED);
    expect_failure("28000", "Peer authentication failed for user \"" USER "\"");
    for (enum auth_method method = AUTH_CERT; method <= AUTH_PEER; method++) {
        start(method, &none);
        terms.identity_matches = true;
        login_check_init(&check, &terms);
        ck_assert_int_eq(login_check_start(&check, &request), LOGIN_OK);
    }
}
END_TEST

START_TEST(method_names_are_those_of_auth_type_and_pg_hba)
{
    enum auth_method method;

    ck_assert(auth_method_parse("scram-sha-256", &method));
    ck_assert_int_eq(method, AUTH_SCRAM);
    ck_assert(auth_method_parse("password", &method));
    ck_assert_int_eq(method, AUTH_PLAIN);
    ck_assert(auth_method_parse("plain", &method));
    ck_assert_int_eq(method, AUTH_PLAIN);
    ck_assert(!auth_method_parse("scram", &method));
    ck_assert(!auth_method_parse("", &method));
    ck_assert(!auth_method_parse("MD5", &method));
}
END_TEST

START_TEST(plus_is_offered_and_accepted_only_with_a_binding)
{
    start(AUTH_SCRAM, &scram);
    ck_assert_uint_eq(request.bytes, sizeof("SCRAM-SHA-256\0"));
    ck_assert_mem_eq(request.data, "SCRAM-SHA-256\0", request.bytes);
    ck_assert_int_eq(step("SCRAM-SHA-256-PLUS\0\0\0\0\0", 23), LOGIN_FAILED);
    expect_failure("08P01", "client selected an invalid SASL authentication mechanism");

    start(AUTH_SCRAM, &scram);
    terms.binding = (struct channel_binding){.bytes = 32, .data = {9, 8, 7}};
    for (int i = 0; i < 2; i++) {
        login_check_init(&check, &terms);
        ck_assert_int_eq(login_check_start(&check, &request), LOGIN_SEND);
        ck_assert_uint_eq(request.bytes, sizeof("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0"));
        ck_assert_mem_eq(request.data, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", request.bytes);
        ck_assert_int_eq(answer_sasl(PASSWORD, i ? SCRAM_MECHANISM : SCRAM_MECHANISM_PLUS),
                         LOGIN_OK);
        ck_assert(check.scram.plus == !i);
    }
}
END_TEST

START_TEST(keys_come_of_a_scram_login_alone)
{
    struct scram_keys keys;

    start(AUTH_SCRAM, &scram);
    ck_assert(!login_check_keys(&check, &keys));
    ck_assert_int_eq(answer_any(PASSWORD), LOGIN_OK);
    ck_assert(login_check_keys(&check, &keys));
    ck_assert_uint_eq(keys.iterations, 4096);
    ck_assert_mem_eq(keys.server_key, scram.scram.server_key, SCRAM_KEY_BYTES);
    start(AUTH_SCRAM, &scram);
    ck_assert_int_eq(answer_any("wrong"), LOGIN_FAILED);
    ck_assert(!login_check_keys(&check, &keys));
    start(AUTH_MD5, &plain);
    ck_assert_int_eq(answer_any(PASSWORD), LOGIN_OK);
    ck_assert(!login_check_keys(&check, &keys));
}
END_TEST

START_TEST(broken_password_messages)
{
    static const struct {
        const char *answer;
        size_t bytes;
        const char *sqlstate, *message;
    } rows[] = {
        {"", 0, "08P01", "invalid password packet size"},
        {"pencil", 6, "08P01", "invalid password packet size"},
        {"pen\0cil\0", 8, "08P01", "invalid password packet size"},
        {"pencil\0\0", 8, "08P01", "invalid password packet size"},
        {"\0", 1, "28P01", "empty password returned by client"},
    };
    char *huge = calloc(1, 70000);

    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        start(i % 2 ? AUTH_MD5 : AUTH_PLAIN, &plain);
        ck_assert_int_eq(step(rows[i / 2].answer, rows[i / 2].bytes), LOGIN_FAILED);
        expect_failure(rows[i / 2].sqlstate, rows[i / 2].message);
    }
    memset(huge, 'a', 69999);
    start(AUTH_PLAIN, &plain);
    ck_assert_int_eq(step(huge, 70000), LOGIN_FAILED);
    expect_failure("08P01", "invalid message length");
    start(AUTH_PLAIN, &plain);
    ck_assert_int_eq(step(huge + 70000 - 65535, 65535), LOGIN_FAILED);
    expect_failure("28P01", REFUSED);
    free(huge);
}
END_TEST

START_TEST(broken_initial_responses)
{
    static const struct {
        const char *answer;
        size_t bytes;
        const char *message;
    } rows[] = {
        {"", 0, "invalid string in message"},
        {"SCRAM-SHA-256", 13, "invalid string in message"},
        {"\0", 1, "client selected an invalid SASL authentication mechanism"},
        {"SCRAM-SHA-1\0\0\0\0\0", 16, "client selected an invalid SASL authentication mechanism"},
        {"SCRAM-SHA-256\0", 14, "insufficient data left in message"},
        {"SCRAM-SHA-256\0\0\0\0", 17, "insufficient data left in message"},
        {"SCRAM-SHA-256\0\0\0\0\1", 18, "insufficient data left in message"},
        {"SCRAM-SHA-256\0\0\0\0\1xy", 20, "invalid message format"},
        {"SCRAM-SHA-256\0\xff\xff\xff\xffx", 19, "insufficient data left in message"},
        {"SCRAM-SHA-256\0\x7f\xff\xff\xffx", 19, "insufficient data left in message"},
        {"SCRAM-SHA-256\0\0\0\0\0", 18, "malformed SCRAM message"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(AUTH_SCRAM, &scram);
        ck_assert_int_eq(step(rows[i].answer, rows[i].bytes), LOGIN_FAILED);
        expect_failure("08P01", rows[i].message);
    }
}
END_TEST

START_TEST(a_client_may_choose_first_and_speak_later)
{
    start(AUTH_SCRAM, &scram);
    ck_assert_int_eq(step("SCRAM-SHA-256\0\xff\xff\xff\xff", 18), LOGIN_SEND);
    ck_assert_int_eq(request.code, AUTH_REQUEST_SASL_CONTINUE);
    ck_assert_uint_eq(request.bytes, 0);
    ck_assert_int_eq(step("n,,n=,r=abc", 11), LOGIN_SEND);
    ck_assert_int_eq(request.code, AUTH_REQUEST_SASL_CONTINUE);
    ck_assert_mem_eq(request.data, "r=abc", 5);
}
END_TEST

START_TEST(a_long_name_is_cut_in_the_error)
{
    char name[2000];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    start(AUTH_PLAIN, NULL);
    terms.user = name;
    login_check_init(&check, &terms);
    ck_assert_int_eq(login_check_start(&check, &request), LOGIN_SEND);
    ck_assert_int_eq(step("pencil", 7), LOGIN_FAILED);
    ck_assert_uint_eq(strlen(check.error.message), AUTH_MESSAGE_BYTES - 1);
}
END_TEST

START_TEST(nothing_is_left_after_the_end)
{
    static const struct login_check zeros;

    start(AUTH_SCRAM, &plain);
    login_check_fini(&check);
    ck_assert_mem_eq(&check, &zeros, sizeof(zeros));
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

static void step_before_start(void)
{
    login_check_init(&check, &terms);
    step("x", 1);
}

static void start_again(void)
{
    start(AUTH_PLAIN, &plain);
    login_check_start(&check, &request);
}

static void step_after_the_end(void)
{
    start(AUTH_PLAIN, &plain);
    step("pencil", 7);
    step("pencil", 7);
}

START_TEST(steps_out_of_turn_stop_the_process)
{
    expect_abort(step_before_start);
    expect_abort(start_again);
    expect_abort(step_after_the_end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tcase = tcase_create("check");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_unchecked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, every_method_and_secret_runs_its_exchange);
    tcase_add_test(tcase, a_cached_verifier_is_used_for_a_plain_secret);
    tcase_add_test(tcase, who_cannot_get_in_sees_the_usual_exchange);
    tcase_add_test(tcase, an_md5_secret_fails_scram_at_the_end);
    tcase_add_test(tcase, unknown_and_plain_users_are_challenged_alike_each_time);
    tcase_add_test(tcase, methods_without_a_password);
    tcase_add_test(tcase, method_names_are_those_of_auth_type_and_pg_hba);
    tcase_add_test(tcase, plus_is_offered_and_accepted_only_with_a_binding);
    tcase_add_test(tcase, keys_come_of_a_scram_login_alone);
    tcase_add_test(tcase, broken_password_messages);
    tcase_add_test(tcase, broken_initial_responses);
    tcase_add_test(tcase, a_client_may_choose_first_and_speak_later);
    tcase_add_test(tcase, a_long_name_is_cut_in_the_error);
    tcase_add_test(tcase, nothing_is_left_after_the_end);
    tcase_add_test(tcase, steps_out_of_turn_stop_the_process);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

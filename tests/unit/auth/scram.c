/* SCRAM-SHA-256 in both roles: the example of RFC 7677, exchanges recorded between libpq 15 and
 * PostgreSQL 15, and Sluice against itself. */
#include "sluice/auth/scram.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/crypto.h"
#include "auth/scram_keys.h"

struct exchange {
    const char *first, *challenge, *final, *signature;
};

/* RFC 7677 section 3, password "pencil". */
#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static const struct exchange rfc = {
    "n,,n=user,r=" RFC_CLIENT_NONCE,
    "r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",s=" RFC_SALT ",i=4096",
    "c=biws,r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

/* The password "pencil" as PostgreSQL 15 stored it. */
#define PG_SALT "VKN8kk9pfubNJUAQgvAhMg=="
#define PG_SECRET                                                                  \
    "SCRAM-SHA-256$4096:" PG_SALT "$buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0=:" \
    "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ="

/* psql logs in without TLS. */
#define PG_CLIENT_NONCE "YXdA7Mbd8zWwqUA8OhPOjjQ7"
#define PG_SERVER_NONCE "lr3Z2TGBZIbEW8AFreyMgOcZ"

static const struct exchange pg = {
    "n,,n=,r=" PG_CLIENT_NONCE,
    "r=" PG_CLIENT_NONCE PG_SERVER_NONCE ",s=" PG_SALT ",i=4096",
    "c=biws,r=" PG_CLIENT_NONCE PG_SERVER_NONCE ",p=mSD2pbBO+kqhD9vYHUZ20dJHQ3mdIYw74x32WFUUybQ=",
    "v=zphcHMSNIF/4A81/DYpJYA//bUPt/YsMWmghqCEJTiY=",
};

/* The same role over TLS with channel binding: PostgreSQL accepted the proof and signed this. */
#define PLUS_CLIENT_NONCE "IN5Dxs4NdODCk94GrZQDVhlE"
#define PLUS_SERVER_NONCE "14urYJGTvNr6vvZKKK2VJuvB"

static const struct exchange plus = {
    "p=tls-server-end-point,,n=,r=" PLUS_CLIENT_NONCE,
    "r=" PLUS_CLIENT_NONCE PLUS_SERVER_NONCE ",s=" PG_SALT ",i=4096",
    "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsL9w5XqvLEwD4BVY7rOTmi4uQ2qaqA5S38+ofH68KVow=,"
    "r=" PLUS_CLIENT_NONCE PLUS_SERVER_NONCE ",p=eHAAfmO6fQuRHozQJlfHSUtPcjvBnucavqlATfR9e6k=",
    "v=gGzcTJ/AlY74yXbb1D+ybGRCUugbgjsJbIN0PuKc6mM=",
};

static const struct channel_binding no_binding;
static const struct channel_binding plus_binding = {
    .bytes = 32,
    .data = {0x2f, 0xdc, 0x39, 0x5e, 0xab, 0xcb, 0x13, 0x00, 0xf8, 0x05, 0x56,
             0x3b, 0xac, 0xe4, 0xe6, 0x8b, 0x8b, 0x90, 0xda, 0xa6, 0xaa, 0x03,
             0x94, 0xb7, 0xf3, 0xea, 0x1f, 0x1f, 0xaf, 0x0a, 0x56, 0x8c},
};

static struct scram_server server;
static struct scram_client client;
static struct scram_message reply;
static struct auth_error error;

#define ck_assert_message(text_)                          \
    do {                                                  \
        ck_assert_uint_eq(reply.bytes, strlen(text_));    \
        ck_assert_mem_eq(reply.text, text_, reply.bytes); \
    } while (0)

static enum scram_verdict to_server(const char *message)
{
    return scram_server_step(&server, message, strlen(message), &reply, &error);
}

static enum scram_verdict to_client(const char *message)
{
    return scram_client_step(&client, message, strlen(message), &reply, &error);
}

static struct scram_verifier rfc_verifier(void)
{
    struct scram_verifier verifier;
    uint8_t salt[SCRAM_SALT_BYTES];
    size_t bytes;

    ck_assert(crypto_base64_decode(RFC_SALT, strlen(RFC_SALT), salt, sizeof(salt), &bytes));
    ck_assert(scram_verifier_from_password(&verifier, "pencil", 4096, salt, bytes));
    return verifier;
}

static struct scram_verifier pg_verifier(void)
{
    struct secret secret;

    secret_parse(&secret, PG_SECRET);
    ck_assert_int_eq(secret.kind, SECRET_SCRAM);
    return secret.scram;
}

static void serve(const struct exchange *exchange, const struct scram_verifier *verifier,
                  bool doomed, const struct channel_binding *binding, const char *nonce)
{
    scram_server_init(&server, verifier, doomed, binding->bytes > 0, binding, nonce);
    ck_assert_int_eq(to_server(exchange->first), SCRAM_SEND);
    ck_assert_message(exchange->challenge);
}

START_TEST(server_role_follows_rfc_7677)
{
    struct scram_verifier verifier = rfc_verifier();

    serve(&rfc, &verifier, false, &no_binding, RFC_SERVER_NONCE);
    ck_assert_int_eq(to_server(rfc.final), SCRAM_DONE);
    ck_assert_message(rfc.signature);
}
END_TEST

START_TEST(server_role_does_as_postgresql_did)
{
    struct scram_verifier verifier = pg_verifier();

    serve(&pg, &verifier, false, &no_binding, PG_SERVER_NONCE);
    ck_assert_int_eq(to_server(pg.final), SCRAM_DONE);
    ck_assert_message(pg.signature);
    serve(&plus, &verifier, false, &plus_binding, PLUS_SERVER_NONCE);
    ck_assert_int_eq(to_server(plus.final), SCRAM_DONE);
    ck_assert_message(plus.signature);
}
END_TEST

static void check_client(const struct exchange *exchange, const char *password,
                         struct scram_keys *keys, const struct channel_binding *binding,
                         const char *nonce)
{
    scram_client_init(&client, password, keys, binding->bytes > 0, binding, nonce);
    scram_client_first(&client, &reply);
    ck_assert_message(exchange->first);
    ck_assert_int_eq(to_client(exchange->challenge), SCRAM_SEND);
    ck_assert_message(exchange->final);
    ck_assert_int_eq(to_client(exchange->signature), SCRAM_DONE);
    ck_assert_uint_eq(reply.bytes, 0);
    scram_client_fini(&client);
}

START_TEST(client_role_does_as_libpq_did)
{
    check_client(&pg, "pencil", NULL, &no_binding, PG_CLIENT_NONCE);
    check_client(&plus, "pencil", NULL, &plus_binding, PLUS_CLIENT_NONCE);
}
END_TEST

START_TEST(client_role_proves_by_the_keys_of_rfc_7677)
{
    static const char message[] = "n=user,r=" RFC_CLIENT_NONCE
                                  ",r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",s=" RFC_SALT ",i=4096"
                                  ",c=biws,r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE;
    uint8_t salt[SCRAM_SALT_BYTES], stored[SCRAM_KEY_BYTES], proof[SCRAM_KEY_BYTES];
    struct scram_keys keys;
    char text[64];
    size_t bytes;

    ck_assert(crypto_base64_decode(RFC_SALT, strlen(RFC_SALT), salt, sizeof(salt), &bytes));
    ck_assert(scram_keys_derive(&keys, "pencil", 4096, salt, bytes));
    ck_assert(scram_stored_key(keys.client_key, stored));
    ck_assert(scram_sign(stored, message, sizeof(message) - 1, proof));
    scram_xor(proof, keys.client_key, proof);
    crypto_base64_encode(proof, sizeof(proof), text);
    ck_assert_str_eq(text, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
}
END_TEST

START_TEST(a_password_gives_postgresqls_verifier)
{
    struct scram_verifier stored = pg_verifier(), made;

    ck_assert(scram_verifier_from_password(&made, "pencil", 4096, stored.salt, stored.salt_bytes));
    ck_assert_mem_eq(made.stored_key, stored.stored_key, SCRAM_KEY_BYTES);
    ck_assert_mem_eq(made.server_key, stored.server_key, SCRAM_KEY_BYTES);
}
END_TEST

START_TEST(a_password_outside_ascii_gives_postgresqls_verifier)
{
    struct secret secret;
    bool match;

    secret_parse(&secret, "SCRAM-SHA-256$4096:gi2j9pnCOiIt3SnjwlFg5w==$"
                          "nInRbtoYKTavZoXy4S0h5Pz04T++o4VNccshuBIkC74=:"
                          "43i+MrVRseCrX9Pcsj+yPnKpq4KKqpGBHIbXzY1sbFw=");
    ck_assert_int_eq(secret.kind, SECRET_SCRAM);
    ck_assert(scram_check_password(&secret.scram, "gr\u00fc\u00dfe\u20ac", &match));
    ck_assert(match);
}
END_TEST

START_TEST(a_cleartext_password_is_checked_against_a_verifier)
{
    struct scram_verifier verifier = pg_verifier();
    bool match;

    ck_assert(scram_check_password(&verifier, "pencil", &match));
    ck_assert(match);
    ck_assert(scram_check_password(&verifier, "pencils", &match));
    ck_assert(!match);
    ck_assert(scram_check_password(&verifier, "", &match));
    ck_assert(!match);
}
END_TEST

START_TEST(a_wrong_proof_is_wrong)
{
    struct scram_verifier verifier = pg_verifier();

    serve(&pg, &verifier, false, &no_binding, PG_SERVER_NONCE);
    ck_assert_int_eq(to_server("c=biws,r=" PG_CLIENT_NONCE PG_SERVER_NONCE
                               ",p=nSD2pbBO+kqhD9vYHUZ20dJHQ3mdIYw74x32WFUUybQ="),
                     SCRAM_WRONG);
    ck_assert_uint_eq(reply.bytes, 0);
}
END_TEST

START_TEST(a_doomed_user_fails_even_with_the_right_proof)
{
    struct scram_verifier verifier = pg_verifier();

    serve(&pg, &verifier, true, &no_binding, PG_SERVER_NONCE);
    ck_assert_int_eq(to_server(pg.final), SCRAM_WRONG);
    ck_assert_uint_eq(reply.bytes, 0);
}
END_TEST

START_TEST(a_made_up_verifier_is_stable_and_differs_by_user_and_process)
{
    struct scram_verifier a, again, other_user, other_process;
    struct auth_key key = {{1}}, other_key = {{2}};

    ck_assert(scram_verifier_mock(&a, &key, "nobody", 4096));
    ck_assert(scram_verifier_mock(&again, &key, "nobody", 4096));
    ck_assert(scram_verifier_mock(&other_user, &key, "nobod", 4096));
    ck_assert(scram_verifier_mock(&other_process, &other_key, "nobody", 4096));
    ck_assert_mem_eq(&a, &again, sizeof(a));
    ck_assert_uint_eq(a.iterations, 4096);
    ck_assert_uint_eq(a.salt_bytes, SCRAM_SALT_BYTES);
    ck_assert_mem_ne(a.salt, other_user.salt, SCRAM_SALT_BYTES);
    ck_assert_mem_ne(a.salt, other_process.salt, SCRAM_SALT_BYTES);
}
END_TEST

START_TEST(a_made_up_salt_is_that_of_a_user_with_a_plain_secret)
{
    struct auth_key key = {{1}};
    struct scram_verifier mock;
    uint8_t salt[SCRAM_SALT_BYTES];

    ck_assert(scram_verifier_mock(&mock, &key, "nobody", 4096));
    ck_assert(scram_salt(&key, "nobody", salt));
    ck_assert_mem_eq(mock.salt, salt, sizeof(salt));
}
END_TEST

START_TEST(what_a_client_proved_logs_in_to_a_server_with_the_same_verifier)
{
    struct scram_verifier verifier = pg_verifier();
    struct scram_keys keys;

    serve(&plus, &verifier, false, &plus_binding, PLUS_SERVER_NONCE);
    ck_assert_int_eq(to_server(plus.final), SCRAM_DONE);
    scram_server_keys(&server, &keys);
    check_client(&pg, NULL, &keys, &no_binding, PG_CLIENT_NONCE);
}
END_TEST

START_TEST(proven_keys_do_not_fit_another_salt_or_count)
{
    static const char *const challenges[] = {
        "r=" PG_CLIENT_NONCE PG_SERVER_NONCE ",s=" PG_SALT ",i=4097",
        "r=" PG_CLIENT_NONCE PG_SERVER_NONCE ",s=" RFC_SALT ",i=4096",
        "r=" PG_CLIENT_NONCE PG_SERVER_NONCE ",s=VKN8kk9pfubNJUAQgvAh,i=4096",
    };
    struct scram_verifier verifier = pg_verifier();
    struct scram_keys keys;

    serve(&pg, &verifier, false, &no_binding, PG_SERVER_NONCE);
    ck_assert_int_eq(to_server(pg.final), SCRAM_DONE);
    scram_server_keys(&server, &keys);
    for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++) {
        scram_client_init(&client, NULL, &keys, false, &no_binding, PG_CLIENT_NONCE);
        scram_client_first(&client, &reply);
        ck_assert_int_eq(to_client(challenges[i]), SCRAM_FAILED);
        ck_assert_str_eq(error.sqlstate, "28P01");
    }
}
END_TEST

START_TEST(keys_are_a_cache_beside_a_password)
{
    struct scram_keys keys = {0}, derived;

    check_client(&pg, "pencil", &keys, &no_binding, PG_CLIENT_NONCE);
    ck_assert_uint_eq(keys.iterations, 4096);
    derived = keys;
    /* A password that is never looked at again shows that the cache is used. */
    check_client(&pg, "not the password", &keys, &no_binding, PG_CLIENT_NONCE);
    ck_assert_mem_eq(&keys, &derived, sizeof(keys));
    keys.salt[0] ^= 1;
    check_client(&pg, "pencil", &keys, &no_binding, PG_CLIENT_NONCE);
    ck_assert_mem_eq(&keys, &derived, sizeof(keys));
}
END_TEST

START_TEST(both_roles_agree_with_nonces_of_their_own)
{
    static const uint8_t salt[SCRAM_SALT_BYTES_MAX] = {7};
    char nonce[SCRAM_NONCE_BYTES + 1], other[SCRAM_NONCE_BYTES + 1];
    struct scram_verifier verifier;
    struct scram_message message;

    for (size_t salt_bytes = 1; salt_bytes <= sizeof(salt); salt_bytes++) {
        bool bound = salt_bytes % 2;
        const struct channel_binding *binding = bound ? &plus_binding : &no_binding;

        ck_assert(scram_nonce(nonce) && scram_nonce(other));
        ck_assert_str_ne(nonce, other);
        ck_assert(scram_verifier_from_password(&verifier, "pencil", 1, salt, salt_bytes));
        scram_server_init(&server, &verifier, false, bound, binding, nonce);
        scram_client_init(&client, "pencil", NULL, bound, binding, other);
        scram_client_first(&client, &message);
        ck_assert_int_eq(scram_server_step(&server, message.text, message.bytes, &reply, &error),
                         SCRAM_SEND);
        message = reply;
        ck_assert_int_eq(scram_client_step(&client, message.text, message.bytes, &reply, &error),
                         SCRAM_SEND);
        message = reply;
        ck_assert_int_eq(scram_server_step(&server, message.text, message.bytes, &reply, &error),
                         SCRAM_DONE);
        message = reply;
        ck_assert_int_eq(scram_client_step(&client, message.text, message.bytes, &reply, &error),
                         SCRAM_DONE);
    }
}
END_TEST

START_TEST(client_says_whether_it_could_have_bound_the_channel)
{
    scram_client_init(&client, "pencil", NULL, false, &plus_binding, PG_CLIENT_NONCE);
    scram_client_first(&client, &reply);
    ck_assert_message("y,,n=,r=" PG_CLIENT_NONCE);
    ck_assert_int_eq(to_client(pg.challenge), SCRAM_SEND);
    ck_assert_mem_eq(reply.text, "c=eSws,", 7);
}
END_TEST

START_TEST(nothing_is_left_after_the_end)
{
    static const struct scram_server no_server;
    static const struct scram_client no_client;

    scram_server_fini(&server);
    scram_client_fini(&client);
    ck_assert_mem_eq(&server, &no_server, sizeof(server));
    ck_assert_mem_eq(&client, &no_client, sizeof(client));
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

static void server_after_the_end(void)
{
    struct scram_verifier verifier = pg_verifier();

    scram_server_init(&server, &verifier, false, false, &no_binding, PG_SERVER_NONCE);
    to_server("");
    to_server(pg.first);
}

static void server_keys_before_the_proof(void)
{
    struct scram_verifier verifier = pg_verifier();
    struct scram_keys keys;

    scram_server_init(&server, &verifier, false, false, &no_binding, PG_SERVER_NONCE);
    scram_server_keys(&server, &keys);
}

static void client_before_the_start(void)
{
    scram_client_init(&client, "pencil", NULL, false, &no_binding, PG_CLIENT_NONCE);
    to_client(pg.challenge);
}

static void client_twice_first(void)
{
    scram_client_init(&client, "pencil", NULL, false, &no_binding, PG_CLIENT_NONCE);
    scram_client_first(&client, &reply);
    scram_client_first(&client, &reply);
}

static void client_after_the_end(void)
{
    scram_client_init(&client, "pencil", NULL, false, &no_binding, PG_CLIENT_NONCE);
    scram_client_first(&client, &reply);
    to_client("");
    to_client(pg.challenge);
}

START_TEST(steps_out_of_turn_stop_the_process)
{
    expect_abort(server_after_the_end);
    expect_abort(server_keys_before_the_proof);
    expect_abort(client_before_the_start);
    expect_abort(client_twice_first);
    expect_abort(client_after_the_end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scram");
    TCase *tcase = tcase_create("scram");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, server_role_follows_rfc_7677);
    tcase_add_test(tcase, server_role_does_as_postgresql_did);
    tcase_add_test(tcase, client_role_does_as_libpq_did);
    tcase_add_test(tcase, client_role_proves_by_the_keys_of_rfc_7677);
    tcase_add_test(tcase, a_password_gives_postgresqls_verifier);
    tcase_add_test(tcase, a_password_outside_ascii_gives_postgresqls_verifier);
    tcase_add_test(tcase, a_cleartext_password_is_checked_against_a_verifier);
    tcase_add_test(tcase, a_wrong_proof_is_wrong);
    tcase_add_test(tcase, a_doomed_user_fails_even_with_the_right_proof);
    tcase_add_test(tcase, a_made_up_verifier_is_stable_and_differs_by_user_and_process);
    tcase_add_test(tcase, a_made_up_salt_is_that_of_a_user_with_a_plain_secret);
    tcase_add_test(tcase, what_a_client_proved_logs_in_to_a_server_with_the_same_verifier);
    tcase_add_test(tcase, proven_keys_do_not_fit_another_salt_or_count);
    tcase_add_test(tcase, keys_are_a_cache_beside_a_password);
    tcase_add_test(tcase, both_roles_agree_with_nonces_of_their_own);
    tcase_add_test(tcase, client_says_whether_it_could_have_bound_the_channel);
    tcase_add_test(tcase, nothing_is_left_after_the_end);
    tcase_add_test(tcase, steps_out_of_turn_stop_the_process);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* SCRAM messages as a hostile or broken peer sends them: each is refused in PostgreSQL's words,
 * none is read past its end (messages lie in allocations of their very size, for the sanitizer). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/auth/scram.h"

#define CLIENT_NONCE "YXdA7Mbd8zWwqUA8OhPOjjQ7"
#define SERVER_NONCE "lr3Z2TGBZIbEW8AFreyMgOcZ"
#define SALT "VKN8kk9pfubNJUAQgvAhMg=="
#define NONCES "r=" CLIENT_NONCE SERVER_NONCE
#define PROOF "p=mSD2pbBO+kqhD9vYHUZ20dJHQ3mdIYw74x32WFUUybQ="
#define FIRST "n,,n=,r=" CLIENT_NONCE
#define CHALLENGE NONCES ",s=" SALT ",i=4096"
#define FINAL "c=biws," NONCES "," PROOF
#define SIGNATURE "v=zphcHMSNIF/4A81/DYpJYA//bUPt/YsMWmghqCEJTiY="
#define SECRET                                                                  \
    "SCRAM-SHA-256$4096:" SALT "$buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0=:" \
    "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ="
#define MUTATIONS 2000

static const struct channel_binding no_binding, binding = {.bytes = 32};
static struct scram_server server;
static struct scram_client client;
static struct scram_message reply;
static struct auth_error error;
static struct scram_keys keys; /* spares the derivation at each of thousands of exchanges */
static uint32_t random_state;

/* Hands over a copy that ends where its allocation ends. */
static enum scram_verdict to_server(const char *message, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    enum scram_verdict verdict;

    memcpy(copy + 1, message, bytes);
    error.sqlstate = NULL;
    verdict = scram_server_step(&server, copy + 1, bytes, &reply, &error);
    free(copy);
    if (verdict == SCRAM_FAILED)
        ck_assert_uint_eq(strlen(error.sqlstate), 5);
    return verdict;
}

static enum scram_verdict to_client(const char *message, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    enum scram_verdict verdict;

    memcpy(copy + 1, message, bytes);
    error.sqlstate = NULL;
    verdict = scram_client_step(&client, copy + 1, bytes, &reply, &error);
    free(copy);
    if (verdict == SCRAM_FAILED)
        ck_assert_uint_eq(strlen(error.sqlstate), 5);
    return verdict;
}

static void start_server(bool plus, bool offered)
{
    struct secret secret;

    secret_parse(&secret, SECRET);
    scram_server_init(&server, &secret.scram, false, plus, offered ? &binding : &no_binding,
                      SERVER_NONCE);
}

static void server_awaits_final(void)
{
    start_server(false, false);
    ck_assert_int_eq(to_server(FIRST, strlen(FIRST)), SCRAM_SEND);
}

static void start_client(void)
{
    scram_client_init(&client, "pencil", &keys, false, &no_binding, CLIENT_NONCE);
    scram_client_first(&client, &reply);
}

static void client_awaits_signature(void)
{
    start_client();
    ck_assert_int_eq(to_client(CHALLENGE, strlen(CHALLENGE)), SCRAM_SEND);
}

struct refusal {
    const char *message, *sqlstate, *text, *detail;
};

#define MALFORMED "08P01", "malformed SCRAM message"

static void expect_refusal(const struct refusal *refusal)
{
    ck_assert_int_eq(to_server(refusal->message, strlen(refusal->message)), SCRAM_FAILED);
    ck_assert_str_eq(error.sqlstate, refusal->sqlstate);
    ck_assert_str_eq(error.message, refusal->text);
    ck_assert_str_eq(error.detail, refusal->detail);
}

START_TEST(client_first_is_refused_in_postgresqls_words)
{
    static const struct refusal refusals[] = {
        {"", MALFORMED, "The message is empty."},
        {"x", MALFORMED, "Unexpected channel-binding flag \"'x'\"."},
        {"\x01", MALFORMED, "Unexpected channel-binding flag \"0x01\"."},
        {"\xff", MALFORMED, "Unexpected channel-binding flag \"0xff\"."},
        {"n", MALFORMED, "Comma expected, but found character \"0x00\"."},
        {"nn", MALFORMED, "Comma expected, but found character \"'n'\"."},
        {"n,", MALFORMED, "Unexpected attribute \"0x00\" in client-first-message."},
        {"n,b", MALFORMED, "Unexpected attribute \"'b'\" in client-first-message."},
        {"n,,", MALFORMED, "Expected attribute \"n\" but found \"0x00\"."},
        {"n,,x=", MALFORMED, "Expected attribute \"n\" but found \"'x'\"."},
        {"n,,n", MALFORMED, "Expected character \"=\" for attribute \"n\"."},
        {"n,,n=", MALFORMED, "Expected attribute \"r\" but found \"0x00\"."},
        {"n,,n=,r", MALFORMED, "Expected character \"=\" for attribute \"r\"."},
        {"n,,n=,r=a,", NULL, NULL, NULL},
        {"n,,n=,r=a,1=", MALFORMED, "Attribute expected, but found invalid character \"'1'\"."},
        {"n,,n=,r=a,,", MALFORMED, "Attribute expected, but found invalid character \"','\"."},
        {"n,,n=,r=a,x", MALFORMED, "Expected character \"=\" for attribute \"x\"."},
        {"n,,n=,r=a b", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,,n=,r=a\x7f", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,,n=,r=\xc3\xa9", "08P01", "non-printable characters in SCRAM nonce", ""},
        {"n,a=me,n=,r=a", "0A000", "client uses authorization identity, but it is not supported",
         ""},
        {"n,,m=x,n=,r=a", "0A000", "client requires an unsupported SCRAM extension", ""},
        {"p=tls-server-end-point,,n=,r=a", MALFORMED,
         "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message "
         "includes "
         "channel binding data."},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        start_server(false, false);
        if (refusals[i].sqlstate)
            expect_refusal(&refusals[i]);
        else
            ck_assert_int_eq(to_server(refusals[i].message, strlen(refusals[i].message)),
                             SCRAM_SEND);
    }
}
END_TEST

START_TEST(channel_binding_must_agree_with_the_mechanism)
{
    static const struct refusal refusals[] = {
        {"n,,n=,r=a", MALFORMED,
         "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel "
         "binding data."},
        {"y,,n=,r=a", MALFORMED,
         "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel "
         "binding data."},
        {"p", MALFORMED, "Expected character \"=\" for attribute \"p\"."},
        {"p=tls-server-end-point", MALFORMED,
         "Unexpected attribute \"0x00\" in client-first-message."},
        {"p=tls-unique,,n=,r=a", "08P01", "unsupported SCRAM channel-binding type \"tls-unique\"",
         ""},
        {"p=\x01,,n=,r=a", "08P01", "unsupported SCRAM channel-binding type \"\"", ""},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        start_server(true, true);
        expect_refusal(&refusals[i]);
    }
}
END_TEST

START_TEST(a_client_told_that_plus_is_not_offered_is_warned_of)
{
    static const struct refusal refusal = {
        "y,,n=,r=a", "28000", "SCRAM channel binding negotiation error",
        "The client supports SCRAM channel binding but thinks the server does not.  However, this "
        "server does support channel binding."};

    start_server(false, true);
    expect_refusal(&refusal);
    start_server(false, false);
    ck_assert_int_eq(to_server("y,,n=,r=a", 9), SCRAM_SEND);
}
END_TEST

START_TEST(client_final_is_refused_in_postgresqls_words)
{
    static const struct refusal refusals[] = {
        {"", MALFORMED, "The message is empty."},
        {"r=", MALFORMED, "Expected attribute \"c\" but found \"'r'\"."},
        {"c", MALFORMED, "Expected character \"=\" for attribute \"c\"."},
        {"c=eSws," NONCES "," PROOF, "08P01",
         "unexpected SCRAM channel-binding attribute in client-final-message", ""},
        {"c=," NONCES "," PROOF, "08P01",
         "unexpected SCRAM channel-binding attribute in client-final-message", ""},
        {"c=biws", MALFORMED, "Expected attribute \"r\" but found \"0x00\"."},
        {"c=biws," NONCES, MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws," NONCES ",", MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws," NONCES ",x=y", MALFORMED, "Attribute expected, but found end of string."},
        {"c=biws," NONCES ",p", MALFORMED, "Expected character \"=\" for attribute \"p\"."},
        {"c=biws," NONCES ",p=", MALFORMED, "Malformed proof in client-final-message."},
        {"c=biws," NONCES ",p=AAAA", MALFORMED, "Malformed proof in client-final-message."},
        {"c=biws," NONCES "," PROOF "=", MALFORMED, "Malformed proof in client-final-message."},
        {"c=biws," NONCES "," PROOF "AAAA", MALFORMED, "Malformed proof in client-final-message."},
        {"c=biws," NONCES "," PROOF ",x=y", MALFORMED,
         "Garbage found at the end of client-final-message."},
        {"c=biws,r=" CLIENT_NONCE "," PROOF, "08P01", "invalid SCRAM response",
         "Nonce does not match."},
        {"c=biws," NONCES "x," PROOF, "08P01", "invalid SCRAM response", "Nonce does not match."},
        {"c=biws,r=" SERVER_NONCE CLIENT_NONCE "," PROOF, "08P01", "invalid SCRAM response",
         "Nonce does not match."},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        server_awaits_final();
        expect_refusal(&refusals[i]);
    }
}
END_TEST

START_TEST(another_certificates_binding_is_refused)
{
    static const struct refusal refusal = {"c=biws," NONCES "," PROOF, "28000",
                                           "SCRAM channel binding check failed", ""};

    start_server(true, true);
    ck_assert_int_eq(to_server("p=tls-server-end-point,,n=,r=" CLIENT_NONCE, 53), SCRAM_SEND);
    expect_refusal(&refusal);
}
END_TEST

START_TEST(an_extension_is_signed_but_not_understood)
{
    server_awaits_final();
    ck_assert_int_eq(to_server("c=biws," NONCES ",x=y," PROOF, strlen(FINAL) + 4), SCRAM_WRONG);
}
END_TEST

START_TEST(a_zero_byte_is_not_the_end)
{
    start_server(false, false);
    ck_assert_int_eq(to_server(FIRST, strlen(FIRST) + 1), SCRAM_FAILED);
    ck_assert_str_eq(error.detail, "Message length does not match input length.");
}
END_TEST

/* Makes prefix, then letters up to `bytes` in all. */
static char *padded(const char *prefix, size_t bytes)
{
    char *message = malloc(bytes + 1);

    memset(message, 'a', bytes);
    memcpy(message, prefix, strlen(prefix));
    message[bytes] = '\0';
    return message;
}

START_TEST(long_messages_to_the_server_role_have_limits)
{
    static const size_t sizes[] = {128, 129, 256, 300, 1000, 1024, 1025, 4096, 1 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *nonce = padded("n,,n=,r=", 8 + sizes[i]);
        char *user = padded("n,,r=,n=", 8 + sizes[i]);

        start_server(false, false);
        ck_assert_int_eq(to_server(nonce, 8 + sizes[i]),
                         sizes[i] <= SCRAM_NONCE_BYTES_MAX / 2 ? SCRAM_SEND : SCRAM_FAILED);
        start_server(false, false);
        ck_assert_int_eq(to_server(user, 8 + sizes[i]), SCRAM_FAILED);
        free(nonce);
        free(user);
    }
}
END_TEST

START_TEST(the_longest_messages_that_are_let_in_fit)
{
    struct scram_verifier verifier = {.iterations = INT32_MAX, .salt_bytes = SCRAM_SALT_BYTES_MAX};
    char own_nonce[SCRAM_NONCE_BYTES_MAX / 2 + 1], first[1025], final[1025];
    int bytes;

    memset(own_nonce, 's', sizeof(own_nonce) - 1);
    own_nonce[sizeof(own_nonce) - 1] = '\0';
    bytes = snprintf(first, sizeof(first), "n,,n=,r=%0128d,x=", 0);
    memset(first + bytes, 'x', 1024 - (size_t)bytes);
    bytes = snprintf(final, sizeof(final), "c=biws,r=%0128d%s,x=", 0, own_nonce);
    memset(final + bytes, 'x', 1024 - (size_t)bytes);
    memcpy(final + 1024 - strlen("," PROOF), "," PROOF, strlen("," PROOF));
    scram_server_init(&server, &verifier, false, false, &no_binding, own_nonce);
    ck_assert_int_eq(to_server(first, 1024), SCRAM_SEND);
    ck_assert_int_eq(to_server(final, 1024), SCRAM_WRONG);
}
END_TEST

START_TEST(cut_messages_never_pass)
{
    for (size_t bytes = 0; bytes < strlen(FIRST); bytes++) {
        start_server(false, false);
        /* A shorter nonce is a nonce too; the exchange then fails at its end. */
        if (to_server(FIRST, bytes) == SCRAM_SEND) {
            ck_assert_uint_ge(bytes, 8);
            ck_assert_int_eq(to_server(FINAL, strlen(FINAL)), SCRAM_FAILED);
        }
    }
    for (size_t bytes = 0; bytes < strlen(FINAL); bytes++) {
        server_awaits_final();
        ck_assert_int_eq(to_server(FINAL, bytes), SCRAM_FAILED);
    }
    for (size_t bytes = 0; bytes < strlen(CHALLENGE); bytes++) {
        start_client();
        /* "i=4" to "i=409" are counts too; the proof is then wrong. */
        if (to_client(CHALLENGE, bytes) == SCRAM_SEND)
            ck_assert_uint_gt(bytes, strlen(CHALLENGE) - 4);
    }
    for (size_t bytes = 0; bytes < strlen(SIGNATURE); bytes++) {
        client_awaits_signature();
        ck_assert_int_eq(to_client(SIGNATURE, bytes), SCRAM_FAILED);
    }
}
END_TEST

START_TEST(server_first_is_checked)
{
    static const struct {
        const char *message, *sqlstate, *contains;
    } refusals[] = {
        {"", "08P01", "empty message"},
        {"m=x," CHALLENGE, "08P01", "extension"},
        {"e=other-error", "08P01", "attribute \"r\" expected"},
        {"r=" CLIENT_NONCE ",s=" SALT ",i=4096", "08P01", "nonce mismatch"},
        {"r=,s=" SALT ",i=4096", "08P01", "nonce mismatch"},
        {"r=x" CLIENT_NONCE SERVER_NONCE ",s=" SALT ",i=4096", "08P01", "nonce mismatch"},
        {"r=" SERVER_NONCE CLIENT_NONCE ",s=" SALT ",i=4096", "08P01", "nonce mismatch"},
        {NONCES "\x80,s=" SALT ",i=4096", "08P01", "non-printable"},
        {NONCES ",i=4096", "08P01", "attribute \"s\" expected"},
        {NONCES ",s=,i=4096", "08P01", "invalid salt"},
        {NONCES ",s=AAA,i=4096", "08P01", "invalid salt"},
        {NONCES ",s=A?==,i=4096", "08P01", "invalid salt"},
        {NONCES ",s=" SALT, "08P01", "attribute \"i\" expected"},
        {NONCES ",s=" SALT ",i=", "08P01", "invalid iteration count"},
        {NONCES ",s=" SALT ",i=0", "08P01", "invalid iteration count"},
        {NONCES ",s=" SALT ",i=-1", "08P01", "invalid iteration count"},
        {NONCES ",s=" SALT ",i=1e3", "08P01", "invalid iteration count"},
        {NONCES ",s=" SALT ",i= 1", "08P01", "invalid iteration count"},
        {NONCES ",s=" SALT ",i=1000001", "08P01", "SCRAM iterations"},
        {NONCES ",s=" SALT ",i=4294971392", "08P01", "SCRAM iterations"},
        {NONCES ",s=" SALT ",i=18446744073709555712", "08P01", "SCRAM iterations"},
        {CHALLENGE ",x=y", "08P01", "garbage"},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        start_client();
        ck_assert_int_eq(to_client(refusals[i].message, strlen(refusals[i].message)), SCRAM_FAILED);
        ck_assert_str_eq(error.sqlstate, refusals[i].sqlstate);
        ck_assert_msg(strstr(error.message, refusals[i].contains), "%s: %s", refusals[i].message,
                      error.message);
    }
}
END_TEST

START_TEST(a_servers_nonce_or_salt_of_any_length_is_refused_or_fits)
{
    static const size_t sizes[] = {25, 255, 256, 257, 700, 1000, 2048, 65536, 1 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *nonce = padded("r=" CLIENT_NONCE, 2 + sizes[i] + 31);
        char *salt = padded(NONCES ",s=", strlen(NONCES) + 3 + sizes[i] / 4 * 4 + 7);

        memcpy(nonce + 2 + sizes[i], ",s=" SALT ",i=1", 31);
        start_client();
        ck_assert_int_eq(to_client(nonce, strlen(nonce)),
                         sizes[i] <= SCRAM_NONCE_BYTES_MAX ? SCRAM_SEND : SCRAM_FAILED);
        memcpy(salt + strlen(salt) - 7, ",i=4096", 7);
        start_client();
        ck_assert_int_eq(to_client(salt, strlen(salt)), sizes[i] < 86 ? SCRAM_SEND : SCRAM_FAILED);
        free(nonce);
        free(salt);
    }
}
END_TEST

START_TEST(server_final_is_checked)
{
    static const struct {
        const char *message, *sqlstate, *contains;
    } refusals[] = {
        {"", "08P01", "empty message"},
        {"e=invalid-proof", "28P01", "error received from server in SCRAM exchange: invalid-proof"},
        {"e=\x1b[2J", "28P01", "error received from server in SCRAM exchange: "},
        {"e", "08P01", "attribute \"e\" expected"},
        {"x=", "08P01", "attribute \"v\" expected"},
        {"v=", "08P01", "invalid server signature"},
        {"v=AAAA", "08P01", "invalid server signature"},
        {"v=yphcHMSNIF/4A81/DYpJYA//bUPt/YsMWmghqCEJTiY=", "28P01", "incorrect server signature"},
        {SIGNATURE ",x=y", "08P01", "garbage"},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        client_awaits_signature();
        ck_assert_int_eq(to_client(refusals[i].message, strlen(refusals[i].message)), SCRAM_FAILED);
        ck_assert_str_eq(error.sqlstate, refusals[i].sqlstate);
        ck_assert_msg(strstr(error.message, refusals[i].contains), "%s", error.message);
        ck_assert_ptr_null(strchr(error.message, 0x1b));
    }
}
END_TEST

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

/* Writes a changed copy of a message: some bytes replaced, a piece cut out, repeated or inserted.
 */
static size_t mutate(const char *message, char mutated[2048])
{
    static const char telling[] = ",=nypacrsvie0129+/AZ\x01\x7f\x80\xff";
    size_t bytes = strlen(message), at, count;

    memcpy(mutated, message, bytes);
    for (uint32_t changes = 1 + random_below(3); changes > 0 && bytes > 0; changes--) {
        at = random_below((uint32_t)bytes);
        count = 1 + random_below((uint32_t)(bytes - at));
        switch (random_below(5)) {
        case 0:
            mutated[at] = telling[random_below(sizeof(telling))];
            break;
        case 1:
            mutated[at] = (char)(mutated[at] ^ 1 << random_below(8));
            break;
        case 2:
            memmove(mutated + at, mutated + at + count, bytes - at - count);
            bytes -= count;
            break;
        case 3:
            if (bytes + count <= 2000) {
                memmove(mutated + at + count, mutated + at, bytes - at);
                bytes += count;
            }
            break;
        default:
            bytes = at;
        }
    }
    return bytes;
}

/* The last digit of base64 has two bits that carry nothing, and one comma at the end is let pass.
 */
static bool same_but_for_padding(const char *mutated, size_t bytes, const char *message)
{
    size_t whole = strlen(message);

    if (bytes == whole + 1 && mutated[whole] == ',')
        bytes--;
    return bytes == whole && memcmp(mutated, message, whole - 2) == 0;
}

START_TEST(mutated_messages_never_log_in)
{
    char mutated[2048];
    size_t bytes;

    random_state = 20260131;
    for (int i = 0; i < MUTATIONS; i++) {
        bytes = mutate(FIRST, mutated);
        start_server(false, false);
        if (to_server(mutated, bytes) == SCRAM_SEND &&
            to_server(FINAL, strlen(FINAL)) == SCRAM_DONE)
            ck_assert(bytes == strlen(FIRST) && memcmp(mutated, FIRST, bytes) == 0);
        bytes = mutate(FINAL, mutated);
        server_awaits_final();
        if (to_server(mutated, bytes) == SCRAM_DONE)
            ck_assert(same_but_for_padding(mutated, bytes, FINAL));
    }
}
END_TEST

START_TEST(mutated_messages_never_prove_a_server)
{
    char mutated[2048];
    size_t bytes;

    random_state = 20260201;
    for (int i = 0; i < MUTATIONS; i++) {
        struct scram_keys cached = keys;
        const char *count;

        bytes = mutate(CHALLENGE, mutated);
        mutated[bytes] = '\0';
        count = strstr(mutated, ",i=");
        start_client();
        /* A large count is legal and slow. */
        if ((!count || strlen(count) <= 7) && to_client(mutated, bytes) == SCRAM_SEND &&
            to_client(SIGNATURE, strlen(SIGNATURE)) == SCRAM_DONE)
            ck_assert(bytes == strlen(CHALLENGE) && memcmp(mutated, CHALLENGE, bytes) == 0);
        keys = cached;
        bytes = mutate(SIGNATURE, mutated);
        client_awaits_signature();
        if (to_client(mutated, bytes) == SCRAM_DONE)
            ck_assert(same_but_for_padding(mutated, bytes, SIGNATURE));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scram_bad");
    TCase *tcase = tcase_create("scram_bad");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, client_first_is_refused_in_postgresqls_words);
    tcase_add_test(tcase, channel_binding_must_agree_with_the_mechanism);
    tcase_add_test(tcase, a_client_told_that_plus_is_not_offered_is_warned_of);
    tcase_add_test(tcase, client_final_is_refused_in_postgresqls_words);
    tcase_add_test(tcase, another_certificates_binding_is_refused);
    tcase_add_test(tcase, an_extension_is_signed_but_not_understood);
    tcase_add_test(tcase, a_zero_byte_is_not_the_end);
    tcase_add_test(tcase, long_messages_to_the_server_role_have_limits);
    tcase_add_test(tcase, the_longest_messages_that_are_let_in_fit);
    tcase_add_test(tcase, cut_messages_never_pass);
    tcase_add_test(tcase, server_first_is_checked);
    tcase_add_test(tcase, a_servers_nonce_or_salt_of_any_length_is_refused_or_fits);
    tcase_add_test(tcase, server_final_is_checked);
    tcase_add_test(tcase, mutated_messages_never_log_in);
    tcase_add_test(tcase, mutated_messages_never_prove_a_server);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* A user that does not exist costs, at each step of a login, the very cryptographic operations of
 * one that does and gives a wrong answer: time tells nothing. The library's functions are counted
 * by functions of the same names in front of them. */
#include <check.h>
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "sluice/auth/check.h"

#define USER "maude"
#define STEPS 3

struct cost {
    unsigned hmacs, digests, md5s, derivations, comparisons;
    size_t compared_bytes;
};

static struct cost cost;

/* Declared here rather than included: their headers are for src/auth/crypto.c. */
unsigned char *HMAC(const void *md, const void *key, int key_bytes, const unsigned char *data,
                    size_t bytes, unsigned char *out, unsigned *out_bytes);
int EVP_Digest(const void *data, size_t bytes, unsigned char *out, unsigned *out_bytes,
               const void *type, void *engine);
int EVP_DigestFinal_ex(void *context, unsigned char *out, unsigned *out_bytes);
int PKCS5_PBKDF2_HMAC(const char *password, int bytes, const unsigned char *salt, int salt_bytes,
                      int iterations, const void *digest, int key_bytes, unsigned char *out);

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

unsigned char *HMAC(const void *md, const void *key, int key_bytes, const unsigned char *data,
                    size_t bytes, unsigned char *out, unsigned *out_bytes)
{
    NEXT(HMAC);

    cost.hmacs++;
    return next(md, key, key_bytes, data, bytes, out, out_bytes);
}

int EVP_Digest(const void *data, size_t bytes, unsigned char *out, unsigned *out_bytes,
               const void *type, void *engine)
{
    NEXT(EVP_Digest);

    cost.digests++;
    return next(data, bytes, out, out_bytes, type, engine);
}

int EVP_DigestFinal_ex(void *context, unsigned char *out, unsigned *out_bytes)
{
    NEXT(EVP_DigestFinal_ex);

    cost.md5s++;
    return next(context, out, out_bytes);
}

int PKCS5_PBKDF2_HMAC(const char *password, int bytes, const unsigned char *salt, int salt_bytes,
                      int iterations, const void *digest, int key_bytes, unsigned char *out)
{
    NEXT(PKCS5_PBKDF2_HMAC);

    cost.derivations += (unsigned)iterations;
    return next(password, bytes, salt, salt_bytes, iterations, digest, key_bytes, out);
}

int CRYPTO_memcmp(const void *a, const void *b, size_t bytes)
{
    NEXT(CRYPTO_memcmp);

    cost.comparisons++;
    cost.compared_bytes += bytes;
    return next(a, b, bytes);
}

static struct auth_key key = {{5}};
static struct secret plain, md5, scram, none;
static struct scram_verifier verifier;

static void setup(void)
{
    secret_parse(&plain, "pencil");
    secret_parse(&md5, "md5e3c0d7c53b29293d8d7663cc7dfbc6ca");
    secret_parse(&scram, "SCRAM-SHA-256$16:VKN8kk9pfubNJUAQgvAhMg==$"
                         "buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0=:"
                         "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ=");
    ck_assert(scram_verifier_from_password(&verifier, "pencil", 16, scram.scram.salt, 16));
}

/* Answers wrongly, in the right form. Returns the bytes of the answer. */
static size_t answer_wrongly(const struct auth_request *request, char answer[512])
{
    static const char final[] = ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    static const char first[] = "SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc";
    const char *nonce = request->data;

    if (request->code == AUTH_REQUEST_SASL) {
        memcpy(answer, first, sizeof(first) - 1);
        return sizeof(first) - 1;
    }
    if (request->code == AUTH_REQUEST_SASL_CONTINUE)
        return (size_t)snprintf(answer, 512, "c=biws,%.*s%s", (int)strcspn(nonce, ","), nonce,
                                final);
    return (size_t)snprintf(answer, 512, "md5%032d", 0) + 1;
}

/* Logs in as a user with this secret (NULL: as nobody) and notes what each step costs. */
static void measure(enum auth_method method, const struct secret *secret, enum secret_kind usual,
                    struct cost costs[STEPS])
{
    struct login_terms terms = {.method = method,
                                .user = USER,
                                .secret = secret,
                                .verifier = secret == &plain ? &verifier : NULL,
                                .usual_kind = usual,
                                .key = &key,
                                .scram_iterations = 16};
    struct login_check check;
    struct auth_request request;
    enum login_verdict verdict;
    char answer[512];
    size_t step = 0;

    memset(costs, 0, STEPS * sizeof(costs[0]));
    login_check_init(&check, &terms);
    cost = (struct cost){0};
    verdict = login_check_start(&check, &request);
    costs[0] = cost;
    while (verdict == LOGIN_SEND) {
        size_t bytes = answer_wrongly(&request, answer);

        ck_assert_uint_lt(++step, STEPS);
        cost = (struct cost){0};
        verdict = login_check_step(&check, answer, bytes, &request);
        costs[step] = cost;
    }
    ck_assert_int_eq(verdict, LOGIN_FAILED);
    ck_assert_str_eq(check.error.message, "password authentication failed for user \"" USER "\"");
    login_check_fini(&check);
}

START_TEST(an_unknown_user_costs_what_a_known_one_costs)
{
    static const struct {
        enum auth_method method;
        const struct secret *known;
    } rows[] = {
        {AUTH_PLAIN, &plain}, {AUTH_PLAIN, &md5}, {AUTH_PLAIN, &scram}, {AUTH_MD5, &plain},
        {AUTH_MD5, &md5},     {AUTH_MD5, &scram}, {AUTH_SCRAM, &plain}, {AUTH_SCRAM, &scram},
    };
    struct cost known[STEPS], unknown[STEPS], without[STEPS], unfit[STEPS];
    unsigned operations = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum secret_kind usual = rows[i].known->kind;

        measure(rows[i].method, rows[i].known, usual, known);
        measure(rows[i].method, NULL, usual, unknown);
        measure(rows[i].method, &none, usual, without);
        /* A plain secret hashes once more than an md5 one, for unknown users too. */
        if (rows[i].known == &plain && rows[i].method == AUTH_MD5)
            ck_assert_uint_eq(known[1].md5s, 2);
        if (usual == SECRET_PLAIN && rows[i].method == AUTH_MD5)
            ck_assert_uint_eq(unknown[1].md5s, 2);
        ck_assert_mem_eq(known, unknown, sizeof(known));
        ck_assert_mem_eq(known, without, sizeof(known));
        for (size_t step = 0; step < STEPS; step++)
            operations += known[step].comparisons;
    }
    ck_assert_uint_ge(operations, sizeof(rows) / sizeof(rows[0]));
    measure(AUTH_SCRAM, &scram, SECRET_SCRAM, known);
    measure(AUTH_SCRAM, &md5, SECRET_SCRAM, unfit);
    ck_assert_mem_eq(known, unfit, sizeof(known));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check_cost");
    TCase *tcase = tcase_create("check_cost");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_unchecked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, an_unknown_user_costs_what_a_known_one_costs);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

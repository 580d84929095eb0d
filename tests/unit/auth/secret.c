/* Which kind of secret a stored text is, and that no malformed SCRAM text is taken for one. */
#include "sluice/auth/secret.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/crypto.h"

/* Made by PostgreSQL 15 for the password "pencil". */
#define SALT "VKN8kk9pfubNJUAQgvAhMg=="
#define STORED "buzzG04ToRLx5Zst3Zqq2tepXwRVOaeEmLC5mxfMqW0="
#define SERVER "2/xGuqGM9Yvdy+aPSuk1PGHXIygXMcizphjZuuhpyOQ="
#define VERIFIER "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER

static enum secret_kind kind_of(const char *text)
{
    struct secret secret;

    secret_parse(&secret, text);
    ck_assert_str_eq(secret.text, text ? text : "");
    return secret.kind;
}

START_TEST(nothing_stored_is_no_secret)
{
    ck_assert_int_eq(kind_of(NULL), SECRET_NONE);
    ck_assert_int_eq(kind_of(""), SECRET_NONE);
}
END_TEST

START_TEST(md5_is_the_prefix_and_32_lower_case_digits)
{
    ck_assert_int_eq(kind_of("md5e3c0d7c53b29293d8d7663cc7dfbc6ca"), SECRET_MD5);
    ck_assert_int_eq(kind_of("md5e3c0d7c53b29293d8d7663cc7dfbc6c"), SECRET_PLAIN);
    ck_assert_int_eq(kind_of("md5e3c0d7c53b29293d8d7663cc7dfbc6caa"), SECRET_PLAIN);
    ck_assert_int_eq(kind_of("md5E3C0D7C53B29293D8D7663CC7DFBC6CA"), SECRET_PLAIN);
    ck_assert_int_eq(kind_of("md5g3c0d7c53b29293d8d7663cc7dfbc6ca"), SECRET_PLAIN);
    ck_assert_int_eq(kind_of("MD5e3c0d7c53b29293d8d7663cc7dfbc6ca"), SECRET_PLAIN);
    ck_assert_int_eq(kind_of("md5"), SECRET_PLAIN);
}
END_TEST

START_TEST(a_scram_secret_is_taken_apart)
{
    static const uint8_t salt[] = {0x54, 0xa3, 0x7c, 0x92, 0x4f, 0x69, 0x7e, 0xe6,
                                   0xcd, 0x25, 0x40, 0x10, 0x82, 0xf0, 0x21, 0x32};
    struct secret secret;

    secret_parse(&secret, VERIFIER);
    ck_assert_int_eq(secret.kind, SECRET_SCRAM);
    ck_assert_uint_eq(secret.scram.iterations, 4096);
    ck_assert_uint_eq(secret.scram.salt_bytes, sizeof(salt));
    ck_assert_mem_eq(secret.scram.salt, salt, sizeof(salt));
    ck_assert_uint_eq(secret.scram.stored_key[0], 0x6e);
    ck_assert_uint_eq(secret.scram.stored_key[31], 0x6d);
    ck_assert_uint_eq(secret.scram.server_key[0], 0xdb);
    ck_assert_uint_eq(secret.scram.server_key[31], 0xe4);
}
END_TEST

START_TEST(malformed_scram_text_is_a_plain_password)
{
    static const char *const texts[] = {
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$4096",
        "SCRAM-SHA-256$4096:",
        "SCRAM-SHA-256$4096:" SALT,
        "SCRAM-SHA-256$4096:" SALT "$",
        "SCRAM-SHA-256$4096:" SALT "$" STORED,
        "SCRAM-SHA-256$4096:" SALT "$" STORED ":",
        "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER "=",
        "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER " ",
        "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER ":" SERVER,
        "SCRAM-SHA-256$4096:" SALT "$:" SERVER,
        "SCRAM-SHA-256$4096:" SALT "$" SALT ":" SERVER,
        "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SALT,
        "SCRAM-SHA-256$4096:$" STORED ":" SERVER,
        "SCRAM-SHA-256$4096:VKN8=kk9=$" STORED ":" SERVER,
        "SCRAM-SHA-256$4096:VKN8kk9$" STORED ":" SERVER,
        "SCRAM-SHA-256$:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$0:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$-1:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$ 4096:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$4096x:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$2147483648:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-256$99999999999999999999:" SALT "$" STORED ":" SERVER,
        "scram-sha-256$4096:" SALT "$" STORED ":" SERVER,
        "SCRAM-SHA-512$4096:" SALT "$" STORED ":" SERVER,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(kind_of(texts[i]) == SECRET_PLAIN, "%s", texts[i]);
}
END_TEST

START_TEST(a_scram_secret_cut_anywhere_is_not_one)
{
    for (size_t bytes = 1; bytes < sizeof(VERIFIER) - 1; bytes++) {
        char *cut = strndup(VERIFIER, bytes);

        ck_assert_int_eq(kind_of(cut), SECRET_PLAIN);
        free(cut);
    }
}
END_TEST

START_TEST(the_salt_has_a_limit)
{
    uint8_t salt[SCRAM_SALT_BYTES_MAX + 1] = {1};
    char encoded[CRYPTO_BASE64_BYTES(sizeof(salt)) + 1], text[512];

    crypto_base64_encode(salt, SCRAM_SALT_BYTES_MAX, encoded);
    snprintf(text, sizeof(text), "SCRAM-SHA-256$1:%s$" STORED ":" SERVER, encoded);
    ck_assert_int_eq(kind_of(text), SECRET_SCRAM);
    crypto_base64_encode(salt, SCRAM_SALT_BYTES_MAX + 1, encoded);
    snprintf(text, sizeof(text), "SCRAM-SHA-256$1:%s$" STORED ":" SERVER, encoded);
    ck_assert_int_eq(kind_of(text), SECRET_PLAIN);
}
END_TEST

START_TEST(base64_is_read_strictly)
{
    static const char *const bad[] = {
        "A",        "AA",   "AAA",   "A===",   "====", "=AAA", "AA=A",
        "AAAA=AAA", "AA A", " AAAA", "AAAA\n", "AAA-", "AAA_", "AA\xC3\xA9"};
    uint8_t data[8];
    size_t bytes;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!crypto_base64_decode(bad[i], strlen(bad[i]), data, sizeof(data), &bytes),
                      "%s", bad[i]);
    ck_assert(crypto_base64_decode("", 0, data, sizeof(data), &bytes));
    ck_assert_uint_eq(bytes, 0);
    ck_assert(crypto_base64_decode("Zm9vYg==", 8, data, sizeof(data), &bytes));
    ck_assert_uint_eq(bytes, 4);
    ck_assert_mem_eq(data, "foob", 4);
    ck_assert(crypto_base64_decode("Zm9vYmE=", 8, data, 5, &bytes));
    ck_assert(!crypto_base64_decode("Zm9vYmE=", 8, data, 4, &bytes));
}
END_TEST

START_TEST(wiped_memory_is_zero)
{
    char password[16] = "pencil";
    static const char zeros[16];

    secret_wipe(password, sizeof(password));
    ck_assert_mem_eq(password, zeros, sizeof(zeros));
}
END_TEST

START_TEST(equal_compares_every_byte)
{
    ck_assert(secret_equal("pencil", "pencil", 6));
    ck_assert(!secret_equal("pencil", "pencim", 6));
    ck_assert(!secret_equal("pencil", "qencil", 6));
    ck_assert(secret_equal("a", "b", 0));
}
END_TEST

START_TEST(two_processes_draw_different_keys)
{
    struct auth_key a, b;

    ck_assert(auth_key_init(&a));
    ck_assert(auth_key_init(&b));
    ck_assert_mem_ne(&a, &b, sizeof(a));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("secret");
    TCase *tcase = tcase_create("secret");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, nothing_stored_is_no_secret);
    tcase_add_test(tcase, md5_is_the_prefix_and_32_lower_case_digits);
    tcase_add_test(tcase, a_scram_secret_is_taken_apart);
    tcase_add_test(tcase, malformed_scram_text_is_a_plain_password);
    tcase_add_test(tcase, a_scram_secret_cut_anywhere_is_not_one);
    tcase_add_test(tcase, the_salt_has_a_limit);
    tcase_add_test(tcase, base64_is_read_strictly);
    tcase_add_test(tcase, wiped_memory_is_zero);
    tcase_add_test(tcase, equal_compares_every_byte);
    tcase_add_test(tcase, two_processes_draw_different_keys);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

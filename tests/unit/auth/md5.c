/* PostgreSQL's md5 exchange, against what libpq 15 answered to PostgreSQL 15. */
#include "sluice/auth/md5.h"

#include <check.h>
#include <string.h>

#define USER "maude"
#define HASH "md5e3c0d7c53b29293d8d7663cc7dfbc6ca"
#define ANSWER "md58c319ac221e114d51ad07aec896e4412"

static const uint8_t salt[MD5_SALT_BYTES] = {'\n', 0xd5, 0xc8, 0x8d};

START_TEST(hash_is_postgresqls)
{
    char hash[MD5_SECRET_BYTES + 1];

    ck_assert(md5_hash_password("pencil", USER, hash));
    ck_assert_str_eq(hash, HASH);
}
END_TEST

START_TEST(plain_and_hashed_secrets_give_libpqs_answer)
{
    static const char *const texts[] = {"pencil", HASH};
    char answer[MD5_SECRET_BYTES + 1];
    struct secret secret;
    bool match;

    for (size_t i = 0; i < 2; i++) {
        secret_parse(&secret, texts[i]);
        ck_assert(md5_answer(&secret, USER, salt, answer));
        ck_assert_str_eq(answer, ANSWER);
        ck_assert(md5_check(&secret, USER, salt, ANSWER, MD5_SECRET_BYTES, &match));
        ck_assert(match);
    }
}
END_TEST

START_TEST(any_other_answer_is_wrong)
{
    static const uint8_t other_salt[MD5_SALT_BYTES] = {'\n', 0xd5, 0xc8, 0x8e};
    char answer[MD5_SECRET_BYTES + 1];
    struct secret secret;
    bool match;

    secret_parse(&secret, "pencil");
    for (size_t i = 0; i < MD5_SECRET_BYTES; i++) {
        memcpy(answer, ANSWER, sizeof(answer));
        answer[i] ^= 1;
        ck_assert(md5_check(&secret, USER, salt, answer, MD5_SECRET_BYTES, &match));
        ck_assert(!match);
        ck_assert(md5_check(&secret, USER, salt, ANSWER, i, &match));
        ck_assert(!match);
    }
    ck_assert(md5_check(&secret, USER, salt, ANSWER "0", MD5_SECRET_BYTES + 1, &match));
    ck_assert(!match);
    ck_assert(md5_check(&secret, USER, other_salt, ANSWER, MD5_SECRET_BYTES, &match));
    ck_assert(!match);
    ck_assert(md5_check(&secret, "maud", salt, ANSWER, MD5_SECRET_BYTES, &match));
    ck_assert(!match);
    secret_parse(&secret, "pencils");
    ck_assert(md5_check(&secret, USER, salt, ANSWER, MD5_SECRET_BYTES, &match));
    ck_assert(!match);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("md5");
    TCase *tcase = tcase_create("md5");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, hash_is_postgresqls);
    tcase_add_test(tcase, plain_and_hashed_secrets_give_libpqs_answer);
    tcase_add_test(tcase, any_other_answer_is_wrong);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#include "sluice/auth/check.h"

#include <stdio.h>
#include <string.h>

#include "auth/crypto.h"
#include "sluice/base/ensure.h"

#define PASSWORD_BYTES_MAX 65535 /* of a 'p' message; PostgreSQL's limit too */
#define STATE(state) (1U << (state))

static const unsigned moves[] = {
    [LOGIN_CHECK_START] = STATE(LOGIN_CHECK_CLEARTEXT) | STATE(LOGIN_CHECK_MD5) |
                          STATE(LOGIN_CHECK_MECHANISM) | STATE(LOGIN_CHECK_OVER),
    [LOGIN_CHECK_CLEARTEXT] = STATE(LOGIN_CHECK_OVER),
    [LOGIN_CHECK_MD5] = STATE(LOGIN_CHECK_OVER),
    [LOGIN_CHECK_MECHANISM] = STATE(LOGIN_CHECK_SCRAM) | STATE(LOGIN_CHECK_OVER),
    [LOGIN_CHECK_SCRAM] = STATE(LOGIN_CHECK_OVER),
    [LOGIN_CHECK_OVER] = 0,
};

static void check_move(struct login_check *check, enum login_check_state state)
{
    ensure(moves[check->state] & STATE(state));
    check->state = state;
}

static const struct {
    const char *name;
    enum auth_method method;
} method_names[] = {
    {"trust", AUTH_TRUST}, {"any", AUTH_ANY},       {"plain", AUTH_PLAIN},
    {"md5", AUTH_MD5},     {"cert", AUTH_CERT},     {"password", AUTH_PLAIN},
    {"peer", AUTH_PEER},   {"reject", AUTH_REJECT}, {"scram-sha-256", AUTH_SCRAM},
};

bool auth_method_parse(const char *name, enum auth_method *method)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
        if (strcmp(name, method_names[i].name) == 0) {
            *method = method_names[i].method;
            return true;
        }
    }
    return false;
}

void login_check_init(struct login_check *check, const struct login_terms *terms)
{
    ensure(terms->user && terms->key && terms->scram_iterations > 0);
    check->state = LOGIN_CHECK_START;
    check->terms = terms;
    check->doomed = false;
    check->scram.state = SCRAM_SERVER_OVER;
    check->error.sqlstate = NULL;
}

void login_check_fini(struct login_check *check)
{
    secret_wipe(check, sizeof(*check));
}

static enum login_verdict failed(struct login_check *check, const char *sqlstate,
                                 const char *message)
{
    auth_error_set(&check->error, sqlstate, "%s", message);
    return LOGIN_FAILED;
}

static enum login_verdict no_crypto(struct login_check *check)
{
    return failed(check, "XX000", "the cryptographic library failed");
}

/* For the log: why this user cannot get in, whatever it answers. */
static const char *doom_reason(const struct login_terms *terms)
{
    if (!terms->secret)
        return "no such user";
    if (terms->secret->kind == SECRET_NONE)
        return "the user has no password";
    return "the user's secret is an md5 hash, which SCRAM cannot use";
}

static enum login_verdict wrong_password(struct login_check *check)
{
    auth_error_set(&check->error, "28P01", "password authentication failed for user \"%s\"",
                   check->terms->user);
    check->error.reason = check->doomed ? doom_reason(check->terms) : "wrong password";
    return LOGIN_FAILED;
}

/* Who the client is was settled by the connection itself: the user need only exist. */
static enum login_verdict without_password(struct login_check *check, bool admitted,
                                           const char *refusal)
{
    const char *user = check->terms->user;

    if (admitted && check->terms->secret)
        return LOGIN_OK;
    if (admitted) {
        auth_error_set(&check->error, "28000", "role \"%s\" does not exist", user);
        check->error.reason = "no such user";
    } else {
        auth_error_set(&check->error, "28000", "%s authentication failed for user \"%s\"", refusal,
                       user);
    }
    return LOGIN_FAILED;
}

static enum login_verdict rejected(struct login_check *check)
{
    auth_error_set(&check->error, "28000", "authentication failed for user \"%s\": host rejected",
                   check->terms->user);
    return LOGIN_FAILED;
}

/* A secret of the usual kind that nobody knows, for a user that must not get in. Its text has the
 * form of an md5 secret and serves as a password too. */
static bool make_up_secret(struct login_check *check)
{
    const struct login_terms *terms = check->terms;
    struct secret *secret = &check->secret;

    secret->kind = terms->usual_kind;
    if (terms->method == AUTH_SCRAM || secret->kind == SECRET_NONE)
        secret->kind = SECRET_SCRAM;
    if (!scram_verifier_mock(&secret->scram, terms->key, terms->user, terms->scram_iterations))
        return false;
    memcpy(check->mock_text, "md5", 3);
    for (size_t i = 0; i < SCRAM_SALT_BYTES; i++)
        snprintf(check->mock_text + 3 + 2 * i, 3, "%02x", secret->scram.stored_key[i]);
    secret->text = check->mock_text;
    return true;
}

/* A secret is made up for everybody, so that it costs everybody the same. */
static bool choose_secret(struct login_check *check)
{
    const struct secret *secret = check->terms->secret;

    if (!make_up_secret(check))
        return false;
    check->doomed = !secret || secret->kind == SECRET_NONE ||
                    (secret->kind == SECRET_MD5 && check->terms->method == AUTH_SCRAM);
    if (!check->doomed)
        check->secret = *secret;
    return true;
}

static enum login_verdict ask_cleartext(struct login_check *check, struct auth_request *request)
{
    request->code = AUTH_REQUEST_CLEARTEXT;
    check_move(check, LOGIN_CHECK_CLEARTEXT);
    return LOGIN_SEND;
}

static enum login_verdict ask_md5(struct login_check *check, struct auth_request *request)
{
    if (!crypto_random(check->salt, sizeof(check->salt)))
        return no_crypto(check);
    *request = (struct auth_request){AUTH_REQUEST_MD5, check->salt, sizeof(check->salt)};
    check_move(check, LOGIN_CHECK_MD5);
    return LOGIN_SEND;
}

/* Leaves the verifier in check->secret.scram. */
static bool find_verifier(struct login_check *check)
{
    const struct login_terms *terms = check->terms;
    uint8_t salt[SCRAM_SALT_BYTES];

    if (check->secret.kind == SECRET_SCRAM)
        return true;
    if (terms->verifier) {
        check->secret.scram = *terms->verifier;
        return true;
    }
    return scram_salt(terms->key, terms->user, salt) &&
           scram_verifier_from_password(&check->secret.scram, check->secret.text,
                                        terms->scram_iterations, salt, sizeof(salt));
}

static enum login_verdict ask_sasl(struct login_check *check, struct auth_request *request)
{
    static const char with_plus[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
    static const char without_plus[] = SCRAM_MECHANISM "\0";
    bool plus = check->terms->binding.bytes > 0;

    if (!find_verifier(check))
        return no_crypto(check);
    request->code = AUTH_REQUEST_SASL;
    request->data = plus ? with_plus : without_plus;
    request->bytes = plus ? sizeof(with_plus) : sizeof(without_plus);
    check_move(check, LOGIN_CHECK_MECHANISM);
    return LOGIN_SEND;
}

static enum login_verdict ask_password(struct login_check *check, struct auth_request *request)
{
    if (!choose_secret(check))
        return no_crypto(check);
    if (check->terms->method == AUTH_PLAIN)
        return ask_cleartext(check, request);
    if (check->terms->method == AUTH_MD5 && check->secret.kind != SECRET_SCRAM)
        return ask_md5(check, request);
    return ask_sasl(check, request);
}

static enum login_verdict start(struct login_check *check, struct auth_request *request)
{
    const struct login_terms *terms = check->terms;

    switch (terms->method) {
    case AUTH_ANY:
        return LOGIN_OK;
    case AUTH_TRUST:
        return without_password(check, true, NULL);
    case AUTH_CERT:
        return without_password(check, terms->identity_matches, "certificate");
    case AUTH_PEER:
        return without_password(check, terms->identity_matches, "Peer");
    case AUTH_REJECT:
        return rejected(check);
    case AUTH_PLAIN:
    case AUTH_MD5:
    case AUTH_SCRAM:
        break;
    }
    return ask_password(check, request);
}

enum login_verdict login_check_start(struct login_check *check, struct auth_request *request)
{
    enum login_verdict verdict;

    ensure(check->state == LOGIN_CHECK_START);
    *request = (struct auth_request){.code = AUTH_REQUEST_OK};
    verdict = start(check, request);
    if (verdict != LOGIN_SEND)
        check_move(check, LOGIN_CHECK_OVER);
    return verdict;
}

/* A password message is one string with its ending zero. */
static bool take_password(struct login_check *check, const char *answer, size_t bytes)
{
    if (bytes > PASSWORD_BYTES_MAX)
        failed(check, "08P01", "invalid message length");
    else if (bytes == 0 || memchr(answer, '\0', bytes) != answer + bytes - 1)
        failed(check, "08P01", "invalid password packet size");
    else if (bytes == 1)
        failed(check, "28P01", "empty password returned by client");
    else
        return true;
    return false;
}

/* Compares by HMAC, so that the time says nothing about where or in length they differ. */
static bool same_password(const struct auth_key *key, const char *a, const char *b, bool *match)
{
    uint8_t digest_a[CRYPTO_SHA256_BYTES], digest_b[CRYPTO_SHA256_BYTES];

    if (!crypto_hmac(key->bytes, sizeof(key->bytes), a, strlen(a), digest_a) ||
        !crypto_hmac(key->bytes, sizeof(key->bytes), b, strlen(b), digest_b))
        return false;
    *match = secret_equal(digest_a, digest_b, sizeof(digest_a));
    return true;
}

static bool check_cleartext(const struct login_check *check, const char *password, bool *match)
{
    const struct secret *secret = &check->secret;
    char hash[MD5_SECRET_BYTES + 1];

    switch (secret->kind) {
    case SECRET_PLAIN:
        return same_password(check->terms->key, password, secret->text, match);
    case SECRET_MD5:
        if (!md5_hash_password(password, check->terms->user, hash))
            return false;
        *match = secret_equal(hash, secret->text, MD5_SECRET_BYTES);
        secret_wipe(hash, sizeof(hash));
        return true;
    case SECRET_SCRAM:
        return scram_check_password(&secret->scram, password, match);
    case SECRET_NONE:
        break;
    }
    ensure(!"a secret to check against");
    return false;
}

static enum login_verdict step_password(struct login_check *check, const char *answer, size_t bytes)
{
    bool match = false, done;

    if (!take_password(check, answer, bytes))
        return LOGIN_FAILED;
    if (check->state == LOGIN_CHECK_MD5)
        done =
            md5_check(&check->secret, check->terms->user, check->salt, answer, bytes - 1, &match);
    else
        done = check_cleartext(check, answer, &match);
    if (!done)
        return no_crypto(check);
    return match && !check->doomed ? LOGIN_OK : wrong_password(check);
}

static enum login_verdict step_scram(struct login_check *check, const void *answer, size_t bytes,
                                     struct auth_request *request)
{
    struct scram_message message;

    switch (scram_server_step(&check->scram, answer, bytes, &message, &check->error)) {
    case SCRAM_SEND:
        *request = (struct auth_request){AUTH_REQUEST_SASL_CONTINUE, message.text, message.bytes};
        return LOGIN_SEND;
    case SCRAM_DONE:
        *request = (struct auth_request){AUTH_REQUEST_SASL_FINAL, message.text, message.bytes};
        return LOGIN_OK;
    case SCRAM_WRONG:
        return wrong_password(check);
    case SCRAM_FAILED:
        break;
    }
    return LOGIN_FAILED;
}

static bool start_scram(struct login_check *check, const char *mechanism)
{
    const struct channel_binding *binding = &check->terms->binding;
    bool plus = strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0 && binding->bytes > 0;
    char nonce[SCRAM_NONCE_BYTES + 1];

    if (!plus && strcmp(mechanism, SCRAM_MECHANISM) != 0) {
        failed(check, "08P01", "client selected an invalid SASL authentication mechanism");
        return false;
    }
    if (!scram_nonce(nonce)) {
        no_crypto(check);
        return false;
    }
    scram_server_init(&check->scram, &check->secret.scram, check->doomed, plus, binding, nonce);
    check_move(check, LOGIN_CHECK_SCRAM);
    return true;
}

/* SASLInitialResponse: the mechanism's name, then a length and client-first, or -1 and nothing. */
static enum login_verdict step_mechanism(struct login_check *check, const uint8_t *answer,
                                         size_t bytes, struct auth_request *request)
{
    const uint8_t *end = bytes > 0 ? memchr(answer, '\0', bytes) : NULL;
    uint32_t length;
    size_t rest;

    if (!end)
        return failed(check, "08P01", "invalid string in message");
    rest = bytes - (size_t)(end - answer) - 1;
    if (!start_scram(check, (const char *)answer))
        return LOGIN_FAILED;
    if (rest < 4)
        return failed(check, "08P01", "insufficient data left in message");
    length = (uint32_t)end[1] << 24 | (uint32_t)end[2] << 16 | (uint32_t)end[3] << 8 | end[4];
    rest -= 4;
    if (length == UINT32_MAX && rest == 0) {
        request->code = AUTH_REQUEST_SASL_CONTINUE; /* empty: ask for client-first */
        return LOGIN_SEND;
    }
    if (length > rest)
        return failed(check, "08P01", "insufficient data left in message");
    if (length < rest)
        return failed(check, "08P01", "invalid message format");
    return step_scram(check, end + 5, rest, request);
}

enum login_verdict login_check_step(struct login_check *check, const void *answer, size_t bytes,
                                    struct auth_request *request)
{
    enum login_verdict verdict = LOGIN_FAILED;

    *request = (struct auth_request){.code = AUTH_REQUEST_OK};
    switch (check->state) {
    case LOGIN_CHECK_CLEARTEXT:
    case LOGIN_CHECK_MD5:
        verdict = step_password(check, answer, bytes);
        break;
    case LOGIN_CHECK_MECHANISM:
        verdict = step_mechanism(check, answer, bytes, request);
        break;
    case LOGIN_CHECK_SCRAM:
        verdict = step_scram(check, answer, bytes, request);
        break;
    case LOGIN_CHECK_START:
    case LOGIN_CHECK_OVER:
        ensure(!"a login that waits for an answer");
    }
    if (verdict != LOGIN_SEND)
        check_move(check, LOGIN_CHECK_OVER);
    return verdict;
}

bool login_check_keys(const struct login_check *check, struct scram_keys *keys)
{
    if (check->scram.state != SCRAM_SERVER_PROVEN)
        return false;
    scram_server_keys(&check->scram, keys);
    return true;
}

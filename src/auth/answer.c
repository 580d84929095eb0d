#include "sluice/auth/answer.h"

#include <string.h>

#include "sluice/base/ensure.h"

#define STATE(state) (1U << (state))

static const unsigned moves[] = {
    [LOGIN_ANSWER_START] =
        STATE(LOGIN_ANSWER_SENT) | STATE(LOGIN_ANSWER_SCRAM) | STATE(LOGIN_ANSWER_OVER),
    [LOGIN_ANSWER_SENT] = STATE(LOGIN_ANSWER_OVER),
    [LOGIN_ANSWER_SCRAM] = STATE(LOGIN_ANSWER_PROVEN) | STATE(LOGIN_ANSWER_OVER),
    [LOGIN_ANSWER_PROVEN] = STATE(LOGIN_ANSWER_OVER),
    [LOGIN_ANSWER_OVER] = 0,
};

static void answer_move(struct login_answer *answer, enum login_answer_state state)
{
    ensure(moves[answer->state] & STATE(state));
    answer->state = state;
}

void login_answer_init(struct login_answer *answer, const struct answer_terms *terms)
{
    ensure(terms->user);
    answer->state = LOGIN_ANSWER_START;
    answer->terms = terms;
    answer->error.sqlstate = NULL;
}

void login_answer_fini(struct login_answer *answer)
{
    secret_wipe(answer, sizeof(*answer));
}

static enum secret_kind secret_kind(const struct answer_terms *terms)
{
    return terms->secret ? terms->secret->kind : SECRET_NONE;
}

static bool have_keys(const struct answer_terms *terms)
{
    return terms->keys && terms->keys->iterations > 0;
}

/* Says that the secret at hand does not do for what the server asks. */
static enum login_verdict wrong_secret(struct login_answer *answer, const char *asked)
{
    static const char *const have[] = {
        [SECRET_NONE] = "no password",
        [SECRET_PLAIN] = "a password",
        [SECRET_MD5] = "only an md5 hash of the password",
        [SECRET_SCRAM] = "only a SCRAM secret",
    };
    const struct answer_terms *terms = answer->terms;

    if (secret_kind(terms) == SECRET_NONE)
        auth_error_set(&answer->error, "28P01",
                       "no password supplied: the server asks for %s authentication of user \"%s\"",
                       asked, terms->user);
    else
        auth_error_set(&answer->error, "28P01",
                       "the server asks for %s authentication of user \"%s\", for whom Sluice has "
                       "%s",
                       asked, terms->user, have[secret_kind(terms)]);
    return LOGIN_FAILED;
}

static enum login_verdict unexpected(struct login_answer *answer, uint32_t code)
{
    auth_error_set(&answer->error, "08P01",
                   "unexpected authentication request %u from the server during a login", code);
    return LOGIN_FAILED;
}

static enum login_verdict malformed(struct login_answer *answer, const char *what)
{
    auth_error_set(&answer->error, "08P01", "malformed authentication request from the server: %s",
                   what);
    return LOGIN_FAILED;
}

static enum login_verdict unsupported(struct login_answer *answer, uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *name;
    } names[] = {
        {AUTH_REQUEST_KERBEROS_5, "Kerberos V5"},
        {AUTH_REQUEST_GSS, "GSSAPI"},
        {AUTH_REQUEST_GSS_CONTINUE, "GSSAPI"},
        {AUTH_REQUEST_SSPI, "SSPI"},
    };
    const char *name = "an unknown kind of";

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == code)
            name = names[i].name;
    auth_error_set(
        &answer->error, "0A000",
        "the server asks for %s authentication (request %u) of user \"%s\", which Sluice "
        "does not speak",
        name, code, answer->terms->user);
    auth_error_detail(&answer->error, "Set login=libpq for this database, or let the server's "
                                      "pg_hba.conf ask for scram-sha-256.");
    return LOGIN_FAILED;
}

static enum login_verdict send_password(struct login_answer *answer, struct login_reply *reply)
{
    if (secret_kind(answer->terms) != SECRET_PLAIN)
        return wrong_secret(answer, "cleartext password");
    reply->data = answer->terms->secret->text;
    reply->bytes = strlen(answer->terms->secret->text) + 1;
    answer_move(answer, LOGIN_ANSWER_SENT);
    return LOGIN_SEND;
}

static enum login_verdict send_md5(struct login_answer *answer, const uint8_t *salt, size_t bytes,
                                   struct login_reply *reply)
{
    enum secret_kind kind = secret_kind(answer->terms);

    if (bytes != MD5_SALT_BYTES)
        return malformed(answer, "md5 salt is not 4 bytes");
    if (kind != SECRET_PLAIN && kind != SECRET_MD5)
        return wrong_secret(answer, "md5");
    if (!md5_answer(answer->terms->secret, answer->terms->user, salt, answer->reply)) {
        auth_error_set(&answer->error, "XX000", "the cryptographic library has no md5");
        return LOGIN_FAILED;
    }
    reply->data = answer->reply;
    reply->bytes = MD5_SECRET_BYTES + 1;
    answer_move(answer, LOGIN_ANSWER_SENT);
    return LOGIN_SEND;
}

/* AuthenticationSASL: names of mechanisms, each with an ending zero, then one more zero. */
static bool take_mechanisms(const char *list, size_t bytes, bool *scram, bool *plus)
{
    *scram = *plus = false;
    while (bytes > 0 && *list != '\0') {
        const char *end = memchr(list, '\0', bytes);

        if (!end)
            return false;
        *scram = *scram || strcmp(list, SCRAM_MECHANISM) == 0;
        *plus = *plus || strcmp(list, SCRAM_MECHANISM_PLUS) == 0;
        bytes -= (size_t)(end - list) + 1;
        list = end + 1;
    }
    return bytes == 1;
}

/* SASLInitialResponse: the mechanism's name, the length of client-first, client-first. */
static void send_first(struct login_answer *answer, const char *mechanism,
                       struct login_reply *reply)
{
    struct scram_message first;
    size_t name_bytes = strlen(mechanism) + 1;
    char *out = answer->reply;

    scram_client_first(&answer->scram, &first);
    ensure(name_bytes + 4 + first.bytes <= sizeof(answer->reply));
    memcpy(out, mechanism, name_bytes);
    out += name_bytes;
    for (int shift = 24; shift >= 0; shift -= 8)
        *out++ = (char)(first.bytes >> shift & 0xFF);
    memcpy(out, first.text, first.bytes);
    reply->data = answer->reply;
    reply->bytes = name_bytes + 4 + first.bytes;
}

static enum login_verdict start_scram(struct login_answer *answer, const char *list, size_t bytes,
                                      struct login_reply *reply)
{
    const struct answer_terms *terms = answer->terms;
    bool has_password = secret_kind(terms) == SECRET_PLAIN;
    char nonce[SCRAM_NONCE_BYTES + 1];
    bool scram, plus;

    if (!take_mechanisms(list, bytes, &scram, &plus))
        return malformed(answer, "invalid list of authentication mechanisms");
    plus = plus && terms->binding.bytes > 0;
    if (!scram && !plus) {
        auth_error_set(&answer->error, "0A000",
                       "none of the server's SASL authentication mechanisms are supported");
        return LOGIN_FAILED;
    }
    if (!has_password && !have_keys(terms))
        return wrong_secret(answer, "SCRAM-SHA-256");
    if (!scram_nonce(nonce)) {
        auth_error_set(&answer->error, "XX000", "could not generate nonce");
        return LOGIN_FAILED;
    }
    scram_client_init(&answer->scram, has_password ? terms->secret->text : NULL, terms->keys, plus,
                      &terms->binding, nonce);
    send_first(answer, plus ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM, reply);
    answer_move(answer, LOGIN_ANSWER_SCRAM);
    return LOGIN_SEND;
}

static enum login_verdict step_start(struct login_answer *answer, uint32_t code, const void *data,
                                     size_t bytes, struct login_reply *reply)
{
    switch (code) {
    case AUTH_REQUEST_OK:
        return LOGIN_OK;
    case AUTH_REQUEST_CLEARTEXT:
        return send_password(answer, reply);
    case AUTH_REQUEST_MD5:
        return send_md5(answer, data, bytes, reply);
    case AUTH_REQUEST_SASL:
        return start_scram(answer, data, bytes, reply);
    case AUTH_REQUEST_SASL_CONTINUE:
    case AUTH_REQUEST_SASL_FINAL:
        return unexpected(answer, code);
    default:
        return unsupported(answer, code);
    }
}

/* Continue and Final must come when the exchange is there, and Ok only after the proof. */
static enum login_verdict step_scram(struct login_answer *answer, uint32_t code, const void *data,
                                     size_t bytes, struct login_reply *reply)
{
    uint32_t expected = answer->scram.state == SCRAM_CLIENT_FINAL ? AUTH_REQUEST_SASL_CONTINUE
                                                                  : AUTH_REQUEST_SASL_FINAL;
    struct scram_message message;

    if (code == AUTH_REQUEST_OK) {
        auth_error_set(&answer->error, "08P01",
                       "the server ended SCRAM authentication without proving that it knows the "
                       "secret of user \"%s\"",
                       answer->terms->user);
        return LOGIN_FAILED;
    }
    if (code != expected)
        return unexpected(answer, code);
    switch (scram_client_step(&answer->scram, data, bytes, &message, &answer->error)) {
    case SCRAM_SEND:
        reply->data = message.text;
        reply->bytes = message.bytes;
        return LOGIN_SEND;
    case SCRAM_DONE:
        answer_move(answer, LOGIN_ANSWER_PROVEN);
        return LOGIN_SEND;
    case SCRAM_WRONG:
    case SCRAM_FAILED:
        break;
    }
    return LOGIN_FAILED;
}

enum login_verdict login_answer_step(struct login_answer *answer, uint32_t code, const void *data,
                                     size_t bytes, struct login_reply *reply)
{
    enum login_verdict verdict = LOGIN_FAILED;

    *reply = (struct login_reply){0};
    switch (answer->state) {
    case LOGIN_ANSWER_START:
        verdict = step_start(answer, code, data, bytes, reply);
        break;
    case LOGIN_ANSWER_SENT:
    case LOGIN_ANSWER_PROVEN:
        verdict = code == AUTH_REQUEST_OK ? LOGIN_OK : unexpected(answer, code);
        break;
    case LOGIN_ANSWER_SCRAM:
        verdict = step_scram(answer, code, data, bytes, reply);
        break;
    case LOGIN_ANSWER_OVER:
        ensure(!"a login that waits for a request");
    }
    if (verdict != LOGIN_SEND)
        answer_move(answer, LOGIN_ANSWER_OVER);
    return verdict;
}

#include <stdio.h>
#include <string.h>

#include "auth/crypto.h"
#include "auth/scram_keys.h"
#include "auth/scram_text.h"
#include "sluice/auth/scram.h"
#include "sluice/base/ensure.h"

#define STATE(state) (1U << (state))

static const unsigned moves[] = {
    [SCRAM_SERVER_FIRST] = STATE(SCRAM_SERVER_FINAL) | STATE(SCRAM_SERVER_OVER),
    [SCRAM_SERVER_FINAL] = STATE(SCRAM_SERVER_PROVEN) | STATE(SCRAM_SERVER_OVER),
    [SCRAM_SERVER_PROVEN] = 0,
    [SCRAM_SERVER_OVER] = 0,
};

static void server_move(struct scram_server *server, enum scram_server_state state)
{
    ensure(moves[server->state] & STATE(state));
    server->state = state;
}

void scram_server_init(struct scram_server *server, const struct scram_verifier *verifier,
                       bool doomed, bool plus, const struct channel_binding *binding,
                       const char *nonce)
{
    ensure(strlen(nonce) < sizeof(server->own_nonce));
    ensure(verifier->iterations > 0 && verifier->salt_bytes <= SCRAM_SALT_BYTES_MAX);
    ensure(binding->bytes <= CHANNEL_BINDING_BYTES_MAX && (binding->bytes > 0 || !plus));
    server->state = SCRAM_SERVER_FIRST;
    server->plus = plus;
    server->doomed = doomed;
    server->gs2_flag = 'n';
    server->verifier = *verifier;
    server->binding = *binding;
    memcpy(server->own_nonce, nonce, strlen(nonce) + 1);
    server->nonce_at = server->nonce_bytes = 0;
    server->text.bytes = 0;
}

void scram_server_fini(struct scram_server *server)
{
    secret_wipe(server, sizeof(*server));
}

/* "n" and "y": no channel binding, which must agree with the mechanism and with what we offered. */
static bool check_no_binding(const struct scram_server *server, struct auth_error *error)
{
    if (server->plus)
        return scram_malformed(error, "The client selected SCRAM-SHA-256-PLUS, but the SCRAM "
                                      "message does not include channel binding data.");
    if (server->gs2_flag == 'y' && server->binding.bytes > 0) {
        auth_error_set(error, "28000", "SCRAM channel binding negotiation error");
        auth_error_detail(error, "The client supports SCRAM channel binding but thinks the server "
                                 "does not.  However, this server does support channel binding.");
        return false;
    }
    return true;
}

/* Takes "p=tls-server-end-point,". */
static bool take_binding_type(const struct scram_server *server, struct scram_cursor *cursor,
                              struct auth_error *error)
{
    static const char type[] = "tls-server-end-point";
    struct scram_value value;

    if (!server->plus)
        return scram_malformed(error, "The client selected SCRAM-SHA-256 without channel binding, "
                                      "but the SCRAM message includes channel binding data.");
    if (!scram_take(cursor, 'p', &value, error))
        return false;
    if (!scram_value_is(&value, type, sizeof(type) - 1)) {
        int shown = scram_value_printable(&value) && value.bytes <= 64 ? (int)value.bytes : 0;

        auth_error_set(error, "08P01", "unsupported SCRAM channel-binding type \"%.*s\"", shown,
                       value.text);
        return false;
    }
    return true;
}

/* gs2-header: channel binding flag, no authorization identity. */
static bool take_gs2_header(struct scram_server *server, struct scram_cursor *cursor,
                            struct auth_error *error)
{
    char flag = scram_cursor_peek(cursor);

    if (flag != 'n' && flag != 'y' && flag != 'p')
        return scram_malformed(error, "Unexpected channel-binding flag \"%s\".",
                               scram_byte_show(flag).text);
    server->gs2_flag = flag;
    if (flag == 'p') {
        if (!take_binding_type(server, cursor, error))
            return false;
    } else {
        if (!check_no_binding(server, error))
            return false;
        cursor->at++;
        if (scram_cursor_peek(cursor) != ',')
            return scram_malformed(error, "Comma expected, but found character \"%s\".",
                                   scram_byte_show(scram_cursor_peek(cursor)).text);
        cursor->at++;
    }
    if (scram_cursor_peek(cursor) == 'a') {
        auth_error_set(error, "0A000",
                       "client uses authorization identity, but it is not supported");
        return false;
    }
    if (scram_cursor_peek(cursor) != ',')
        return scram_malformed(error, "Unexpected attribute \"%s\" in client-first-message.",
                               scram_byte_show(scram_cursor_peek(cursor)).text);
    cursor->at++;
    return true;
}

/* client-first-message: the header is checked, the rest goes to the AuthMessage. */
static bool take_first(struct scram_server *server, struct scram_cursor *cursor,
                       struct scram_value *nonce, struct auth_error *error)
{
    struct scram_value user, ignored;
    const char *bare;
    char name;

    if (!take_gs2_header(server, cursor, error))
        return false;
    bare = cursor->at;
    if (scram_cursor_peek(cursor) == 'm') {
        auth_error_set(error, "0A000", "client requires an unsupported SCRAM extension");
        return false;
    }
    if (!scram_take(cursor, 'n', &user, error) || !scram_take(cursor, 'r', nonce, error))
        return false;
    if (!scram_value_printable(nonce)) {
        auth_error_set(error, "08P01", "non-printable characters in SCRAM nonce");
        return false;
    }
    if (nonce->bytes > SCRAM_NONCE_BYTES_MAX / 2)
        return scram_malformed(error, "The nonce is longer than %d bytes.",
                               SCRAM_NONCE_BYTES_MAX / 2);
    while (cursor->at < cursor->end)
        if (!scram_take_any(cursor, &name, &ignored, error))
            return false;
    return scram_text_append(&server->text, bare, (size_t)(cursor->end - bare)) ||
           scram_malformed(error, "The message is too long.");
}

/* Appends server-first-message to the AuthMessage and replies with it. */
static void make_first(struct scram_server *server, const struct scram_value *client_nonce,
                       struct scram_message *reply)
{
    const struct scram_verifier *verifier = &server->verifier;
    struct scram_text *text = &server->text;
    char iterations[24];
    int digits = snprintf(iterations, sizeof(iterations), ",i=%u,", verifier->iterations);
    size_t start = text->bytes + 1, own_nonce_bytes = strlen(server->own_nonce);
    bool fits = scram_text_append(text, ",r=", 3);

    server->nonce_at = text->bytes;
    server->nonce_bytes = client_nonce->bytes + own_nonce_bytes;
    fits = fits && scram_text_append(text, client_nonce->text, client_nonce->bytes) &&
           scram_text_append(text, server->own_nonce, own_nonce_bytes) &&
           scram_text_append(text, ",s=", 3) &&
           scram_text_append_base64(text, verifier->salt, verifier->salt_bytes) &&
           scram_text_append(text, iterations, (size_t)digits);
    ensure(fits); /* SCRAM_TEXT_BYTES has room for the longest messages that were let in */
    reply->text = text->data + start;
    reply->bytes = text->bytes - 1 - start; /* the comma is the AuthMessage's */
}

static bool check_binding(const struct scram_server *server, const struct scram_value *value,
                          struct auth_error *error)
{
    char expected[SCRAM_BINDING_TEXT_BYTES];
    size_t bytes = scram_binding_text(server->gs2_flag, &server->binding, expected);

    if (scram_value_is(value, expected, bytes))
        return true;
    if (server->plus)
        auth_error_set(error, "28000", "SCRAM channel binding check failed");
    else
        auth_error_set(error, "08P01",
                       "unexpected SCRAM channel-binding attribute in client-final-message");
    return false;
}

/* client-final-message: binding and nonce are checked, the text before the proof goes to the
 * AuthMessage, the proof to *proof. */
static bool take_final(struct scram_server *server, struct scram_cursor *cursor,
                       uint8_t proof[SCRAM_KEY_BYTES], struct auth_error *error)
{
    const char *start = cursor->at, *before_proof;
    struct scram_value binding, nonce, value;
    size_t proof_bytes;
    char name;

    if (!scram_take(cursor, 'c', &binding, error) || !check_binding(server, &binding, error) ||
        !scram_take(cursor, 'r', &nonce, error))
        return false;
    do {
        before_proof = cursor->at - 1;
        if (!scram_take_any(cursor, &name, &value, error))
            return false;
    } while (name != 'p');
    if (!crypto_base64_decode(value.text, value.bytes, proof, SCRAM_KEY_BYTES, &proof_bytes) ||
        proof_bytes != SCRAM_KEY_BYTES)
        return scram_malformed(error, "Malformed proof in client-final-message.");
    if (cursor->at < cursor->end)
        return scram_malformed(error, "Garbage found at the end of client-final-message.");
    if (!scram_value_is(&nonce, server->text.data + server->nonce_at, server->nonce_bytes)) {
        auth_error_set(error, "08P01", "invalid SCRAM response");
        auth_error_detail(error, "Nonce does not match.");
        return false;
    }
    return scram_text_append(&server->text, start, (size_t)(before_proof - start)) ||
           scram_malformed(error, "The message is too long.");
}

/* Every step is done for every client, doomed or not. */
static enum scram_verdict verify_proof(struct scram_server *server,
                                       const uint8_t proof[SCRAM_KEY_BYTES],
                                       struct scram_message *reply, struct auth_error *error)
{
    const struct scram_text *text = &server->text;
    uint8_t signature[SCRAM_KEY_BYTES], stored_key[SCRAM_KEY_BYTES];
    bool right;

    if (!scram_sign(server->verifier.stored_key, text->data, text->bytes, signature))
        goto no_crypto;
    scram_xor(proof, signature, server->client_key);
    if (!scram_stored_key(server->client_key, stored_key) ||
        !scram_sign(server->verifier.server_key, text->data, text->bytes, signature))
        goto no_crypto;
    right = secret_equal(stored_key, server->verifier.stored_key, SCRAM_KEY_BYTES);
    secret_wipe(stored_key, sizeof(stored_key));
    if (!right || server->doomed)
        return SCRAM_WRONG;
    memcpy(server->final, "v=", 2);
    reply->text = server->final;
    reply->bytes = 2 + crypto_base64_encode(signature, sizeof(signature), server->final + 2);
    return SCRAM_DONE;

no_crypto:
    auth_error_set(error, "XX000", "could not compute a SCRAM signature");
    return SCRAM_FAILED;
}

static enum scram_verdict step_first(struct scram_server *server, struct scram_cursor *cursor,
                                     struct scram_message *reply, struct auth_error *error)
{
    struct scram_value nonce;

    if (!take_first(server, cursor, &nonce, error))
        return SCRAM_FAILED;
    make_first(server, &nonce, reply);
    server_move(server, SCRAM_SERVER_FINAL);
    return SCRAM_SEND;
}

static enum scram_verdict step_final(struct scram_server *server, struct scram_cursor *cursor,
                                     struct scram_message *reply, struct auth_error *error)
{
    uint8_t proof[SCRAM_KEY_BYTES];
    enum scram_verdict verdict;

    if (!take_final(server, cursor, proof, error))
        return SCRAM_FAILED;
    verdict = verify_proof(server, proof, reply, error);
    if (verdict == SCRAM_DONE)
        server_move(server, SCRAM_SERVER_PROVEN);
    return verdict;
}

enum scram_verdict scram_server_step(struct scram_server *server, const void *message, size_t bytes,
                                     struct scram_message *reply, struct auth_error *error)
{
    enum scram_verdict verdict = SCRAM_FAILED;
    struct scram_cursor cursor;

    ensure(server->state == SCRAM_SERVER_FIRST || server->state == SCRAM_SERVER_FINAL);
    *reply = (struct scram_message){0};
    if (scram_cursor_init(&cursor, message, bytes, error)) {
        if (server->state == SCRAM_SERVER_FIRST)
            verdict = step_first(server, &cursor, reply, error);
        else
            verdict = step_final(server, &cursor, reply, error);
    }
    if (verdict == SCRAM_FAILED || verdict == SCRAM_WRONG)
        server_move(server, SCRAM_SERVER_OVER);
    return verdict;
}

void scram_server_keys(const struct scram_server *server, struct scram_keys *keys)
{
    ensure(server->state == SCRAM_SERVER_PROVEN);
    *keys = (struct scram_keys){.iterations = server->verifier.iterations,
                                .salt_bytes = server->verifier.salt_bytes};
    memcpy(keys->salt, server->verifier.salt, sizeof(keys->salt));
    memcpy(keys->client_key, server->client_key, SCRAM_KEY_BYTES);
    memcpy(keys->server_key, server->verifier.server_key, SCRAM_KEY_BYTES);
}

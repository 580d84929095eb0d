#include <string.h>

#include "auth/crypto.h"
#include "auth/scram_keys.h"
#include "auth/scram_text.h"
#include "sluice/auth/scram.h"
#include "sluice/base/ensure.h"

#define STATE(state) (1U << (state))

static const unsigned moves[] = {
    [SCRAM_CLIENT_FIRST] = STATE(SCRAM_CLIENT_FINAL),
    [SCRAM_CLIENT_FINAL] = STATE(SCRAM_CLIENT_VERIFY) | STATE(SCRAM_CLIENT_OVER),
    [SCRAM_CLIENT_VERIFY] = STATE(SCRAM_CLIENT_OVER),
    [SCRAM_CLIENT_OVER] = 0,
};

static void client_move(struct scram_client *client, enum scram_client_state state)
{
    ensure(moves[client->state] & STATE(state));
    client->state = state;
}

void scram_client_init(struct scram_client *client, const char *password, struct scram_keys *keys,
                       bool plus, const struct channel_binding *binding, const char *nonce)
{
    ensure(password || keys);
    ensure(strlen(nonce) < sizeof(client->own_nonce));
    ensure(binding->bytes <= CHANNEL_BINDING_BYTES_MAX && (binding->bytes > 0 || !plus));
    client->state = SCRAM_CLIENT_FIRST;
    client->plus = plus;
    client->binding = *binding;
    client->password = password;
    client->keys = keys;
    memcpy(client->own_nonce, nonce, strlen(nonce) + 1);
    client->header_bytes = 0;
    client->text.bytes = 0;
}

void scram_client_fini(struct scram_client *client)
{
    secret_wipe(client, sizeof(*client));
}

/* "y" tells a server that offers PLUS that somebody on the way has taken its offer out. */
static char gs2_flag(const struct scram_client *client)
{
    if (client->plus)
        return 'p';
    return client->binding.bytes > 0 ? 'y' : 'n';
}

void scram_client_first(struct scram_client *client, struct scram_message *message)
{
    const char *header = scram_gs2_header(gs2_flag(client));
    struct scram_text *text = &client->text;
    bool fits;

    client_move(client, SCRAM_CLIENT_FINAL);
    client->header_bytes = strlen(header);
    fits = scram_text_append(text, header, client->header_bytes) &&
           scram_text_append(text, "n=,r=", 5) &&
           scram_text_append(text, client->own_nonce, strlen(client->own_nonce));
    ensure(fits);
    message->text = text->data;
    message->bytes = text->bytes;
}

static bool refuse(struct auth_error *error, const char *why)
{
    auth_error_set(error, "08P01", "malformed SCRAM message from the server (%s)", why);
    return false;
}

/* What scram_take() found wrong is told as a detail about the server. */
static bool take(struct scram_cursor *cursor, char name, struct scram_value *value,
                 struct auth_error *error)
{
    if (scram_take(cursor, name, value, error))
        return true;
    auth_error_set(error, "08P01",
                   "malformed SCRAM message from the server (attribute \"%c\" expected)", name);
    return false;
}

static bool parse_iterations(const struct scram_value *value, uint32_t *iterations,
                             struct auth_error *error)
{
    uint32_t count = 0;

    if (value->bytes == 0)
        return refuse(error, "invalid iteration count");
    for (size_t i = 0; i < value->bytes; i++) {
        if (value->text[i] < '0' || value->text[i] > '9')
            return refuse(error, "invalid iteration count");
        count = count * 10 + (uint32_t)(value->text[i] - '0');
        if (count > SCRAM_ITERATIONS_MAX) {
            auth_error_set(error, "08P01",
                           "the server asks for more than %d SCRAM iterations, which would keep "
                           "Sluice busy for too long",
                           SCRAM_ITERATIONS_MAX);
            return false;
        }
    }
    if (count == 0)
        return refuse(error, "invalid iteration count");
    *iterations = count;
    return true;
}

struct server_first {
    struct scram_value nonce;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_bytes;
    uint32_t iterations;
};

static bool take_first(const struct scram_client *client, struct scram_cursor *cursor,
                       struct server_first *first, struct auth_error *error)
{
    size_t own_nonce_bytes = strlen(client->own_nonce);
    struct scram_value value;

    if (scram_cursor_peek(cursor) == 'm')
        return refuse(error, "it requires an extension that Sluice does not know");
    if (!take(cursor, 'r', &first->nonce, error))
        return false;
    if (first->nonce.bytes > SCRAM_NONCE_BYTES_MAX)
        return refuse(error, "the nonce is too long");
    if (!scram_value_printable(&first->nonce))
        return refuse(error, "non-printable characters in the nonce");
    if (first->nonce.bytes <= own_nonce_bytes ||
        memcmp(first->nonce.text, client->own_nonce, own_nonce_bytes) != 0)
        return refuse(error, "nonce mismatch");
    if (!take(cursor, 's', &value, error))
        return false;
    if (!crypto_base64_decode(value.text, value.bytes, first->salt, sizeof(first->salt),
                              &first->salt_bytes) ||
        first->salt_bytes == 0)
        return refuse(error, "invalid salt");
    if (!take(cursor, 'i', &value, error) || !parse_iterations(&value, &first->iterations, error))
        return false;
    return cursor->at == cursor->end || refuse(error, "garbage at end of server-first-message");
}

/* Leaves in *keys what belongs to this salt and iteration count: from the given keys, or derived.
 */
static bool find_keys(struct scram_client *client, const struct server_first *first,
                      struct scram_keys *keys, struct auth_error *error)
{
    const struct scram_keys *known = client->keys;

    if (known && known->iterations == first->iterations && known->salt_bytes == first->salt_bytes &&
        memcmp(known->salt, first->salt, first->salt_bytes) == 0) {
        *keys = *known;
        return true;
    }
    if (!client->password) {
        auth_error_set(error, "28P01",
                       "the server's SCRAM secret is not the one that the client has proved: its "
                       "salt or iteration count differs");
        auth_error_detail(error, "Give Sluice the very secret that the server has stored, or the "
                                 "password.");
        return false;
    }
    if (!scram_keys_derive(keys, client->password, first->iterations, first->salt,
                           first->salt_bytes)) {
        auth_error_set(error, "XX000", "could not derive SCRAM keys");
        return false;
    }
    if (client->keys)
        *client->keys = *keys;
    return true;
}

/* Signs the AuthMessage and appends the proof: the end of client-final-message. */
static bool append_proof(struct scram_client *client, const struct scram_keys *keys)
{
    struct scram_text *text = &client->text;
    const char *message = text->data + client->header_bytes;
    size_t bytes = text->bytes - client->header_bytes;
    uint8_t stored_key[SCRAM_KEY_BYTES], signature[SCRAM_KEY_BYTES], proof[SCRAM_KEY_BYTES];
    bool done;

    done = scram_stored_key(keys->client_key, stored_key) &&
           scram_sign(stored_key, message, bytes, signature) &&
           scram_sign(keys->server_key, message, bytes, client->server_signature);
    if (done) {
        scram_xor(keys->client_key, signature, proof);
        done = scram_text_append(text, ",p=", 3) &&
               scram_text_append_base64(text, proof, sizeof(proof));
    }
    secret_wipe(stored_key, sizeof(stored_key));
    secret_wipe(signature, sizeof(signature));
    return done;
}

static enum scram_verdict step_first(struct scram_client *client, struct scram_cursor *cursor,
                                     struct scram_message *reply, struct auth_error *error)
{
    const char *message = cursor->at;
    size_t bytes = (size_t)(cursor->end - cursor->at), start, binding_bytes;
    struct scram_text *text = &client->text;
    char binding[SCRAM_BINDING_TEXT_BYTES];
    struct server_first first;
    struct scram_keys keys;
    bool done;

    if (!take_first(client, cursor, &first, error) || !find_keys(client, &first, &keys, error))
        return SCRAM_FAILED;
    binding_bytes = scram_binding_text(gs2_flag(client), &client->binding, binding);
    done = scram_text_append(text, ",", 1) && scram_text_append(text, message, bytes) &&
           scram_text_append(text, ",", 1);
    start = text->bytes;
    done = done && scram_text_append(text, "c=", 2) &&
           scram_text_append(text, binding, binding_bytes) && scram_text_append(text, ",r=", 3) &&
           scram_text_append(text, first.nonce.text, first.nonce.bytes);
    done = done && append_proof(client, &keys);
    secret_wipe(&keys, sizeof(keys));
    if (!done) {
        auth_error_set(error, "XX000", "could not compute a SCRAM proof");
        return SCRAM_FAILED;
    }
    reply->text = text->data + start;
    reply->bytes = text->bytes - start;
    client_move(client, SCRAM_CLIENT_VERIFY);
    return SCRAM_SEND;
}

static enum scram_verdict step_verify(struct scram_client *client, struct scram_cursor *cursor,
                                      struct auth_error *error)
{
    uint8_t signature[SCRAM_KEY_BYTES];
    struct scram_value value;
    size_t bytes;

    if (scram_cursor_peek(cursor) == 'e') {
        if (take(cursor, 'e', &value, error)) {
            int shown = scram_value_printable(&value) && value.bytes <= 64 ? (int)value.bytes : 0;

            auth_error_set(error, "28P01", "error received from server in SCRAM exchange: %.*s",
                           shown, value.text);
        }
        return SCRAM_FAILED;
    }
    if (!take(cursor, 'v', &value, error))
        return SCRAM_FAILED;
    if (!crypto_base64_decode(value.text, value.bytes, signature, sizeof(signature), &bytes) ||
        bytes != sizeof(signature)) {
        refuse(error, "invalid server signature");
        return SCRAM_FAILED;
    }
    if (cursor->at < cursor->end) {
        refuse(error, "garbage at end of server-final-message");
        return SCRAM_FAILED;
    }
    if (!secret_equal(signature, client->server_signature, sizeof(signature))) {
        auth_error_set(error, "28P01",
                       "incorrect server signature: the server does not know the user's secret");
        return SCRAM_FAILED;
    }
    client_move(client, SCRAM_CLIENT_OVER);
    return SCRAM_DONE;
}

enum scram_verdict scram_client_step(struct scram_client *client, const void *message, size_t bytes,
                                     struct scram_message *reply, struct auth_error *error)
{
    enum scram_verdict verdict = SCRAM_FAILED;
    struct scram_cursor cursor;

    ensure(client->state == SCRAM_CLIENT_FINAL || client->state == SCRAM_CLIENT_VERIFY);
    *reply = (struct scram_message){0};
    if (!scram_cursor_init(&cursor, message, bytes, error))
        refuse(error, bytes == 0 ? "empty message" : "it is too long or holds a zero byte");
    else if (client->state == SCRAM_CLIENT_FINAL)
        verdict = step_first(client, &cursor, reply, error);
    else
        verdict = step_verify(client, &cursor, error);
    if (verdict == SCRAM_FAILED)
        client_move(client, SCRAM_CLIENT_OVER);
    return verdict;
}

/* answer: how we answer a server's authentication requests with the secret we have. It knows
 * payloads only; the caller frames them ('R' in, 'p' out). Embedded in a server that logs in;
 * touched by its worker. Nothing allocates. */
#ifndef SLUICE_AUTH_ANSWER_H
#define SLUICE_AUTH_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/auth/check.h"

/* What a login to a server is done with. All pointers are borrowed until login_answer_fini(). */
struct answer_terms {
    const char *user;
    const struct secret *secret; /* NULL or SECRET_NONE: no password known */
    struct scram_keys *keys;     /* with a plain secret: a cache that spares PBKDF2 from the second
                                  * login on, filled here (iterations 0 = empty); with any other
                                  * secret: what a client proved (login_check_keys); or NULL */
    struct channel_binding binding; /* with bytes: PLUS is used when the server offers it */
};

/* Payload of a 'p' message, inside struct login_answer or the secret; valid until the next call. */
struct login_reply {
    const void *data;
    size_t bytes; /* 0 = nothing to send: wait for the next 'R' */
};

enum login_answer_state {
    LOGIN_ANSWER_START,
    LOGIN_ANSWER_SENT, /* a password is on its way */
    LOGIN_ANSWER_SCRAM,
    LOGIN_ANSWER_PROVEN, /* the server's signature is right */
    LOGIN_ANSWER_OVER,
};

struct login_answer {
    enum login_answer_state state;
    const struct answer_terms *terms; /* borrowed */
    struct scram_client scram;
    char reply[SCRAM_MESSAGE_BYTES_MAX];
    struct auth_error error;
};

/* terms stays with the caller until _fini, which wipes. */
void login_answer_init(struct login_answer *answer, const struct answer_terms *terms);
void login_answer_fini(struct login_answer *answer);

/* Takes the code and the rest of an 'R' message (any length and content). LOGIN_SEND: send *reply
 * if it has bytes, wait for the next 'R'. LOGIN_OK: AuthenticationOk has come, rightly.
 * LOGIN_FAILED: answer->error says why, in words for the one who runs Sluice. */
enum login_verdict login_answer_step(struct login_answer *answer, uint32_t code, const void *data,
                                     size_t bytes, struct login_reply *reply);

#endif

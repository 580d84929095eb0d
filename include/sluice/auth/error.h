/* error: why a login was refused, as PostgreSQL would tell the client, plus one line for our log.
 * Embedded in the exchange that fills it (check.h, answer.h); touched by that connection's worker.
 */
#ifndef SLUICE_AUTH_ERROR_H
#define SLUICE_AUTH_ERROR_H

#define AUTH_MESSAGE_BYTES 320
#define AUTH_DETAIL_BYTES 192

struct auth_error {
    const char *sqlstate;             /* static, five characters; NULL = no error */
    const char *reason;               /* static; for the log only, never for the peer; or NULL */
    char message[AUTH_MESSAGE_BYTES]; /* ErrorResponse field M, cut when a name is too long */
    char detail[AUTH_DETAIL_BYTES];   /* ErrorResponse field D; "" = none */
};

/* Fills the error; the arguments after it are a printf format and its values. */
void auth_error_set(struct auth_error *error, const char *sqlstate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void auth_error_detail(struct auth_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

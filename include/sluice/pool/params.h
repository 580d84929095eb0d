/* params: session parameters (client_encoding, TimeZone, ...) as immutable sets. Equal sets are one
 * object (interned per worker), so that "do this client and this server agree?" is a comparison of
 * two pointers on the query path. A set belongs to its params_set, which belongs to one worker. */
#ifndef SLUICE_POOL_PARAMS_H
#define SLUICE_POOL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#define PARAM_NAME_BYTES 64 /* PostgreSQL's NAMEDATALEN */
#define PARAM_VALUE_BYTES 1024
#define PARAMS_BYTES_MAX 8192 /* of one set: names, values and their NULs */
#define PARAMS_MAX 128        /* in one set */
/* The SET statements of a whole set, at worst. */
#define PARAMS_SETS_BYTES (2 * PARAMS_BYTES_MAX + 16 * PARAMS_MAX)

struct params;

/* Sets of parameters that clients asked for at login, and what servers made of them. */
#define KNOWN_PARAMS 32

struct known_params {
    struct params *wanted, *result;
};

struct params_set {
    struct params *all; /* hash by content */
};

void params_set_fini(struct params_set *set);

/* The empty set; like all below that return a set, it is held for the caller. */
struct params *params_empty(struct params_set *set);

struct params *params_hold(struct params *params);

/* NULL is ignored. */
void params_drop(struct params_set *set, struct params *params);

/* The set that has name = value instead of what it had. `params` is dropped. When the result would
 * be too big, or name or value too long, returns params as it is. */
struct params *params_with(struct params_set *set, struct params *params, const char *name,
                           const char *value);

/* For a set that moves to another worker with its owner: takes it out of the one params_set (the
 * result belongs to none) and into the other. */
struct params *params_leave(struct params_set *from, struct params *params);
struct params *params_join(struct params_set *to, struct params *params);

bool params_are_empty(const struct params *params);

/* The set without this name. `params` is dropped. */
struct params *params_without(struct params_set *set, struct params *params, const char *name);

/* The value, or NULL. Names compare without case, as PostgreSQL's do. */
const char *params_get(const struct params *params, const char *name);

/* Walks the set: start with NULL, ends with NULL. */
const char *params_next(const struct params *params, const char *name, const char **value);

/* True for parameters that a client can set and that a server reports; the others (server_version,
 * is_superuser, ...) describe the server. */
bool param_settable(const char *name);

/* Writes the SET statements that turn `from` into `to` (parameters that `from` has as well) into
 * text, with a NUL. Returns the length; 0 when there is nothing to set; size when it did not fit.
 */
size_t params_difference(const struct params *to, const struct params *from, char *text,
                         size_t size);

/* The value of a setting that is tracked is kept as E'...' wants it: as bytea's output format
 * `escape` writes the bytes, whatever their encoding. Writes the statements that turn what a server
 * has from the one set into the other; an error in one of them ends the
 * server's session (exit_on_error), so that nothing behind it is done. Returns the length, without
 * the NUL. */
#define SETTINGS_TEXT_BYTES (6 * PARAMS_BYTES_MAX + 64 * PARAMS_MAX)
size_t settings_difference(const struct params *to, const struct params *from,
                           char text[SETTINGS_TEXT_BYTES]);

#endif

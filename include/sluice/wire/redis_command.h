/* redis_command: what each Redis command needs from the pool: one row for each command, and for
 * each subcommand, of Redis 7.0 (plus some of 7.2 to 8 and Valkey). Pure; the table is built before
 * main() and constant, so any thread may look commands up. What is not in it may be anything, and
 * runs on a connection of its own. */
#ifndef SLUICE_WIRE_REDIS_COMMAND_H
#define SLUICE_WIRE_REDIS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/wire/resp.h"

/* Where a command runs. */
enum redis_class {
    REDIS_CLASS_SHARED, /* on a shared connection, pipelined with other clients' commands */
    REDIS_CLASS_BLOCK,  /* MULTI to EXEC, ASKING and its command: nothing may come between. On a
                           shared connection if all of it is there and has no REDIS_STATE command,
                           else  on a leased one. EXEC and DISCARD without MULTI: shared */
    REDIS_CLASS_LEASE,  /* on a leased connection that stays the client's until the state it sets up
                           (WATCH, subscriptions, MONITOR, tracking) is gone */
    REDIS_CLASS_SINGLE, /* on a leased connection for this one command */
    REDIS_CLASS_CONTROL, /* on a connection that nothing slow is in front of, after the client's
                            earlier replies */
    REDIS_CLASS_LOCAL,   /* we answer */
    REDIS_CLASS_REFUSE,  /* we answer that it may not be */
    REDIS_CLASS_WAIT,    /* on the connection that carried this client's last write, which takes no
                            other traffic until the reply */
};

/* The first group is as COMMAND reports it. */
enum redis_flag {
    REDIS_WRITE = 1 << 0,
    REDIS_READONLY = 1 << 1,
    REDIS_BLOCKING = 1 << 2, /* may wait for other clients (inside MULTI none does) */
    REDIS_PUBSUB = 1 << 3,
    REDIS_ADMIN = 1 << 4,
    REDIS_NO_AUTH = 1 << 5,       /* allowed before the client has logged in */
    REDIS_NO_MULTI = 1 << 6,      /* refused inside MULTI, and the EXEC then fails */
    REDIS_MOVABLE_KEYS = 1 << 7,  /* where the keys are depends on other arguments */
    REDIS_CONTAINER = 1 << 8,     /* the second argument names a subcommand */
    REDIS_MAY_REPLICATE = 1 << 9, /* not a write, but may reach the replicas */
    /* Ours. */
    REDIS_SCRIPT = 1 << 10,  /* runs a script or function */
    REDIS_GATED = 1 << 11,   /* administers the server: only with admin_commands = yes */
    REDIS_STATE = 1 << 12,   /* may leave its connection in another state: a MULTI block that has it
                                needs a lease, which must be cleaned afterwards */
    REDIS_AT_ONCE = 1 << 13, /* runs inside MULTI too instead of being queued */
};

/* How unsent commands of several clients may become one. */
enum redis_batch {
    REDIS_BATCH_NONE,
    REDIS_BATCH_SAME,    /* identical ones are asked once */
    REDIS_BATCH_MGET,    /* GETs; a nil must be asked again alone, it may hide a WRONGTYPE */
    REDIS_BATCH_HMGET,   /* HGETs of one key */
    REDIS_BATCH_ZMSCORE, /* ZSCOREs of one key */
};

/* The commands that a proxy treats one by one. */
enum redis_command_id {
    REDIS_COMMAND_OTHER,
    REDIS_COMMAND_ASKING,
    REDIS_COMMAND_AUTH,
    REDIS_COMMAND_CLIENT_CACHING,
    REDIS_COMMAND_CLIENT_GETNAME,
    REDIS_COMMAND_CLIENT_GETREDIR,
    REDIS_COMMAND_CLIENT_ID,
    REDIS_COMMAND_CLIENT_INFO,
    REDIS_COMMAND_CLIENT_KILL,
    REDIS_COMMAND_CLIENT_LIST,
    REDIS_COMMAND_CLIENT_NO_EVICT,
    REDIS_COMMAND_CLIENT_NO_TOUCH,
    REDIS_COMMAND_CLIENT_PAUSE,
    REDIS_COMMAND_CLIENT_REPLY,
    REDIS_COMMAND_CLIENT_SETINFO,
    REDIS_COMMAND_CLIENT_SETNAME,
    REDIS_COMMAND_CLIENT_TRACKING,
    REDIS_COMMAND_CLIENT_TRACKINGINFO,
    REDIS_COMMAND_CLIENT_UNBLOCK,
    REDIS_COMMAND_CLIENT_UNPAUSE,
    REDIS_COMMAND_DISCARD,
    REDIS_COMMAND_ECHO,
    REDIS_COMMAND_EXEC,
    REDIS_COMMAND_HELLO,
    REDIS_COMMAND_MONITOR,
    REDIS_COMMAND_MULTI,
    REDIS_COMMAND_PING,
    REDIS_COMMAND_PSUBSCRIBE,
    REDIS_COMMAND_PUNSUBSCRIBE,
    REDIS_COMMAND_QUIT,
    REDIS_COMMAND_READONLY,
    REDIS_COMMAND_READWRITE,
    REDIS_COMMAND_RESET,
    REDIS_COMMAND_SELECT,
    REDIS_COMMAND_SHUTDOWN,
    REDIS_COMMAND_SSUBSCRIBE,
    REDIS_COMMAND_SUBSCRIBE,
    REDIS_COMMAND_SUNSUBSCRIBE,
    REDIS_COMMAND_UNSUBSCRIBE,
    REDIS_COMMAND_UNWATCH,
    REDIS_COMMAND_WAIT,
    REDIS_COMMAND_WAITAOF,
    REDIS_COMMAND_WATCH,
    REDIS_COMMAND_XREAD,
    REDIS_COMMAND_XREADGROUP,
};

struct redis_command {
    const char *name; /* lower case; a subcommand as "client|setname"; "" for all unknown ones */
    int8_t arity;     /* arguments, names included; negative: at least so many */
    int8_t first_key, last_key, key_step; /* of COMMAND; 0 = no keys, last_key < 0: from the end */
    enum redis_class class;
    uint32_t flags; /* enum redis_flag */
    enum redis_batch batch;
    enum redis_command_id id;
};

/* One use of a command. */
struct redis_call {
    const struct redis_command *command; /* never NULL */
    enum redis_class class;              /* for these arguments */
    uint32_t flags;                      /* the row's, corrected for these arguments */
};

/* Says what to do with a request that resp_request_next found at `data` (WHOLE or LONG). An
 * argument that was too long to be seen counts as the one that asks for more care. A command that
 * Redis will refuse (unknown, wrong number of arguments) is SINGLE, so that the client gets the
 * server's own error; a SHARED one stays so, since that is just as exact. */
struct redis_call redis_command_classify(const uint8_t *data, const struct resp_request *request);

/* The row of a command, or of a container's subcommand; any case. NULL if there is none. */
const struct redis_command *redis_command_find(const void *name, size_t length);
const struct redis_command *redis_subcommand_find(const struct redis_command *container,
                                                  const void *name, size_t length);

#endif

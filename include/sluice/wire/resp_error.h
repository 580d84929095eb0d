/* resp_error: every error text that Sluice itself sends to a Redis client, one row each. Texts that
 * Redis has too are word for word those of redis-server 7.0 (7.2 where the name says so); the last
 * group is our own. Data only; any thread. */
#ifndef SLUICE_WIRE_RESP_ERROR_H
#define SLUICE_WIRE_RESP_ERROR_H

/* X(NAME, text): each "%s" stands for one subject, given when the error is written
 * (resp_write_error). */
#define RESP_ERROR_ROWS(X)                                                                         \
    /* The client's bytes are no request: answer, then close. */                                   \
    X(MULTIBULK_LENGTH, "ERR Protocol error: invalid multibulk length")                            \
    X(MULTIBULK_LENGTH_NOAUTH, "ERR Protocol error: unauthenticated multibulk length")             \
    X(MULTIBULK_LINE, "ERR Protocol error: too big mbulk count string")                            \
    X(BULK_EXPECTED, "ERR Protocol error: expected '$', got '%s'")                                 \
    X(BULK_LENGTH, "ERR Protocol error: invalid bulk length")                                      \
    X(BULK_LENGTH_NOAUTH, "ERR Protocol error: unauthenticated bulk length")                       \
    X(BULK_LINE, "ERR Protocol error: too big bulk count string")                                  \
    X(INLINE_LINE, "ERR Protocol error: too big inline request")                                   \
    X(INLINE_QUOTES, "ERR Protocol error: unbalanced quotes in request")                           \
    /* The command cannot be. */                                                                   \
    X(UNKNOWN_COMMAND, "ERR unknown command '%s', with args beginning with: %s")                   \
    X(UNKNOWN_SUBCOMMAND, "ERR unknown subcommand '%s'. Try %s HELP.")                             \
    X(ARITY, "ERR wrong number of arguments for '%s' command")                                     \
    X(SYNTAX, "ERR syntax error")                                                                  \
    X(NOT_AN_INTEGER, "ERR value is not an integer or out of range")                               \
    X(NOPERM, "NOPERM this user has no permissions to run the '%s' command")                       \
    X(NOPERM_72, "NOPERM User %s has no permissions to run the '%s' command")                      \
    /* Who the client is. */                                                                       \
    X(NOAUTH, "NOAUTH Authentication required.")                                                   \
    X(NOAUTH_HELLO, "NOAUTH HELLO must be called with the client already authenticated, "          \
                    "otherwise the HELLO AUTH <user> <pass> option can be used to authenticate "   \
                    "the client and select the RESP protocol version at the same time")            \
    X(WRONGPASS, "WRONGPASS invalid username-password pair or user is disabled.")                  \
    X(NO_PASSWORD_SET, "ERR AUTH <password> called without any password configured for the "       \
                       "default user. Are you sure your configuration is correct?")                \
    X(NOPROTO, "NOPROTO unsupported protocol version")                                             \
    X(PROTOCOL_NUMBER, "ERR Protocol version is not an integer or out of range")                   \
    X(HELLO_OPTION, "ERR Syntax error in HELLO option '%s'")                                       \
    X(DB_INDEX, "ERR DB index is out of range")                                                    \
    X(DB_CLUSTER, "ERR SELECT is not allowed in cluster mode")                                     \
    X(NOT_CLUSTER, "ERR This instance has cluster support disabled")                               \
    X(CLIENTS_MAX, "ERR max number of clients reached")                                            \
    /* CLIENT ... */                                                                               \
    X(CLIENT_NAME, "ERR Client names cannot contain spaces, newlines or special characters.")      \
    X(CLIENT_NONE, "ERR No such client")                                                           \
    X(CLIENT_ID, "ERR Invalid client ID")                                                          \
    X(CLIENT_KILL_ID, "ERR client-id should be greater than 0")                                    \
    X(CLIENT_TYPE, "ERR Unknown client type '%s'")                                                 \
    X(CLIENT_USER, "ERR No such user '%s'")                                                        \
    X(CLIENT_UNBLOCK, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")                      \
    X(UNBLOCKED, "UNBLOCKED client unblocked via CLIENT UNBLOCK")                                  \
    /* Transactions and subscriptions. */                                                          \
    X(MULTI_NESTED, "ERR MULTI calls can not be nested")                                           \
    X(WATCH_IN_MULTI, "ERR WATCH inside MULTI is not allowed")                                     \
    X(NOT_IN_MULTI, "ERR Command not allowed inside a transaction")                                \
    X(EXEC_ALONE, "ERR EXEC without MULTI")                                                        \
    X(DISCARD_ALONE, "ERR DISCARD without MULTI")                                                  \
    X(EXECABORT, "EXECABORT Transaction discarded because of previous errors.")                    \
    X(SUBSCRIBED, "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "  \
                  "/ RESET are allowed in this context")                                           \
    /* Our own: the pool and the server behind it. */                                              \
    X(COMMAND_TIMEOUT, "ERR command timeout: no reply in time, whether it took effect is unknown") \
    X(WAIT_TIMEOUT, "ERR wait timeout: no server connection became free in time")                  \
    X(WAIT_FULL, "ERR too many clients wait for a server connection")                              \
    X(BLOCKED_FULL, "ERR too many clients wait in blocking commands")                              \
    X(SERVER_DOWN, "ERR server connection failed: %s")                                             \
    X(SERVER_LOST, "ERR server connection lost, whether this command took effect is unknown")      \
    X(SERVER_GARBLED, "ERR server connection closed: its reply was not understood")                \
    X(DISABLED, "ERR the pool is disabled")                                                        \
    X(SHUTDOWN, "ERR the pooler is shutting down")

enum resp_error {
    RESP_ERROR_NONE,
#define X(name, text) RESP_ERROR_##name,
    RESP_ERROR_ROWS(X)
#undef X
        RESP_ERRORS,
};

/* The row's text, with its "%s". */
const char *resp_error_text(enum resp_error error);

#endif

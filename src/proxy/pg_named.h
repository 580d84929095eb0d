/* pg_named: the names that one client has given to prepared statements, and the changes of that
 * map, and of what its server has prepared, that are on their way. A change counts at once for what
 * the client sends behind it, and is undone when the server turns out to have skipped the message.
 * For pg_statements.c. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_NAMED_H
#define SLUICE_PROXY_PG_NAMED_H

#include "pg_client.h"
#include "sluice/batch/prepare.h"

/* PostgreSQL tells prepared statements apart by so many bytes of their names. */
#define NAME_BYTES 64

/* A name that the client has given; statement NULL: it is closed, or its Parse has failed. */
struct named {
    UT_hash_handle hh;
    struct list_node node; /* of by_use */
    struct pg_statement *statement;
    uint32_t serial, stretch;   /* of the last change that is not answered; serial 0: none */
    uint32_t changes;           /* in the ring that refer to it */
    uint32_t effects;           /* of executing it (pg_session_effects) */
    uint32_t settings;          /* under which its key was made: number of pg_statements */
    struct pg_description told; /* to the client, of this statement (pg_described.h) */
    char name[NAME_BYTES];
};

/* Whom the answer to a Describe tells what. */
enum describes {
    DESCRIBES_NOT,
    DESCRIBES_SERVER,  /* us: what the statement is on this server */
    DESCRIBES_COLUMNS, /* the client, of its portal */
    DESCRIBES_ALL,     /* the client, of its statement */
};

/* What a message that is on its way changes: on the server, in the client's map, or both. */
struct change {
    uint8_t key[STATEMENT_KEY_BYTES];
    uint32_t server_serial; /* 0: nothing on the server */
    struct named *named;    /* NULL: nothing in the map */
    uint32_t named_serial;
    struct pg_statement *previous; /* what the name meant before; held */
    struct pg_description previous_told;
    uint32_t stretch;
    bool duplicate;    /* a Parse for a name that is in use: fails */
    uint8_t describes; /* enum describes */
};

/* Whether what is sent is kept, to be sent again (pg_repeat.h). */
enum repeat {
    REPEAT_OFF,
    REPEAT_OPEN,   /* it is kept */
    REPEAT_CLOSED, /* it is, up to the Sync that ends it */
    REPEAT_AGAIN,  /* it is being sent again; that is not kept */
};

struct pg_statements {
    struct named *by_name; /* hash */
    struct list by_use;
    size_t bytes;
    size_t sql_count;       /* of names that PREPARE has given */
    struct change *changes; /* ring */
    uint32_t first, count, size;
    uint32_t serial;
    uint32_t stretch;   /* counts Syncs */
    struct buffer kept; /* of the present stretch, as the client sent it */
    struct buffer held; /* a ParameterDescription (pg_described.h) */
    enum repeat repeat;
    bool stretch_begun;            /* by more than a Parse that needed nothing done */
    bool deallocating;             /* a DEALLOCATE or DISCARD is on its way */
    uint32_t deallocating_stretch; /* as messages of this stretch; 0: as a simple query */
    bool refuses;           /* the Bind at hand: its statement is not what the client was told */
    bool supplied;          /* the server has prepared its statement for that Bind */
    bool flushed;           /* and has to answer at once */
    struct named *bound;    /* by the last Bind; NULL: none that matters */
    uint32_t bound_portal;  /* hash of the portal's name */
    uint32_t bound_columns; /* pg_description of the statement on the server; 0: not known */
    struct pg_description description; /* what has come of the answer to a noted Describe */
    struct buffer collected;           /* of a Parse that came in pieces */
    /* What has been told of the client's settings in keys: numbered, so that a change is seen. */
    struct params *params, *settings; /* held */
    uint32_t settings_number;
    uint8_t settings_key[STATEMENT_KEY_BYTES];
    struct prepare found; /* in the Query at hand (pg_carried.h) */
    int32_t shift;        /* characters by which the Query that is sent is longer than it */
    bool readied;         /* the server has been asked to prepare what it needs */
};

/* What the server has of the statement; one that has changed meanwhile is in doubt there. */
enum prepared_state statement_state(struct pg_client *client, const struct pg_statement *statement);

/* A content of a statement, before it is one; sql: as in struct pg_statement. */
struct content {
    const uint8_t *body;
    size_t bytes;
    bool sql;
};

/* The key of a statement that the client parses now. What it has set may change what constants in
 * the text mean (dates, escapes, encoding), so only those with the same settings share it. */
void statement_key_for(struct pg_client *client, struct content content,
                       uint8_t key[STATEMENT_KEY_BYTES]);

/* The statement of this content and key, held. */
struct pg_statement *statement_take(struct pg_client *client, struct content content,
                                    const uint8_t key[STATEMENT_KEY_BYTES]);

/* The client's, made when it has none. */
struct pg_statements *statements_need(struct pg_client *client);

/* NULL: the client never gave this name, or it is forgotten. */
struct named *named_find(const struct pg_statements *statements, const char *name);

/* The same, for use. When the client's settings have changed since it was prepared, it is from now
 * on the statement that has the same content under these. */
struct named *named_for_use(struct pg_client *client, const char *name);

struct named *named_add(struct pg_statements *statements, const char *name);

/* It is used: the last of all to be forgotten. */
void named_used(struct pg_statements *statements, struct named *named);

/* Forgets what was used longest ago, but not `keep`, while the client has more than it may. */
void named_bound(struct pg_client *client, const struct named *keep);

/* Forgets one of which nothing is on its way. */
void named_forget(struct pg_client *client, struct named *named);

/* DEALLOCATE ALL: forgets those of which nothing is on its way. */
void named_forget_all(struct pg_client *client);

/* The index-th change on its way. */
struct change *change_at(const struct pg_statements *statements, uint32_t index);

/* One more, empty; valid until the next one. */
struct change *change_add(struct pg_statements *statements);

/* With this change the name means something else; takes over `statement`, which is NULL when the
 * name is closed. */
void change_named(struct pg_statements *statements, struct change *change, struct named *named,
                  struct pg_statement *statement);

#endif

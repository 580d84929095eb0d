/* pg_named: the names that one client has given to prepared statements, and the changes of that
 * map, and of what its server has prepared, that are on their way. A change counts at once for what
 * the client sends behind it, and is undone when the server turns out to have skipped the message.
 * For pg_statements.c. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_NAMED_H
#define SLUICE_PROXY_PG_NAMED_H

#include "pg_client.h"

/* PostgreSQL tells prepared statements apart by so many bytes of their names. */
#define NAME_BYTES 64

/* A name that the client has given; statement NULL: it is closed, or its Parse has failed. */
struct named {
    UT_hash_handle hh;
    struct list_node node; /* of by_use */
    struct pg_statement *statement;
    uint32_t serial, stretch; /* of the last change that is not answered; serial 0: none */
    uint32_t changes;         /* in the ring that refer to it */
    uint32_t effects;         /* of executing it (pg_session_effects) */
    char name[NAME_BYTES];
};

/* What a message that is on its way changes: on the server, in the client's map, or both. */
struct change {
    uint8_t key[STATEMENT_KEY_BYTES];
    uint32_t server_serial; /* 0: nothing on the server */
    struct named *named;    /* NULL: nothing in the map */
    uint32_t named_serial;
    struct pg_statement *previous; /* what the name meant before; held */
    uint32_t stretch;
    bool duplicate; /* a Parse for a name that is in use: fails */
};

/* Whether what is sent is kept, to be sent again (pg_repeat.h). */
enum repeat {
    REPEAT_OFF,
    REPEAT_OPEN,   /* it is kept */
    REPEAT_CLOSED, /* it is, up to the Sync that ends it */
};

struct pg_statements {
    struct named *by_name; /* hash */
    struct list by_use;
    size_t bytes;
    struct change *changes; /* ring */
    uint32_t first, count, size;
    uint32_t serial;
    uint32_t stretch;   /* counts Syncs */
    struct buffer kept; /* of the present stretch, as it was sent */
    enum repeat repeat;
    bool stretch_begun;      /* by more than a Parse that needed nothing done */
    bool deallocating;       /* a DEALLOCATE or DISCARD is on its way as a simple query */
    struct buffer collected; /* of a Parse that came in pieces */
};

/* The client's, made when it has none. */
struct pg_statements *statements_need(struct pg_client *client);

/* NULL: the client never gave this name, or it is forgotten. */
struct named *named_find(const struct pg_statements *statements, const char *name);

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

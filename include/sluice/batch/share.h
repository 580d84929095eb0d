/* share: whether a statement may be sent among those of other clients on one server, each with its
 * own Sync (docs/multiplex.md). Decides from the text alone, by PostgreSQL's own parser: one
 * SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES that leaves nothing in the session as far as its
 * text tells. What functions do cannot be seen. Pure; any thread. */
#ifndef SLUICE_BATCH_SHARE_H
#define SLUICE_BATCH_SHARE_H

enum share_verdict {
    /* It may, and others may be sent behind it: it locks no row and changes nothing, and calls only
     * built-in functions that do no more. */
    SHARE_READ,
    /* It may, with nothing behind it: it may change data, or wait for somebody else's transaction,
     * which may be waiting for a client whose statement would be behind it. */
    SHARE_LAST,
    /* It may not: */
    SHARE_UNREADABLE, /* the parser cannot read it, or it is too long */
    SHARE_OTHER,      /* it is not one such statement */
    SHARE_SESSION,    /* it changes the session: set_config(), advisory locks, temporary tables */
    SHARE_VERDICTS
};

/* text: in ASCII or UTF-8, with a NUL. It takes 15 to 200 us: ask once for each text. */
enum share_verdict share_judge(const char *text);

#endif

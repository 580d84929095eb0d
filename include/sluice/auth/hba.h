/* hba: host-based rules in the form of pg_hba.conf: who may connect from where, and how it has to
 * log in. Parsed from text that the caller has read; immutable after that; any thread may match.
 *
 * A line is  type database user [address] method [options]  as PostgreSQL documents it, with
 * quotes, comments and lines continued by a backslash. type      local, host, hostssl, hostnossl
 *   database  names, all, sameuser, replication
 *   user      names, all
 *   address   IP/bits, IP and mask, all, samehost
 *   method    trust, reject, md5, scram-sha-256, password, peer (local), cert (hostssl)
 *   options   map=name (peer, cert)
 * What PostgreSQL has beside these (files with @, groups, regular expressions, host names, samenet,
 * includes, other methods) is reported as a mistake, never skipped. */
#ifndef SLUICE_AUTH_HBA_H
#define SLUICE_AUTH_HBA_H

#include <stdbool.h>
#include <stddef.h>

#include "sluice/auth/check.h"
#include "sluice/conf/report.h"
#include "sluice/net/address.h"

struct hba;

/* Who asks to be let in. */
struct hba_question {
    const char *database;
    const char *user;
    const struct address *address; /* AF_UNIX: the Unix socket */
    bool tls;
    bool replication; /* physical (replication=true): it names no database */
    bool same_host;   /* the address is one of this machine's own */
};

struct hba_answer {
    enum auth_method method; /* AUTH_REJECT when no line matches */
    const char *map;         /* ident map, NULL = the names must be equal; belongs to the hba */
    size_t line;             /* 0 = no line matches */
};

/* Parses; mistakes are added to the report under the file's name, all of them. NULL if there was
 * any. */
struct hba *hba_parse(const char *text, const char *file, struct conf_report *report);
void hba_free(struct hba *hba);

/* The first line with this method; 0: there is none. */
size_t hba_uses(const struct hba *hba, enum auth_method method);

/* True when a line has samehost for its address. */
bool hba_asks_same_host(const struct hba *hba);

/* The first line that matches decides. */
struct hba_answer hba_match(const struct hba *hba, const struct hba_question *question);

#endif

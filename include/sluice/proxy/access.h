/* access: who may log in from where and how, with auth_type = hba: the rules of auth_hba_file and
 * the maps of auth_ident_file, made ready. Made by the main thread at the start and at each reload;
 * immutable; counted, so that a worker goes on with the one it has until the next has come by
 * mailbox. Any thread may use it. */
#ifndef SLUICE_PROXY_ACCESS_H
#define SLUICE_PROXY_ACCESS_H

#include "sluice/auth/hba.h"
#include "sluice/conf/conf.h"

struct access;

/* Reads the files that the settings name, when auth_type is hba. NULL when something is wrong with
 * them; every mistake is added to the report. The count is one. */
struct access *access_new(const struct conf *conf, struct conf_report *report);

/* Counts; any thread. NULL is allowed. */
const struct access *access_hold(const struct access *access);
void access_drop(const struct access *access);

/* The first rule that matches decides; question->same_host is found out here. AUTH_REJECT when none
 * does, or when there are no rules. */
struct hba_answer access_find(const struct access *access, struct hba_question *question);

/* True when this system user, or certificate's name, may log in as user by the rule's map. */
bool access_names(const struct access *access, const struct hba_answer *rule, const char *name,
                  const char *user);

#endif

/* readiness: whether each configured pool can reach its server, for /readyz. A line of the settings
 * with open servers can; one whose pool fails to open any cannot; of the others the servers
 * themselves are asked (pool/reach.h), but only when somebody wants to know, and each place once in
 * some seconds. Main thread. */
#ifndef SLUICE_ADMIN_READINESS_H
#define SLUICE_ADMIN_READINESS_H

#include "show.h"

struct readiness_place;

struct readiness {
    struct admin *admin;
    struct readiness_place *places; /* hash: where it was asked, and what came of it */
    void (*changed)(void *owner);   /* a place has answered */
    void *owner;
};

void readiness_init(struct readiness *readiness, struct admin *admin, void (*changed)(void *owner),
                    void *owner);
void readiness_fini(struct readiness *readiness);

/* Asks where nothing is known. True when all is known; else changed() is called when more is. */
bool readiness_known(struct readiness *readiness, const struct survey *survey);

/* A line for each pool that cannot reach its server, or of which that is not known. Returns how
 * many. */
unsigned readiness_write(FILE *page, struct readiness *readiness, const struct survey *survey);

#endif

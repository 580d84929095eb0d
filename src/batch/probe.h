/* probe: the question that asks a server's catalogs what a statement's text leaves open. */
#ifndef SLUICE_BATCH_PROBE_H
#define SLUICE_BATCH_PROBE_H

#include "walk.h"

/* The question, to be freed, from the names that a walk noted. */
char *probe_new(const struct walk *walk);

#endif

/* statement_stats: what one worker remembers of statements that ran: the slowest of the last 15
 * minutes, and what each normalised statement cost in all (SHOW STATEMENTS). Bounded. Belongs to
 * its worker. */
#ifndef SLUICE_PROXY_STATEMENT_STATS_H
#define SLUICE_PROXY_STATEMENT_STATS_H

#include "sluice/proxy/survey.h"

/* One run. */
struct statement_run {
    const char *database, *user;
    const char *text; /* as the client sent it, not ended by a NUL */
    size_t text_bytes;
    uint64_t now_us, wait_us, run_us, rows;
    uint32_t errors;
};

/* True if somebody wants to know of statements. */
bool statement_timings_wanted(const struct conf *conf);

void statement_timings_fini(struct statement_timings *timings);

/* It ran longer than timings->slowest_least_us: remembers it, in place of a quicker one. */
void statement_slowest_take(struct statement_timings *timings, const struct statement_run *run);

/* Adds it to what its statement cost; at most `most` are kept, those used last. */
void statement_stats_take(struct statement_timings *timings, size_t most,
                          const struct statement_run *run);

/* Copies into a survey; what is too old is forgotten. */
void survey_slowest(struct survey_part *part, struct statement_timings *timings, uint64_t now_us);
void survey_statements(struct survey_part *part, const struct statement_timings *timings);

#endif

#include "sluice/daemon/lookups.h"

#include "sluice/batch/lookup.h"
#include "sluice/conf/sections.h"

bool lookups_valid(const struct conf *conf, struct conf_report *report)
{
    bool valid = true;

    for (size_t i = 0; i < conf->lookup_count; i++) {
        struct lookup *lookup = lookup_new(conf->lookups[i]->query);

        if (lookup->refusal != LOOKUP_NONE) {
            conf_report_add(report, CONF_ERROR, NULL, 0, "lookup \"%s\" cannot be batched: %s%s%s",
                            conf->lookups[i]->name, lookup_refusal_text(lookup->refusal),
                            lookup->detail[0] ? ": " : "", lookup->detail);
            valid = false;
        }
        lookup_free(lookup);
    }
    return valid;
}

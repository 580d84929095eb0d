#include "sluice/daemon/made.h"

#include <stddef.h>

#include "sluice/daemon/lookups.h"

void made_drop(struct made *made)
{
    tls_drop(made->tls);
    access_drop(made->access);
    *made = (struct made){0};
}

bool made_from(struct made *made, const struct conf *conf, struct conf_report *report)
{
    bool valid = lookups_valid(conf, report);

    *made = (struct made){.tls = tls_new(conf, report), .access = access_new(conf, report)};
    if (valid && made->tls && made->access)
        return true;
    made_drop(made);
    return false;
}

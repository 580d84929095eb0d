/* The dashboard: dashboard.html, as it was when this was built. */
#include "page.h"

#include "dashboard.h"

void page_dashboard(FILE *page)
{
    fwrite(dashboard_html, 1, sizeof(dashboard_html), page);
}

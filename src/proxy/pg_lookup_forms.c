#include "pg_lookup_forms.h"

#include <stdlib.h>
#include <string.h>

#include "pg_lookups.h"
#include "sluice/base/memory.h"
#include "sluice/batch/mask.h"
#include "sluice/proxy/statement_timings.h"
#include "sluice/wire/pg.h"

#define FORMS_MAX 1000

struct lookup_forms *lookup_forms_new(struct pg_lookups *lookups)
{
    struct lookup_forms *forms = memory_new(sizeof(*forms));

    forms->lookups = lookups;
    list_init(&forms->by_use);
    return forms;
}

static void form_forget(struct lookup_forms *forms, struct lookup_form *form)
{
    HASH_DEL(forms->by_content, form);
    list_remove(&forms->by_use, &form->node);
    free(form->masked);
    free(form);
}

void lookup_forms_free(struct lookup_forms *forms)
{
    if (!forms)
        return;
    while (list_contains_any(&forms->by_use))
        form_forget(forms, container_of(list_first(&forms->by_use), struct lookup_form, node));
    free(forms);
}

static struct lookup_form *form_add(struct lookup_forms *forms, const char *text,
                                    size_t content_bytes, unsigned hash)
{
    struct lookup_form *form = memory_new(sizeof(*form) + content_bytes);

    if (forms->by_use.length >= FORMS_MAX)
        form_forget(forms, container_of(list_last(&forms->by_use), struct lookup_form, node));
    memcpy(form->content, forms->content, content_bytes);
    form->choice = literals_choose(&forms->literals, text);
    if (form->choice.refusal != LOOKUP_NONE) {
        char masked[STATEMENT_SHOWN_BYTES];

        form->masked =
            memory_text(masked, mask_text(text, forms->literals.bytes, masked, sizeof(masked)));
        lookups_log_refusal(forms->lookups, form->choice.refusal, "", text);
    }
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, forms->by_content, form->content, content_bytes, hash, form);
    list_push_front(&forms->by_use, &form->node);
    return form;
}

/* NULL: it comes for the first time. */
static struct lookup_form *form_find(struct lookup_forms *forms, const char *text)
{
    size_t content_bytes = literals_shape(&forms->literals, text, forms->content);
    struct lookup_form *form;
    unsigned hash;

    HASH_VALUE(forms->content, content_bytes, hash);
    HASH_FIND_BYHASHVALUE(hh, forms->by_content, forms->content, content_bytes, hash, form);
    if (!form)
        return lookups_seen(forms->lookups, hash) ? form_add(forms, text, content_bytes, hash)
                                                  : NULL;
    if (list_first(&forms->by_use) != &form->node) {
        list_remove(&forms->by_use, &form->node);
        list_push_front(&forms->by_use, &form->node);
    }
    return form;
}

/* What begins otherwise is no SELECT, or is not worth a look. */
static bool may_select(const char *text)
{
    text += strspn(text, " \t\r\n(");
    return *text && strchr("sSwW/-", *text);
}

/* The statement and its values, as Parse and Bind would have them. */
static bool form_apply(struct lookup_forms *forms, const struct lookup_form *form, const char *text,
                       struct lookup_request *request)
{
    struct literals_normal *normal = &forms->normal;
    struct pg_writer statement = pg_writer_of(forms->statement, sizeof(forms->statement));
    struct pg_writer values = pg_writer_of(forms->values, sizeof(forms->values));

    literals_normalise(&forms->literals, &form->choice, text, forms->memory, normal);
    pg_write_text(&statement, normal->text);
    pg_write_u16(&statement, (uint16_t)normal->count);
    for (unsigned i = 0; i < normal->count; i++) {
        pg_write_u32(&statement, normal->params[i].type);
        pg_write_u32(&values, (uint32_t)normal->params[i].bytes);
        pg_write_bytes(&values, normal->params[i].value, normal->params[i].bytes);
    }
    if (statement.failed || values.failed)
        return false;
    request->statement = forms->statement;
    request->statement_bytes = statement.length;
    request->params = normal->count;
    request->values = forms->values;
    request->values_bytes = values.length;
    return true;
}

bool lookup_forms_read(struct lookup_forms *forms, struct lookup_request *request,
                       const uint8_t *bytes, size_t length)
{
    const char *text = (const char *)bytes + PG_HEADER_BYTES;
    const struct lookup_form *form;
    size_t text_bytes;

    if (length <= PG_HEADER_BYTES || bytes[0] != PG_QUERY || pg_u32(bytes + 1) != length - 1)
        return false;
    text_bytes = length - PG_HEADER_BYTES;
    if (text_bytes > LOOKUP_TEXT_BYTES_MAX ||
        memchr(text, '\0', text_bytes) != &text[text_bytes - 1] || !may_select(text) ||
        !literals_find(&forms->literals, text))
        return false;
    form = form_find(forms, text);
    if (!form || form->choice.refusal != LOOKUP_NONE)
        return false;
    memset(request, 0, sizeof(*request));
    request->simple = true;
    request->bytes = length;
    return form_apply(forms, form, text, request);
}

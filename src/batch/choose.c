/* literals_choose(): which literals of a text may be parameters, by its parse tree. */
#include "sluice/base/memory.h"
#include "sluice/batch/literals.h"
#include "statement.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct choosing {
    const struct literals *literals;
    const struct statement *statement;
    struct literals_choice choice;
};

static const struct literal *literal_at(const struct literals *literals, size_t start)
{
    for (unsigned i = 0; i < literals->count; i++) {
        if (literals->items[i].start == start)
            return &literals->items[i];
    }
    return NULL;
}

/* True if the string at `at` means `value` and ends as one: 'a' and 'b' on two lines are one. */
static bool string_is(const char *text, size_t at, const char *value)
{
    for (at++;; at++, value++) {
        if (text[at] == '\'' && text[++at] != '\'')
            break;
        if (text[at] == '\0' || text[at] != *value)
            return false;
    }
    while (isspace((unsigned char)text[at]))
        at++;
    return *value == '\0' && text[at] != '\'';
}

static void choose_literal(struct choosing *choosing, json_t *constant)
{
    const char *text = choosing->statement->text;
    size_t at = node_location(choosing->statement, constant);
    json_t *string = json_object_get(constant, "sval");
    const char *value = json_string_value(json_object_get(string, "sval"));
    bool negative = string == NULL && text[at] == '-';
    const struct literal *literal;
    uint64_t bit;

    if (negative)
        at += 1 + strspn(text + at + 1, " ");
    literal = literal_at(choosing->literals, at);
    if (literal == NULL || (literal->kind == LITERAL_STRING) != (string != NULL))
        return;
    if (string != NULL && !string_is(text, at, value == NULL ? "" : value))
        return;
    bit = (uint64_t)1 << (literal - choosing->literals->items);
    choosing->choice.params |= bit;
    if (negative)
        choosing->choice.negative |= bit;
}

static bool compares(json_t *expression)
{
    static const char *const operators[] = {"=", "<>", "<", ">", "<=", ">="};
    static const char *const kinds[] = {"AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"};
    const char *kind = json_string_value(json_object_get(expression, "kind"));
    json_t *names = json_object_get(expression, "name");
    const char *name = names_last(names);

    if (kind == NULL || name == NULL || json_array_size(names) != 1)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (strcmp(kind, "AEXPR_OP") == 0 && strcmp(name, operators[i]) == 0)
            return true;
    }
    return false;
}

/* The operand's literals: itself, or those in the list of IN or BETWEEN. */
static void choose_operand(struct choosing *choosing, json_t *operand)
{
    json_t *items = json_object_get(node_of(operand, "List"), "items");
    json_t *constant = node_of(operand, "A_Const");
    json_t *item;
    size_t i;

    if (constant != NULL)
        choose_literal(choosing, constant);
    json_array_foreach(operand, i, item) choose_operand(choosing, item);
    json_array_foreach(items, i, item) choose_operand(choosing, item);
}

/* Follows AND, OR and NOT down to the comparisons. */
static void choose_condition(struct choosing *choosing, json_t *condition)
{
    json_t *expression = node_of(condition, "A_Expr");
    json_t *parts = json_object_get(node_of(condition, "BoolExpr"), "args");
    json_t *left = json_object_get(expression, "lexpr");
    json_t *right = json_object_get(expression, "rexpr");
    json_t *part;
    size_t i;

    json_array_foreach(parts, i, part) choose_condition(choosing, part);
    if (expression == NULL || !compares(expression))
        return;
    if (node_of(left, "ColumnRef") != NULL)
        choose_operand(choosing, right);
    else if (node_of(right, "ColumnRef") != NULL)
        choose_operand(choosing, left);
}

static void choose_select(struct choosing *choosing, json_t *select)
{
    json_t *left = json_object_get(select, "larg");
    json_t *right = json_object_get(select, "rarg");

    choose_condition(choosing, json_object_get(select, "whereClause"));
    if (left != NULL)
        choose_select(choosing, left);
    if (right != NULL)
        choose_select(choosing, right);
}

/* The text with a literal of the same kind in the place of each, so that nothing depends on a
 * value: neither the choice nor whether the text can be read. */
static char *make_model(const struct literals *literals, const char *text, struct literals *model)
{
    char *copy = memory_new(literals->bytes + 3 * literals->count + 1), *to = copy;
    size_t done = 0;

    *model = *literals;
    for (unsigned i = 0; i < literals->count; i++) {
        const struct literal *literal = &literals->items[i];
        const char *value = literal->kind == LITERAL_STRING    ? "'x'"
                            : literal->kind == LITERAL_INTEGER ? "1"
                                                               : "1.5";

        to = mempcpy(to, text + done, literal->start - done);
        model->items[i].start = (uint32_t)(to - copy);
        to = stpcpy(to, value);
        model->items[i].end = (uint32_t)(to - copy);
        done = literal->end;
    }
    memcpy(to, text + done, literals->bytes - done);
    return copy;
}

struct literals_choice literals_choose(const struct literals *literals, const char *text)
{
    struct literals model;
    char *copy = make_model(literals, text, &model);
    struct statement statement;
    struct choosing choosing = {.literals = &model, .statement = &statement};

    choosing.choice.refusal = statement_init(&statement, copy);
    if (choosing.choice.refusal == LOOKUP_NONE && node_has_param(statement.select))
        choosing.choice.refusal = LOOKUP_HAS_PARAM;
    if (choosing.choice.refusal == LOOKUP_NONE) {
        choose_select(&choosing, statement.select);
        if (choosing.choice.params == 0)
            choosing.choice.refusal = LOOKUP_NO_LITERAL;
    }
    statement_fini(&statement);
    free(copy);
    return choosing.choice;
}

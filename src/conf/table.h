/* table: the rows of settings.def and sections.def as data. Constant; any thread. */
#ifndef SLUICE_CONF_TABLE_H
#define SLUICE_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_BOOL,
    CONF_INT,
    CONF_MODE,
    CONF_TIME,
    CONF_TIME_MS,
    CONF_SIZE,
    CONF_TEXT,
    CONF_ENUM,
    CONF_LIST,
};

enum conf_change { CONF_RELOAD, CONF_RESTART, CONF_KEEP, CONF_RECONNECT };

enum conf_effect { CONF_WORKS, CONF_LATER, CONF_INERT };

/* A word that an ENUM, or a TEXT of few words, may say. A list ends with a NULL name. */
struct conf_choice {
    const char *name;
    int value;
    bool later; /* a word that promises what is not there yet is refused, never ignored */
};

struct conf_row {
    const char *name;     /* NULL: the row is a heading of the manual, its text in `meaning` */
    size_t offset;        /* of the member in its struct */
    const char *standard; /* the default, or NULL */
    const char *from;     /* the setting of [sluice] that is the default, or NULL */
    const struct conf_choice *choices;
    int64_t min, max; /* in the unit of the type */
    const char *meaning;
    enum conf_type type;
    enum conf_change change;
    enum conf_effect effect;
    bool automatic; /* the word auto stands for 0 */
};

enum conf_section {
    CONF_MAIN,
    CONF_DATABASES,
    CONF_USERS,
    CONF_PEERS,
    CONF_REDIS,
    CONF_LOOKUPS,
    CONF_SECTIONS, /* how many there are */
};

struct conf_table {
    const char *name; /* of the section */
    const char *what; /* one line of it, for messages */
    const struct conf_row *rows;
    size_t row_count;
    size_t item_bytes; /* of struct conf_database and so on */
    enum conf_effect effect;
    bool complete;     /* what a line leaves out is filled in from [sluice], not left unset */
    bool empty_values; /* "key=" is as if the key were not there; otherwise a mistake */
};

extern const struct conf_table conf_tables[CONF_SECTIONS];

/* The section of this name ("pgbouncer" is the main one), or CONF_SECTIONS. */
enum conf_section conf_section_find(const char *name);

/* The row, or NULL. Knows old names (reserve_pool). */
const struct conf_row *conf_row_find(enum conf_section section, const char *name);

/* The known name that is most like a mistyped one, or NULL if none is near. */
const char *conf_row_near(enum conf_section section, const char *name);
const char *conf_section_near(const char *name);

#endif

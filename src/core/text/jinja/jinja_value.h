// SPDX-License-Identifier: MIT
// Values of the template language, and the state of one run. For core/text/jinja.c only.
#ifndef DT_CORE_JINJA_VALUE_H
#define DT_CORE_JINJA_VALUE_H

#include "core/text/jinja/jinja.h"

#define DT_JINJA_DEPTH_MOST 64u      // nested expressions, statements and macro calls
#define DT_JINJA_STEPS_MOST 2000000u // nodes evaluated, and items and blocks of bytes touched
#define DT_JINJA_ITEMS_MOST 100000   // of a range

enum dt_jkind {
    DT_JUNDEFINED = 0,
    DT_JNONE,
    DT_JBOOL,
    DT_JINT,
    DT_JREAL,
    DT_JTEXT,
    DT_JLIST,
    DT_JDICT,
    DT_JNAMESPACE, // a dict whose members can be set
    DT_JLOOP,
    DT_JMACRO,
    DT_JFUNCTION,
    DT_JMETHOD,
};

struct dt_jvalue {
    uint8_t kind; // enum dt_jkind
    bool tuple;   // LIST: printed with parentheses
    uint32_t n;   // TEXT: bytes
    union {
        int64_t integer; // INT, BOOL
        double real;
        const char *text;
        struct dt_jlist *list;
        struct dt_jdict *dict; // DICT, NAMESPACE
        struct dt_jloop *loop;
        struct dt_jmacro *macro;
        const struct dt_jfunction *function;
        struct dt_jmethod *method;
    } as;
    const unsigned char *user; // TEXT: as in struct dt_jinja_text
};

struct dt_jlist {
    struct dt_jvalue *at;
    uint32_t count, capacity;
};

struct dt_jdict { // in order of insertion
    struct dt_jlist keys, values;
};

// Text that is being made.
struct dt_jbuffer {
    char *at;
    unsigned char *user;
    size_t n, capacity;
    bool any_user;
};

struct dt_jargs {
    const struct dt_jvalue *at; // positional ones
    uint32_t count;
    const struct dt_jvalue *names, *named; // keyword ones
    uint32_t named_count;
};

// One run. Functions do nothing useful after the first failure; loops check `status`.
struct dt_jinja {
    struct dt_arena *arena;
    char *chunk; // the rest of the last block of the arena
    size_t chunk_left;
    dt_status status;
    struct dt_error *err;
    uint32_t line; // that is being read or run
    uint32_t steps, depth;
    struct dt_jinja_date date;
    struct dt_jscope *scope;
    struct dt_jbuffer *out;
    struct dt_jvalue body; // the text of a block, for the filters applied to it
    uint8_t flow;          // a break or continue is under way
};

// Remembers the first failure, with the line. Returns an undefined value.
struct dt_jvalue dt_jinja_fail(struct dt_jinja *j, dt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Allocates zeroed memory, aligned to 16 bytes. NULL: the run has failed with DT_NO_MEMORY.
void *dt_jinja_alloc(struct dt_jinja *j, size_t bytes);

// Counts `cost` steps. False if the run has failed or exceeds its steps.
bool dt_jinja_step(struct dt_jinja *j, size_t cost);

// ---- values ----

static inline struct dt_jvalue dt_jbool(bool truth)
{
    return (struct dt_jvalue){.kind = DT_JBOOL, .as.integer = truth};
}

static inline struct dt_jvalue dt_jint(int64_t integer)
{
    return (struct dt_jvalue){.kind = DT_JINT, .as.integer = integer};
}

static inline struct dt_jvalue dt_jreal(double real)
{
    return (struct dt_jvalue){.kind = DT_JREAL, .as.real = real};
}

// Text of the template; it stays where it is.
struct dt_jvalue dt_jtext(const char *text, size_t n);
// A part of a text.
struct dt_jvalue dt_jpart(struct dt_jvalue text, size_t begin, size_t end);
// Text of a user; it stays where it is.
struct dt_jvalue dt_juser_text(struct dt_jinja *j, const char *text, size_t n);
struct dt_jvalue dt_jnew_list(struct dt_jinja *j);
struct dt_jvalue dt_jnew_dict(struct dt_jinja *j);

bool dt_jinja_push(struct dt_jinja *j, struct dt_jlist *list, struct dt_jvalue v);
// Sets a member, whose key may exist already.
void dt_jinja_put(struct dt_jinja *j, struct dt_jdict *dict, struct dt_jvalue key,
                  struct dt_jvalue value);
// The value of a key, or NULL.
struct dt_jvalue *dt_jinja_find(const struct dt_jdict *dict, struct dt_jvalue key);

// Whether v is this text.
bool dt_jis(struct dt_jvalue v, const char *word);
bool dt_jis_number(struct dt_jvalue v); // BOOL, INT or REAL
double dt_jnumber(struct dt_jvalue v);
// "text", "none", "a list" ..., for messages.
const char *dt_jkind_name(struct dt_jvalue v);

bool dt_jtruth(struct dt_jvalue v);
bool dt_jequal(struct dt_jvalue a, struct dt_jvalue b);
// Negative, 0 or positive. Fails for values without an order.
int dt_jorder(struct dt_jinja *j, struct dt_jvalue a, struct dt_jvalue b);
// Characters, items or members; fails for other values.
int64_t dt_jlength(struct dt_jinja *j, struct dt_jvalue v);
// The items that a loop visits, as a list: items, keys or characters. NULL: the run has failed.
struct dt_jlist *dt_jitems(struct dt_jinja *j, struct dt_jvalue v);

// ---- text ----

void dt_jbuffer_put(struct dt_jinja *j, struct dt_jbuffer *b, const char *text, size_t n,
                    const unsigned char *user);
void dt_jbuffer_puts(struct dt_jinja *j, struct dt_jbuffer *b, const char *text);
struct dt_jvalue dt_jbuffer_value(const struct dt_jbuffer *b);

// Append a value as it is printed, and as JSON (indent -1: on one line).
void dt_jinja_print(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v);
void dt_jinja_json(struct dt_jinja *j, struct dt_jbuffer *b, struct dt_jvalue v, int indent);
// The value as text.
struct dt_jvalue dt_jinja_text_of(struct dt_jinja *j, struct dt_jvalue v);

// ---- characters (jinja_characters.c) ----

bool dt_jspace(uint32_t code); // as Python's str.isspace
size_t dt_jcharacters(struct dt_jvalue text);
// The first occurrence of a text from byte `from` on; SIZE_MAX: none.
size_t dt_jsearch(struct dt_jvalue in, struct dt_jvalue word, size_t from);
// Without the characters of `set` (undefined or none: white space) at its ends.
struct dt_jvalue dt_jstrip(struct dt_jvalue text, struct dt_jvalue set, bool left, bool right);
// text[start:stop:step]; undefined and none: not given. Also of lists.
struct dt_jvalue dt_jslice(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue start,
                           struct dt_jvalue stop, struct dt_jvalue step);
// The character or item at an index, undefined outside.
struct dt_jvalue dt_jindex(struct dt_jinja *j, struct dt_jvalue v, int64_t index);

enum dt_jcase { DT_JUPPER, DT_JLOWER, DT_JTITLE, DT_JCAPITAL };
// words: TITLE begins words as Python's str.title does; else as the filter does.
struct dt_jvalue dt_jchange_case(struct dt_jinja *j, struct dt_jvalue text, enum dt_jcase how,
                                 bool words);

// ---- names ----

// An argument by position or name; undefined if it is not given.
struct dt_jvalue dt_jarg(const struct dt_jargs *args, uint32_t index, const char *name);

// A member of a member ("function.name", "0.text").
struct dt_jvalue dt_jinja_path(struct dt_jinja *j, struct dt_jvalue v, struct dt_jvalue path);

struct dt_jvalue dt_jinja_filter(struct dt_jinja *j, struct dt_jvalue name, struct dt_jvalue in,
                                 const struct dt_jargs *args);
bool dt_jinja_test(struct dt_jinja *j, struct dt_jvalue name, struct dt_jvalue in,
                   const struct dt_jargs *args);
bool dt_jinja_contains(struct dt_jinja *j, struct dt_jvalue in, struct dt_jvalue what);
struct dt_jvalue dt_jinja_call(struct dt_jinja *j, struct dt_jvalue callee,
                               const struct dt_jargs *args);

typedef struct dt_jvalue dt_jfilter(struct dt_jinja *j, struct dt_jvalue in,
                                    const struct dt_jargs *args);
struct dt_jfilter_row {
    const char *name;
    dt_jfilter *filter;
};
// Filters of lists (jinja_filters_list.c); the last row has no name.
extern const struct dt_jfilter_row dt_jinja_list_filters[];

// A method of text or dicts (jinja_methods.c), or NULL.
dt_jfilter *dt_jinja_method(struct dt_jvalue self, struct dt_jvalue name);
struct dt_jmethod {
    struct dt_jvalue self;
    dt_jfilter *call;
};

// A function that every template has (jinja_functions.c), or undefined.
struct dt_jvalue dt_jinja_global(struct dt_jvalue name);
struct dt_jfunction {
    const char *name;
    struct dt_jvalue (*call)(struct dt_jinja *j, const struct dt_jargs *args);
};

// ---- evaluation ----

struct dt_jloop {
    struct dt_jlist *items;
    uint32_t at;
    struct dt_jvalue last; // the last argument of loop.changed
    bool changed_called;
};
struct dt_jvalue dt_jloop_attribute(struct dt_jinja *j, struct dt_jvalue loop,
                                    struct dt_jvalue name);

#endif

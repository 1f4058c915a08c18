// SPDX-License-Identifier: MIT
// Reads untrusted JSON in place: the whole text is checked once, then accessed as slices. Allocates
// nothing.
#ifndef DT_CORE_JSON_READ_H
#define DT_CORE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define DT_JSON_MOST_NESTED 64u

// A value in a checked text, without white space around it. n 0: no value.
struct dt_json_value {
    const char *at;
    size_t n;
};

// Checks that text[0..n) is one JSON value (RFC 8259; bytes above 127 are not checked), nested at
// most DT_JSON_MOST_NESTED deep. All other functions need a value of a text that passed.
// DT_BAD_INPUT: names the position, what is there and what was expected. Linear in n.
dt_status dt_json_check(const char *text, size_t n, const char *name, struct dt_json_value *out,
                        struct dt_error *err);

// The same, and notes where the members of the root are, and the members of those that are objects,
// so that nothing is walked over to find them.
#define DT_JSON_OUTLINE_MAX 64u
struct dt_json_member {
    struct dt_json_value key, value;
    uint32_t parent; // the member whose value is this one's object, + 1; 0: the root
    size_t items;    // of a list or an object
};
struct dt_json_outline {
    struct dt_json_value root; // n 0: no text
    struct dt_json_member member[DT_JSON_OUTLINE_MAX];
    uint32_t count;
    bool partial; // there are more members
};
dt_status dt_json_check_outline(const char *text, size_t n, const char *name,
                                struct dt_json_outline *out, struct dt_error *err);

// The first member with this name (plain ASCII, no escapes) of the root, or of its first member
// `object`; n 0 if there is none. *items: the number of items it has. items may be NULL.
struct dt_json_value dt_json_outline_find(const struct dt_json_outline *outline, const char *object,
                                          const char *name, size_t *items);

// Iterates over the members of an object or the items of an array; *walk starts as {0}. False at
// the end, and at once for other values. key is a string value for members, empty for items.
struct dt_json_walk {
    const char *at; // NULL: not started
};
bool dt_json_next(struct dt_json_value in, struct dt_json_walk *walk, struct dt_json_value *key,
                  struct dt_json_value *item);

// The same for a list whose items are strings or lists of two strings, which are read at once: then
// pair[0] and pair[1] are the strings, or pair[0] is the string and pair[1].n is 0. Another item is
// pair[0] as it is.
bool dt_json_next_pair(struct dt_json_value in, struct dt_json_walk *walk,
                       struct dt_json_value pair[2]);

// The first member with this name (plain ASCII, no escapes); n 0 if there is none or the value is
// not an object. Linear in the object.
struct dt_json_value dt_json_find(struct dt_json_value object, const char *name);
// The number of members or items.
size_t dt_json_count(struct dt_json_value list);

bool dt_json_is_text(struct dt_json_value v);
// Whether v is literally this: "true", "null", or a string with its quotes and without escapes.
bool dt_json_is(struct dt_json_value v, const char *literal);

// Writes the text of a string value with its escapes resolved (a lone surrogate becomes U+FFFD) to
// out, at most v.n bytes; out NULL only counts. Returns the bytes; 0 for other values.
size_t dt_json_text_of(struct dt_json_value v, char *out);

// Reads an integer from 0 to 2^53, or a number as a double within one unit in the last place of the
// nearest one (infinity where it is too large). False for other values.
bool dt_json_uint_of(struct dt_json_value v, uint64_t *out);
bool dt_json_number_of(struct dt_json_value v, double *out);

#endif

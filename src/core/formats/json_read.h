// SPDX-License-Identifier: MIT
// Reading foreign JSON in place: the text is checked once as a whole, then looked at in slices. No
// memory is taken.
#ifndef DT_CORE_JSON_READ_H
#define DT_CORE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define DT_JSON_MOST_NESTED 64u

// A value within a checked text: from its first byte to its last, without white space around it. n
// 0: there is none.
struct dt_json_value {
    const char *at;
    size_t n;
};

// Checks that text[0..n) is one JSON value (RFC 8259; bytes above 127 are taken as they are) nested
// at most DT_JSON_MOST_NESTED deep. Everything else here wants a value of a text that passed.
// DT_BAD_INPUT names the byte and what stands there. Linear.
dt_status dt_json_check(const char *text, size_t n, const char *name, struct dt_json_value *out,
                        struct dt_error *err);

// Walks through the members of an object or the items of an array: begins with {0}; false at the
// end (and at once for other values). key is a string value for an object's members, empty for an
// array's items.
struct dt_json_walk {
    const char *at; // NULL: not begun
};
bool dt_json_next(struct dt_json_value in, struct dt_json_walk *walk, struct dt_json_value *key,
                  struct dt_json_value *item);

// The first member with this name (plain ASCII, no escapes); n 0 if there is none or `object` is no
// object. Linear in the object.
struct dt_json_value dt_json_find(struct dt_json_value object, const char *name);
size_t dt_json_count(struct dt_json_value list); // members or items

bool dt_json_is_text(struct dt_json_value v);
bool dt_json_is(struct dt_json_value v,
                const char *literal); // "true", "null", or a string with its quotes

// The text of a string value with its escapes undone (a lone surrogate is U+FFFD), at most v.n
// bytes, to out (may be NULL: only counts). Returns how many; 0 for other values.
size_t dt_json_text_of(struct dt_json_value v, char *out);

// A whole number from 0 to 2^53; false for anything else. A number, the nearest double to within
// one unit in the last place (infinity where it is too large).
bool dt_json_uint_of(struct dt_json_value v, uint64_t *out);
bool dt_json_number_of(struct dt_json_value v, double *out);

#endif

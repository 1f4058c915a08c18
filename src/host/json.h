// SPDX-License-Identifier: MIT
// A streaming JSON writer. The output is valid JSON whatever the texts contain.
#ifndef DT_HOST_JSON_H
#define DT_HOST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DT_JSON_DEPTH 32 // maximal nesting

// Writes to a FILE, whose ferror() reports errors.
struct dt_json {
    FILE *out;
    int indent; // spaces a level; 0: all on one line
    int depth;
    bool first[DT_JSON_DEPTH]; // the level is empty so far
    uint32_t array;            // one bit a level: it is an array
    bool named;                // the last thing written was a name
};

void dt_json_init(struct dt_json *json, FILE *out, int indent);

// Writes the name of the next value. Required before every value in an object.
void dt_json_name(struct dt_json *json, const char *name);

// Begin an object or an array.
void dt_json_object(struct dt_json *json);
void dt_json_array(struct dt_json *json);

// Ends the innermost object or array. The outermost one is followed by a newline.
void dt_json_end(struct dt_json *json);

// Ends all that is open, after an error in the midst of it, and adds the error's line to the object
// at the top: what was written is valid JSON.
void dt_json_fail(struct dt_json *json, const char *line);

// Write a value. Text is UTF-8: invalid bytes become U+FFFD, control characters are escaped, NULL
// becomes null.
void dt_json_text(struct dt_json *json, const char *text);
void dt_json_text_n(struct dt_json *json, const char *text, size_t n);
void dt_json_int(struct dt_json *json, int64_t value);
void dt_json_uint(struct dt_json *json, uint64_t value);
void dt_json_number(struct dt_json *json, double value); // not finite: null
void dt_json_bool(struct dt_json *json, bool value);

// Write a name and its value.
void dt_json_put_text(struct dt_json *json, const char *name, const char *text);
void dt_json_put_uint(struct dt_json *json, const char *name, uint64_t value);
void dt_json_put_number(struct dt_json *json, const char *name, double value);
void dt_json_put_bool(struct dt_json *json, const char *name, bool value);

#endif

// SPDX-License-Identifier: MIT
// A streaming JSON writer: correct escapes, no tree.
#ifndef DT_HOST_JSON_H
#define DT_HOST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DT_JSON_DEPTH 32 // no deeper

// Writes to a FILE as it goes. Errors of the file stick in it (ferror), as with any stdio.
struct dt_json {
    FILE *out;
    int indent; // spaces a level; 0: everything on one line
    int depth;
    bool first[DT_JSON_DEPTH]; // nothing written yet at this level
    uint32_t array;            // one bit a level: it is an array
    bool named;                // a name was just written
};

void dt_json_init(struct dt_json *json, FILE *out, int indent);

// In an object every value is preceded by its name.
void dt_json_name(struct dt_json *json, const char *name);

void dt_json_object(struct dt_json *json);
void dt_json_array(struct dt_json *json);
void dt_json_end(
    struct dt_json *json); // the innermost object or array; the outermost one adds a newline

// Text is UTF-8; invalid bytes become U+FFFD, controls are escaped. NULL is null.
void dt_json_text(struct dt_json *json, const char *text);
void dt_json_text_n(struct dt_json *json, const char *text, size_t n);
void dt_json_int(struct dt_json *json, int64_t value);
void dt_json_uint(struct dt_json *json, uint64_t value);
void dt_json_number(struct dt_json *json, double value); // not finite: null
void dt_json_bool(struct dt_json *json, bool value);

// Name and value together.
void dt_json_put_text(struct dt_json *json, const char *name, const char *text);
void dt_json_put_uint(struct dt_json *json, const char *name, uint64_t value);
void dt_json_put_number(struct dt_json *json, const char *name, double value);
void dt_json_put_bool(struct dt_json *json, const char *name, bool value);

#endif

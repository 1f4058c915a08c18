// SPDX-License-Identifier: MIT
// Any text as JSON; all values of a text that passes the check are read.
#include "core/formats/json_read.h"
#include "fuzz.h"

static size_t look(struct dt_json_value v, int depth)
{
    struct dt_json_walk walk = {0};
    struct dt_json_value key, item;
    size_t count = 0;
    double number;
    uint64_t whole;
    FUZZ_HOLDS(depth <= (int)DT_JSON_MOST_NESTED && v.n > 0);
    if (dt_json_is_text(v)) {
        char *text = malloc(v.n);
        size_t n = dt_json_text_of(v, text);
        FUZZ_HOLDS(n <= v.n && n == dt_json_text_of(v, NULL));
        free(text);
    }
    if (dt_json_number_of(v, &number))
        FUZZ_HOLDS(number == number);
    dt_json_uint_of(v, &whole);
    while (dt_json_next(v, &walk, &key, &item)) {
        FUZZ_HOLDS(item.at > v.at && item.at + item.n < v.at + v.n &&
                   (v.at[0] == '[' ? key.n == 0 : dt_json_is_text(key)));
        look(item, depth + 1);
        count++;
    }
    FUZZ_HOLDS(count == dt_json_count(v));
    return count;
}

// The outline finds what a walk finds.
static void compare(const struct dt_json_outline *outline, struct dt_json_value root)
{
    struct dt_json_value model = dt_json_find(root, "model"), plain = dt_json_find(model, "vocab");
    size_t items;
    FUZZ_HOLDS(outline->root.at == root.at && outline->root.n == root.n);
    struct dt_json_value found = dt_json_outline_find(outline, NULL, "model", &items);
    FUZZ_HOLDS(found.at == model.at && found.n == model.n && items == dt_json_count(model));
    found = dt_json_outline_find(outline, "model", "vocab", &items);
    FUZZ_HOLDS(found.at == plain.at && found.n == plain.n && items == dt_json_count(plain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dt_json_value v;
    struct dt_json_outline outline;
    struct dt_error err = {0}, second = {0};
    if (size > 16384) // every level is read again
        return 0;
    dt_status status = dt_json_check((const char *)data, size, "fuzz", &v, &err);
    FUZZ_HOLDS(dt_json_check_outline((const char *)data, size, "fuzz", &outline, &second) ==
               status);
    if (status == DT_OK) {
        look(v, 0);
        compare(&outline, v);
    } else {
        FUZZ_HOLDS(err.status == DT_BAD_INPUT && err.message[0]);
    }
    return 0;
}

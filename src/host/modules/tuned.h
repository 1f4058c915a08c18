// SPDX-License-Identifier: MIT
// The variants that were measured to be the fastest, remembered in a file of the cache folder:
// XDG_CACHE_HOME/duotale/variants, or that in ~/.cache.
#ifndef DT_HOST_TUNED_H
#define DT_HOST_TUNED_H

#include <stdbool.h>
#include <stddef.h>

#define DT_TUNED_KEY 160 // bytes of a key with its NUL

// What this process knows besides the file. Zeroed: nothing.
struct dt_tuned {
    struct dt_tuned_row {
        char key[DT_TUNED_KEY], variant[32];
    } * rows;
    size_t count, capacity;
};

void dt_tuned_free(struct dt_tuned *tuned);

// Whether variants may be measured: not with DUOTALE_TUNE=off in the environment.
bool dt_tuned_allowed(void);

// Writes the variant that was stored for a key (letters, digits and -_:) to out; false: none was.
// A file that cannot be read, or a damaged one, counts as empty.
bool dt_tuned_find(struct dt_tuned *tuned, const char *key, char *out, size_t size);

// Stores a variant, in this process and in the file. Without a folder, or where writing fails, only
// this process knows it. The file keeps the newest 64.
void dt_tuned_store(struct dt_tuned *tuned, const char *key, const char *variant);

#endif

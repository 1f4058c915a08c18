// SPDX-License-Identifier: MIT
#include "host/modules/tuned.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "host/array.h"
#include "host/atomic_file.h"
#include "host/file.h"
#include "host/log.h"
#include "host/modules/modules.h"

#define ROWS_MAX  64
#define FILE_MAX  65536
#define FIRST_ROW "# duotale: the fastest variants of backends, as measured; may be deleted\n"

void dt_tuned_free(struct dt_tuned *tuned)
{
    free(tuned->rows);
    memset(tuned, 0, sizeof *tuned);
}

bool dt_tuned_allowed(void)
{
    const char *value = getenv("DUOTALE_TUNE");
    return !value || strcmp(value, "off") != 0;
}

// Writes the path of the file to out; false if there is no home directory.
static bool file_path(char *out, size_t size)
{
    char folder[PATH_MAX - 16];
    return dt_folder_of_user("XDG_CACHE_HOME", ".cache", folder, sizeof folder) &&
           dt_format(out, size, "%s/variants", folder) < size;
}

// Stores a row in memory: the newest is last.
static void put(struct dt_tuned *tuned, const char *key, const char *variant)
{
    for (size_t i = 0; i < tuned->count; i++) {
        if (strcmp(tuned->rows[i].key, key) == 0) {
            memmove(&tuned->rows[i], &tuned->rows[i + 1],
                    (--tuned->count - i) * sizeof *tuned->rows);
            break;
        }
    }
    if (tuned->count == ROWS_MAX)
        memmove(tuned->rows, tuned->rows + 1, --tuned->count * sizeof *tuned->rows);
    if (!dt_array_grow(&tuned->rows, &tuned->capacity, tuned->count + 1, sizeof *tuned->rows))
        return;
    struct dt_tuned_row *row = &tuned->rows[tuned->count++];
    dt_format(row->key, sizeof row->key, "%s", key);
    dt_format(row->variant, sizeof row->variant, "%s", variant);
}

// Adds the rows of the file: KEY VARIANT, where - is the variant without a name.
static void read_file(struct dt_tuned *tuned, const char *path)
{
    char *text, *line, *rest;
    size_t n;
    if (!dt_file_readable(path) || dt_file_read(path, FILE_MAX, &text, &n, NULL) != DT_OK)
        return;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' ');
        if (line[0] == '#' || !space || (size_t)(space - line) >= DT_TUNED_KEY)
            continue;
        *space = '\0';
        bool plain = strcmp(space + 1, "-") == 0;
        if (plain || dt_module_name_valid(space + 1))
            put(tuned, line, plain ? "" : space + 1);
    }
    free(text);
}

static bool find(const struct dt_tuned *tuned, const char *key, char *out, size_t size)
{
    for (size_t i = tuned->count; i-- > 0;) {
        if (strcmp(tuned->rows[i].key, key) == 0) {
            dt_format(out, size, "%s", tuned->rows[i].variant);
            return true;
        }
    }
    return false;
}

bool dt_tuned_find(struct dt_tuned *tuned, const char *key, char *out, size_t size)
{
    char path[PATH_MAX];
    if (find(tuned, key, out, size))
        return true;
    if (file_path(path, sizeof path))
        read_file(tuned, path);
    return find(tuned, key, out, size);
}

static dt_status write_file(const struct dt_tuned *tuned, const char *path, struct dt_error *err)
{
    struct dt_atomic_file file = {0};
    char line[DT_TUNED_KEY + 64];
    dt_status status = dt_atomic_file_open(&file, path, 0, err);
    if (status == DT_OK)
        status = dt_atomic_file_write(&file, FIRST_ROW, strlen(FIRST_ROW), err);
    for (size_t i = 0; i < tuned->count && status == DT_OK; i++) {
        const struct dt_tuned_row *row = &tuned->rows[i];
        size_t n =
            dt_format(line, sizeof line, "%s %s\n", row->key, row->variant[0] ? row->variant : "-");
        status = dt_atomic_file_write(&file, line, n, err);
    }
    if (status == DT_OK)
        return dt_atomic_file_commit(&file, err);
    dt_atomic_file_abandon(&file);
    return status;
}

void dt_tuned_store(struct dt_tuned *tuned, const char *key, const char *variant)
{
    char path[PATH_MAX];
    struct dt_error err = {0};
    bool has_path = file_path(path, sizeof path);
    if (has_path)
        read_file(tuned, path); // another process may have written since
    put(tuned, key, variant);
    if (!has_path)
        return;
    (void)dt_folder_make_all(path); // what fails shows when the file is written
    if (write_file(tuned, path, &err) != DT_OK)
        dt_log(DT_LOG_DEBUG, "the fastest variant is not remembered: %s", err.message);
}

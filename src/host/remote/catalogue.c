// SPDX-License-Identifier: MIT
#include "host/remote/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/array.h"
#include "host/file.h"
#include "host/model_files.h"
#include "host/modules/modules.h"
#include "host/remote/remote.h"

// Copies the next column of a line. False: there is none, or it is too long.
static bool column(char **line, char *out, size_t size)
{
    const char *text = strsep(line, "\t");
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n >= size)
        return false;
    memcpy(out, text, n + 1);
    if (strcmp(out, "-") == 0)
        out[0] = '\0';
    return true;
}

static bool read_entry(char *line, struct dt_catalogue_entry *e)
{
    char bytes[24], *end;
    if (!column(&line, e->name, sizeof e->name) || !column(&line, e->file, sizeof e->file) ||
        !column(&line, bytes, sizeof bytes) || !column(&line, e->sha256, sizeof e->sha256) ||
        !column(&line, e->licence, sizeof e->licence) || !column(&line, e->url, sizeof e->url) ||
        !column(&line, e->tokenizer, sizeof e->tokenizer) ||
        !column(&line, e->about, sizeof e->about))
        return false;
    e->bytes = strtoull(bytes, &end, 10);
    return !*end && *e->name && *e->file && *e->file != '.' && !strchr(e->file, '/') && *e->url &&
           (strlen(e->sha256) == 64 || !*e->sha256);
}

dt_status dt_catalogue_read(struct dt_catalogue_entry **out, size_t *count, struct dt_error *err)
{
    char found[4096], line[2048];
    const char *path = getenv("DUOTALE_CATALOGUE");
    size_t capacity = 0, number = 0;
    dt_status status = DT_OK;
    *out = NULL;
    *count = 0;
    if (!path || !*path)
        path = dt_modules_data("catalogue.tsv", found, sizeof found) ? found : "catalogue.tsv";
    FILE *file = dt_file_open_text(path);
    if (!file)
        return dt_error_set(err, DT_BAD_INPUT, path, "cannot be read: %s", dt_file_reason(errno));
    while (status == DT_OK && fgets(line, sizeof line, file)) {
        struct dt_catalogue_entry entry;
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0] || line[0] == '#')
            continue;
        if (!read_entry(line, &entry))
            status = dt_error_set(err, DT_BAD_INPUT, path, "line %zu is no model", number);
        else if (!dt_array_grow(out, &capacity, *count + 1, sizeof **out))
            status = dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the catalogue");
        else
            (*out)[(*count)++] = entry;
    }
    fclose(file);
    if (status != DT_OK) {
        free(*out);
        *out = NULL;
        *count = 0;
    }
    return status;
}

bool dt_catalogue_find(const char *name, struct dt_catalogue_entry *out)
{
    struct dt_catalogue_entry *entries;
    size_t count;
    bool found = false;
    if (strchr(name, '/') || dt_catalogue_read(&entries, &count, NULL) != DT_OK)
        return false;
    for (size_t i = 0; i < count && !found; i++) {
        found = strcmp(entries[i].name, name) == 0;
        if (found)
            *out = entries[i];
    }
    free(entries);
    return found;
}

bool dt_catalogue_path(const char *name, char *out, size_t size)
{
    char folder[4096];
    if (strchr(name, '/') || *name == '.' ||
        !dt_folder_of_user("XDG_DATA_HOME", ".local/share", folder, sizeof folder))
        return false;
    return (size_t)snprintf(out, size, "%s/models%s%s", folder, *name ? "/" : "", name) < size;
}

dt_status dt_catalogue_address(const char *url, char *out, size_t size, struct dt_error *err)
{
    const char *endpoint = getenv("HF_ENDPOINT");
    if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) {
        if ((size_t)snprintf(out, size, "%s", url) < size)
            return DT_OK;
    } else if (strncmp(url, "hf:", 3) == 0) {
        const char *owner = url + 3, *slash = strchr(owner, '/'),
                   *file = slash ? strchr(slash + 1, '/') : NULL;
        if (file && slash > owner && file > slash + 1 && file[1] &&
            (size_t)snprintf(out, size, "%s/%.*s/resolve/main/%s",
                             endpoint && *endpoint ? endpoint : "https://huggingface.co",
                             (int)(file - owner), owner, file + 1) < size)
            return DT_OK;
    }
    return dt_error_set(err, DT_USAGE, url,
                        "is neither a model of the catalogue (duotale models list) nor "
                        "https://..., nor hf:OWNER/REPO/FILE");
}

bool dt_catalogue_resolve(const char *name, char *out, size_t size)
{
    struct dt_catalogue_entry entry;
    if (!*name || strchr(name, '/') || dt_remote_is_address(name) || dt_model_files_present(name))
        return false;
    if (dt_catalogue_path(name, out, size) && dt_file_readable(out))
        return true;
    return dt_catalogue_find(name, &entry) && dt_catalogue_path(entry.file, out, size) &&
           dt_file_readable(out);
}

bool dt_catalogue_missing(const char *name, struct dt_error *err)
{
    struct dt_catalogue_entry e;
    char path[4096];
    if (dt_model_files_present(name) || dt_catalogue_resolve(name, path, sizeof path) ||
        !dt_catalogue_find(name, &e))
        return false;
    dt_error_set(err, DT_BAD_INPUT, e.name,
                 "is not here; `duotale models get %s` downloads it (%.0f MB)", e.name,
                 (double)e.bytes / 1e6);
    return true;
}

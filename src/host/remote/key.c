// SPDX-License-Identifier: MIT
#include "host/remote/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"

static dt_status check_key(const char *key, const char *where, struct dt_error *err)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if (key[i] <= ' ' || key[i] > '~')
            return dt_error_set(err, DT_BAD_INPUT, where,
                                "the key has a character that no key has (number %zu)", i + 1);
    }
    if (n >= DT_REMOTE_KEY_MAX)
        return dt_error_set(err, DT_BAD_INPUT, where, "the key has %zu bytes; at most %u are used",
                            n, DT_REMOTE_KEY_MAX - 1);
    return DT_OK;
}

// Whether `address` begins with prefix[0..n) and goes on with a path, a model or nothing.
static int is_for(const char *address, const char *prefix, size_t n)
{
    while (n > 0 && prefix[n - 1] == '/')
        n--;
    return n > 0 && strncmp(address, prefix, n) == 0 && strchr("/#", address[n]) != NULL;
}

static dt_status read_file(FILE *file, const char *path, const char *address, char *out,
                           struct dt_error *err)
{
    char line[DT_REMOTE_KEY_MAX + 1200];
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || (st.st_mode & 077) != 0 || st.st_uid != geteuid())
        return dt_error_set(err, DT_BAD_INPUT, path,
                            "must belong to you alone, because it has keys: chmod 600");
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        size_t n = strcspn(line, " \t");
        const char *key = line + n + strspn(line + n, " \t");
        if (line[0] == '#' || !*key || !is_for(address, line, n))
            continue;
        dt_status status = check_key(key, path, err);
        if (status == DT_OK)
            snprintf(out, DT_REMOTE_KEY_MAX, "%s", key);
        explicit_bzero(line, sizeof line);
        return status;
    }
    explicit_bzero(line, sizeof line);
    return DT_OK;
}

dt_status dt_remote_key(const char *address, char *out, struct dt_error *err)
{
    static const char variable[] = "DUOTALE_API_KEY", name[] = "/api-keys";
    char path[4096];
    const char *key = getenv(variable);
    out[0] = '\0';
    if (key && *key) {
        dt_status status = check_key(key, variable, err);
        if (status == DT_OK)
            snprintf(out, DT_REMOTE_KEY_MAX, "%s", key);
        return status;
    }
    if (!dt_folder_of_user("XDG_CONFIG_HOME", ".config", path, sizeof path - sizeof name))
        return DT_OK;
    strcat(path, name);
    FILE *file = dt_file_open_text(path);
    if (!file)
        return errno == ENOENT || errno == ENOTDIR
                   ? DT_OK
                   : dt_error_set(err, DT_BAD_INPUT, path, "cannot be read: %s",
                                  dt_file_reason(errno));
    setvbuf(file, NULL, _IONBF, 0); // no copy of the keys stays in memory
    dt_status status = read_file(file, path, address, out, err);
    fclose(file);
    return status;
}

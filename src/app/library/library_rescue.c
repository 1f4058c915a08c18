// SPDX-License-Identifier: MIT
#include "app/library/library_rescue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/library/export.h"

// Writes a story to a new file in this folder: its name goes to `path`. False if that fails.
static bool write_to(const struct dt_story_record *story, const char *folder, char *path,
                     size_t size)
{
    char stamp[32];
    struct dt_error err;
    dt_record_date((int64_t)time(NULL), false, "%Y%m%d-%H%M%S", stamp, sizeof stamp);
    for (int i = 1; i < 100; i++) {
        snprintf(path, size, i > 1 ? "%s/duotale-story-%s-%d.md" : "%s/duotale-story-%s.md", folder,
                 stamp, i);
        if (dt_export_file(path, story, false, true, &err) == DT_OK)
            return true;
        if (access(path, F_OK) != 0)
            return false;
    }
    return false;
}

bool dt_library_rescue(const char *library, const struct dt_story_record *story, char *path,
                       size_t size)
{
    char beside[512];
    snprintf(beside, sizeof beside, "%s", library);
    char *slash = strrchr(beside, '/');
    if (slash)
        slash[slash == beside] = '\0';
    const char *const folders[] = {slash ? beside : ".", getenv("HOME"), ".", getenv("TMPDIR"),
                                   "/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (folders[i] && *folders[i] && write_to(story, folders[i], path, size))
            return true;
    }
    return false;
}

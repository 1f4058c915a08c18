// SPDX-License-Identifier: MIT
// Where a story goes that the library does not accept.
#ifndef DT_APP_LIBRARY_RESCUE_H
#define DT_APP_LIBRARY_RESCUE_H

#include <stdbool.h>
#include <stddef.h>

#include "app/library/record.h"

// Writes a story as Markdown to a new file beside the library or, where that fails, in the home
// folder, the current one or that of temporary files. Its name goes to `path`. False if all fail.
bool dt_library_rescue(const char *library, const struct dt_story_record *story, char *path,
                       size_t size);

#endif

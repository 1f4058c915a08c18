// SPDX-License-Identifier: MIT
// Exporting a story as text, Markdown or JSON.
#ifndef DT_APP_EXPORT_H
#define DT_APP_EXPORT_H

#include <stdio.h>

#include "app/library/library.h"

enum dt_export_form { DT_EXPORT_TEXT, DT_EXPORT_MARKDOWN, DT_EXPORT_JSON };

// Writes the story; false (errno) when out failed. thoughts: with the thoughts of a chat model,
// which are left out otherwise.
bool dt_export_write(FILE *out, const struct dt_story_record *story, enum dt_export_form form,
                     bool thoughts);

// Into a file, in the form that the ending of its name says (.txt, .md, .json), atomically:
// temporary file beside it, fsync, rename. An existing file is replaced only with `replace`.
// thoughts: as above. DT_USAGE for an unknown ending, DT_FAILED.
dt_status dt_export_file(const char *path, const struct dt_story_record *story, bool replace,
                         bool thoughts, struct dt_error *err);

#endif

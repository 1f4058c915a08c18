// SPDX-License-Identifier: MIT
// Names that people type: prefixes, and what they may have meant.
#ifndef DT_APP_NAME_MATCH_H
#define DT_APP_NAME_MATCH_H

#include <stddef.h>

// How many edits (insert, delete, replace, swap of neighbours) lie between two names; at most
// DT_NAME_MATCH_FAR.
#define DT_NAME_MATCH_FAR 99
unsigned dt_name_match_distance(const char *a, const char *b);

// Name i of a list, NULL past its end.
typedef const char *dt_name_match_at(const void *list, size_t i);

// The entry that is `name`, or the only one that begins with it: its index; -1 for none, -2 for
// several.
int dt_name_match_find(const char *name, dt_name_match_at *at, const void *list);

// The entry nearest to a wrong name, NULL when nothing is near enough to be meant.
const char *dt_name_match_nearest(const char *name, dt_name_match_at *at, const void *list);

#endif

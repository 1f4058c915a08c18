// SPDX-License-Identifier: MIT
// What modules were found to be, remembered from one start to the next, so that a start need not
// load all of them in a child (probe.h): a file for each kind, XDG_CACHE_HOME/duotale/modules-KIND,
// or that in ~/.cache.
#ifndef DT_HOST_REMEMBERED_H
#define DT_HOST_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>

// Reads the rows that this very program stored on this CPU: *rows, which the caller frees, has
// *count of row_bytes bytes each. False if there are none: also if the file is damaged, belongs to
// another user or can be written by others.
bool dt_remembered_read(const char *kind, size_t row_bytes, void **rows, size_t *count);

// Stores rows in place of the file's. Failures are logged for debugging only. Not from a child.
void dt_remembered_write(const char *kind, size_t row_bytes, const void *rows, size_t count);

#endif

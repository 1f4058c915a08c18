// SPDX-License-Identifier: MIT
// String capabilities of the terminal, after setupterm() or newterm().
#ifndef DT_UI_COMMON_CAPABILITY_H
#define DT_UI_COMMON_CAPABILITY_H

#include <stddef.h>

// The value as terminfo has it, or NULL if the terminal lacks it. Do not free.
const char *ui_capability(const char *name);

// Copies a value, which may be NULL, without its padding ("$<5>"): no terminal in use needs it, and
// a signal handler cannot wait for it. Not NUL-terminated. Returns the length; at most `size`, and
// then the value may be cut.
size_t ui_capability_copy(const char *value, char *out, size_t size);

#endif

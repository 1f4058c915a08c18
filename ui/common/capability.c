// SPDX-License-Identifier: MIT
#include "capability.h"

#include <string.h>

#define NCURSES_NOMACROS 1
#include <curses.h>
#include <term.h>

const char *ui_capability(const char *name)
{
    const char *value = tigetstr(name);
    return value && value != (const char *)-1 ? value : NULL;
}

size_t ui_capability_copy(const char *value, char *out, size_t size)
{
    size_t n = 0;
    for (; value && *value && n < size; value++) {
        if (value[0] == '$' && value[1] == '<') {
            value = strchr(value, '>');
            if (!value)
                break;
            continue;
        }
        out[n++] = *value;
    }
    return n;
}

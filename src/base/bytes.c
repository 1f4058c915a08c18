// SPDX-License-Identifier: MIT
#include "base/bytes.h"

const char *dt_read_find(const char *text, size_t n, const void *word, size_t length)
{
    for (size_t i = 0; length && length <= n && i <= n - length; i++)
        if (text[i] == *(const char *)word && memcmp(text + i, word, length) == 0)
            return text + i;
    return NULL;
}

// SPDX-License-Identifier: MIT
#include "host/string_buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/array.h"

// Ensures capacity for n more bytes and a NUL.
static bool reserve(struct dt_string_buffer *b, size_t n)
{
    if (!b->failed &&
        (n >= SIZE_MAX - b->length || !dt_array_grow(&b->text, &b->capacity, b->length + n + 1, 1)))
        b->failed = true;
    return !b->failed;
}

bool dt_string_buffer_printf(struct dt_string_buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    if (reserve(b, n < 0 ? 0 : (size_t)n)) {
        va_start(args, format);
        vsnprintf(b->text + b->length, (size_t)n + 1, format, args);
        va_end(args);
        b->length += (size_t)n;
    }
    return !b->failed;
}

bool dt_string_buffer_append(struct dt_string_buffer *b, const char *bytes, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->text + b->length, bytes, n);
    b->length += n;
    b->text[b->length] = '\0';
    return true;
}

char *dt_string_buffer_detach(struct dt_string_buffer *b)
{
    char *text = reserve(b, 0) ? b->text : NULL;
    if (text) {
        text[b->length] = '\0';
        b->text = NULL;
    }
    dt_string_buffer_free(b);
    return text;
}

void dt_string_buffer_free(struct dt_string_buffer *b)
{
    free(b->text);
    *b = (struct dt_string_buffer){0};
}

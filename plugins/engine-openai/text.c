// SPDX-License-Identifier: MIT
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MOST_BYTES (256u << 20)

int text_reserve(struct text *text, size_t n)
{
    if (text->failed || n > MOST_BYTES || text->length > MOST_BYTES - n) {
        text->failed = 1;
        return 0;
    }
    size_t need = text->length + n + 1, capacity = text->capacity ? text->capacity : 1024;
    while (capacity < need)
        capacity *= 2;
    if (capacity == text->capacity)
        return 1;
    char *more = text->host->allocate(text->host->host, capacity);
    if (!more) {
        text->failed = 1;
        return 0;
    }
    if (text->length)
        memcpy(more, text->bytes, text->length);
    text->host->release(text->host->host, text->bytes);
    text->bytes = more;
    text->capacity = capacity;
    return 1;
}

void text_add(struct text *text, const char *bytes, size_t n)
{
    if (!text_reserve(text, n))
        return;
    if (n)
        memcpy(text->bytes + text->length, bytes, n);
    text->length += n;
    text->bytes[text->length] = '\0';
}

void text_format(struct text *text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n > 0)
        text_add(text, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void text_quote(struct text *text, const char *bytes, size_t n)
{
    if (n > MOST_BYTES / 6 || !text_reserve(text, 6 * n + 2)) {
        text->failed = 1;
        return;
    }
    text->length += text->host->json_quote(text->host->host, bytes, n, text->bytes + text->length);
    text->bytes[text->length] = '\0';
}

void text_free(struct text *text)
{
    if (text->bytes)
        text->host->release(text->host->host, text->bytes);
    text->bytes = NULL;
    text->length = text->capacity = 0;
    text->failed = 0;
}

// SPDX-License-Identifier: MIT
#include "host/print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void dt_print(FILE *out, const char *format, ...)
{
    char line[1024], *text = line;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t length = (size_t)n;
    if (length >= sizeof line && (text = malloc(length + 1)) != NULL) {
        va_start(args, format);
        vsnprintf(text, length + 1, format, args);
        va_end(args);
    } else if (length >= sizeof line) { // without memory: the beginning
        text = line;
        length = dt_utf8_whole(line, sizeof line - 1);
    }
    length = dt_text_clean(text, length + 1, text, length, DT_TEXT_LINES);
    fwrite(text, 1, length, out);
    if (text != line)
        free(text);
}

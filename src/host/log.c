// SPDX-License-Identifier: MIT
#include "host/log.h"

#include <stdarg.h>
#include <stddef.h>

#include "base/format.h"
#include "base/text.h"

static dt_log_sink *log_sink;
static void *log_arg;
static int log_level;

void dt_log_set(dt_log_sink *sink, void *arg, int level)
{
    log_sink = sink;
    log_arg = arg;
    log_level = level;
}

void dt_log(int level, const char *format, ...)
{
    if (!log_sink || level < log_level)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    size_t n = dt_vformat(line, sizeof line, format, args);
    va_end(args);
    if (n >= sizeof line)
        n = dt_utf8_whole(line, sizeof line - 1);
    dt_text_clean(line, sizeof line, line, n, DT_TEXT_LINE);
    log_sink(log_arg, level, line);
}

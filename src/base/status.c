// SPDX-License-Identifier: MIT
#include "base/status.h"

#include <string.h>

#include "base/format.h"
#include "base/text.h"

const char *dt_status_name(dt_status status)
{
    static const char *const names[] = {
#define DT_X(name, text) [name] = text,
        DT_STATUS_LIST(DT_X)
#undef DT_X
    };
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

int dt_status_exit_code(dt_status status)
{
    switch (status) {
    case DT_OK:
        return 0;
    case DT_USAGE:
        return 2;
    case DT_BAD_INPUT:
    case DT_UNSUPPORTED:
        return 3;
    case DT_NO_MEMORY:
        return 4;
    case DT_CANCELLED:
        return 130;
    case DT_FAILED:
    case DT_CONTEXT_FULL:
        break;
    }
    return 1;
}

dt_status dt_error_set(struct dt_error *err, dt_status status, const char *file, const char *format,
                       ...)
{
    if (!err)
        return status;
    err->status = status;
    err->file[0] = 0;
    if (file) { // the end of a long path is more useful than its beginning
        size_t length = strlen(file);
        size_t skip = length >= sizeof err->file ? length - (sizeof err->file - 1) : 0;
        while (skip && ((unsigned char)file[skip] & 0xC0) == 0x80) // begin with a character
            skip++;
        dt_text_clean(err->file, sizeof err->file, file + skip, length - skip, DT_TEXT_LINE);
    }
    va_list args;
    va_start(args, format);
    size_t n = dt_vformat(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= sizeof err->message)
        n = dt_utf8_whole(err->message, sizeof err->message - 1);
    dt_text_clean(err->message, sizeof err->message, err->message, n, DT_TEXT_LINE);
    return status;
}

const char *dt_error_line(const struct dt_error *err, char *out, size_t out_size)
{
    if (err->file[0])
        dt_format(out, out_size, "%s: %s", err->file, err->message);
    else
        dt_format(out, out_size, "%s", err->message);
    return out;
}

// SPDX-License-Identifier: MIT
#include "message.h"

#include <string.h>

#include "base/format.h"

const char *ui_progress_text(const struct dt_app_event *event, char *out, size_t size)
{
    unsigned percent = event->total ? (unsigned)(100 * event->done / event->total) : 0;
    size_t n = dt_format(out, size, "%u %%", percent);
    if (event->seconds_left >= 0.05)
        dt_format(out + n, size - n, ", about %.1f s left", event->seconds_left);
    return out;
}

const char *ui_length_limit_text(const struct dt_app_api *api, struct dt_app *app, char *out,
                                 size_t size)
{
    const char *limit = api->get(app, DT_SET_LENGTH);
    dt_format(out, size, "Length limit reached (%s token%s). /continue continues.", limit,
              strcmp(limit, "1") == 0 ? "" : "s");
    return out;
}

const char *ui_no_memory_text(size_t bytes, char *out, size_t size)
{
    dt_format(out, size, "out of memory: %zu bytes could not be allocated", bytes);
    return out;
}

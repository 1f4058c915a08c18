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
    struct dt_app_turn turn = {0};
    size_t turns = api->story(app)->turns;
    bool thinks =
        turns && api->turn(app, turns - 1, &turn) && turn.thought_length && !turn.text_length;
    dt_format(out, size, "Length limit reached%s (%s token%s). /continue continues.",
              thinks ? " in a thought" : "", limit, strcmp(limit, "1") == 0 ? "" : "s");
    return out;
}

bool ui_is_story_end(enum dt_app_turn_end end)
{
    return end == DT_END_STORY || end == DT_END_STOP_TEXT;
}

const char *ui_no_memory_text(size_t bytes, char *out, size_t size)
{
    dt_format(out, size, "out of memory: %zu bytes could not be allocated", bytes);
    return out;
}

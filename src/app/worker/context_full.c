// SPDX-License-Identifier: MIT
#include "app/worker/context_full.h"

#include <string.h>

#include "host/context_fill.h"

static size_t count(struct dt_worker *w, const char *text)
{
    const uint32_t *tokens;
    size_t n = 0;
    if (!text || !*text ||
        dt_engine_encode(w->engine, text, strlen(text), 0, &tokens, &n, NULL) != DT_OK)
        return 0;
    return n;
}

static struct dt_context_fill survey(struct dt_worker *w, uint32_t total)
{
    struct dt_story *story = &w->story;
    const struct dt_turn *last = dt_story_last(story);
    const char *system = dt_settings_text(&w->settings, DT_SET_SYSTEM);
    struct dt_context_fill fill = {
        .capacity = dt_session_capacity(dt_engine_session(w->engine)),
        .total = total,
        .system = story->chat ? count(w, system) : 0,
        .premise = count(w, story->premise),
        .turns = story->count ? story->count - 1 : 0,
        .chat = story->chat,
    };
    if (last)
        fill.message = count(w, last->prompt) + count(w, last->text);
    return fill;
}

static dt_status fail(const struct dt_context_fill *fill, struct dt_error *err)
{
    static const char *const advice[] = {
        [DT_CONTEXT_SYSTEM] = "shorten the system prompt (/system), or make the context larger "
                              "(/set context)",
        [DT_CONTEXT_PREMISE] = "shorten the premise (/pin), or make the context larger "
                               "(/set context)",
        [DT_CONTEXT_MESSAGE] = "shorten it, or make the context larger (/set context)",
        [DT_CONTEXT_TURNS] =
            "/new begins another story, /set overflow window continues without the "
            "beginning, /set context makes the context larger",
    };
    return dt_context_fill_error(fill, advice[dt_context_fill_cause(fill)], err);
}

dt_status dt_context_full(struct dt_worker *w, uint32_t total, struct dt_error *err)
{
    struct dt_context_fill fill = survey(w, total);
    return fail(&fill, err);
}

dt_status dt_context_check_prompt(struct dt_worker *w, struct dt_error *err)
{
    struct dt_context_fill fill = survey(w, 0);
    fill.turns = 0;
    if (fill.system + fill.premise + fill.message + 8 <= fill.capacity)
        return DT_OK;
    return fail(&fill, err);
}

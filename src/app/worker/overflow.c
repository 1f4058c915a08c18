// SPDX-License-Identifier: MIT
#include "app/worker/overflow.h"

#include "core/kv/overflow.h"

#define LEAST_KEPT 8u // tokens behind what is pinned

static enum dt_overflow policy_of(const struct dt_settings *settings)
{
    return dt_overflow_of(dt_settings_text(settings, DT_SET_OVERFLOW));
}

bool dt_overflow_goes_on(const struct dt_settings *settings)
{
    enum dt_overflow policy = policy_of(settings);
    return policy == DT_OVERFLOW_SHIFT || policy == DT_OVERFLOW_WINDOW;
}

const char *dt_overflow_says(const struct dt_settings *settings)
{
    return policy_of(settings) == DT_OVERFLOW_WINDOW ? "nothing is evaluated again"
                                                     : "the rest is evaluated again";
}

// In a chat the system prompt and the first request are pinned, up to the beginning of the answer,
// so that what follows the gap follows a whole template.
static void pin(struct dt_story *story, uint32_t capacity)
{
    const struct dt_turn *first = &story->turns[0];
    uint32_t wanted = story->head;
    if (story->chat && story->count > 1 && first->output_at != DT_NOWHERE &&
        first->output_at > wanted && first->output_at < capacity / 2)
        wanted = first->output_at;
    uint32_t sinks = dt_overflow_pinned(capacity, 0);
    story->head = wanted > sinks ? wanted : sinks;
}

// Where the gap ends that should end at `end`: in a chat where a turn begins.
static uint32_t gap_end(const struct dt_story *story, uint32_t end)
{
    uint32_t last = story->token_count - LEAST_KEPT, before = 0;
    for (size_t i = 1; story->chat && i < story->count; i++) {
        uint32_t begin = story->turns[i].begin;
        if (begin == DT_NOWHERE || begin <= story->head || begin > last)
            continue;
        if (begin >= end)
            return begin;
        before = begin;
    }
    if (before)
        return before;
    return end < last ? end : last;
}

uint32_t dt_overflow_drop_oldest(struct dt_worker *w)
{
    struct dt_story *story = &w->story;
    struct dt_session *session = dt_engine_session(w->engine);
    uint32_t capacity = dt_session_capacity(session);
    if (story->token_count <= story->head + LEAST_KEPT)
        return 0;
    if (policy_of(&w->settings) != DT_OVERFLOW_WINDOW || !dt_session_can_drop(session))
        return dt_story_shift(story);
    pin(story, capacity);
    if (story->token_count <= story->head + LEAST_KEPT)
        return 0;
    uint32_t first = story->head,
             count = gap_end(story, first + dt_overflow_drop(capacity, first)) - first;
    uint32_t same = dt_session_common_prefix(session, story->tokens, story->token_count);
    dt_session_truncate(session, same);
    if (first + count <= same)
        dt_session_drop(session, first, count);
    else
        dt_session_truncate(session, first);
    dt_story_drop(story, first, count);
    return count;
}

bool dt_overflow_is_evaluated(struct dt_worker *w)
{
    struct dt_session *session = dt_engine_session(w->engine);
    const struct dt_story *story = &w->story;
    return dt_session_position(session) == story->token_count &&
           dt_session_common_prefix(session, story->tokens, story->token_count) ==
               story->token_count &&
           dt_session_logits(session) != NULL;
}

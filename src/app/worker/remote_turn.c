// SPDX-License-Identifier: MIT
#include "app/worker/remote_turn.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/answer.h"
#include "app/worker/dialogue.h"
#include "app/worker/worker_events.h"
#include "host/context_fill.h"
#include "host/string_buffer.h"

#define SPARE 8u // tokens that have to be left for the answer

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the text of the story");
}

// ---- the prompt ----

static void add_message(struct dt_remote_prompt *p, const char *role, const char *text, size_t n)
{
    p->messages[p->count++] = (struct dt_remote_message){role, text, n};
    p->bytes += n;
}

static void make_chat(struct dt_worker *w, bool answer, struct dt_remote_prompt *p)
{
    struct dt_story *story = &w->story;
    char *system = p->owned[0];
    if (story->unsent >= story->count) // turns were removed since
        story->unsent = 0;
    if (*system)
        add_message(p, "system", system, strlen(system));
    for (size_t i = story->unsent; i < story->count; i++) {
        const struct dt_turn *turn = &story->turns[i];
        size_t at = i + 1 < story->count ? dt_answer_at(w, turn) : 0; // thoughts are not repeated
        add_message(p, "user", turn->prompt, strlen(turn->prompt));
        if (turn->length > at && (answer || i + 1 < story->count))
            add_message(p, "assistant", turn->text + at, turn->length - at);
    }
    p->resume = answer && story->turns[story->count - 1].length > 0;
}

// The story as one text, with the premise before it.
static char *whole_text(struct dt_worker *w, bool answer)
{
    struct dt_string_buffer text = {0};
    struct dt_story *story = &w->story;
    if (story->premise && *story->premise)
        dt_string_buffer_printf(&text, "%s\n", story->premise);
    size_t head = text.length;
    for (size_t i = 0; i < story->count; i++) {
        char *shown = dt_story_shown_prompt(story, i);
        if (!shown)
            text.failed = true;
        else
            dt_string_buffer_append(&text, shown, strlen(shown));
        free(shown);
        if (answer || i + 1 < story->count)
            dt_string_buffer_append(&text, story->turns[i].text, story->turns[i].length);
    }
    if (head + story->unsent >= text.length) // text was removed since
        story->unsent = 0;
    if (!text.failed && story->unsent) {
        memmove(text.text + head, text.text + head + story->unsent,
                text.length - head - story->unsent + 1);
        text.length -= story->unsent;
    }
    return dt_string_buffer_detach(&text);
}

dt_status dt_remote_prompt_make(struct dt_worker *w, bool answer, struct dt_remote_prompt *p,
                                struct dt_error *err)
{
    *p = (struct dt_remote_prompt){.chat = w->story.chat};
    p->messages = calloc(2 * w->story.count + 2, sizeof *p->messages);
    p->owned = calloc(1, sizeof *p->owned);
    if (!p->messages || !p->owned)
        return no_memory(err);
    p->owned[0] = p->chat ? dt_dialogue_system(w) : whole_text(w, answer);
    p->owned_count = 1;
    if (!p->owned[0])
        return no_memory(err);
    if (p->chat)
        make_chat(w, answer, p);
    else
        add_message(p, "user", p->owned[0], strlen(p->owned[0]));
    return DT_OK;
}

void dt_remote_prompt_free(struct dt_remote_prompt *p)
{
    for (uint32_t i = 0; i < p->owned_count; i++)
        free(p->owned[i]);
    free(p->owned);
    free(p->messages);
    *p = (struct dt_remote_prompt){0};
}

void dt_remote_turn_request(struct dt_worker *w, const struct dt_remote_prompt *p,
                            struct dt_remote_request *out)
{
    const struct dt_settings *s = &w->settings;
    *out = (struct dt_remote_request){
        .chat = p->chat,
        .messages = p->messages,
        .message_count = p->count,
        .resume = p->resume,
        .top_k = (uint32_t)dt_settings_uint(s, DT_SET_TOP_K),
        .seed = w->story.count ? w->story.turns[w->story.count - 1].seed : 0,
        .temperature = dt_settings_real(s, DT_SET_TEMPERATURE),
        .top_p = dt_settings_real(s, DT_SET_TOP_P),
        .min_p = dt_settings_real(s, DT_SET_MIN_P),
        .repeat_penalty = dt_settings_real(s, DT_SET_REPEAT_PENALTY),
        .repeat_last = (uint32_t)dt_settings_uint(s, DT_SET_REPEAT_LAST),
        .without_thinking = p->chat && dt_settings_is(s, DT_SET_THINKING, "off"),
    };
}

// ---- the context ----

// The tokens of a prompt: by the server's count, else estimated by the last turn's.
static dt_status count_tokens(struct dt_worker *w, const struct dt_remote_prompt *p,
                              uint32_t *tokens, struct dt_error *err)
{
    struct dt_remote_request request;
    dt_remote_turn_request(w, p, &request);
    dt_status status = dt_remote_count(w->remote, &request, tokens, err);
    if (status == DT_CANCELLED)
        return status;
    if (status != DT_OK)
        *tokens = (uint32_t)(p->bytes / 3 + 8 * p->count);
    return DT_OK;
}

// Leaves out half of what is sent and can be dropped. False: nothing can be.
static bool drop_half(struct dt_worker *w, const struct dt_remote_prompt *p)
{
    struct dt_story *story = &w->story;
    if (p->chat) {
        size_t left = story->count - 1 - story->unsent;
        story->unsent += (left + 1) / 2;
        return left > 0;
    }
    const char *text = p->messages[0].text;
    size_t head = story->premise && *story->premise ? strlen(story->premise) + 1 : 0,
           n = p->messages[0].length - head, drop = n / 2;
    while (drop < n && text[head + drop] != ' ' && text[head + drop] != '\n')
        drop++;
    story->unsent += drop;
    return n > 64 && drop < n;
}

static dt_status fail_full(struct dt_worker *w, uint32_t tokens, struct dt_error *err)
{
    const struct dt_context_fill fill = {
        .capacity = dt_worker_context(w),
        .total = tokens,
        .message = w->story.count == 1 ? tokens : 0,
        .turns = w->story.count - 1,
        .chat = w->story.chat,
    };
    return dt_context_fill_error(
        &fill, "/new begins another story, /set overflow shift continues without the beginning",
        err);
}

// Drops the oldest part until an eighth of the context is free. before: tokens so far.
static dt_status shift(struct dt_worker *w, uint32_t before, struct dt_error *err)
{
    uint32_t context = dt_worker_context(w), tokens = before;
    dt_status status = DT_OK;
    while (status == DT_OK && tokens + context / 8 > context) {
        struct dt_remote_prompt p;
        status = dt_remote_prompt_make(w, true, &p, err);
        bool dropped = status == DT_OK && drop_half(w, &p);
        dt_remote_prompt_free(&p);
        if (status == DT_OK && !dropped)
            status = fail_full(w, before, err);
        if (status == DT_OK)
            status = dt_remote_prompt_make(w, true, &p, err);
        if (status == DT_OK)
            status = count_tokens(w, &p, &tokens, err);
        dt_remote_prompt_free(&p);
    }
    if (status == DT_OK)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The context is full (%u tokens). The oldest %u tokens were dropped%s.",
                         context, before > tokens ? before - tokens : 0,
                         w->story.premise && *w->story.premise ? " (not the premise)" : "");
    return status;
}

dt_status dt_remote_turn_fit(struct dt_worker *w, struct dt_error *err)
{
    struct dt_remote_prompt p;
    uint32_t context = dt_worker_context(w), tokens = 0;
    w->story.stale = true;
    dt_status status = dt_remote_prompt_make(w, true, &p, err);
    // a token has at least one byte
    bool fits = p.bytes + 64 * (size_t)p.count + SPARE <= context;
    if (status == DT_OK && !fits) {
        dt_report_state(w->report, DT_APP_READING);
        status = count_tokens(w, &p, &tokens, err);
        fits = tokens + SPARE <= context;
    }
    dt_remote_prompt_free(&p);
    if (status != DT_OK || fits)
        return status;
    if (!dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift"))
        return fail_full(w, tokens, err);
    return shift(w, tokens, err);
}

// ---- generating ----

// The context is full in mid-turn. True if the oldest part was dropped.
static bool shift_in_turn(struct dt_worker *w, uint32_t used, enum dt_app_turn_end *end,
                          struct dt_error *err)
{
    uint32_t context = dt_worker_context(w);
    if (dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift")) {
        dt_status status = shift(w, used, err);
        *end = status == DT_CANCELLED ? DT_END_STOPPED : DT_END_ERROR;
        return status == DT_OK;
    }
    *end = DT_END_CONTEXT;
    dt_report_notice(w->report, DT_NOTICE_INFO,
                     dt_settings_is(&w->settings, DT_SET_OVERFLOW, "new")
                         ? "The context is full (%u tokens). The story ends here; the next prompt "
                           "begins a new one."
                         : "The context is full (%u tokens). /new begins another story, /set "
                           "overflow shift continues without the beginning.",
                     context);
    return false;
}

// One request. *status: its result.
static struct dt_remote_figures request_once(struct dt_worker *w, uint32_t max_tokens,
                                             dt_remote_on_text *on_text, void *arg,
                                             dt_status *status, struct dt_error *err)
{
    struct dt_remote_prompt p;
    struct dt_remote_request request;
    struct dt_remote_figures f = {0};
    *status = dt_remote_prompt_make(w, true, &p, err);
    if (*status == DT_OK) {
        dt_remote_turn_request(w, &p, &request);
        request.max_tokens = max_tokens;
        *status = dt_remote_generate(w->remote, &request, on_text, arg, &f, err);
    }
    dt_remote_prompt_free(&p);
    if (f.prompt_tokens)
        w->remote_used = f.prompt_tokens + f.tokens;
    w->figures.prompt_tokens = f.evaluated ? f.evaluated : f.prompt_tokens;
    if (f.evaluated > 1 && f.prompt_seconds > 0)
        w->figures.prompt_speed = f.evaluated / f.prompt_seconds;
    return f;
}

// The most tokens of a turn; a thought may be eight times as long. 0: no limit.
static uint32_t limit_of(struct dt_worker *w, uint32_t generated)
{
    uint64_t length = dt_settings_uint(&w->settings, DT_SET_LENGTH);
    if (w->story.chat)
        length *= 9;
    return length > generated ? (uint32_t)(length - generated) : length ? 1 : 0;
}

enum dt_app_turn_end dt_remote_turn(struct dt_worker *w, dt_remote_on_text *on_text, void *arg,
                                    uint32_t *tokens, struct dt_error *err)
{
    enum dt_app_turn_end end = DT_END_ERROR;
    uint32_t context = dt_worker_context(w);
    bool counted = false;
    *tokens = 0;
    w->figures.prompt_speed = 0;
    for (int refused = 0;;) {
        dt_status status;
        struct dt_remote_figures f =
            request_once(w, limit_of(w, *tokens), on_text, arg, &status, err);
        *tokens += f.tokens;
        counted = counted || f.counted;
        uint32_t used = f.prompt_tokens + f.tokens;
        if (status == DT_CANCELLED) {
            end = DT_END_STOPPED;
            break;
        }
        if (status == DT_CONTEXT_FULL && refused++ < 4 && context != UINT32_MAX) {
            if (shift_in_turn(w, used ? used : context, &end, err))
                continue;
            break;
        }
        if (status != DT_OK)
            break;
        if (f.end == DT_REMOTE_END_TEXT) {
            end = DT_END_STORY;
            break;
        }
        end = DT_END_LENGTH;
        if (context == UINT32_MAX || used + SPARE < context)
            break;
        if (!shift_in_turn(w, used, &end, err))
            break;
    }
    if (counted) // by the pieces that arrived, which on_text has counted too
        *tokens = 0;
    return end;
}

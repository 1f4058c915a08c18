// SPDX-License-Identifier: MIT
#include "app/worker/prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker/answer.h"
#include "app/worker/context.h"
#include "app/worker/context_full.h"
#include "app/worker/generate.h"
#include "app/worker/open_model.h"
#include "app/worker/remote_turn.h"
#include "app/worker/overflow.h"
#include "app/worker/story_settings.h"
#include "app/worker/worker_events.h"
#include "host/modules/modules.h"

void dt_story_begin(struct dt_worker *w, const char *why)
{
    dt_story_clear(&w->story);
    dt_story_settings_leave(w);
    dt_worker_post_story(w, 0, why);
}

// A random line of data/openings.txt.
static void random_opening(struct dt_worker *w, char *out, size_t size)
{
    char path[4096], line[256];
    unsigned count = 0;
    snprintf(out, size, "Once upon a time");
    FILE *in = dt_modules_data("openings.txt", path, sizeof path) ? fopen(path, "re") : NULL;
    if (!in)
        return;
    uint64_t dice = dt_worker_new_seed(w);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] && line[0] != '#' && dice % ++count == 0)
            snprintf(out, size, "%s", line);
    }
    fclose(in);
}

// A prompt that continues the text before it: with a space where one is missing. The caller
// releases it with free(); NULL if memory is short.
static char *join(const struct dt_turn *before, const char *prompt)
{
    size_t n = strlen(before->prompt);
    char last = before->length ? before->text[before->length - 1]
                : n            ? before->prompt[n - 1] // stopped before its first token
                               : ' ';
    bool glued = last == ' ' || last == '\n' || strchr(" \n\t.,;:!?'\")", prompt[0]) != NULL;
    char *joined;
    return asprintf(&joined, "%s%s", glued ? "" : " ", prompt) < 0 ? NULL : joined;
}

// Begins a new story if this prompt does not fit into the context of the present one.
static void begin_story_if_needed(struct dt_worker *w, const char *text)
{
    struct dt_story *story = &w->story;
    struct dt_turn *last = dt_story_last(story);
    uint64_t capacity = dt_worker_context(w);
    if (!last)
        return;
    if (last->end == DT_END_CONTEXT && !dt_overflow_goes_on(&w->settings))
        dt_story_begin(w, "a new story: the context is full");
    else if (dt_settings_is(&w->settings, DT_SET_OVERFLOW, "new") &&
             dt_worker_context_used(w) + strlen(text) / 2 + capacity / 4 > capacity)
        dt_story_begin(w, "a new story: the context is almost full");
}

// Puts the prompt of the last turn into the context; makes space for it if the settings allow
// that.
static dt_status put_into_context(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    if (w->remote)
        return dt_remote_turn_fit(w, err);
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine)), dropped = 0;
    dt_status status = dt_context_put_prompt(w, err);
    if (status != DT_OK || story->token_count < capacity)
        return status;
    uint32_t total = story->token_count;
    if (!dt_overflow_goes_on(&w->settings))
        return dt_context_full(w, total, err);
    for (uint32_t n = 1; n > 0 && story->token_count + 8 >= capacity; dropped += n)
        n = dt_overflow_drop_oldest(w);
    if (story->token_count >= capacity)
        return dt_context_full(w, total, err);
    dt_report_notice(w->report, DT_NOTICE_INFO,
                     "The context is full (%u tokens). The oldest %u tokens were dropped.",
                     capacity, dropped);
    return DT_OK;
}

void dt_prompt(struct dt_worker *w, const char *text)
{
    struct dt_story *story = &w->story;
    struct dt_error err = {0};
    char opening[512];
    char *joined = NULL;
    if (!dt_worker_has_model(w))
        return;
    if (story->count == 0) {
        story->chat = dt_open_model_chat_wanted(w);
        if (!*text && !story->chat) {
            snprintf(opening, sizeof opening, "%s", dt_settings_text(&w->settings, DT_SET_OPENING));
            if (!opening[0])
                random_opening(w, opening, sizeof opening);
            text = opening;
        }
    }
    if (!*text)
        return;
    bool request = !story->chat && w->family == DT_TEMPLATE_STORY && dt_story_is_request(text);
    begin_story_if_needed(w, text);
    struct dt_turn *last = dt_story_last(story);
    if (last && !story->chat && !request) {
        joined = join(last, text);
        if (!story->stale) // dt_context_rebuild does the same
            dt_context_reopen(w);
    }
    struct dt_turn *turn = dt_story_add(story, joined ? joined : text);
    free(joined);
    if (!turn) {
        dt_report_notice(w->report, DT_NOTICE_ERROR, "Out of memory for another turn.");
        return;
    }
    turn->request = request;
    uint64_t seed = dt_settings_uint(&w->settings, DT_SET_SEED);
    turn->seed = seed ? seed + story->count - 1 : dt_worker_new_seed(w);
    if (put_into_context(w, &err) != DT_OK) {
        dt_story_cut(story, story->count - 1);
        dt_worker_fail(w, &err);
        dt_report_entry(w->report, DT_EVENT_INPUT, text);
        return;
    }
    dt_generate(w, false);
}

size_t dt_prompt_edited_from(const struct dt_worker *w, const struct dt_turn *turn)
{
    size_t at = dt_answer_at(w, turn);
    return at < turn->length ? at : 0; // cut inside a thought: all of it
}

void dt_prompt_edited(struct dt_worker *w, const char *text)
{
    struct dt_turn *turn = dt_story_last(&w->story);
    struct dt_error err = {0};
    char *whole;
    if (!dt_worker_has_model(w) || !turn)
        return;
    if (asprintf(&whole, "%.*s%s", (int)dt_prompt_edited_from(w, turn), turn->text, text) < 0)
        whole = NULL;
    dt_status status = whole ? dt_context_replace_text(w, whole, &err)
                             : dt_error_set(&err, DT_NO_MEMORY, NULL, "out of memory for the text");
    free(whole);
    if (status != DT_OK) {
        dt_report_error(w->report, &err);
        return;
    }
    dt_worker_post_story(w, w->story.count - 1, "edited");
    dt_generate(w, true);
}

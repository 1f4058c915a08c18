// SPDX-License-Identifier: MIT
#include "app/commands/commands_story.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/context.h"
#include "app/worker/overflow.h"
#include "app/worker/generate.h"
#include "app/worker/prompts.h"
#include "app/worker/worker_events.h"

void dt_command_new(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    dt_story_begin(w, "a new story");
    dt_worker_post_figures(w, false);
}

// Makes the tokens anew if they are stale. False after a notice.
static bool refresh_context(struct dt_worker *w)
{
    struct dt_error err = {0};
    if (!w->story.stale || dt_context_rebuild(w, &err) == DT_OK)
        return true;
    dt_report_error(w->report, &err);
    return false;
}

void dt_command_continue(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    struct dt_turn *turn = dt_story_last(&w->story);
    if (!dt_worker_has_model(w) || !dt_worker_has_turn(w, "continue"))
        return;
    if (dt_story_is_ended(turn) && turn->length > turn->opened) {
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The story has ended. More text continues it, Enter on an empty line "
                         "begins another one, /retry generates its last part again.");
        return;
    }
    if (turn->end == DT_END_CONTEXT && !dt_overflow_goes_on(&w->settings)) {
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The context is full. /set overflow window continues without the "
                         "beginning of the story, /new begins another one.");
        return;
    }
    if (refresh_context(w))
        dt_generate(w, true);
}

// Whether the setting `thinking` asks for another prompt than that of the last turn.
static bool thinks_otherwise(const struct dt_worker *w)
{
    return w->story.chat && w->chat.thoughts &&
           w->chat.without_thinking != dt_settings_is(&w->settings, DT_SET_THINKING, "off");
}

void dt_command_retry(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    if (!dt_worker_has_model(w) || !dt_worker_has_turn(w, "generate again"))
        return;
    if (turn->output_at == DT_NOWHERE || thinks_otherwise(w)) {
        story->stale = true;
        turn->length = turn->opened = 0;
    } else {
        story->token_count = turn->output_at;
        turn->length = turn->opened;
    }
    turn->text[turn->length] = '\0';
    turn->tokens = 0;
    turn->random = 0;
    uint64_t seed = dt_settings_uint(&w->settings, DT_SET_SEED);
    turn->seed = seed ? turn->seed + 1 : dt_worker_new_seed(w);
    if (!refresh_context(w))
        return;
    if (dt_settings_real(&w->settings, DT_SET_TEMPERATURE) == 0)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "The temperature is 0: the text will be the same.");
    dt_worker_post_story(w, story->count - 1, "generated again");
    dt_generate(w, false);
}

void dt_command_undo(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    struct dt_story *story = &w->story;
    if (!dt_worker_has_turn(w, "undo"))
        return;
    char *prompt = strdup(dt_story_last(story)->prompt);
    size_t n = story->count - 1;
    dt_story_cut(story, n);
    if (story->saved && !dt_worker_private(w))
        dt_writer_wait(w->writer, dt_writer_cut(w->writer, story->saved, (uint32_t)n),
                       &w->control->stopping, NULL, NULL);
    dt_worker_post_story(w, n, "undone");
    dt_worker_post_figures(w, false);
    if (prompt)
        dt_report_entry(w->report, DT_EVENT_INPUT, *prompt == ' ' ? prompt + 1 : prompt);
    free(prompt);
}

void dt_command_edit(struct dt_worker *w, const char *arguments)
{
    (void)arguments;
    if (!dt_worker_has_turn(w, "edit"))
        return;
    const struct dt_turn *turn = dt_story_last(&w->story);
    dt_report_entry(w->report, DT_EVENT_EDIT, turn->text + dt_prompt_edited_from(w, turn));
}

void dt_command_pin(struct dt_worker *w, const char *arguments)
{
    struct dt_story *story = &w->story;
    if (!*arguments) {
        if (story->premise && *story->premise)
            dt_report_notice(w->report, DT_NOTICE_INFO, "The premise is: %s", story->premise);
        else
            dt_report_notice(w->report, DT_NOTICE_INFO,
                             "No premise. /pin TEXT sets one, which stays at the beginning of the "
                             "context.");
        return;
    }
    free(story->premise);
    story->premise_opened = false;
    story->premise = strcmp(arguments, "-") == 0 ? NULL : strdup(arguments);
    story->stale = story->count > 0;
    dt_worker_post_story(w, story->count, NULL);
    dt_report_notice(w->report, DT_NOTICE_INFO, "%s%s",
                     story->premise ? "Premise set." : "Premise removed.",
                     story->count ? " The story is evaluated again with the next turn." : "");
}

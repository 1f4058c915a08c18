// SPDX-License-Identifier: MIT
#include "app/worker/dialogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the tokens of the story");
}

char *dt_dialogue_system(struct dt_worker *w)
{
    const char *system = dt_settings_text(&w->settings, DT_SET_SYSTEM),
               *premise = w->story.premise ? w->story.premise : "";
    char *text = malloc(strlen(system) + strlen(premise) + 4);
    if (text)
        sprintf(text, "%s%s%s", system, *system && *premise ? "\n\n" : "", premise);
    return text;
}

// The messages up to the prompt of turn n, malloc'ed. The texts stay where they are, but for
// answers whose thought has no end: those are *owned, one for each turn.
static struct dt_jinja_message *messages_of(struct dt_worker *w, size_t n, const char *system,
                                            char **owned, size_t *count)
{
    struct dt_jinja_message *messages = calloc(2 * n + 2, sizeof *messages);
    *count = 0;
    if (messages && *system)
        messages[(*count)++] = (struct dt_jinja_message){"system", system, strlen(system)};
    for (size_t i = 0; messages && i <= n; i++) {
        const struct dt_turn *turn = &w->story.turns[i];
        bool unclosed;
        messages[(*count)++] =
            (struct dt_jinja_message){"user", turn->prompt, strlen(turn->prompt)};
        if (i == n)
            break;
        owned[i] = dt_chat_close_thought(&w->chat, turn->text, turn->length, &unclosed);
        const char *text = owned[i] ? owned[i] : turn->text;
        messages[(*count)++] = (struct dt_jinja_message){"assistant", text, strlen(text)};
    }
    return messages;
}

// The token that ended the turn before n and is the last one of the context; DT_NO_TOKEN: none, or
// the turn is not rendered as it is. owned: of messages_of.
static uint32_t ended_by(struct dt_worker *w, size_t n, char *const *owned)
{
    const struct dt_story *story = &w->story;
    if (n == 0 || story->stale || !story->token_count || owned[n - 1] ||
        story->turns[n - 1].end != DT_END_STORY)
        return DT_NO_TOKEN;
    uint32_t last = story->tokens[story->token_count - 1];
    return dt_tokenizer_is_end(dt_engine_tokenizer(w->engine), last) ? last : DT_NO_TOKEN;
}

// What is never dropped: the system prompt and the first request, else BOS.
static dt_status find_head(struct dt_worker *w, const struct dt_jinja_message *messages,
                           struct dt_error *err)
{
    struct dt_story *story = &w->story;
    struct dt_chat_step step;
    const uint32_t *tokens;
    size_t count, same = 0;
    dt_status status = DT_OK;
    story->head = story->token_count && story->tokens[0] == w->chat.vocab->bos;
    if (strcmp(messages[0].role, "system") != 0)
        return DT_OK;
    status = dt_chat_next(&w->chat, messages, 2, DT_NO_TOKEN, &step, err);
    if (status == DT_OK)
        status = dt_engine_encode_chat(w->engine, &step.text, true, &tokens, &count, err);
    if (status != DT_OK)
        return status;
    while (same < count && same < story->token_count && tokens[same] == story->tokens[same])
        same++;
    story->head = (uint32_t)same;
    return DT_OK;
}

void dt_dialogue_choose_thinking(struct dt_worker *w, const struct dt_turn *turn)
{
    w->chat.without_thinking = dt_settings_is(&w->settings, DT_SET_THINKING, "off") &&
                               !dt_thoughts_begins(w->chat.thoughts, turn->text, turn->length);
}

// Renders the dialogue up to the prompt of turn n, so that the turn's text continues it.
static dt_status render(struct dt_worker *w, size_t n, const struct dt_jinja_message *messages,
                        size_t count, uint32_t ended, struct dt_chat_step *step,
                        struct dt_error *err)
{
    const struct dt_turn *turn = &w->story.turns[n];
    dt_dialogue_choose_thinking(w, turn);
    dt_status status = dt_chat_next(&w->chat, messages, count, ended, step, err);
    if (status != DT_OK || !step->opened || !turn->length ||
        dt_thoughts_begins(w->chat.thoughts, turn->text, turn->length))
        return status;
    w->chat.without_thinking = true; // the text has no thoughts
    return dt_chat_next(&w->chat, messages, count, ended, step, err);
}

// What the rendering opens is the beginning of the turn's text.
static bool open_thought(struct dt_turn *turn, const struct dt_chat_step *step)
{
    const char *begun = step->text.text + step->text.length - step->opened;
    if (!turn->length && !dt_story_append_text(turn, begun, step->opened))
        return false;
    turn->opened = 0;
    while (turn->opened < step->opened && turn->opened < turn->length &&
           turn->text[turn->opened] == begun[turn->opened])
        turn->opened++;
    return true;
}

static dt_status put(struct dt_worker *w, size_t n, const struct dt_jinja_message *messages,
                     size_t count, uint32_t ended, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = &story->turns[n];
    struct dt_chat_step step;
    const uint32_t *tokens;
    size_t token_count;
    dt_status status = render(w, n, messages, count, ended, &step, err);
    if (status == DT_OK)
        status =
            dt_engine_encode_chat(w->engine, &step.text, step.whole, &tokens, &token_count, err);
    if (status != DT_OK)
        return status;
    if (step.whole) {
        story->token_count = 0;
        for (size_t i = 0; i < n; i++)
            story->turns[i].begin = story->turns[i].output_at = DT_NOWHERE;
    }
    turn->begin = step.whole && n > 0 ? DT_NOWHERE : story->token_count;
    if (!open_thought(turn, &step) || !dt_story_push_tokens(story, tokens, token_count)) {
        story->stale = true;
        return no_memory(err);
    }
    turn->output_at = story->token_count;
    return step.whole ? find_head(w, messages, err) : DT_OK;
}

dt_status dt_dialogue_put_turn(struct dt_worker *w, size_t n, struct dt_error *err)
{
    size_t count;
    char *system = dt_dialogue_system(w), **owned = calloc(n + 1, sizeof *owned);
    struct dt_jinja_message *messages =
        system && owned ? messages_of(w, n, system, owned, &count) : NULL;
    dt_status status =
        messages ? put(w, n, messages, count, ended_by(w, n, owned), err) : no_memory(err);
    for (size_t i = 0; owned && i < n; i++)
        free(owned[i]);
    free(owned);
    free(messages);
    free(system);
    return status;
}

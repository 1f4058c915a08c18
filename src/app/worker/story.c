// SPDX-License-Identifier: MIT
#include "app/worker/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "host/array.h"

static void free_turn(struct dt_turn *turn)
{
    free(turn->prompt);
    free(turn->text);
    memset(turn, 0, sizeof *turn);
}

void dt_story_clear(struct dt_story *story)
{
    while (story->count > 0)
        free_turn(&story->turns[--story->count]);
    free(story->title);
    story->title = NULL;
    story->token_count = story->head = story->dropped = 0;
    story->stale = false;
    story->unsent = 0;
    story->id = 0;
    dt_writer_story_release(story->saved);
    story->saved = NULL;
}

void dt_story_free(struct dt_story *story)
{
    dt_story_clear(story);
    free(story->turns);
    free(story->tokens);
    free(story->premise);
}

struct dt_turn *dt_story_last(struct dt_story *story)
{
    return story->count ? &story->turns[story->count - 1] : NULL;
}

struct dt_turn *dt_story_add(struct dt_story *story, const char *prompt)
{
    if (!dt_array_grow(&story->turns, &story->capacity, story->count + 1, sizeof *story->turns))
        return NULL;
    struct dt_turn *turn = &story->turns[story->count];
    memset(turn, 0, sizeof *turn);
    turn->prompt = strdup(prompt);
    turn->text = strdup("");
    turn->capacity = 1;
    turn->begin = turn->output_at = DT_NOWHERE;
    if (!turn->prompt || !turn->text) {
        free_turn(turn);
        return NULL;
    }
    story->count++;
    return turn;
}

bool dt_story_append_text(struct dt_turn *turn, const char *text, size_t n)
{
    if (!dt_array_grow(&turn->text, &turn->capacity, turn->length + n + 1, 1))
        return false;
    memcpy(turn->text + turn->length, text, n);
    turn->length += n;
    turn->text[turn->length] = '\0';
    return true;
}

bool dt_story_push_tokens(struct dt_story *story, const uint32_t *tokens, size_t count)
{
    if (!dt_array_grow(&story->tokens, &story->token_capacity, story->token_count + count,
                       sizeof *story->tokens))
        return false;
    memcpy(story->tokens + story->token_count, tokens, count * sizeof *tokens);
    story->token_count += (uint32_t)count;
    return true;
}

void dt_story_cut(struct dt_story *story, size_t n)
{
    if (n < story->count && story->turns[n].begin != DT_NOWHERE)
        story->token_count = story->turns[n].begin;
    else
        story->stale = true;
    while (story->count > n)
        free_turn(&story->turns[--story->count]);
    if (story->count == 0)
        story->token_count = story->head = story->dropped = 0; // the next prompt begins with BOS
}

void dt_story_drop(struct dt_story *story, uint32_t first, uint32_t count)
{
    uint32_t end = first + count;
    memmove(story->tokens + first, story->tokens + end,
            (story->token_count - end) * sizeof *story->tokens);
    story->token_count -= count;
    story->dropped += count;
    for (size_t i = 0; i < story->count; i++) {
        struct dt_turn *turn = &story->turns[i];
        if (turn->begin != DT_NOWHERE)
            turn->begin = turn->begin >= end ? turn->begin - count : DT_NOWHERE;
        if (turn->output_at != DT_NOWHERE)
            turn->output_at = turn->output_at >= end ? turn->output_at - count : DT_NOWHERE;
    }
}

uint32_t dt_story_shift(struct dt_story *story)
{
    uint32_t drop = (story->token_count - story->head + 1) / 2;
    dt_story_drop(story, story->head, drop);
    return drop;
}

bool dt_story_is_ended(const struct dt_turn *turn)
{
    return turn->finished && (turn->end == DT_END_STORY || turn->end == DT_END_STOP_TEXT);
}

bool dt_story_is_request(const char *prompt)
{
    size_t n = strlen(prompt);
    while (n > 0 && (prompt[n - 1] == ' ' || prompt[n - 1] == '\n' || prompt[n - 1] == '"'))
        n--;
    return n > 0 && strchr(".?!", prompt[n - 1]) != NULL;
}

char *dt_story_shown_prompt(const struct dt_story *story, size_t n)
{
    const struct dt_turn *turn = &story->turns[n];
    char *text = NULL;
    bool request = turn->request && !story->chat;
    if (asprintf(&text, "%s%s%s", request && n > 0 ? "\n\n" : "", turn->prompt,
                 request ? "\n\n" : "") < 0)
        return NULL;
    return text;
}

char *dt_story_make_title(const struct dt_story *story)
{
    char text[200] = "";
    size_t n = 0;
    if (story->count > 0) {
        const struct dt_turn *turn = &story->turns[0];
        const char *parts[] = {turn->prompt, story->chat || turn->request ? "" : turn->text};
        for (int i = 0; i < 2; i++) {
            for (const char *p = parts[i]; *p && n + 1 < sizeof text; p++) {
                char c = *p == '\n' || *p == '\t' ? ' ' : *p;
                if (c == ' ' && (n == 0 || text[n - 1] == ' '))
                    continue;
                text[n++] = c;
            }
        }
    }
    text[n] = '\0';
    if (n > 48) { // whole words, whole characters
        n = 48;
        while (n > 24 && text[n] != ' ')
            n--;
        if (text[n] != ' ') {
            n = 48;
            while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--;
        }
    }
    while (n > 0 && strchr(" ,;:", text[n - 1]))
        n--;
    text[n] = '\0';
    return strdup(n ? text : "A story");
}

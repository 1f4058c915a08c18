// SPDX-License-Identifier: MIT
#include "app/worker/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker/answer.h"
#include "app/worker/context_full.h"
#include "app/worker/dialogue.h"
#include "app/worker/overflow.h"

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the tokens of the story");
}

static dt_status push_bytes(struct dt_worker *w, const char *text, size_t n, unsigned flags,
                            struct dt_error *err)
{
    const uint32_t *tokens;
    size_t count;
    dt_status status = dt_engine_encode(w->engine, text, n, flags, &tokens, &count, err);
    if (status == DT_OK && !dt_story_push_tokens(&w->story, tokens, count))
        status = no_memory(err);
    return status;
}

static dt_status push_text(struct dt_worker *w, const char *text, unsigned flags,
                           struct dt_error *err)
{
    return push_bytes(w, text, strlen(text), flags, err);
}

// Puts the text of a turn into the context, from byte `at` on. A marker of thoughts that is a token
// becomes that token, as it was when the text was generated.
static dt_status push_answer(struct dt_worker *w, const struct dt_turn *turn, size_t at,
                             struct dt_error *err)
{
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    unsigned rows = w->story.chat ? w->chat.thoughts : 0;
    dt_status status = DT_OK;
    for (size_t end = at; status == DT_OK && at < turn->length; at = end) {
        size_t marker = 0;
        for (; end < turn->length; end++) {
            marker = dt_thoughts_marker_at(rows, turn->text + end, turn->length - end);
            if (marker)
                break;
        }
        uint32_t id = marker ? dt_template_marker(vocab, turn->text + end, marker) : DT_NO_TOKEN;
        if (id == DT_NO_TOKEN) // text, as far as it goes
            end += marker;
        if (end > at)
            status = push_bytes(w, turn->text + at, end - at, 0, err);
        if (status == DT_OK && id != DT_NO_TOKEN) {
            end += marker;
            if (!dt_story_push_tokens(&w->story, &id, 1))
                status = no_memory(err);
        }
    }
    return status;
}

static dt_status push_pieces(struct dt_worker *w, const struct dt_template_piece *pieces,
                             size_t piece_count, bool bos, struct dt_error *err)
{
    size_t n = 0, count = 0;
    for (size_t i = 0; i < piece_count; i++)
        n += pieces[i].length;
    size_t capacity = n + 2 * piece_count +
                      8; // a byte makes one token at most; BOS, and a space before each run of text
    uint32_t *tokens = malloc(capacity * sizeof *tokens);
    char *scratch = malloc(n + 1);
    dt_status status = tokens && scratch ? DT_OK : no_memory(err);
    if (status == DT_OK)
        status = dt_engine_encode_pieces(w->engine, pieces, piece_count, bos, scratch, n, tokens,
                                         capacity, &count, err);
    if (status == DT_OK && !dt_story_push_tokens(&w->story, tokens, count))
        status = no_memory(err);
    free(tokens);
    free(scratch);
    return status;
}

// The beginning of a context in story mode: BOS and the premise. In chat mode both belong to the
// first turn.
static dt_status push_head(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    dt_status status = DT_OK;
    if (story->premise && story->premise[0] && !story->chat) {
        status =
            push_text(w, story->premise, DT_ENCODE_BOS | DT_ENCODE_PREFIX | DT_ENCODE_USER, err);
        if (status == DT_OK)
            status = push_text(w, "\n", 0, err);
    }
    story->head = story->token_count;
    return status;
}

// What closes a turn of a chat, and its thought where that has no end. Returns the number of
// pieces.
static size_t close_turn(struct dt_worker *w, const struct dt_turn *turn,
                         struct dt_template_piece *pieces)
{
    struct dt_story *story = &w->story;
    int open;
    dt_thoughts_answer(w->chat.thoughts, turn->text, turn->length, &open);
    if (open < 0)
        return dt_template_close(w->family, turn->end == DT_END_STORY, pieces);
    while (
        turn->end == DT_END_STORY && story->token_count > 0 &&
        dt_tokenizer_is_end(dt_engine_tokenizer(w->engine), story->tokens[story->token_count - 1]))
        story->token_count--; // the thought ends first
    const char *close = dt_thought_markers((unsigned)open)->close;
    pieces[0] = (struct dt_template_piece){close, strlen(close), true};
    return 1 + dt_template_close(w->family, false, pieces + 1);
}

static dt_status put_chat_turn(struct dt_worker *w, size_t n, bool first, struct dt_error *err)
{
    struct dt_template_piece pieces[2 * DT_TEMPLATE_PIECES];
    struct dt_turn *turn = &w->story.turns[n];
    char *system = dt_dialogue_system(w);
    size_t count = 0;
    if (!system)
        return no_memory(err);
    if (!first)
        count = close_turn(w, turn - 1, pieces);
    turn->begin = w->story.token_count;
    turn->opened = 0;
    dt_dialogue_choose_thinking(w, turn);
    count += dt_template_turn(w->family, first, system, strlen(system), turn->prompt,
                              strlen(turn->prompt), pieces + count);
    count += dt_chat_empty_thought(&w->chat, pieces + count);
    dt_status status = push_pieces(w, pieces, count, first, err);
    if (first)
        w->story.head =
            *system ? w->story.token_count : 0; // system prompt, premise and the first request stay
    free(system);
    return status;
}

// In story mode the prompt is text, except for requests to the storyteller.
static dt_status put_story_turn(struct dt_worker *w, size_t n, bool first, struct dt_error *err)
{
    struct dt_turn *turn = &w->story.turns[n];
    dt_status status = DT_OK;
    turn->request = w->family == DT_TEMPLATE_STORY && dt_story_is_request(turn->prompt);
    if (turn->request) {
        struct dt_template_piece pieces[2 * DT_TEMPLATE_PIECES];
        size_t count =
            first ? 0
                  : dt_template_close(w->family, w->story.turns[n - 1].end == DT_END_STORY, pieces);
        count += dt_template_turn(w->family, first, NULL, 0, turn->prompt, strlen(turn->prompt),
                                  pieces + count);
        return push_pieces(w, pieces, count, first && w->story.token_count == 0, err);
    }
    if (first && w->story.token_count == 0)
        return push_text(w, turn->prompt, DT_ENCODE_BOS | DT_ENCODE_PREFIX | DT_ENCODE_USER, err);
    status = push_text(w, turn->prompt, DT_ENCODE_USER | (first ? DT_ENCODE_PREFIX : 0), err);
    return status;
}

static dt_status put_turn(struct dt_worker *w, size_t n, bool first, struct dt_error *err)
{
    struct dt_turn *turn = &w->story.turns[n];
    dt_status status = DT_OK;
    if (w->story.chat && w->chat.source)
        return dt_dialogue_put_turn(w, n, err);
    if (first)
        status = push_head(w, err);
    turn->begin = w->story.token_count;
    if (status == DT_OK)
        status = w->story.chat ? put_chat_turn(w, n, first, err) : put_story_turn(w, n, first, err);
    turn->output_at = w->story.token_count;
    if (first && w->story.head == 0 && w->story.token_count > 0 &&
        w->story.tokens[0] == dt_engine_model(w->engine)->vocab.bos)
        w->story.head = 1;
    if (status == DT_OK && w->story.token_count == 0)
        status = dt_error_set(
            err, DT_BAD_INPUT, w->model_path,
            "the vocabulary has no token for the beginning of a text, so a story needs a prompt");
    return status;
}

dt_status dt_context_put_prompt(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    size_t n = story->count - 1;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    dt_status status = dt_context_check_prompt(w, err);
    if (status != DT_OK)
        return status;
    if (story->stale) {
        status = dt_context_rebuild(w, err);
        if (status != DT_OK)
            return status;
    } else {
        uint32_t before = story->token_count;
        status = put_turn(w, n, n == 0, err);
        if (status != DT_OK) {
            story->token_count = before;
            return status;
        }
    }
    uint32_t begin = story->turns[n].begin;
    if (begin != DT_NOWHERE) { // with the tokens of the template
        uint32_t own = story->token_count - (begin > story->head ? begin : story->head);
        if (own + story->head + 8 > capacity)
            return dt_context_full(w, own + story->head, err);
    }
    return DT_OK;
}

void dt_context_reopen(struct dt_worker *w)
{
    struct dt_story *story = &w->story;
    const struct dt_turn *turn = dt_story_last(story);
    const struct dt_tokenizer *tokenizer = dt_engine_tokenizer(w->engine);
    uint32_t bos = dt_engine_model(w->engine)->vocab.bos;
    if (!turn || turn->end != DT_END_STORY || turn->output_at == DT_NOWHERE)
        return;
    while (story->token_count > turn->output_at &&
           (story->tokens[story->token_count - 1] == bos ||
            dt_tokenizer_is_end(tokenizer, story->tokens[story->token_count - 1])))
        story->token_count--;
}

// Whether turn n is followed by another part of a dialogue, so that its end is part of the context.
// In a story the text of the next turn continues it.
static bool is_closed(struct dt_worker *w, size_t n)
{
    const struct dt_story *story = &w->story;
    const struct dt_turn *turn = &story->turns[n];
    return turn->finished && turn->end == DT_END_STORY && n + 1 < story->count &&
           (story->chat ||
            (w->family == DT_TEMPLATE_STORY && dt_story_is_request(story->turns[n + 1].prompt)));
}

dt_status dt_context_rebuild(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    dt_status status = DT_OK;
    if (w->remote) { // gets the text itself
        story->stale = true;
        return DT_OK;
    }
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    story->token_count = story->head = story->dropped = 0;
    // entries that were computed with what is dropped are not used again
    if (dt_session_dropped(dt_engine_session(w->engine)))
        dt_session_truncate(dt_engine_session(w->engine), 0);
    // a template that is run renders all turns at once
    size_t begin = story->chat && w->chat.source && story->count ? story->count - 1 : 0;
    for (size_t i = begin; i < story->count && status == DT_OK; i++) {
        struct dt_turn *turn = &story->turns[i];
        status = put_turn(w, i, i == 0, err);
        if (status == DT_OK && turn->length)
            status = push_answer(w, turn, turn->opened, err);
        if (status == DT_OK && is_closed(w, i)) {
            uint32_t end = vocab->eot != DT_NO_TOKEN ? vocab->eot : vocab->eos;
            if (end != DT_NO_TOKEN && !dt_story_push_tokens(story, &end, 1))
                status = no_memory(err);
        }
    }
    story->stale = status != DT_OK;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine)), dropped = 0;
    if (story->token_count + capacity / 8 >= capacity)
        dt_session_truncate(dt_engine_session(w->engine), 0);
    for (uint32_t n = 1; status == DT_OK && n > 0 && story->token_count + capacity / 8 >= capacity;
         dropped += n)
        n = dt_overflow_drop_oldest(w);
    if (dropped)
        dt_report_notice(
            w->report, DT_NOTICE_INFO,
            "The story is longer than the context. Its oldest %u tokens were dropped%s.", dropped,
            story->head ? " (not the premise)" : "");
    return status;
}

// The length in bytes, as clean text, of what the prompt opened and the first `count` tokens of the
// last turn; stops before a token that would make it longer than `most`. *whole: how many of those
// tokens together end at the end of a character.
static size_t text_bytes(struct dt_worker *w, const struct dt_turn *turn, uint32_t count,
                         size_t most, uint32_t *whole)
{
    const struct dt_story *story = &w->story;
    struct dt_text_filter filter = {0};
    size_t bytes = turn->opened;
    *whole = 0;
    for (uint32_t i = turn->output_at; i < turn->output_at + count; i++) {
        char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
        size_t n =
            dt_answer_piece(w, i ? story->tokens[i - 1] : DT_NO_TOKEN, story->tokens[i], raw);
        n = dt_text_filter_push(&filter, raw, n, clean);
        if (bytes + n > most)
            break;
        bytes += n;
        if (filter.held_count == 0)
            *whole = i - turn->output_at + 1;
    }
    return bytes;
}

dt_status dt_context_replace_text(struct dt_worker *w, const char *text, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    size_t same = 0;
    uint32_t whole, ignored;
    while (text[same] && text[same] == turn->text[same])
        same++;
    if (story->stale || turn->output_at == DT_NOWHERE || same < turn->opened) {
        turn->length = 0;
        story->stale = true;
        return dt_story_append_text(turn, text, strlen(text)) ? dt_context_rebuild(w, err)
                                                              : no_memory(err);
    }
    text_bytes(w, turn, story->token_count - turn->output_at, same, &whole);
    size_t bytes = text_bytes(w, turn, whole, same, &ignored);
    story->token_count = turn->output_at + whole;
    turn->length = bytes;
    turn->text[turn->length] = '\0';
    if (!text[bytes])
        return DT_OK;
    if (!dt_story_append_text(turn, text + bytes, strlen(text + bytes)))
        return no_memory(err);
    return push_answer(w, turn, bytes, err);
}

// SPDX-License-Identifier: MIT
#include "app/worker/answer.h"

#include <string.h>

#include "app/worker/read_aloud.h"

#define CLEAN_MAX (3 * (DT_PIECE_MAX + 4)) // of a token

unsigned dt_answer_markers(const struct dt_worker *w)
{
    if (!w->story.chat)
        return 0;
    return w->chat.thoughts ? w->chat.thoughts : DT_THOUGHT_ANY;
}

size_t dt_answer_at(const struct dt_worker *w, const struct dt_turn *turn)
{
    return dt_thoughts_answer(dt_answer_markers(w), turn->text, turn->length, NULL);
}

size_t dt_answer_piece(struct dt_worker *w, uint32_t previous, uint32_t id, char *out)
{
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    size_t n;
    if (dt_vocab_type(vocab, id) != DT_TOKEN_CONTROL)
        return dt_engine_piece(w->engine, previous, id, out);
    const char *piece = (const char *)dt_vocab_piece(vocab, id, &n);
    if (!w->story.chat || !dt_thoughts_is_marker(w->chat.thoughts, piece, n))
        return 0;
    memcpy(out, piece, n);
    return n;
}

// Adds divided text to what is posted, and to what is read aloud.
static void give(struct dt_answer *a, struct dt_worker *w, const char *thought, size_t thought_n,
                 const char *text, size_t text_n)
{
    if (!dt_string_buffer_append(&a->thought, thought, thought_n) ||
        !dt_string_buffer_append(&a->text, text, text_n))
        a->failed = true;
    dt_read_aloud_feed(w, text, text_n);
}

// Adds clean text: to the turn, to what is posted, and to what is read aloud.
static void add(struct dt_answer *a, struct dt_worker *w, const char *clean, size_t n)
{
    char thought[CLEAN_MAX + DT_STOP_TEXT_MAX + DT_THOUGHTS_HELD];
    char text[CLEAN_MAX + DT_STOP_TEXT_MAX + DT_THOUGHTS_HELD];
    size_t thought_n = 0, text_n = 0;
    if (!dt_story_append_text(a->turn, clean, n))
        a->failed = true;
    dt_thoughts_push(&a->thoughts, clean, n, thought, &thought_n, text, &text_n);
    give(a, w, thought, thought_n, text, text_n);
}

void dt_answer_begin(struct dt_answer *a, struct dt_worker *w, uint32_t number)
{
    char thought[1 + DT_THOUGHTS_HELD], text[1 + DT_THOUGHTS_HELD];
    struct dt_turn *turn = &w->story.turns[number];
    *a = (struct dt_answer){.turn = turn, .number = number};
    a->thoughts.rows = !w->story.chat                ? 0
                       : turn->length > turn->opened ? dt_answer_markers(w)
                                                     : w->chat.thoughts;
    a->stops.count = dt_settings_texts(dt_settings_text(&w->settings, DT_SET_STOP_TEXT),
                                       a->stop_texts, a->stops.text);
    for (size_t i = 0; i < turn->length; i++) { // the front end has that
        size_t thought_n = 0, text_n = 0;
        dt_thoughts_push(&a->thoughts, turn->text + i, 1, thought, &thought_n, text, &text_n);
    }
}

void dt_answer_free(struct dt_answer *a)
{
    dt_string_buffer_free(&a->thought);
    dt_string_buffer_free(&a->text);
}

bool dt_answer_begun(const struct dt_answer *a)
{
    return !a->thoughts.rows || a->thoughts.state == DT_THOUGHTS_ANSWER;
}

bool dt_answer_push(struct dt_answer *a, struct dt_worker *w, const char *raw, size_t n,
                    uint32_t tokens)
{
    char clean[CLEAN_MAX], certain[CLEAN_MAX + DT_STOP_TEXT_MAX];
    bool inside = a->thoughts.state == DT_THOUGHTS_INSIDE, found = false;
    n = dt_text_filter_push(&a->filter, raw, n, clean);
    if (a->stops.count) {
        found = dt_stop_text_push(&a->stops, clean, n, certain, &n);
        add(a, w, certain, n);
    } else {
        add(a, w, clean, n);
    }
    if (inside || a->thoughts.state == DT_THOUGHTS_INSIDE)
        a->thought_tokens = tokens;
    if (!dt_answer_begun(a))
        a->before_tokens = tokens;
    if (found)
        a->filter = (struct dt_text_filter){0}; // what follows is not part of the text
    return found;
}

void dt_answer_end(struct dt_answer *a, struct dt_worker *w)
{
    char held[DT_STOP_TEXT_MAX + 16];
    char thought[DT_THOUGHTS_HELD], text[DT_THOUGHTS_HELD];
    size_t n = dt_stop_text_flush(&a->stops, held), thought_n = 0, text_n = 0;
    n += dt_text_filter_flush(&a->filter, held + n);
    add(a, w, held, n);
    dt_thoughts_flush(&a->thoughts, thought, &thought_n, text, &text_n);
    give(a, w, thought, thought_n, text, text_n);
}

static void post(struct dt_answer *a, struct dt_worker *w, enum dt_app_event_type type,
                 struct dt_string_buffer *text)
{
    struct dt_app_event event = {.type = type, .turn = a->number};
    if (!text->length)
        return;
    dt_events_post(&w->report->events, &event, text->text, text->length, NULL, NULL);
    text->length = 0; // its memory is used again
}

void dt_answer_post(struct dt_answer *a, struct dt_worker *w)
{
    post(a, w, DT_EVENT_THOUGHT, &a->thought);
    post(a, w, DT_EVENT_TEXT, &a->text);
}

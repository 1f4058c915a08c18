// SPDX-License-Identifier: MIT
#include "app/worker/worker_events.h"

#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "app/worker/answer.h"
#include "host/clock.h"

#define PROGRESS_NS 125000000ull

static void post_figures(struct dt_worker *w, enum dt_app_event_type type)
{
    struct dt_app_figures *copy = malloc(sizeof *copy);
    struct dt_app_event event = {.type = type};
    if (!copy)
        return;
    *copy = w->figures;
    dt_events_post(&w->report->events, &event, NULL, 0, copy, free);
}

static void measure_memory(struct dt_worker *w)
{
    struct dt_app_figures *f = &w->figures;
    uint64_t now = dt_clock_ns();
    dt_memory_facts(&f->memory);
    if (w->faults_ns && now > w->faults_ns)
        f->major_faults_s =
            (double)(f->memory.major_faults - w->faults) * 1e9 / (double)(now - w->faults_ns);
    w->faults_ns = now;
    w->faults = f->memory.major_faults;
}

void dt_worker_post_figures(struct dt_worker *w, bool with_memory)
{
    struct dt_app_figures *f = &w->figures;
    if (dt_engine_is_open(w->engine)) {
        f->context_used = w->story.token_count;
        f->context_dropped = w->story.dropped;
        snprintf(f->overflow, sizeof f->overflow, "%s",
                 dt_settings_text(&w->settings, DT_SET_OVERFLOW));
        f->context_total = dt_session_capacity(dt_engine_session(w->engine));
        f->threads = dt_engine_threads(w->engine);
        snprintf(f->stack, sizeof f->stack, "%s", dt_engine_stack_name(w->engine));
        f->slow = dt_engine_is_slow(w->engine);
        if (dt_engine_weights(w->engine))
            dt_engine_weights_now(w->engine, f->weights, sizeof f->weights);
        struct dt_stream_facts stream;
        f->per_pass = dt_engine_tokens_per_pass(w->engine);
        f->streamed = dt_engine_stream(w->engine, NULL, &stream);
    } else if (w->remote) {
        const struct dt_remote_facts *facts = dt_remote_facts(w->remote);
        f->context_used = w->remote_used;
        f->context_total = facts->context;
        f->threads = 0;
        f->slow = f->streamed = false;
        snprintf(f->stack, sizeof f->stack, "%s", dt_remote_address(w->remote));
        snprintf(f->weights, sizeof f->weights, "on the server");
    }
    f->unsaved = !dt_worker_private(w) && !dt_writer_healthy(w->writer);
    f->own_memory = atomic_load(&dt_engine_account(w->engine)->used);
    if (with_memory)
        measure_memory(w);
    post_figures(w, DT_EVENT_FIGURES);
}

void dt_worker_post_model(struct dt_worker *w)
{
    dt_worker_post_figures(w, true);
    post_figures(w, DT_EVENT_MODEL);
}

// The strings are the view's.
static struct dt_app_turn turn_facts(const struct dt_turn *turn)
{
    return (struct dt_app_turn){.finished = turn->finished,
                                .end = (enum dt_app_turn_end)turn->end,
                                .tokens = turn->tokens,
                                .seed = turn->seed,
                                .speed = turn->speed};
}

// Copies a turn's text, thoughts and answer apart.
static void copy_text(struct dt_worker *w, const struct dt_turn *turn, struct dt_view_turn *copy)
{
    struct dt_thoughts thoughts = {.rows = dt_answer_markers(w)};
    size_t capacity = turn->length + DT_THOUGHTS_HELD + 1, thought_n = 0, text_n = 0;
    char *thought = malloc(capacity), *text = malloc(capacity);
    if (!thought || !text) {
        free(thought);
        free(text);
        return;
    }
    dt_thoughts_push(&thoughts, turn->text, turn->length, thought, &thought_n, text, &text_n);
    dt_thoughts_flush(&thoughts, thought, &thought_n, text, &text_n);
    thought[thought_n] = text[text_n] = '\0';
    copy->thought = thought;
    copy->text = text;
    copy->thought_length = thought_n;
    copy->text_length = text_n;
    copy->thought_capacity = copy->text_capacity = capacity;
}

void dt_worker_post_story(struct dt_worker *w, size_t keep, const char *what)
{
    struct dt_story *story = &w->story;
    struct dt_view_story *payload = calloc(1, sizeof *payload);
    if (!payload)
        return;
    payload->keep = keep;
    payload->fields_only = what == NULL;
    payload->id = story->id;
    payload->title = strdup(story->title ? story->title : "");
    payload->premise = strdup(story->premise ? story->premise : "");
    payload->chat = story->chat;
    payload->saved = !dt_worker_private(w) && dt_writer_healthy(w->writer);
    size_t count = what && story->count > keep ? story->count - keep : 0;
    payload->turns = calloc(count + 1, sizeof *payload->turns);
    for (size_t i = 0; payload->turns && i < count; i++) {
        const struct dt_turn *turn = &story->turns[keep + i];
        struct dt_view_turn *copy = &payload->turns[i];
        copy->prompt = dt_story_shown_prompt(story, keep + i);
        copy->prompt_length = copy->prompt ? strlen(copy->prompt) : 0;
        copy_text(w, turn, copy);
        copy->facts = turn_facts(turn);
        payload->count++;
    }
    struct dt_app_event event = {.type = what ? DT_EVENT_REDRAW : DT_EVENT_FIELDS,
                                 .turn = (uint32_t)keep};
    dt_events_post(&w->report->events, &event, what, what ? strlen(what) : 0, payload,
                   dt_view_story_free);
}

void dt_worker_post_turn(struct dt_worker *w, size_t n)
{
    struct dt_app_event event = {.type = DT_EVENT_TURN, .turn = (uint32_t)n};
    char *shown = dt_story_shown_prompt(&w->story, n);
    dt_events_post(&w->report->events, &event, shown ? shown : "", shown ? strlen(shown) : 0, NULL,
                   NULL);
    free(shown);
}

void dt_worker_post_turn_end(struct dt_worker *w, size_t n)
{
    const struct dt_turn *turn = &w->story.turns[n];
    struct dt_view_end *payload = calloc(1, sizeof *payload);
    struct dt_app_event event = {
        .type = DT_EVENT_TURN_END, .turn = (uint32_t)n, .end = (enum dt_app_turn_end)turn->end};
    if (payload) {
        payload->figures = w->figures;
        payload->facts = turn_facts(turn);
    }
    dt_events_post(&w->report->events, &event, NULL, 0, payload, free);
}

void dt_worker_begin_progress(struct dt_worker *w, const char *what)
{
    w->progress.what = what;
    w->progress.begin_ns = w->progress.shown_ns = dt_clock_ns();
    w->progress.shown = false;
}

void dt_worker_post_progress(struct dt_worker *w, uint64_t done, uint64_t total,
                             double seconds_left, bool at_once)
{
    uint64_t now = dt_clock_ns();
    if (!at_once && now - w->progress.shown_ns < PROGRESS_NS)
        return;
    w->progress.shown_ns = now;
    w->progress.shown = true;
    struct dt_app_event event = {
        .type = DT_EVENT_PROGRESS, .done = done, .total = total, .seconds_left = seconds_left};
    dt_events_post(&w->report->events, &event, w->progress.what, strlen(w->progress.what), NULL,
                   NULL);
}

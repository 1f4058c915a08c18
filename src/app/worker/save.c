// SPDX-License-Identifier: MIT
#include "app/worker/save.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/story_settings.h"

void dt_save_make_fields(struct dt_worker *w, struct dt_save_record *out)
{
    struct dt_story *story = &w->story;
    dt_story_settings_write(w, out->settings, sizeof out->settings);
    out->story = (struct dt_story_record){
        .id = story->id,
        .title = story->title,
        .model = w->model_path,
        .tokenizer = (char *)dt_settings_text(&w->settings, DT_SET_TOKENIZER),
        .stack = w->figures.stack,
        .settings = out->settings,
        .premise = story->premise,
        .system = (char *)dt_settings_text(&w->settings, DT_SET_SYSTEM),
        .seed = story->count ? story->turns[0].seed : 0,
        .chat = story->chat,
    };
}

// Its strings belong to the turn.
static struct dt_turn_record make_turn_record(struct dt_turn *turn)
{
    return (struct dt_turn_record){.prompt = turn->prompt,
                                   .output = turn->text,
                                   .finished = turn->finished,
                                   .end = turn->end,
                                   .tokens = turn->tokens,
                                   .seed = turn->seed,
                                   .speed = turn->speed,
                                   .stack = turn->stack};
}

void dt_save_make_record(struct dt_worker *w, struct dt_save_record *out)
{
    struct dt_story *story = &w->story;
    dt_save_make_fields(w, out);
    out->story.turns = calloc(story->count + 1, sizeof *out->story.turns);
    if (!out->story.turns)
        return;
    out->story.turn_count = story->count;
    for (size_t i = 0; i < story->count; i++)
        out->story.turns[i] = make_turn_record(&story->turns[i]);
}

// The story's handle at the library writer; NULL if nothing is to be saved or memory is short.
static struct dt_writer_story *handle(struct dt_worker *w)
{
    struct dt_save_record record;
    if (dt_worker_private(w))
        return NULL;
    if (!w->story.saved) {
        dt_save_make_fields(w, &record);
        w->story.saved = dt_writer_story_new(w->writer, &record.story);
    }
    return w->story.saved;
}

uint64_t dt_save_turn(struct dt_worker *w, size_t n)
{
    struct dt_turn_record record = make_turn_record(&w->story.turns[n]);
    struct dt_writer_story *saved = handle(w);
    return saved ? dt_writer_put_turn(w->writer, saved, (uint32_t)n, &record) : 0;
}

// Saves a finished turn. False if memory is short for that.
static bool save_one(struct dt_worker *w, size_t n)
{
    uint64_t ticket = dt_save_turn(w, n);
    // not cancelled: the stop that ended the turn does not concern its saving
    if (!ticket || dt_writer_wait(w->writer, ticket, NULL, NULL, NULL) == DT_NOT_SAVED)
        return false;
    w->story.turns[n].unsaved = false;
    return true;
}

void dt_save_finished_turn(struct dt_worker *w, size_t n)
{
    struct dt_save_record fields;
    if (!w->story.title)
        w->story.title = dt_story_make_title(&w->story);
    if (handle(w)) {
        dt_save_make_fields(w, &fields);
        dt_writer_put_fields(w->writer, w->story.saved, &fields.story);
    }
    if (dt_worker_private(w))
        return;
    bool good = true;
    w->story.turns[n].unsaved = true;
    dt_report_state(w->report, DT_APP_SAVING);
    for (size_t i = 0; i <= n && good; i++) {
        if (w->story.turns[i].unsaved)
            good = save_one(w, i);
    }
    if (!good) {
        dt_report_notice(
            w->report, DT_NOTICE_ERROR,
            "Out of memory: the turn is not saved yet. It will be, together with the next one.");
        dt_events_lose(&w->report->events, DT_EVENT_NONE);
    }
    if (w->story.saved)
        w->story.id = dt_writer_story_number(w->story.saved);
}

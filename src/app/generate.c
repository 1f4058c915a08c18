// SPDX-License-Identifier: MIT
// Telling a turn: what the session lacks is evaluated, then token after token, until something ends
// it; then it is kept.
#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "app/worker.h"
#include "base/text.h"
#include "host/clock.h"

#define FIGURES_NS 250000000ull // at most four a second
#define DRAFT_NS   500000000ull // twice a second, so that a second is never lost
#define GATHER_NS  8000000ull   // tokens that come faster than this travel together

// ---- settings ----

void dt_generate_sampling(struct dt_worker *w, struct dt_sampling *out)
{
    const struct dt_settings *s = &w->settings;
    *out = (struct dt_sampling){
        .temperature = (float)dt_settings_real(s, DT_SET_TEMPERATURE),
        .top_p = (float)dt_settings_real(s, DT_SET_TOP_P),
        .top_k = (uint32_t)dt_settings_uint(s, DT_SET_TOP_K),
        .min_p = (float)dt_settings_real(s, DT_SET_MIN_P),
        .repeat_penalty = (float)dt_settings_real(s, DT_SET_REPEAT_PENALTY),
        .repeat_last = (uint32_t)dt_settings_uint(s, DT_SET_REPEAT_LAST),
    };
}

uint64_t dt_generate_new_seed(struct dt_worker *w)
{
    // short enough to be typed again
    uint64_t mixed = (dt_clock_unix() * 1000003u + dt_clock_ns() / 1000 + ++w->seeds * 7919u) *
                     0x9E3779B97F4A7C15ull;
    return 1 + (mixed >> 32) % 999999999u;
}

bool dt_generate_private(struct dt_worker *w)
{
    return dt_settings_on(&w->settings, DT_SET_PRIVATE);
}

bool dt_generate_is_end(struct dt_worker *w, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    if (vocab->bos != DT_NO_TOKEN && id == vocab->bos)
        return true;
    return dt_settings_is(&w->settings, DT_SET_STOP, "end") &&
           dt_tokenizer_is_end(dt_engine_tokenizer(w->engine), id);
}

// ---- figures ----

struct pace { // when the last tokens came, for the speed now
    uint64_t at[128];
    unsigned count;
};

static double speed_now(const struct pace *pace, uint64_t now)
{
    unsigned have = pace->count < 128 ? pace->count : 128, n = 0;
    uint64_t oldest = now;
    while (n < have && now - pace->at[(pace->count - 1 - n) % 128] < 1000000000ull) {
        oldest = pace->at[(pace->count - 1 - n) % 128];
        n++;
    }
    return n > 1 && now > oldest ? (n - 1) * 1e9 / (double)(now - oldest) : 0;
}

void dt_generate_figures(struct dt_worker *w, bool with_memory)
{
    struct dt_app_figures *f = &w->figures;
    static uint64_t before_ns, faults;
    if (dt_engine_is_open(w->engine)) {
        struct dt_session *session = dt_engine_session(w->engine);
        f->context_used = w->story.token_count;
        f->context_total = dt_session_capacity(session);
        f->threads = dt_engine_threads(w->engine);
        snprintf(f->stack, sizeof f->stack, "%s", dt_engine_stack_name(w->engine));
    }
    f->own_memory = atomic_load(&dt_engine_account(w->engine)->used);
    if (with_memory) {
        uint64_t now = dt_clock_ns();
        dt_memory_facts(&f->memory);
        if (before_ns && now > before_ns)
            f->major_faults_s =
                (double)(f->memory.major_faults - faults) * 1e9 / (double)(now - before_ns);
        before_ns = now;
        faults = f->memory.major_faults;
    }
    struct dt_app_figures *copy = malloc(sizeof *copy);
    if (!copy)
        return;
    *copy = *f;
    struct dt_app_event event = {.type = DT_EVENT_FIGURES};
    dt_events_post(&w->app->events, &event, NULL, 0, copy, free);
}

// ---- evaluation ----

static void post_progress(struct dt_worker *w, uint32_t done, uint32_t total, bool over)
{
    uint64_t now = dt_clock_ns();
    if (!over && now - w->progress_ns < FIGURES_NS / 2)
        return;
    w->progress_ns = now;
    w->progress_shown = true;
    double seconds = (double)(now - w->progress_begun) / 1e9, left = -1;
    if (done > 0 && seconds > 0)
        left = seconds / done * (total - done);
    else if (w->prompt_speed > 0)
        left = (total - done) / w->prompt_speed;
    struct dt_app_event event = {.type = DT_EVENT_PROGRESS,
                                 .done = over ? total : done,
                                 .total = total,
                                 .seconds_left = over ? 0 : left};
    dt_events_post(&w->app->events, &event, w->progress_what, strlen(w->progress_what), NULL, NULL);
}

static void on_batch(void *arg, uint32_t done, uint32_t total)
{
    post_progress(arg, done, total, false);
}

dt_status dt_generate_sync(struct dt_worker *w, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(w->engine);
    struct dt_story *story = &w->story;
    uint32_t keep = dt_session_common_prefix(session, story->tokens, story->token_count);
    if (story->token_count == 0)
        return dt_error_set(err, DT_FAILED, NULL, "there is nothing to go on from");
    if (keep >= story->token_count)
        keep = story->token_count -
               1; // the logits of the last one are wanted anew: sampling used them up
    dt_session_truncate(session, keep);
    uint32_t count = story->token_count - keep;
    uint64_t begun = dt_clock_ns();
    w->progress_what = "reading";
    w->progress_begun = w->progress_ns = begun;
    w->progress_shown = false;
    w->figures.prompt_tokens = count;
    dt_worker_state(w, DT_APP_READING);
    if (w->prompt_speed > 0 &&
        count / w->prompt_speed >
            0.3) { // worth a word at once; else when it turns out to take long
        w->progress_ns = 0;
        post_progress(w, 0, count, false);
    }
    dt_session_set_progress(session, on_batch, w);
    dt_status status = dt_engine_eval(w->engine, story->tokens + keep, count, err);
    dt_session_set_progress(session, NULL, NULL);
    double seconds = (double)(dt_clock_ns() - begun) / 1e9;
    if (status == DT_OK && count > 1 && seconds > 0)
        w->prompt_speed = count / seconds;
    w->figures.prompt_speed = count > 1 ? w->prompt_speed : 0;
    if (w->progress_shown)
        post_progress(w, count, count, true);
    return status;
}

// ---- keeping ----

static void keep_fields(struct dt_worker *w, struct dt_story_record *record)
{
    dt_story_as_record(w, record);
    free(record->turns);
    record->turns = NULL;
    record->turn_count = 0;
}

// The story's handle at the library writer; NULL when nothing is to be written.
static struct dt_writer_story *kept_story(struct dt_worker *w)
{
    struct dt_story_record record;
    if (dt_generate_private(w))
        return NULL;
    if (!w->story.kept) {
        keep_fields(w, &record);
        w->story.kept = dt_writer_story_new(w->app->writer, &record);
    }
    return w->story.kept;
}

static uint64_t keep_turn(struct dt_worker *w, size_t n)
{
    struct dt_turn *turn = &w->story.turns[n];
    struct dt_turn_record record = {.prompt = turn->prompt,
                                    .output = turn->text,
                                    .finished = turn->finished,
                                    .end = turn->end,
                                    .tokens = turn->tokens,
                                    .seed = turn->seed,
                                    .speed = turn->speed,
                                    .stack = turn->stack};
    struct dt_writer_story *kept = kept_story(w);
    return kept ? dt_writer_put_turn(w->app->writer, kept, (uint32_t)n, &record) : 0;
}

void dt_generate_keep_all(struct dt_worker *w)
{
    for (size_t i = 0; i < w->story.count; i++) {
        uint64_t ticket = w->story.turns[i].finished ? keep_turn(w, i) : 0;
        if (ticket)
            dt_writer_wait(w->app->writer, ticket, &w->app->stopping, NULL, NULL);
    }
}

// A turn is over: the library has it, or the user knows why not, before anything else happens.
static void keep_finished(struct dt_worker *w, size_t n)
{
    if (!w->story.title)
        w->story.title = dt_story_make_title(&w->story);
    struct dt_story_record fields;
    if (kept_story(w)) {
        keep_fields(w, &fields);
        dt_writer_put_fields(w->app->writer, w->story.kept, &fields);
    }
    uint64_t ticket = keep_turn(w, n);
    if (!ticket)
        return;
    dt_worker_state(w, DT_APP_SAVING);
    // a stop that ended the turn is not meant for the wait
    if (dt_writer_wait(w->app->writer, ticket, NULL, NULL, NULL) == DT_SAVED_ANEW)
        dt_generate_keep_all(w);
    w->story.id = dt_writer_story_number(w->story.kept);
}

// ---- telling ----

struct generation {
    struct dt_turn *turn;
    uint32_t number, begun_tokens;
    struct dt_text_filter filter;
    struct pace pace;
    size_t posted; // bytes of the turn's text that the front end has
    uint64_t begun, now, first, posted_ns, figures_ns, draft_ns;
};

static void post_text(struct dt_worker *w, struct generation *t)
{
    if (t->turn->length > t->posted) {
        struct dt_app_event event = {.type = DT_EVENT_TEXT, .turn = t->number};
        dt_events_post(&w->app->events, &event, t->turn->text + t->posted,
                       t->turn->length - t->posted, NULL, NULL);
        t->posted = t->turn->length;
    }
    t->posted_ns = t->now;
}

static void take_piece(struct dt_worker *w, struct generation *t, const char *clean, size_t n)
{
    size_t before = t->turn->length;
    dt_story_append_text(t->turn, clean, n);
    if (w->spoken)
        dt_speech_feed(w->speech, t->turn->text + before, t->turn->length - before);
    // an end of line or a slow model: at once
    if (t->now - t->posted_ns >= GATHER_NS || t->turn->tokens <= 1)
        post_text(w, t);
}

static void measure(struct dt_worker *w, struct generation *t)
{
    struct dt_app_figures *f = &w->figures;
    uint32_t output = t->turn->tokens - t->begun_tokens;
    f->tokens = output;
    f->seconds = (double)(t->now - t->first) / 1e9;
    f->speed_now = speed_now(&t->pace, t->now);
    f->speed_mean = output > 1 && f->seconds > 0 ? (output - 1) / f->seconds : 0;
    t->turn->speed = f->speed_mean;
}

// figures NULL: nobody reads any more.
static void post_voice(struct dt_app *app, const struct dt_speech_figures *figures)
{
    struct dt_app_voice *voice = calloc(1, sizeof *voice);
    struct dt_app_event event = {.type = DT_EVENT_VOICE};
    if (!voice)
        return;
    if (figures) {
        memcpy(voice->name, figures->voice, sizeof voice->name);
        voice->speaking = figures->speaking && !figures->off;
        voice->waiting = figures->waiting;
        voice->real_time_factor = figures->real_time_factor;
    }
    dt_events_post(&app->events, &event, NULL, 0, voice, free);
}

static void voice_changed(void *arg, const struct dt_speech_figures *figures)
{
    post_voice(arg, figures);
}

static void close_speech(struct dt_worker *w)
{
    if (!w->speech)
        return;
    dt_speech_close(w->speech);
    w->speech = NULL;
    post_voice(w->app, NULL);
}

static void voice_notice(void *arg, const char *line)
{
    dt_app_notice(arg, DT_NOTICE_WARNING, "%s", line);
}

bool dt_generate_open_speech(struct dt_worker *w)
{
    struct dt_error err = {0};
    char path[512], as[sizeof w->speech_as];
    struct dt_speech_options options = {
        .voice = dt_settings_text(&w->settings, DT_SET_VOICE),
        .wav_path = dt_settings_path(&w->settings, DT_SET_SPEAK_TO, path, sizeof path),
        .words_per_minute = (uint32_t)dt_settings_uint(&w->settings, DT_SET_VOICE_SPEED),
        .pitch = (uint32_t)dt_settings_uint(&w->settings, DT_SET_VOICE_PITCH),
        .notice = voice_notice,
        .changed = voice_changed,
        .arg = w->app,
        .stop = &w->app->silence,
    };
    snprintf(as, sizeof as, "%s\n%s\n%u %u", options.voice,
             options.wav_path ? options.wav_path : "", options.words_per_minute, options.pitch);
    if (w->speech &&
        strcmp(as, w->speech_as) != 0) // another voice, or the same one spoken otherwise
        close_speech(w);
    if (w->speech)
        return true;
    memcpy(w->speech_as, as, sizeof as);
    if (dt_speech_open(&w->speech, &options, &err) == DT_OK)
        return true;
    w->speech = NULL;
    dt_app_error(w->app, &err);
    dt_app_set(w->app, DT_SET_SPEAK, "off", DT_FROM_USER, NULL);
    return false;
}

// shown: what the listener should hear first, the opening that the story goes on from; NULL for a
// request, which is not part of it.
static void speech_begin(struct dt_worker *w, const char *shown)
{
    // A file that was named is wanted, whatever else is set.
    bool wanted = dt_settings_on(&w->settings, DT_SET_SPEAK) ||
                  *dt_settings_text(&w->settings, DT_SET_SPEAK_TO);
    w->spoken = false;
    if (!wanted) {
        close_speech(w);
    } else if (dt_generate_open_speech(w)) {
        dt_speech_begin(w->speech);
        if (shown)
            dt_speech_feed(w->speech, shown, strlen(shown));
        w->spoken = true;
    }
}

static void speech_end(struct dt_worker *w, bool stopped)
{
    if (!w->spoken)
        return;
    if (stopped)
        dt_speech_stop(w->speech);
    else
        dt_speech_finish(w->speech);
    w->spoken = false;
    // Where nobody is there to stop it, the turn lasts until it was said: the program may leave
    // behind it.
    while (!stopped && !w->app->interactive && !dt_worker_stopped(w) &&
           !dt_speech_wait(w->speech, 20))
        continue;
}

// The context is full. True: there is room again.
static bool reserve(struct dt_worker *w, struct generation *t, enum dt_app_turn_end *end,
                    struct dt_error *err)
{
    struct dt_story *story = &w->story;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    if (!dt_settings_is(&w->settings, DT_SET_OVERFLOW, "shift") ||
        story->token_count <= story->head + 8) {
        *end = DT_END_CONTEXT;
        if (dt_settings_is(&w->settings, DT_SET_OVERFLOW, "new"))
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "The context is full (%u tokens): this story ends here, the next prompt "
                          "begins a new one.",
                          capacity);
        else
            dt_app_notice(w->app, DT_NOTICE_INFO,
                          "The context is full (%u tokens). /new begins another story; with /set "
                          "overflow shift it would go on, and forget its beginning.",
                          capacity);
        return false;
    }
    post_text(w, t);
    uint32_t dropped = dt_story_shift(story);
    dt_app_notice(
        w->app, DT_NOTICE_INFO,
        "The context is full (%u tokens): the oldest %u are dropped%s, and the rest is read again.",
        capacity, dropped, story->head > 1 ? " (the premise is kept)" : "");
    if (dt_generate_sync(w, err) != DT_OK) {
        *end = err->status == DT_CANCELLED ? DT_END_STOPPED : DT_END_ERROR;
        return false;
    }
    dt_worker_state(w, DT_APP_GENERATING);
    return true;
}

// Token after token. Returns why it ended.
static enum dt_app_turn_end generate_until_end(struct dt_worker *w, struct generation *t,
                                               struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(w->engine);
    struct dt_sampler *sampler = dt_engine_sampler(w->engine);
    struct dt_story *story = &w->story;
    enum dt_app_turn_end end = DT_END_STORY;
    for (;;) {
        if (dt_worker_stopped(w))
            return DT_END_STOPPED;
        dt_worker_see_settings(w);
        uint32_t length = (uint32_t)dt_settings_uint(&w->settings, DT_SET_LENGTH);
        if (length && t->turn->tokens - t->begun_tokens >= length)
            return DT_END_LENGTH;
        if (story->token_count >= dt_session_capacity(session) && !reserve(w, t, &end, err))
            return end;
        dt_generate_sampling(w, &sampler->settings);
        uint32_t previous = story->tokens[story->token_count - 1];
        uint32_t id = dt_engine_next(w->engine);
        t->turn->random = sampler->state;
        t->now = dt_clock_ns();
        if (!t->first) {
            t->first = t->now;
            w->figures.first_token_ms = (double)(t->now - w->asked_ns) / 1e6;
        }
        if (!dt_story_push_tokens(story, &id, 1)) {
            dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for another token");
            return DT_END_ERROR;
        }
        if (dt_generate_is_end(w, id))
            return DT_END_STORY; // it is part of the context, not of the text
        char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
        t->turn->tokens++;
        t->pace.at[t->pace.count++ % 128] = t->now;
        bool silent = dt_vocab_type(&dt_engine_model(w->engine)->vocab, id) ==
                      DT_TOKEN_CONTROL; // ends that do not end (stop = bos)
        size_t n = silent ? 0 : dt_engine_piece(w->engine, previous, id, raw);
        take_piece(w, t, clean, dt_text_filter_push(&t->filter, raw, n, clean));
        if (t->now - t->draft_ns >= DRAFT_NS) {
            t->draft_ns = t->now;
            keep_turn(w, t->number);
        }
        if (t->now - t->figures_ns >= FIGURES_NS) {
            t->figures_ns = t->now;
            measure(w, t);
            post_text(w, t);
            dt_generate_figures(w, true);
            if (w->spoken) {
                struct dt_speech_figures voice;
                dt_speech_figures(w->speech, &voice);
                post_voice(w->app, &voice);
            }
        }
        // a token boundary: the new one is chosen and not yet evaluated
        if (atomic_load(&w->live)) {
            post_text(w, t);
            dt_worker_live_requests(w);
            session = dt_engine_session(w->engine);
            sampler = dt_engine_sampler(w->engine);
        }
        if (story->token_count > dt_session_capacity(session))
            continue;
        if (dt_session_position(session) + 1 != story->token_count)
            continue;
        if (dt_engine_eval(w->engine, &id, 1, err) != DT_OK)
            return err->status == DT_CANCELLED ? DT_END_STOPPED : DT_END_ERROR;
    }
}

void dt_generate(struct dt_worker *w, bool go_on)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    struct dt_error err = {0};
    struct dt_sampling sampling;
    struct generation t = {.turn = turn,
                           .number = (uint32_t)(story->count - 1),
                           .begun_tokens = turn->tokens,
                           .posted = turn->length};
    enum dt_app_turn_end end = DT_END_ERROR;
    turn->finished = false;
    w->figures.tokens = 0;
    w->figures.seconds = w->figures.speed_now = w->figures.speed_mean = w->figures.first_token_ms =
        0;
    w->figures.seed = turn->seed;
    w->figures.prompt_tokens = 0;
    struct dt_app_event begin = {.type = DT_EVENT_TURN, .turn = t.number};
    char *shown = dt_story_shown_prompt(story, t.number);
    dt_events_post(&w->app->events, &begin, shown ? shown : "", shown ? strlen(shown) : 0, NULL,
                   NULL);
    free(shown);
    t.now = t.draft_ns = dt_clock_ns();
    keep_turn(w, t.number); // the prompt is on its way to the disk before the first token
    dt_status status = dt_generate_sync(w, &err);
    if (status == DT_OK) {
        dt_generate_sampling(w, &sampling);
        dt_engine_set_sampling(w->engine, &sampling, turn->seed);
        if (go_on && turn->random)
            dt_engine_sampler(w->engine)->state = turn->random;
        speech_begin(w, go_on || turn->request || story->chat ? NULL : turn->prompt);
        dt_worker_state(w, DT_APP_GENERATING);
        t.begun = t.figures_ns = dt_clock_ns();
        end = generate_until_end(w, &t, &err);
        speech_end(w, end == DT_END_STOPPED || end == DT_END_ERROR);
    } else if (status == DT_CANCELLED) {
        end = DT_END_STOPPED;
    }
    char clean[16];
    t.now = dt_clock_ns();
    dt_story_append_text(turn, clean, dt_text_filter_flush(&t.filter, clean));
    if (t.first)
        measure(w, &t);
    post_text(w, &t);
    turn->finished = true;
    turn->end = end;
    snprintf(turn->stack, sizeof turn->stack, "%s", dt_engine_stack_name(w->engine));
    if (end == DT_END_ERROR)
        dt_app_error(w->app, &err);
    // what was evaluated of a broken-off token is the session's; the story knows only what was told
    keep_finished(w, t.number);
    dt_generate_figures(w, true);
    struct dt_view_end *payload = calloc(1, sizeof *payload);
    struct dt_app_event over = {.type = DT_EVENT_TURN_END, .turn = t.number, .end = end};
    if (payload) {
        payload->figures = w->figures;
        payload->facts = (struct dt_app_turn){.finished = true,
                                              .end = end,
                                              .tokens = turn->tokens,
                                              .seed = turn->seed,
                                              .speed = turn->speed};
    }
    dt_events_post(&w->app->events, &over, NULL, 0, payload, free);
    dt_act_redraw(w, story->count, NULL);
}

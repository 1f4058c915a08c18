// SPDX-License-Identifier: MIT
#include "app/worker/generate.h"

#include <stdlib.h>
#include <string.h>

#include "app/worker/answer.h"
#include "app/worker/context.h"
#include "app/worker/context_full.h"
#include "app/worker/overflow.h"
#include "app/worker/read_aloud.h"
#include "app/worker/remote_turn.h"
#include "app/worker/save.h"
#include "app/worker/worker_events.h"
#include "host/clock.h"

#define FIGURES_NS 250000000ull // at most four times a second
#define DRAFT_NS   500000000ull // twice a second, so that less than a second of text can be lost
#define GATHER_NS  8000000ull   // tokens that come faster than this are posted together

static void read_sampling(struct dt_worker *w, struct dt_sampling *out)
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

bool dt_generate_is_end(struct dt_worker *w, uint32_t id)
{
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    if (vocab->bos != DT_NO_TOKEN && id == vocab->bos)
        return true;
    return dt_settings_is(&w->settings, DT_SET_STOP, "end") &&
           dt_tokenizer_is_end(dt_engine_tokenizer(w->engine), id);
}

// ---- evaluation ----

static void on_batch(void *arg, uint32_t done, uint32_t total)
{
    struct dt_worker *w = arg;
    double seconds = (double)(dt_clock_ns() - w->progress.begin_ns) / 1e9, left = -1;
    if (done > 0 && seconds > 0)
        left = seconds / done * (total - done);
    else if (w->prompt_speed > 0)
        left = (total - done) / w->prompt_speed;
    dt_worker_post_progress(w, done, total, left, false);
}

// Evaluates what the session lacks of the story's tokens, with progress.
static dt_status evaluate(struct dt_worker *w, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(w->engine);
    struct dt_story *story = &w->story;
    uint32_t keep = dt_session_common_prefix(session, story->tokens, story->token_count);
    if (story->token_count == 0)
        return dt_error_set(err, DT_FAILED, NULL, "there is nothing to continue");
    if (story->token_count > dt_session_capacity(session))
        return dt_context_full(w, story->token_count, err);
    if (keep >= story->token_count)
        keep = story->token_count - 1; // sampling modified the logits of the last one
    dt_session_truncate(session, keep);
    uint32_t count = story->token_count - keep;
    dt_worker_begin_progress(w, "reading");
    w->figures.prompt_tokens = count;
    dt_report_state(w->report, DT_APP_READING);
    if (w->prompt_speed > 0 && count / w->prompt_speed > 0.3) // will take long: show it at once
        dt_worker_post_progress(w, 0, count, count / w->prompt_speed, true);
    dt_session_set_progress(session, on_batch, w);
    dt_status status = dt_engine_eval(w->engine, story->tokens + keep, count, err);
    dt_session_set_progress(session, NULL, NULL);
    double seconds = (double)(dt_clock_ns() - w->progress.begin_ns) / 1e9;
    if (status == DT_OK && count > 1 && seconds > 0)
        w->prompt_speed = count / seconds;
    w->figures.prompt_speed = count > 1 ? w->prompt_speed : 0;
    if (w->progress.shown)
        dt_worker_post_progress(w, count, count, 0, true);
    return status;
}

// ---- tokens ----

struct pace { // the times of the last tokens
    uint64_t at[128];
    unsigned count;
};

struct generation {
    struct dt_turn *turn;
    uint32_t number;       // of the turn
    uint32_t begun_tokens; // of the turn before this generation
    struct dt_answer answer;
    struct pace pace;
    bool dropped; // a notice said that the oldest tokens were dropped
    uint64_t now, first_ns, posted_ns, figures_ns, draft_ns;
};

// Tokens a second, over the last second.
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

static void post_text(struct dt_worker *w, struct generation *g)
{
    dt_answer_post(&g->answer, w);
    g->posted_ns = g->now;
}

static void measure(struct dt_worker *w, struct generation *g)
{
    struct dt_app_figures *f = &w->figures;
    f->tokens = g->turn->tokens - g->begun_tokens;
    f->thought_tokens = g->answer.thought_tokens;
    f->seconds = (double)(g->now - g->first_ns) / 1e9;
    f->speed_now = speed_now(&g->pace, g->now);
    f->speed_mean = f->tokens > 1 && f->seconds > 0 ? (f->tokens - 1) / f->seconds : 0;
    g->turn->speed = f->speed_mean;
}

// The context is full. True if the oldest part was dropped and the generation can continue; else
// *end says why not.
static bool shift_context(struct dt_worker *w, struct generation *g, enum dt_app_turn_end *end,
                          struct dt_error *err)
{
    struct dt_story *story = &w->story;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    post_text(w, g);
    uint32_t dropped = dt_overflow_goes_on(&w->settings) ? dt_overflow_drop_oldest(w) : 0;
    if (!dropped) {
        *end = DT_END_CONTEXT;
        if (dt_settings_is(&w->settings, DT_SET_OVERFLOW, "new"))
            dt_report_notice(
                w->report, DT_NOTICE_INFO,
                "The context is full (%u tokens). The story ends here; the next prompt "
                "begins a new one.",
                capacity);
        else
            dt_report_notice(w->report, DT_NOTICE_INFO,
                             "The context is full (%u tokens). /new begins another story, /set "
                             "overflow window continues without the beginning.",
                             capacity);
        return false;
    }
    if (!g->dropped || !dt_overflow_is_evaluated(w))
        dt_report_notice(
            w->report, DT_NOTICE_INFO,
            "The context is full (%u tokens). The oldest %u tokens were dropped%s; %s.", capacity,
            dropped, story->premise && story->premise[0] ? " (not the premise)" : "",
            dt_overflow_says(&w->settings));
    g->dropped = true;
    if (dt_overflow_is_evaluated(w))
        return true;
    if (evaluate(w, err) != DT_OK) {
        *end = err->status == DT_CANCELLED ? DT_END_STOPPED : DT_END_ERROR;
        return false;
    }
    dt_report_state(w->report, DT_APP_GENERATING);
    return true;
}

// Whether the turn is as long as `length` allows, which counts the answer. A thought before it may
// be THOUGHT_SHARE times as long.
#define THOUGHT_SHARE 8u
static bool is_long_enough(const struct generation *g, uint32_t length)
{
    uint32_t tokens = g->turn->tokens - g->begun_tokens;
    return dt_answer_begun(&g->answer) ? tokens - g->answer.before_tokens >= length
                                       : tokens / THOUGHT_SHARE >= length;
}

// Whether something ends the turn before its next token; *end says what.
static bool ends_before_next(struct dt_worker *w, struct generation *g, enum dt_app_turn_end *end,
                             struct dt_error *err)
{
    if (dt_worker_stopped(w)) {
        *end = DT_END_STOPPED;
        return true;
    }
    dt_worker_see_settings(w);
    uint32_t length = (uint32_t)dt_settings_uint(&w->settings, DT_SET_LENGTH);
    if (length && is_long_enough(g, length)) {
        *end = DT_END_LENGTH;
        return true;
    }
    return w->story.token_count >= dt_session_capacity(dt_engine_session(w->engine)) &&
           !shift_context(w, g, end, err);
}

// What is done between two tokens from time to time.
static void between_tokens(struct dt_worker *w, struct generation *g)
{
    if (g->now - g->draft_ns >= DRAFT_NS) {
        g->draft_ns = g->now;
        dt_save_turn(w, g->number);
    }
    if (g->now - g->figures_ns >= FIGURES_NS) {
        g->figures_ns = g->now;
        measure(w, g);
        post_text(w, g);
        dt_worker_post_figures(w, true);
        dt_read_aloud_post_figures(w);
    }
    if (atomic_load(&w->requests->live)) {
        post_text(w, g);
        dt_worker_live_requests(w);
    }
}

// Generates token after token. Returns why it ended.
static enum dt_app_turn_end generate_until_end(struct dt_worker *w, struct generation *g,
                                               struct dt_error *err)
{
    struct dt_story *story = &w->story;
    enum dt_app_turn_end end = DT_END_STORY;
    while (!ends_before_next(w, g, &end, err)) {
        struct dt_sampler *sampler = dt_engine_sampler(w->engine);
        read_sampling(w, &sampler->settings);
        uint32_t previous = story->tokens[story->token_count - 1];
        uint32_t id = dt_engine_next(w->engine);
        g->turn->random = sampler->state;
        g->now = dt_clock_ns();
        if (!g->first_ns) {
            g->first_ns = g->now;
            w->figures.first_token_ms = (double)(g->now - w->asked_ns) / 1e6;
        }
        if (!dt_story_push_tokens(story, &id, 1)) {
            dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for another token");
            return DT_END_ERROR;
        }
        if (dt_generate_is_end(w, id))
            return DT_END_STORY; // an end token is part of the context, not of the text
        char raw[DT_PIECE_MAX];
        g->turn->tokens++;
        g->pace.at[g->pace.count++ % 128] = g->now;
        // with stop = bos, an end token does not end the turn and is not shown
        size_t n = dt_answer_piece(w, previous, id, raw);
        bool stop_text = dt_answer_push(&g->answer, w, raw, n, g->turn->tokens - g->begun_tokens);
        if (g->answer.failed) {
            story->stale = true; // the tokens have more than the text
            dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the text of the turn");
            return DT_END_ERROR;
        }
        if (stop_text)
            return DT_END_STOP_TEXT;
        if (g->now - g->posted_ns >= GATHER_NS || g->turn->tokens <= 1)
            post_text(w, g);
        between_tokens(w, g);
        // a live request may have changed the context, or the session
        struct dt_session *session = dt_engine_session(w->engine);
        if (story->token_count > dt_session_capacity(session))
            continue;
        if (dt_session_position(session) + 1 != story->token_count)
            continue;
        if (dt_engine_eval(w->engine, &id, 1, err) != DT_OK)
            return err->status == DT_CANCELLED ? DT_END_STOPPED : DT_END_ERROR;
    }
    return end;
}

// The sampler of the last turn's generation.
static void begin_sampling(struct dt_worker *w, bool resume)
{
    const struct dt_turn *turn = dt_story_last(&w->story);
    struct dt_sampling sampling;
    read_sampling(w, &sampling);
    dt_engine_set_sampling(w->engine, &sampling, turn->seed);
    if (resume && turn->random)
        dt_engine_sampler(w->engine)->state = turn->random;
}

static enum dt_app_turn_end generate_locally(struct dt_worker *w, struct generation *g,
                                             struct dt_error *err)
{
    dt_report_state(w->report, DT_APP_GENERATING);
    enum dt_app_turn_end end = generate_until_end(w, g, err);
    if (end != DT_END_ERROR && end != DT_END_STOPPED && dt_engine_check(w->engine, err) != DT_OK)
        end = DT_END_ERROR; // the last pieces of text
    return end;
}

// ---- a turn that a server generates ----

struct remote_text {
    struct dt_worker *w;
    struct generation *g;
    enum dt_app_turn_end end; // why `on_remote_text` stopped
    bool inside;              // a thought
    bool failed;              // memory was short
};

// Adds bytes to the turn. False: a stop text has appeared, or memory is short.
static bool add_remote_text(struct remote_text *r, const char *text, size_t n)
{
    struct generation *g = r->g;
    while (n > 0) {
        size_t part = n < DT_PIECE_MAX ? n : DT_PIECE_MAX;
        bool stop_text =
            dt_answer_push(&g->answer, r->w, text, part, g->turn->tokens - g->begun_tokens);
        r->failed = g->answer.failed;
        r->end = r->failed ? DT_END_ERROR : DT_END_STOP_TEXT;
        if (stop_text || r->failed)
            return false;
        text += part;
        n -= part;
    }
    return true;
}

static int on_remote_text(void *arg, const char *text, size_t n, int thought)
{
    static const char open[] = "<think>\n", close[] = "\n</think>\n\n";
    struct remote_text *r = arg;
    struct dt_worker *w = r->w;
    struct generation *g = r->g;
    enum dt_app_turn_end end;
    bool good = true;
    g->now = dt_clock_ns();
    if (!g->first_ns) {
        g->first_ns = g->now;
        w->figures.first_token_ms = (double)(g->now - w->asked_ns) / 1e6;
        dt_report_state(w->report, DT_APP_GENERATING);
    }
    g->turn->tokens++;
    g->pace.at[g->pace.count++ % 128] = g->now;
    if (thought != r->inside)
        good = add_remote_text(r, thought ? open : close, strlen(thought ? open : close));
    r->inside = thought;
    if (!good || !add_remote_text(r, text, n))
        return 0;
    if (g->now - g->posted_ns >= GATHER_NS || g->turn->tokens <= 1)
        post_text(w, g);
    between_tokens(w, g);
    r->end = DT_END_STOPPED;
    if (dt_worker_stopped(w))
        return 0;
    dt_worker_see_settings(w);
    uint32_t length = (uint32_t)dt_settings_uint(&w->settings, DT_SET_LENGTH);
    end = length && is_long_enough(g, length) ? DT_END_LENGTH : DT_END_STOPPED;
    r->end = end;
    return end == DT_END_STOPPED;
}

static enum dt_app_turn_end generate_remotely(struct dt_worker *w, struct generation *g,
                                              struct dt_error *err)
{
    struct remote_text r = {.w = w, .g = g, .end = DT_END_STOPPED};
    uint32_t tokens;
    dt_report_state(w->report, DT_APP_READING);
    enum dt_app_turn_end end = dt_remote_turn(w, on_remote_text, &r, &tokens, err);
    if (r.failed)
        dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for the text of the turn");
    if (tokens)
        g->turn->tokens = g->begun_tokens + tokens;
    if (end == DT_END_ERROR && g->first_ns)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "What has arrived is kept. /continue goes on from there, /retry generates "
                         "the turn again.");
    return end == DT_END_STOPPED ? r.end : end;
}

static void reset_figures(struct dt_worker *w, const struct dt_turn *turn)
{
    struct dt_app_figures *f = &w->figures;
    f->tokens = f->thought_tokens = f->prompt_tokens = 0;
    f->seconds = f->speed_now = f->speed_mean = f->first_token_ms = 0;
    f->seed = turn->seed;
}

// Says once that nothing ends the turn, while the settings are so.
static void report_endless(struct dt_worker *w)
{
    bool endless =
        dt_settings_uint(&w->settings, DT_SET_LENGTH) == 0 && dt_overflow_goes_on(&w->settings);
    if (endless && !w->endless_said)
        dt_report_notice(w->report, DT_NOTICE_INFO,
                         "Nothing limits this turn (length 0, overflow %s). %s stops it.",
                         dt_settings_text(&w->settings, DT_SET_OVERFLOW),
                         w->interactive ? "Any key that does not begin a command" : "Ctrl-C");
    w->endless_said = endless;
}

// A stop text ended the turn: makes the context hold the text before it.
static void drop_stop_text(struct dt_worker *w, struct dt_turn *turn)
{
    struct dt_error err = {0};
    char *text = strdup(turn->text);
    if (!text || dt_context_replace_text(w, text, &err) != DT_OK)
        w->story.stale = true;
    free(text);
}

void dt_generate(struct dt_worker *w, bool resume)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    struct dt_error err = {0};
    struct generation g = {
        .turn = turn, .number = (uint32_t)(story->count - 1), .begun_tokens = turn->tokens};
    enum dt_app_turn_end end = DT_END_ERROR;
    turn->finished = false;
    report_endless(w);
    reset_figures(w, turn);
    dt_worker_post_turn(w, g.number);
    g.now = g.draft_ns = dt_clock_ns();
    dt_save_turn(w, g.number); // the prompt is on its way to the disk before the first token
    dt_answer_begin(&g.answer, w, g.number);
    dt_status status = w->remote ? DT_OK : evaluate(w, &err);
    if (status == DT_OK) {
        if (!w->remote)
            begin_sampling(w, resume);
        dt_read_aloud_begin(w, resume || turn->request || story->chat ? NULL : turn->prompt);
        g.figures_ns = dt_clock_ns();
        end = w->remote ? generate_remotely(w, &g, &err) : generate_locally(w, &g, &err);
        dt_answer_end(&g.answer, w);
        dt_read_aloud_end(w, end == DT_END_STOPPED || end == DT_END_ERROR);
    } else if (status == DT_CANCELLED) {
        end = DT_END_STOPPED;
    }
    g.now = dt_clock_ns();
    if (g.answer.failed)
        dt_events_lose(&w->report->events, DT_EVENT_NONE);
    if (end == DT_END_STOP_TEXT)
        drop_stop_text(w, turn);
    if (g.first_ns)
        measure(w, &g);
    post_text(w, &g);
    dt_answer_free(&g.answer);
    turn->finished = true;
    turn->end = end;
    snprintf(turn->stack, sizeof turn->stack, "%s",
             w->remote ? dt_remote_address(w->remote) : dt_engine_stack_name(w->engine));
    if (end == DT_END_ERROR)
        dt_worker_fail(w, &err);
    dt_save_finished_turn(w, g.number);
    dt_worker_post_figures(w, true);
    dt_worker_post_turn_end(w, g.number);
    dt_worker_post_story(w, story->count, NULL);
}

// SPDX-License-Identifier: MIT
// /compare: the same beginning, told greedily by two stacks. The story at hand is not touched: its
// positions are set aside meanwhile.
#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "app/worker.h"
#include "base/text.h"
#include "host/clock.h"

struct side {
    char stack[128], *text, *refused;
    size_t length, capacity;
    uint32_t *tokens, count;
    double speed, prompt_speed;
    bool finished;
};

struct comparison {
    struct side side[2];
    const char *prompt;
    uint64_t posted;
};

static void add_text(struct side *side, const char *text, size_t n)
{
    if (side->length + n + 1 > side->capacity) {
        char *more = realloc(side->text, 2 * (side->length + n + 1));
        if (!more)
            return;
        side->text = more;
        side->capacity = 2 * (side->length + n + 1);
    }
    memcpy(side->text + side->length, text, n);
    side->length += n;
    side->text[side->length] = '\0';
}

// Where the texts part: the beginning of the character, or the shorter one's end.
static size_t first_difference(const struct side *a, const struct side *b)
{
    size_t i = 0;
    while (i < a->length && i < b->length && a->text[i] == b->text[i])
        i++;
    while (i > 0 && i < a->length && ((unsigned char)a->text[i] & 0xc0) == 0x80)
        i--;
    return i;
}

static void find_difference(const struct comparison *c, bool finished, struct dt_app_compare *out)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    uint32_t shorter = a->count < b->count ? a->count : b->count, i = 0;
    while (i < shorter && a->tokens[i] == b->tokens[i])
        i++;
    out->first_token = i;
    out->first_difference = first_difference(a, b);
    out->differ = i < shorter || (finished && a->count != b->count);
}

static void post(struct dt_worker *w, struct comparison *c, bool finished)
{
    struct dt_app_compare *out = calloc(1, sizeof *out);
    struct dt_app_event event = {.type = DT_EVENT_COMPARE};
    c->posted = dt_clock_ns();
    if (!out)
        return;
    for (int i = 0; i < 2; i++) {
        const struct side *side = &c->side[i];
        out->side[i] = (struct dt_app_side){
            .stack = strdup(side->stack),
            .text = strdup(side->text ? side->text : ""),
            .text_length = side->length,
            .tokens = side->count,
            .speed = side->speed,
            .prompt_speed = side->prompt_speed,
            .finished = side->finished,
            .refused = side->refused ? strdup(side->refused) : NULL,
        };
    }
    out->prompt = strdup(c->prompt);
    out->finished = finished;
    find_difference(c, finished, out);
    dt_events_post(&w->app->events, &event, NULL, 0, out, dt_view_compare_free);
}

// Tells one side. False: stopped.
static bool generate_side(struct dt_worker *w, struct comparison *c, int n, const char *stack,
                          const uint32_t *prompt, uint32_t prompt_count, uint32_t length)
{
    struct side *side = &c->side[n];
    struct dt_error err = {0};
    struct dt_text_filter filter = {0};
    struct dt_session *session = dt_engine_session(w->engine);
    const struct dt_sampling greedy = {.repeat_penalty = 1};
    char line[900];
    snprintf(side->stack, sizeof side->stack, "%s", stack);
    dt_status status = dt_engine_swap(w->engine, stack, NULL, NULL, &err);
    if (status != DT_OK) {
        side->refused = strdup(dt_error_line(&err, line, sizeof line));
        side->finished = true;
        return status != DT_CANCELLED;
    }
    snprintf(side->stack, sizeof side->stack, "%s", dt_engine_stack_name(w->engine));
    dt_session_truncate(session, 0);
    uint64_t begun = dt_clock_ns();
    status = dt_engine_eval(w->engine, prompt, prompt_count, &err);
    side->prompt_speed = prompt_count * 1e9 / (double)(dt_clock_ns() - begun);
    dt_engine_set_sampling(w->engine, &greedy, 1);
    begun = dt_clock_ns();
    uint32_t previous = prompt[prompt_count - 1];
    while (status == DT_OK && side->count < length &&
           dt_session_position(session) < dt_session_capacity(session)) {
        char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
        uint32_t id = dt_engine_next(w->engine);
        if (dt_generate_is_end(w, id))
            break;
        side->tokens[side->count++] = id;
        size_t bytes = dt_engine_piece(w->engine, previous, id, raw);
        add_text(side, clean, dt_text_filter_push(&filter, raw, bytes, clean));
        previous = id;
        status = dt_engine_eval(w->engine, &id, 1, &err);
        uint64_t now = dt_clock_ns();
        if (status == DT_OK && now > begun)
            side->speed = side->count * 1e9 / (double)(now - begun);
        if (now - c->posted >= 250000000ull)
            post(w, c, false);
    }
    char clean[16];
    add_text(side, clean, dt_text_filter_flush(&filter, clean));
    side->finished = true;
    if (status != DT_OK && status != DT_CANCELLED)
        dt_app_error(w->app, &err);
    return status == DT_OK;
}

static void summary(struct dt_worker *w, const struct comparison *c, bool stopped)
{
    char text[2200];
    size_t n = 0;
    struct dt_app_compare found = {0};
    find_difference(c, true, &found);
    size_t names = strlen(c->side[0].stack) > strlen(c->side[1].stack) ? strlen(c->side[0].stack)
                                                                       : strlen(c->side[1].stack);
    for (int i = 0; i < 2; i++) {
        const struct side *side = &c->side[i];
        if (side->refused)
            n += (size_t)snprintf(text + n, sizeof text - n, "%-*s  %s\n", (int)names, side->stack,
                                  side->refused);
        else
            n += (size_t)snprintf(text + n, sizeof text - n,
                                  "%-*s %8.1f tok/s  prompt %8.1f tok/s  %u tokens\n", (int)names,
                                  side->stack, side->speed, side->prompt_speed, side->count);
    }
    if (c->side[0].refused || c->side[1].refused || stopped) {
        snprintf(text + n, sizeof text - n, "%s\n",
                 stopped ? "stopped: the texts were not compared to their end"
                         : "nothing to compare");
    } else if (!found.differ) {
        snprintf(text + n, sizeof text - n, "%.2f times as fast; the texts are the same\n",
                 c->side[0].speed > 0 ? c->side[1].speed / c->side[0].speed : 0);
    } else {
        size_t at = found.first_difference, from = at > 24 ? at - 24 : 0;
        const char *texts[2] = {c->side[0].text ? c->side[0].text : "",
                                c->side[1].text ? c->side[1].text : ""};
        while (from > 0 && ((unsigned char)texts[0][from] & 0xc0) == 0x80)
            from--;
        n += (size_t)snprintf(
            text + n, sizeof text - n, "%.2f times as fast; the texts differ from token %u on:\n",
            c->side[0].speed > 0 ? c->side[1].speed / c->side[0].speed : 0, found.first_token + 1);
        for (int i = 0; i < 2; i++) {
            size_t end = at + 40, length = c->side[i].length;
            if (end > length)
                end = length;
            while (end < length && ((unsigned char)texts[i][end] & 0xc0) == 0x80)
                end++;
            char piece[160];
            snprintf(piece, sizeof piece, "%.*s", (int)(end > from ? end - from : 0),
                     texts[i] + (from < length ? from : length));
            for (char *p = piece; *p; p++) {
                if (*p == '\n')
                    *p = ' ';
            }
            n += (size_t)snprintf(text + n, sizeof text - n, "  %s%s\n", from ? "..." : "", piece);
        }
    }
    dt_app_output(w->app, text);
}

// The story's positions, kept while others are told in their place. Where there is no memory for
// that they are evaluated again afterwards.
struct aside {
    void *saved;
    size_t bytes;
    uint32_t position;
};

static void set_aside(struct dt_worker *w, struct aside *aside)
{
    struct dt_session *session = dt_engine_session(w->engine);
    aside->position = dt_session_common_prefix(session, w->story.tokens, w->story.token_count);
    aside->bytes = dt_session_saved_bytes(session, aside->position);
    if (aside->position == 0 ||
        dt_memory_alloc(dt_engine_account(w->engine), aside->bytes, "the story, set aside",
                        &aside->saved, NULL) != DT_OK)
        return;
    dt_session_save(session, aside->position, aside->saved);
}

static void take_up(struct dt_worker *w, struct aside *aside)
{
    struct dt_session *session = dt_engine_session(w->engine);
    dt_session_truncate(session, 0);
    if (aside->saved)
        dt_session_restore(session, aside->position, aside->saved);
    dt_memory_free(dt_engine_account(w->engine), aside->saved, aside->bytes);
}

void dt_compare(struct dt_worker *w, const char *a, const char *b)
{
    struct comparison c = {0};
    struct aside aside = {0};
    struct dt_error err = {0};
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    char before[128];
    const char *stacks[2] = {a, b};
    uint32_t length = (uint32_t)dt_settings_uint(&w->settings, DT_SET_COMPARE_LENGTH);
    const uint32_t *prompt = NULL;
    uint32_t *copy = NULL;
    size_t count = 0;
    snprintf(before, sizeof before, "%s", dt_engine_stack_name(w->engine));
    // the last turn's beginning; before the first turn, an opening
    if (turn && (!story->stale || dt_story_rebuild(w, &err) == DT_OK) &&
        turn->output_at != DT_NOWHERE) {
        prompt = story->tokens;
        count = turn->output_at;
        c.prompt = turn->prompt;
    } else {
        const char *opening = dt_settings_text(&w->settings, DT_SET_OPENING);
        c.prompt = *opening ? opening : "Once upon a time";
        if (dt_engine_encode(w->engine, c.prompt, strlen(c.prompt),
                             DT_ENCODE_BOS | DT_ENCODE_PREFIX, &prompt, &count, &err) != DT_OK) {
            dt_app_error(w->app, &err);
            return;
        }
    }
    copy = malloc((count + 1) * sizeof *copy);
    for (int i = 0; i < 2; i++)
        c.side[i].tokens = malloc((length + 1) * sizeof *c.side[i].tokens);
    if (!copy || !c.side[0].tokens || !c.side[1].tokens) {
        dt_app_notice(w->app, DT_NOTICE_ERROR, "No memory for a comparison of %u tokens.", length);
        goto out;
    }
    memcpy(copy, prompt, count * sizeof *copy);
    dt_worker_state(w, DT_APP_COMPARING);
    set_aside(w, &aside);
    bool going = true;
    for (int i = 0; i < 2 && going; i++)
        going = generate_side(w, &c, i, stacks[i], copy, (uint32_t)count, length);
    post(w, &c, true);
    summary(w, &c, !going);
    // back to what computed before, even after a stop
    dt_engine_uncancel(w->engine);
    if (dt_engine_swap(w->engine, before, NULL, NULL, &err) != DT_OK)
        dt_app_error(w->app, &err);
    take_up(w, &aside);
    dt_generate_figures(w, true);
out:
    free(copy);
    for (int i = 0; i < 2; i++) {
        free(c.side[i].tokens);
        free(c.side[i].text);
        free(c.side[i].refused);
    }
}

// SPDX-License-Identifier: MIT
#include "app/worker/compare.h"

#include <stdlib.h>
#include <string.h>

#include "app/view.h"
#include "app/worker/context.h"
#include "app/worker/generate.h"
#include "app/worker/open_remote.h"
#include "app/worker/remote_turn.h"
#include "app/worker/worker_events.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/string_buffer.h"

struct side {
    char stack[128], *refused;
    struct dt_string_buffer text;
    uint32_t *tokens, count;
    size_t *ends; // of the text after each token
    bool remote;  // a server generates: its pieces count as tokens, without ids
    double speed, prompt_speed;
    bool finished;
};

struct comparison {
    struct side side[2];
    const char *prompt;
    uint32_t *tokens; // of the prompt
    uint32_t token_count;
    struct dt_remote_prompt sent; // the prompt as a server gets it
    uint64_t posted_ns;
};

// The first byte at which the texts differ, at the beginning of a character; the end of the shorter
// one if there is none.
static size_t first_difference(const struct side *a, const struct side *b)
{
    size_t i = 0;
    while (i < a->text.length && i < b->text.length && a->text.text[i] == b->text.text[i])
        i++;
    while (i > 0 && i < a->text.length && ((unsigned char)a->text.text[i] & 0xc0) == 0x80)
        i--;
    return i;
}

static void find_difference(const struct comparison *c, bool finished, struct dt_app_compare *out)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    uint32_t shorter = a->count < b->count ? a->count : b->count, i = 0;
    if (a->remote || b->remote) { // by the texts alone
        size_t least = a->text.length < b->text.length ? a->text.length : b->text.length;
        out->first_difference = first_difference(a, b);
        while (i < a->count && a->ends[i] <= out->first_difference)
            i++;
        out->first_token = i;
        out->differ =
            out->first_difference < least || (finished && a->text.length != b->text.length);
        return;
    }
    while (i < shorter && a->tokens[i] == b->tokens[i])
        i++;
    out->first_token = i;
    out->first_difference = first_difference(a, b);
    out->differ = i < shorter || (finished && a->count != b->count);
}

static const char *text_of(const struct side *side)
{
    return side->text.text ? side->text.text : "";
}

static void post(struct dt_worker *w, struct comparison *c, bool finished)
{
    struct dt_app_compare *out = calloc(1, sizeof *out);
    struct dt_app_event event = {.type = DT_EVENT_COMPARE};
    c->posted_ns = dt_clock_ns();
    if (!out)
        return;
    for (int i = 0; i < 2; i++) {
        const struct side *side = &c->side[i];
        out->side[i] = (struct dt_app_side){
            .stack = strdup(side->stack),
            .text = strdup(text_of(side)),
            .text_length = side->text.length,
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
    dt_events_post(&w->report->events, &event, NULL, 0, out, dt_view_compare_free);
}

// ---- a side that a server generates ----

struct remote_side {
    struct dt_worker *w;
    struct comparison *c;
    struct side *side;
    struct dt_text_filter filter;
    uint32_t length;
    uint64_t first;
};

static int on_text(void *arg, const char *text, size_t n, int thought)
{
    struct remote_side *r = arg;
    struct side *side = r->side;
    uint64_t now = dt_clock_ns();
    (void)thought;
    if (!r->first)
        r->first = now;
    while (n > 0) {
        char clean[3 * (DT_PIECE_MAX + 4)];
        size_t part = n < DT_PIECE_MAX ? n : DT_PIECE_MAX;
        dt_string_buffer_append(&side->text, clean,
                                dt_text_filter_push(&r->filter, text, part, clean));
        text += part;
        n -= part;
    }
    side->ends[side->count++] = side->text.length;
    if (now > r->first)
        side->speed = (side->count - 1) * 1e9 / (double)(now - r->first);
    if (now - r->c->posted_ns >= 250000000ull)
        post(r->w, r->c, false);
    return side->count < r->length;
}

static bool generate_remote_side(struct dt_worker *w, struct comparison *c, int n,
                                 const char *address, uint32_t length)
{
    struct remote_side r = {.w = w, .c = c, .side = &c->side[n], .length = length};
    struct dt_remote_options options = dt_open_remote_options(w, address);
    struct dt_remote *remote = NULL, *open = w->remote;
    struct dt_remote_figures figures = {0};
    struct dt_remote_request request;
    struct dt_error err = {0};
    dt_status status = DT_OK;
    char line[900], clean[16];
    snprintf(r.side->stack, sizeof r.side->stack, "%s", address);
    r.side->remote = true;
    if (!open || strcmp(address, dt_remote_address(open)) != 0) {
        status = dt_remote_open(&remote, &options, &err);
        open = remote;
    }
    if (status == DT_OK) {
        dt_remote_turn_request(w, &c->sent, &request);
        request.temperature = request.min_p = 0;
        request.top_p = request.repeat_penalty = 1;
        request.top_k = 0;
        request.max_tokens = length;
        status = dt_remote_generate(open, &request, on_text, &r, &figures, &err);
    }
    dt_remote_close(remote);
    dt_string_buffer_append(&r.side->text, clean, dt_text_filter_flush(&r.filter, clean));
    r.side->finished = true;
    if (figures.evaluated && figures.prompt_seconds > 0)
        r.side->prompt_speed = figures.evaluated / figures.prompt_seconds;
    if (status == DT_CANCELLED)
        return r.side->count >= length;
    if (status != DT_OK)
        r.side->refused = strdup(dt_error_line(&err, line, sizeof line));
    return true;
}

// ---- a side that backends generate ----

// Generates one side, at most `length` tokens. False: stopped, or failed after a notice.
static bool generate_side(struct dt_worker *w, struct comparison *c, int n, const char *stack,
                          uint32_t length)
{
    struct side *side = &c->side[n];
    struct dt_error err = {0};
    struct dt_text_filter filter = {0};
    struct dt_session *session = dt_engine_session(w->engine);
    const struct dt_sampling greedy = {.repeat_penalty = 1};
    char line[900], clean[3 * (DT_PIECE_MAX + 4)];
    snprintf(side->stack, sizeof side->stack, "%s", stack);
    if (w->remote) {
        side->refused = strdup("the open model is on a server, which has no backends");
        side->finished = true;
        return true;
    }
    dt_status status = dt_engine_swap(w->engine, stack, NULL, NULL, &err);
    if (status != DT_OK) {
        side->refused = strdup(dt_error_line(&err, line, sizeof line));
        side->finished = true;
        return status != DT_CANCELLED;
    }
    snprintf(side->stack, sizeof side->stack, "%s", dt_engine_stack_name(w->engine));
    dt_session_truncate(session, 0);
    uint64_t begun = dt_clock_ns();
    status = dt_engine_eval(w->engine, c->tokens, c->token_count, &err);
    side->prompt_speed = c->token_count * 1e9 / (double)(dt_clock_ns() - begun);
    dt_engine_set_sampling(w->engine, &greedy, 1);
    begun = dt_clock_ns();
    uint32_t previous = c->tokens[c->token_count - 1];
    while (status == DT_OK && side->count < length &&
           dt_session_position(session) < dt_session_capacity(session)) {
        char raw[DT_PIECE_MAX];
        uint32_t id = dt_engine_next(w->engine);
        if (dt_generate_is_end(w, id))
            break;
        side->tokens[side->count++] = id;
        size_t bytes = dt_engine_piece(w->engine, previous, id, raw);
        dt_string_buffer_append(&side->text, clean,
                                dt_text_filter_push(&filter, raw, bytes, clean));
        side->ends[side->count - 1] = side->text.length;
        previous = id;
        status = dt_engine_eval(w->engine, &id, 1, &err);
        uint64_t now = dt_clock_ns();
        if (status == DT_OK && now > begun)
            side->speed = side->count * 1e9 / (double)(now - begun);
        if (now - c->posted_ns >= 250000000ull)
            post(w, c, false);
    }
    dt_string_buffer_append(&side->text, clean, dt_text_filter_flush(&filter, clean));
    side->finished = true;
    if (status != DT_OK && status != DT_CANCELLED)
        dt_report_error(w->report, &err);
    return status == DT_OK;
}

// One line of a side's text around the difference: from byte `from` to 40 bytes after `at`.
static void print_piece(struct dt_string_buffer *out, const struct side *side, size_t from,
                        size_t at)
{
    const char *text = text_of(side);
    size_t end = at + 40, length = side->text.length;
    char piece[160];
    if (end > length)
        end = length;
    while (end < length && ((unsigned char)text[end] & 0xc0) == 0x80)
        end++;
    snprintf(piece, sizeof piece, "%.*s", (int)(end > from ? end - from : 0),
             text + (from < length ? from : length));
    for (char *p = piece; *p; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    dt_string_buffer_printf(out, "  %s%s\n", from ? "..." : "", piece);
}

static void print_difference(struct dt_string_buffer *out, const struct comparison *c)
{
    struct dt_app_compare found = {0};
    double ratio = c->side[0].speed > 0 ? c->side[1].speed / c->side[0].speed : 0;
    find_difference(c, true, &found);
    if (!found.differ) {
        dt_string_buffer_printf(out, "%.2f times as fast; the texts are equal.\n", ratio);
        return;
    }
    size_t at = found.first_difference, from = at > 24 ? at - 24 : 0;
    while (from > 0 && ((unsigned char)text_of(&c->side[0])[from] & 0xc0) == 0x80)
        from--;
    dt_string_buffer_printf(out, "%.2f times as fast; the texts differ from token %u on:\n", ratio,
                            found.first_token + 1);
    for (int i = 0; i < 2; i++)
        print_piece(out, &c->side[i], from, at);
}

static void print_summary(struct dt_worker *w, const struct comparison *c, bool stopped)
{
    struct dt_string_buffer out = {0};
    size_t a = strlen(c->side[0].stack), b = strlen(c->side[1].stack);
    for (int i = 0; i < 2; i++) {
        const struct side *side = &c->side[i];
        dt_string_buffer_printf(&out, "%-*s ", (int)(a > b ? a : b), side->stack);
        if (side->refused)
            dt_string_buffer_printf(&out, " %s\n", side->refused);
        else
            dt_string_buffer_printf(&out, "%8.1f tok/s  prompt %8.1f tok/s  %u tokens\n",
                                    side->speed, side->prompt_speed, side->count);
    }
    if (stopped)
        dt_string_buffer_printf(&out, "Stopped: the texts were not compared to the end.\n");
    else if (c->side[0].refused || c->side[1].refused)
        dt_string_buffer_printf(&out, "Nothing to compare.\n");
    else
        print_difference(&out, c);
    if (out.text)
        dt_report_output(w->report, out.text);
    dt_string_buffer_free(&out);
}

// ---- the story meanwhile ----

// The KV cache of the story, saved so that other tokens can use the session. If memory is short for
// that, the story is evaluated again afterwards.
struct saved_cache {
    void *bytes;
    size_t size;
    uint32_t position;
};

static void save_cache(struct dt_worker *w, struct saved_cache *saved)
{
    struct dt_session *session = dt_engine_session(w->engine);
    saved->position = dt_session_common_prefix(session, w->story.tokens, w->story.token_count);
    saved->size = dt_session_saved_bytes(session, saved->position);
    if (saved->position == 0 ||
        dt_memory_alloc(dt_engine_account(w->engine), saved->size, "the KV cache of the story",
                        &saved->bytes, NULL) != DT_OK)
        return;
    dt_session_save(session, saved->position, saved->bytes);
}

static void restore_cache(struct dt_worker *w, struct saved_cache *saved)
{
    struct dt_session *session = dt_engine_session(w->engine);
    dt_session_truncate(session, 0);
    if (saved->bytes)
        dt_session_restore(session, saved->position, saved->bytes);
    dt_memory_free(dt_engine_account(w->engine), saved->bytes, saved->size);
}

// The same prompt for a server.
static dt_status choose_sent(struct dt_worker *w, struct comparison *c, struct dt_error *err)
{
    if (w->story.count > 0)
        return dt_remote_prompt_make(w, false, &c->sent, err);
    c->sent.messages = calloc(1, sizeof *c->sent.messages);
    if (!c->sent.messages)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for a comparison");
    c->sent.messages[0] = (struct dt_remote_message){"user", c->prompt, strlen(c->prompt)};
    c->sent.count = 1;
    return DT_OK;
}

// The prompt of the last turn with all before it; without a turn, an opening.
static dt_status choose_prompt(struct dt_worker *w, struct comparison *c, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    const uint32_t *tokens = NULL;
    size_t count = 0;
    if (w->remote) {
        const char *opening = dt_settings_text(&w->settings, DT_SET_OPENING);
        c->prompt = turn ? turn->prompt : *opening ? opening : "Once upon a time";
        return DT_OK;
    }
    if (turn && (!story->stale || dt_context_rebuild(w, err) == DT_OK) &&
        turn->output_at != DT_NOWHERE) {
        tokens = story->tokens;
        count = turn->output_at;
        c->prompt = turn->prompt;
    } else {
        const char *opening = dt_settings_text(&w->settings, DT_SET_OPENING);
        c->prompt = *opening ? opening : "Once upon a time";
        dt_status status = dt_engine_encode(w->engine, c->prompt, strlen(c->prompt),
                                            DT_ENCODE_BOS | DT_ENCODE_PREFIX | DT_ENCODE_USER,
                                            &tokens, &count, err);
        if (status != DT_OK)
            return status;
    }
    c->tokens = malloc((count + 1) * sizeof *c->tokens);
    if (!c->tokens)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "out of memory for a comparison");
    memcpy(c->tokens, tokens, count * sizeof *tokens);
    c->token_count = (uint32_t)count;
    return DT_OK;
}

// The stack and the KV cache of the story.
static void back_to_story(struct dt_worker *w, struct saved_cache *saved)
{
    struct dt_error err = {0};
    dt_engine_uncancel(w->engine); // the stack is restored after a stop too
    dt_worker_see_settings(w);
    if (dt_engine_swap(w->engine, dt_settings_text(&w->settings, DT_SET_BACKEND), NULL, NULL,
                       &err) != DT_OK)
        dt_report_error(w->report, &err);
    restore_cache(w, saved);
}

void dt_compare(struct dt_worker *w, const char *a, const char *b)
{
    struct comparison c = {0};
    struct saved_cache saved = {0};
    struct dt_error err = {0};
    const char *stacks[2] = {a, b};
    uint32_t length = (uint32_t)dt_settings_uint(&w->settings, DT_SET_COMPARE_LENGTH);
    bool going = true;
    dt_status status = choose_prompt(w, &c, &err);
    if (status == DT_OK && (dt_remote_is_address(a) || dt_remote_is_address(b)))
        status = choose_sent(w, &c, &err);
    for (int i = 0; i < 2 && status == DT_OK; i++) {
        c.side[i].tokens = malloc((length + 1) * sizeof *c.side[i].tokens);
        c.side[i].ends = malloc((length + 1) * sizeof *c.side[i].ends);
        if (!c.side[i].tokens || !c.side[i].ends)
            status = dt_error_set(&err, DT_NO_MEMORY, NULL,
                                  "out of memory for a comparison of %u tokens", length);
    }
    if (status != DT_OK) {
        dt_report_error(w->report, &err);
        goto out;
    }
    dt_report_state(w->report, DT_APP_COMPARING);
    if (!w->remote)
        save_cache(w, &saved);
    for (int i = 0; i < 2 && going; i++)
        going = (dt_remote_is_address(stacks[i]) ? generate_remote_side
                                                 : generate_side)(w, &c, i, stacks[i], length);
    post(w, &c, true);
    print_summary(w, &c, !going);
    if (!w->remote)
        back_to_story(w, &saved);
    dt_worker_post_figures(w, true);
out:
    free(c.tokens);
    dt_remote_prompt_free(&c.sent);
    for (int i = 0; i < 2; i++) {
        free(c.side[i].tokens);
        free(c.side[i].ends);
        dt_string_buffer_free(&c.side[i].text);
        free(c.side[i].refused);
    }
}

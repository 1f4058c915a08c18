// SPDX-License-Identifier: MIT
// The text of a story and the tokens it is in the model's context.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/worker.h"
#include "base/text.h"

// ---- turns ----

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
    story->token_count = story->head = 0;
    story->stale = false;
    story->id = 0;
    dt_writer_story_release(story->kept);
    story->kept = NULL;
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
    if (story->count == story->capacity) {
        size_t capacity = story->capacity ? 2 * story->capacity : 8;
        struct dt_turn *more = realloc(story->turns, capacity * sizeof *more);
        if (!more)
            return NULL;
        story->turns = more;
        story->capacity = capacity;
    }
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
    if (turn->length + n + 1 > turn->capacity) {
        size_t capacity = 2 * (turn->length + n + 1);
        char *more = realloc(turn->text, capacity);
        if (!more)
            return false;
        turn->text = more;
        turn->capacity = capacity;
    }
    memcpy(turn->text + turn->length, text, n);
    turn->length += n;
    turn->text[turn->length] = '\0';
    return true;
}

bool dt_story_push_tokens(struct dt_story *story, const uint32_t *tokens, size_t count)
{
    if (story->token_count + count > story->token_capacity) {
        size_t capacity = 2 * (story->token_count + count) + 256;
        uint32_t *more = realloc(story->tokens, capacity * sizeof *more);
        if (!more)
            return false;
        story->tokens = more;
        story->token_capacity = (uint32_t)capacity;
    }
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
        story->token_count = story->head = 0; // BOS is put again with the next prompt
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

void dt_story_as_record(struct dt_worker *w, struct dt_story_record *out)
{
    static const int kept[] = {DT_SET_TEMPERATURE, DT_SET_TOP_P,          DT_SET_TOP_K,
                               DT_SET_MIN_P,       DT_SET_REPEAT_PENALTY, DT_SET_REPEAT_LAST,
                               DT_SET_LENGTH,      DT_SET_OVERFLOW};
    static char settings[512];
    struct dt_story *story = &w->story;
    size_t n = 0;
    for (size_t i = 0; i < sizeof kept / sizeof *kept && n < sizeof settings; i++)
        n += (size_t)snprintf(settings + n, sizeof settings - n, "%s = %s\n",
                              dt_settings_table()[kept[i]].name,
                              dt_settings_text(&w->settings, kept[i]));
    *out = (struct dt_story_record){
        .id = story->id,
        .title = story->title,
        .model = w->model_path,
        .tokenizer = (char *)dt_settings_text(&w->settings, DT_SET_TOKENIZER),
        .stack = w->figures.stack,
        .settings = settings,
        .premise = story->premise,
        .system = (char *)dt_settings_text(&w->settings, DT_SET_SYSTEM),
        .seed = story->count ? story->turns[0].seed : 0,
        .chat = story->chat,
        .turns = calloc(story->count + 1, sizeof *out->turns),
        .turn_count = story->count,
    };
    if (!out->turns)
        out->turn_count = 0;
    for (size_t i = 0; i < out->turn_count; i++) {
        struct dt_turn *turn = &story->turns[i];
        out->turns[i] = (struct dt_turn_record){.prompt = turn->prompt,
                                                .output = turn->text,
                                                .finished = turn->finished,
                                                .end = turn->end,
                                                .tokens = turn->tokens,
                                                .seed = turn->seed,
                                                .speed = turn->speed,
                                                .stack = turn->stack};
    }
}

// ---- tokens ----

static dt_status no_memory(struct dt_error *err)
{
    return dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for the story");
}

static dt_status push_text(struct dt_worker *w, const char *text, unsigned flags,
                           struct dt_error *err)
{
    const uint32_t *tokens;
    size_t count;
    dt_status status = dt_engine_encode(w->engine, text, strlen(text), flags, &tokens, &count, err);
    if (status == DT_OK && !dt_story_push_tokens(&w->story, tokens, count))
        status = no_memory(err);
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

// What every context begins with: in a story BOS and the premise; in a chat nothing (both are of
// its first turn).
static dt_status push_head(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    dt_status status = DT_OK;
    if (story->premise && story->premise[0] && !story->chat) {
        status = push_text(w, story->premise, DT_ENCODE_BOS | DT_ENCODE_PREFIX, err);
        if (status == DT_OK)
            status = push_text(w, "\n", 0, err);
    }
    story->head = story->token_count;
    return status;
}

// The system prompt with the premise below it, malloc'ed.
static char *system_text(struct dt_worker *w)
{
    const char *system = dt_settings_text(&w->settings, DT_SET_SYSTEM),
               *premise = w->story.premise ? w->story.premise : "";
    char *text = malloc(strlen(system) + strlen(premise) + 4);
    if (text)
        sprintf(text, "%s%s%s", system, *system && *premise ? "\n\n" : "", premise);
    return text;
}

static dt_status put_chat_turn(struct dt_worker *w, size_t n, bool first, struct dt_error *err)
{
    struct dt_template_piece pieces[2 * DT_TEMPLATE_PIECES];
    const struct dt_turn *turn = &w->story.turns[n];
    char *system = system_text(w);
    size_t count = 0;
    if (!system)
        return no_memory(err);
    if (!first)
        count = dt_template_close(w->family, w->story.turns[n - 1].end == DT_END_STORY, pieces);
    count += dt_template_turn(w->family, first, system, strlen(system), turn->prompt,
                              strlen(turn->prompt), pieces + count);
    dt_status status = push_pieces(w, pieces, count, first, err);
    if (first)
        w->story.head =
            *system ? w->story.token_count : 0; // system prompt, premise and the first request stay
    free(system);
    return status;
}

// In a story the prompt is text; only our storyteller's requests have a form.
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
        return push_text(w, turn->prompt, DT_ENCODE_BOS | DT_ENCODE_PREFIX, err);
    status = push_text(w, turn->prompt, first ? DT_ENCODE_PREFIX : 0, err);
    return status;
}

static dt_status put_turn(struct dt_worker *w, size_t n, bool first, struct dt_error *err)
{
    struct dt_turn *turn = &w->story.turns[n];
    dt_status status = DT_OK;
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
            "its vocabulary has no beginning of a text, so a story needs a first word");
    return status;
}

dt_status dt_story_put_prompt(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    size_t n = story->count - 1;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine));
    dt_status status = DT_OK;
    if (story->stale) {
        status = dt_story_rebuild(w, err);
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
    if (story->token_count - story->turns[n].begin + story->head + 8 > capacity)
        return dt_error_set(
            err, DT_CONTEXT_FULL, NULL,
            "what you typed has %u tokens, and the context holds %u: it does not fit",
            story->token_count - story->turns[n].begin, capacity);
    return DT_OK;
}

dt_status dt_story_rebuild(struct dt_worker *w, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    dt_status status = DT_OK;
    const struct dt_vocab *vocab = &dt_engine_model(w->engine)->vocab;
    story->token_count = story->head = 0;
    for (size_t i = 0; i < story->count && status == DT_OK; i++) {
        struct dt_turn *turn = &story->turns[i];
        status = put_turn(w, i, i == 0, err);
        if (status == DT_OK && turn->length)
            status = push_text(w, turn->text, 0, err);
        if (status == DT_OK && turn->finished && turn->end == DT_END_STORY &&
            i + 1 < story->count) {
            uint32_t end = vocab->eot != DT_NO_TOKEN ? vocab->eot : vocab->eos;
            if (end != DT_NO_TOKEN && !dt_story_push_tokens(story, &end, 1))
                status = no_memory(err);
        }
    }
    story->stale = status != DT_OK;
    uint32_t capacity = dt_session_capacity(dt_engine_session(w->engine)), dropped = 0;
    while (status == DT_OK && story->token_count + capacity / 8 >= capacity &&
           story->token_count > story->head + 8)
        dropped += dt_story_shift(story);
    if (dropped)
        dt_app_notice(w->app, DT_NOTICE_INFO,
                      "The story is longer than the context: its oldest %u tokens are left out%s.",
                      dropped, story->head ? " (the premise is kept)" : "");
    return status;
}

uint32_t dt_story_shift(struct dt_story *story)
{
    uint32_t drop = (story->token_count - story->head + 1) / 2;
    memmove(story->tokens + story->head, story->tokens + story->head + drop,
            (story->token_count - story->head - drop) * sizeof *story->tokens);
    story->token_count -= drop;
    for (size_t i = 0; i < story->count; i++) {
        struct dt_turn *turn = &story->turns[i];
        if (turn->begin != DT_NOWHERE)
            turn->begin = turn->begin >= story->head + drop ? turn->begin - drop : DT_NOWHERE;
        if (turn->output_at != DT_NOWHERE)
            turn->output_at =
                turn->output_at >= story->head + drop ? turn->output_at - drop : DT_NOWHERE;
    }
    return drop;
}

dt_status dt_story_replace_text(struct dt_worker *w, const char *text, struct dt_error *err)
{
    struct dt_story *story = &w->story;
    struct dt_turn *turn = dt_story_last(story);
    size_t same = 0, kept_bytes = 0;
    uint32_t keep = 0;
    dt_status status = DT_OK;
    if (story->stale || turn->output_at == DT_NOWHERE) {
        turn->length = 0;
        story->stale = true;
        return dt_story_append_text(turn, text, strlen(text)) ? dt_story_rebuild(w, err)
                                                              : no_memory(err);
    }
    while (text[same] && text[same] == turn->text[same])
        same++;
    // as many tokens as lie wholly in what is unchanged; a character split over tokens counts with
    // its last one
    struct dt_text_filter filter = {0};
    for (uint32_t i = turn->output_at; i < story->token_count; i++) {
        char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
        size_t n = dt_engine_piece(w->engine, i ? story->tokens[i - 1] : DT_NO_TOKEN,
                                   story->tokens[i], raw);
        size_t bytes = kept_bytes + dt_text_filter_push(&filter, raw, n, clean);
        if (bytes > same)
            break;
        kept_bytes = bytes;
        if (filter.held_count == 0)
            keep = i - turn->output_at + 1;
    }
    // the bytes of exactly those tokens
    filter = (struct dt_text_filter){0};
    kept_bytes = 0;
    for (uint32_t i = turn->output_at; i < turn->output_at + keep; i++) {
        char raw[DT_PIECE_MAX], clean[3 * (DT_PIECE_MAX + 4)];
        size_t n = dt_engine_piece(w->engine, i ? story->tokens[i - 1] : DT_NO_TOKEN,
                                   story->tokens[i], raw);
        kept_bytes += dt_text_filter_push(&filter, raw, n, clean);
    }
    story->token_count = turn->output_at + keep;
    turn->length = kept_bytes;
    turn->text[turn->length] = '\0';
    if (text[kept_bytes]) {
        status = push_text(w, text + kept_bytes, 0, err);
        if (status == DT_OK &&
            !dt_story_append_text(turn, text + kept_bytes, strlen(text + kept_bytes)))
            status = no_memory(err);
    }
    return status;
}

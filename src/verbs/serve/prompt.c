// SPDX-License-Identifier: MIT
// The tokens of a request.
#include <stdlib.h>
#include <string.h>

#include "host/context_fill.h"
#include "verbs/serve/serve.h"

// Takes a copy of tokens, if they leave space for an answer.
static dt_status take_tokens(struct dt_serve *serve, struct dt_serve_job *job,
                             const uint32_t *tokens, size_t count, struct dt_error *err)
{
    bool chat = job->kind == DT_SERVE_CHAT;
    if (count > serve->capacity && job->kind != DT_SERVE_TOKENIZE)
        return dt_error_set(err, DT_CONTEXT_FULL, NULL,
                            "the %s %zu tokens, and the context of this server is %u; shorten %s",
                            chat ? "messages have" : "prompt has", count, serve->capacity,
                            chat ? "them" : "it");
    if (count == 0 && job->kind != DT_SERVE_TOKENIZE)
        return dt_error_set(err, DT_USAGE, NULL,
                            "prompt must not be empty: this model has no token for a beginning");
    job->tokens = malloc((count + 1) * sizeof *job->tokens);
    if (!job->tokens)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %zu tokens", count);
    memcpy(job->tokens, tokens, count * sizeof *tokens);
    job->token_count = (uint32_t)count;
    return DT_OK;
}

static dt_status encode_text(struct dt_serve *serve, struct dt_serve_job *job, struct dt_error *err)
{
    unsigned flags = DT_ENCODE_PREFIX | DT_ENCODE_USER;
    const uint32_t *tokens;
    size_t count;
    if (job->kind != DT_SERVE_TOKENIZE || job->bos)
        flags |= DT_ENCODE_BOS;
    if (job->special)
        flags |= DT_ENCODE_SPECIAL;
    dt_status status = dt_engine_encode(serve->engine, job->prompt, job->prompt_length, flags,
                                        &tokens, &count, err);
    return status == DT_OK ? take_tokens(serve, job, tokens, count, err) : status;
}

// ---- chats ----

// The model's answer may begin with a thought that its prompt has opened.
static void begin_thoughts(struct dt_serve *serve, struct dt_serve_job *job, const char *opened,
                           size_t n)
{
    for (uint32_t i = 0; i < job->count; i++) {
        char thought[2 * DT_THOUGHTS_HELD], answer[2 * DT_THOUGHTS_HELD];
        size_t thought_n = 0, answer_n = 0;
        job->texts[i].thoughts = (struct dt_thoughts){.rows = serve->chat.thoughts};
        if (n && n <= DT_THOUGHTS_HELD) // blanks and a marker, so nothing comes out
            dt_thoughts_push(&job->texts[i].thoughts, opened, n, thought, &thought_n, answer,
                             &answer_n);
    }
}

static dt_status encode_rendered(struct dt_serve *serve, struct dt_serve_job *job,
                                 struct dt_error *err)
{
    struct dt_chat_step step;
    const uint32_t *tokens;
    size_t count;
    dt_status status =
        dt_chat_next(&serve->chat, job->messages, job->message_count, DT_NO_TOKEN, &step, err);
    if (status != DT_OK) { // the template refuses these messages
        if (status == DT_BAD_INPUT)
            err->status = DT_USAGE;
        return err->status;
    }
    status = dt_engine_encode_chat(serve->engine, &step.text, true, &tokens, &count, err);
    if (status == DT_OK)
        status = take_tokens(serve, job, tokens, count, err);
    if (status == DT_OK)
        begin_thoughts(serve, job, step.text.text + step.text.length - step.opened, step.opened);
    return status;
}

// The turns of a family: pieces for each pair of messages.
struct turns {
    struct dt_template_piece *pieces;
    size_t count, bytes;
};

static void count_bytes(struct turns *t, size_t from)
{
    for (size_t i = from; i < t->count; i++)
        t->bytes += t->pieces[i].length;
}

static dt_status add_turns(struct dt_serve *serve, const struct dt_serve_job *job, struct turns *t,
                           struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(serve->engine);
    const struct dt_jinja_message *all = job->messages;
    enum dt_template family = serve->chat.family;
    size_t i = 0, system_length = 0;
    const char *system = NULL;
    if (strcmp(all[0].role, "system") == 0) {
        system = all[0].content;
        system_length = all[0].length;
        i = 1;
    } else if (family == DT_TEMPLATE_CHATML) {
        system =
            dt_template_default_system(m->chat_template, m->chat_template_length, &system_length);
    }
    for (bool first = true; i < job->message_count; first = false, i++) {
        size_t from = t->count;
        if (strcmp(all[i].role, "user") != 0)
            return dt_error_set(err, DT_USAGE, NULL,
                                "messages must be the user's and the assistant's in turn, after at "
                                "most one of the system");
        t->count += dt_template_turn(family, first, system, system_length, all[i].content,
                                     all[i].length, t->pieces + t->count);
        if (i + 1 < job->message_count && strcmp(all[i + 1].role, "assistant") == 0) {
            const struct dt_jinja_message *answer = &all[++i];
            t->pieces[t->count++] =
                (struct dt_template_piece){answer->content, answer->length, false};
            t->count += dt_template_close(family, false, t->pieces + t->count);
        }
        count_bytes(t, from);
    }
    return DT_OK;
}

static dt_status encode_family(struct dt_serve *serve, struct dt_serve_job *job,
                               struct dt_error *err)
{
    size_t most = (job->message_count + 1) * (DT_TEMPLATE_PIECES + 8), count = 0;
    struct turns t = {.pieces = calloc(most, sizeof *t.pieces)};
    char *scratch = NULL;
    uint32_t *tokens = NULL;
    dt_status status = DT_NO_MEMORY;
    if (t.pieces)
        status = add_turns(serve, job, &t, err);
    if (status == DT_OK) {
        size_t from = t.count;
        t.count += dt_chat_empty_thought(&serve->chat, t.pieces + t.count);
        count_bytes(&t, from);
        scratch = malloc(t.bytes + 16);
        tokens = malloc((t.bytes + 64 + t.count) * sizeof *tokens);
        if (!scratch || !tokens)
            status = DT_NO_MEMORY;
    }
    if (status == DT_NO_MEMORY)
        dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for %zu messages",
                     job->message_count);
    if (status == DT_OK)
        status = dt_engine_encode_pieces(serve->engine, t.pieces, t.count, true, scratch,
                                         t.bytes + 16, tokens, t.bytes + 64 + t.count, &count, err);
    if (status == DT_OK)
        status = take_tokens(serve, job, tokens, count, err);
    if (status == DT_OK)
        begin_thoughts(serve, job, NULL, 0);
    free(t.pieces);
    free(scratch);
    free(tokens);
    return status;
}

dt_status dt_serve_make_prompt(struct dt_serve *serve, struct dt_serve_job *job,
                               struct dt_error *err)
{
    if (job->kind != DT_SERVE_CHAT)
        return encode_text(serve, job, err);
    if (serve->chat_status != DT_OK) {
        *err = serve->chat_error;
        return serve->chat_status;
    }
    serve->chat.without_thinking = job->without_thinking;
    return serve->chat.source ? encode_rendered(serve, job, err) : encode_family(serve, job, err);
}

// SPDX-License-Identifier: MIT
// duotale run -m chat: a chat by the model's template, with messages from standard input.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/array.h"
#include "host/chat.h"
#include "host/clock.h"
#include "host/context_fill.h"
#include "verbs/run/run.h"

// Reads a line of standard input without its newline into *out, malloc'ed; NULL at the end. The
// prompt is shown on a terminal only. A line that is no text is typed again on a terminal, and an
// error in a pipe.
static dt_status read_line(const char *prompt, char **out, struct dt_error *err)
{
    char *line = NULL;
    size_t capacity = 0;
    bool terminal = isatty(STDIN_FILENO);
    *out = NULL;
    for (;;) {
        if (terminal && isatty(STDERR_FILENO)) {
            fputs(prompt, stderr);
            fflush(stderr);
        }
        errno = 0;
        ssize_t n = getline(&line, &capacity, stdin);
        if (n < 0) {
            bool memory = errno == ENOMEM;
            free(line);
            return memory ? dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for a message")
                          : DT_OK;
        }
        size_t length = (size_t)n, kept = 0;
        dt_status status = dt_typed_text_clean(line, &length, "standard input", err);
        if (status == DT_OK) {
            if (length > 0 && line[length - 1] == '\n')
                length--;
            for (size_t i = 0; i < length; i++) { // a zero byte would end the message
                if (line[i])
                    line[kept++] = line[i];
            }
            line[kept] = 0;
            *out = line;
            return DT_OK;
        }
        if (!terminal) {
            free(line);
            return status;
        }
        dt_verb_fail(err);
    }
}

// Chooses the template by --chat-template (a name or a file), else the model's. Without either it
// is Llama 2's for a SentencePiece vocabulary, as in llama2.c.
static dt_status open_chat(struct dt_run *run, struct dt_chat *chat, struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *path = dt_engine_path(run->engine);
    dt_status status = dt_chat_open(chat, m, run->options->template_name, DT_TEMPLATE_LLAMA2, err);
    chat->without_thinking = run->options->without_thinking;
    if (status != DT_OK || chat->reason.status == DT_OK)
        return status;
    if (chat->family == DT_TEMPLATE_UNKNOWN)
        return dt_error_set(err, DT_UNSUPPORTED, path, "%s; choose another with --chat-template",
                            chat->reason.message);
    fprintf(stderr,
            "duotale: %s: %s; the turns of %s are used instead (--chat-template NAME chooses)\n",
            path, chat->reason.message, dt_template_name(chat->family));
    return DT_OK;
}

static size_t count_tokens(struct dt_run *run, const char *text)
{
    const uint32_t *tokens;
    size_t count = 0;
    if (!text ||
        dt_engine_encode(run->engine, text, strlen(text), 0, &tokens, &count, NULL) != DT_OK)
        return 0;
    return count;
}

// A message does not fit. total: the tokens of the dialogue with it.
static dt_status fail_full(struct dt_run *run, size_t total, struct dt_error *err)
{
    static const char *const advice[] = {
        [DT_CONTEXT_SYSTEM] = "shorten the system prompt",
        [DT_CONTEXT_PREMISE] = "",
        [DT_CONTEXT_MESSAGE] = "shorten it",
        [DT_CONTEXT_TURNS] = "begin another chat",
    };
    char what[80];
    struct dt_context_fill fill = {
        .capacity = run->limit,
        .total = total,
        .system = count_tokens(run, run->options->system),
        .message = count_tokens(run, run->message),
        .turns = run->turns,
        .chat = true,
    };
    snprintf(what, sizeof what, "%s, or raise %s", advice[dt_context_fill_cause(&fill)],
             run->options->steps ? "-n" : "--context");
    return dt_context_fill_error(&fill, what, err);
}

// Evaluates tokens. DT_CONTEXT_FULL if they do not fit.
static dt_status eval_tokens(struct dt_run *run, const uint32_t *tokens, size_t count,
                             struct dt_error *err)
{
    uint32_t position = dt_session_position(dt_engine_session(run->engine));
    if (count > run->limit - position)
        return fail_full(run, position + count, err);
    if (!count)
        return DT_OK;
    run->prompt_tokens += (uint32_t)count;
    run->previous = tokens[count - 1];
    return dt_engine_eval(run->engine, tokens, (uint32_t)count, err);
}

// Encodes pieces of a template and evaluates them. DT_CONTEXT_FULL if they do not fit.
static dt_status eval_pieces(struct dt_run *run, const struct dt_template_piece *pieces,
                             size_t count, bool bos, struct dt_error *err)
{
    dt_status status = DT_OK;
    size_t length = 0, tokens_count = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    if (count == 0)
        return DT_OK;
    char *scratch = malloc(length + 16);
    uint32_t *tokens = malloc((length + 64) * sizeof *tokens);
    if (!scratch || !tokens)
        status = dt_error_set(err, DT_NO_MEMORY, NULL,
                              "not enough memory for a message of %zu bytes", length);
    if (status == DT_OK)
        status = dt_engine_encode_pieces(run->engine, pieces, count, bos, scratch, length + 16,
                                         tokens, length + 64, &tokens_count, err);
    if (status == DT_OK)
        status = eval_tokens(run, tokens, tokens_count, err);
    free(scratch);
    free(tokens);
    return status;
}

// The messages of a chat with a template that is run.
struct dialogue {
    struct dt_jinja_message *messages;
    size_t count, capacity;
    uint32_t ended;     // the token that ended the last turn, which is not evaluated yet;
                        // DT_NO_TOKEN: none, or the message is not what the model wrote
    uint32_t answer_at; // position of the last answer
};

// Appends a message; takes `content` over (NULL: memory was short).
static dt_status add_message(struct dialogue *d, const char *role, char *content,
                             struct dt_error *err)
{
    if (!content || !dt_array_grow(&d->messages, &d->capacity, d->count + 1, sizeof *d->messages)) {
        free(content);
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for another message");
    }
    d->messages[d->count++] = (struct dt_jinja_message){role, content, strlen(content)};
    return DT_OK;
}

// Evaluates a step: the difference to the last rendering, or everything after what the new one has
// in common with the tokens so far.
static dt_status eval_step(struct dt_run *run, const struct dialogue *d,
                           const struct dt_chat_step *step, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(run->engine);
    const uint32_t *tokens;
    size_t count;
    dt_status status =
        dt_engine_encode_chat(run->engine, &step->text, step->whole, &tokens, &count, err);
    if (status != DT_OK)
        return status;
    if (!step->whole) { // the end of the last turn was sampled and not evaluated
        if (dt_session_position(session) < run->limit)
            status = dt_engine_eval(run->engine, &d->ended, 1, err);
        return status == DT_OK ? eval_tokens(run, tokens, count, err) : status;
    }
    uint32_t keep = dt_session_common_prefix(session, tokens, (uint32_t)count);
    if (keep == count && keep)
        keep--; // its logits are needed again
    dt_session_truncate(session, keep);
    return eval_tokens(run, tokens + keep, count - keep, err);
}

// Begins the model's answer, which may begin with what the prompt has opened.
static dt_status begin_answer(struct dt_run *run, const struct dt_chat *chat, const char *opened,
                              size_t n, struct dt_error *err)
{
    return dt_run_begin_answer(run, chat->thoughts, opened, n)
               ? DT_OK
               : dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
}

static dt_status eval_dialogue(struct dt_run *run, struct dt_chat *chat, const struct dialogue *d,
                               struct dt_error *err)
{
    struct dt_chat_step step;
    dt_status status = dt_chat_next(chat, d->messages, d->count, d->ended, &step, err);
    if (status == DT_OK)
        status = eval_step(run, d, &step, err);
    if (status == DT_OK)
        status = begin_answer(run, chat, step.text.text + step.text.length - step.opened,
                              step.opened, err);
    return status;
}

// Evaluates a message of the user, so that the model's answer is next.
static dt_status eval_message(struct dt_run *run, struct dt_chat *chat, struct dialogue *d,
                              bool opening, const char *user, struct dt_error *err)
{
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES + 4];
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *system = run->options->system;
    size_t length = system ? strlen(system) : 0;
    dt_status status = DT_OK;
    if (!chat->source) {
        if (!system && chat->family == DT_TEMPLATE_CHATML) // Qwen's and SmolLM's insert one
            system = dt_template_default_system(m->chat_template, m->chat_template_length, &length);
        size_t count =
            dt_template_turn(chat->family, opening, system, length, user, strlen(user), pieces);
        count += dt_chat_empty_thought(chat, pieces + count);
        status = eval_pieces(run, pieces, count, opening, err);
        return status == DT_OK ? begin_answer(run, chat, "", 0, err) : status;
    }
    if (opening && system)
        status = add_message(d, "system", strdup(system), err);
    if (status == DT_OK)
        status = add_message(d, "user", strdup(user), err);
    return status == DT_OK ? eval_dialogue(run, chat, d, err) : status;
}

// The context of a built-in template after a stop text: the answer without it.
static dt_status drop_stop_text(struct dt_run *run, const struct dialogue *d, struct dt_error *err)
{
    const uint32_t *tokens;
    size_t count;
    dt_status status = dt_engine_encode(run->engine, run->answer.text, run->answer.length,
                                        DT_ENCODE_USER, &tokens, &count, err);
    if (status != DT_OK)
        return status;
    dt_session_truncate(dt_engine_session(run->engine), d->answer_at);
    return eval_tokens(run, tokens, count, err);
}

// After the model's turn: `end`, with a token that was sampled and not evaluated, or with a stop
// text.
static dt_status close_turn(struct dt_run *run, struct dt_chat *chat, struct dialogue *d, bool end,
                            struct dt_error *err)
{
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES + 1];
    struct dt_string_buffer *answer = &run->answer;
    size_t count = 0;
    int open;
    dt_status status = DT_OK;
    dt_string_buffer_append(answer, "", 0); // a text, if it is empty too
    dt_thoughts_answer(chat->thoughts, answer->text, answer->length, &open);
    if (chat->source) {
        bool unclosed;
        char *closed = dt_chat_close_thought(chat, answer->text, answer->length, &unclosed);
        d->ended = end && !unclosed ? run->previous : DT_NO_TOKEN;
        return add_message(d, "assistant", unclosed ? closed : dt_string_buffer_detach(answer),
                           err);
    }
    if (!end)
        status = drop_stop_text(run, d, err);
    else if (open < 0)
        status = dt_engine_eval(run->engine, &run->previous, 1, err);
    if (open >= 0) { // the thought ends before the turn does
        const char *close = dt_thought_markers((unsigned)open)->close;
        pieces[count++] = (struct dt_template_piece){close, strlen(close), true};
    }
    count += dt_template_close(chat->family, end && open < 0, pieces + count);
    if (status == DT_OK)
        status = eval_pieces(run, pieces, count, false, err);
    return status;
}

// The messages of a pipe that are there already and will not be answered.
static uint32_t count_unanswered(void)
{
    uint32_t count = 0;
    char *line = NULL;
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (isatty(STDIN_FILENO) || flags < 0)
        return 0;
    fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK); // do not wait for more
    while (read_line("", &line, NULL) != DT_OK || line) {
        count++;
        free(line);
    }
    fcntl(STDIN_FILENO, F_SETFL, flags);
    return count;
}

// The end of a chat that has no space for another message: an error if there are more.
static dt_status end_chat(struct dt_run *run, struct dt_error *err)
{
    uint32_t unanswered = count_unanswered();
    if (!unanswered)
        return DT_OK;
    return dt_error_set(
        err, DT_CONTEXT_FULL, NULL,
        "the limit of %u tokens is reached, and %u message%s not answered; raise %s", run->limit,
        unanswered, unanswered == 1 ? " was" : "s were", run->options->steps ? "-n" : "--context");
}

dt_status dt_run_next_message(const char *given, char **out, struct dt_error *err)
{
    if (!given)
        return read_line("> ", out, err);
    *out = strdup(given);
    return *out ? DT_OK : dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for a message");
}

dt_status dt_run_chat(struct dt_run *run, const char *first, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(run->engine);
    struct dialogue d = {.ended = DT_NO_TOKEN};
    struct dt_chat chat;
    dt_status status = open_chat(run, &chat, err);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = NULL;
        status = dt_run_next_message(opening ? first : NULL, &user, err);
        if (status != DT_OK || !user || dt_engine_cancelled(run->engine)) {
            free(user);
            break;
        }
        if (opening)
            run->begun = dt_clock_ns(); // the time of typing does not count
        run->message = user;
        status = eval_message(run, &chat, &d, opening, user, err);
        run->message = NULL;
        free(user);
        if (status == DT_CONTEXT_FULL)
            break; // no answer, so nothing is printed
        run->turns++;
        d.answer_at = dt_session_position(session);
        if (status == DT_OK)
            status = dt_run_continue(run, err);
        if (!dt_run_finish_text(run) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
        bool end = strcmp(run->ended, "end") == 0;
        if (status != DT_OK || !(end || run->stopped) || dt_session_position(session) >= run->limit)
            break;
        status = close_turn(run, &chat, &d, end, err);
        if (status == DT_CONTEXT_FULL) { // this message was answered
            status = DT_OK;
            break;
        }
    }
    for (size_t i = 0; i < d.count; i++)
        free((char *)d.messages[i].content);
    free(d.messages);
    dt_string_buffer_free(&run->answer);
    dt_chat_close(&chat);
    if (status == DT_OK && !dt_engine_cancelled(run->engine))
        status = end_chat(run, err);
    if (status == DT_CONTEXT_FULL)
        run->ended = "context";
    return status;
}

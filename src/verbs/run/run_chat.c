// SPDX-License-Identifier: MIT
// duotale run -m chat: a chat by the model's template, with messages from standard input.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/array.h"
#include "host/chat.h"
#include "host/clock.h"
#include "verbs/run/run.h"

// Reads a line of standard input without its newline, malloc'ed; NULL at the end. The prompt is
// shown on a terminal only.
static char *read_line(const char *prompt)
{
    char *line = NULL;
    size_t capacity = 0;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        fputs(prompt, stderr);
        fflush(stderr);
    }
    ssize_t n = getline(&line, &capacity, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    size_t length = (size_t)n;
    struct dt_error err = {0};
    if (dt_typed_text_clean(line, &length, "standard input", &err)) {
        dt_verb_fail(&err);
        free(line);
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\n')
        length--;
    line[length] = 0;
    return line;
}

// Chooses the template by --chat-template (a name or a file), else the model's. Without either it
// is Llama 2's for a SentencePiece vocabulary, as in llama2.c.
static dt_status open_chat(struct dt_run *run, struct dt_chat *chat, struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *path = dt_engine_path(run->engine);
    dt_status status = dt_chat_open(chat, m, run->options->template_name, DT_TEMPLATE_LLAMA2, err);
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

// Evaluates tokens. DT_CONTEXT_FULL if they do not fit.
static dt_status eval_tokens(struct dt_run *run, const uint32_t *tokens, size_t count,
                             struct dt_error *err)
{
    uint32_t capacity = run->limit - dt_session_position(dt_engine_session(run->engine));
    if (count > capacity)
        return dt_error_set(
            err, DT_CONTEXT_FULL, NULL,
            "the message needs %zu tokens with its template%s, and %u of %u are free; shorten it, "
            "or raise %s",
            count, !run->prompt_tokens && run->options->system ? " and the system prompt" : "",
            run->limit - dt_session_position(dt_engine_session(run->engine)), run->limit,
            run->options->steps ? "-n" : "--context");
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

// Evaluates what is new in the dialogue: the difference to the last rendering, or everything after
// what the new one has in common with the tokens so far.
static dt_status eval_dialogue(struct dt_run *run, struct dt_chat *chat, const struct dialogue *d,
                               bool opening, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(run->engine);
    uint32_t ended = opening ? DT_NO_TOKEN : run->previous;
    struct dt_chat_step step;
    const uint32_t *tokens;
    size_t count;
    dt_status status = dt_chat_next(chat, d->messages, d->count, ended, &step, err);
    if (status == DT_OK)
        status = dt_engine_encode_chat(run->engine, &step.text, step.whole, &tokens, &count, err);
    if (status != DT_OK)
        return status;
    if (!step.whole) { // the end of the last turn was sampled and not evaluated
        if (dt_session_position(session) < run->limit)
            status = dt_engine_eval(run->engine, &ended, 1, err);
        return status == DT_OK ? eval_tokens(run, tokens, count, err) : status;
    }
    uint32_t keep = dt_session_common_prefix(session, tokens, (uint32_t)count);
    if (keep == count && keep)
        keep--; // its logits are needed again
    dt_session_truncate(session, keep);
    return eval_tokens(run, tokens + keep, count - keep, err);
}

// Evaluates a message of the user, so that the model's answer is next.
static dt_status eval_message(struct dt_run *run, struct dt_chat *chat, struct dialogue *d,
                              bool opening, const char *user, struct dt_error *err)
{
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES];
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *system = run->options->system;
    size_t length = system ? strlen(system) : 0;
    dt_status status = DT_OK;
    if (!chat->source) {
        if (!system && chat->family == DT_TEMPLATE_CHATML) // Qwen's and SmolLM's insert one
            system = dt_template_default_system(m->chat_template, m->chat_template_length, &length);
        return eval_pieces(
            run, pieces,
            dt_template_turn(chat->family, opening, system, length, user, strlen(user), pieces),
            opening, err);
    }
    if (opening && system)
        status = add_message(d, "system", strdup(system), err);
    if (status == DT_OK)
        status = add_message(d, "user", strdup(user), err);
    return status == DT_OK ? eval_dialogue(run, chat, d, opening, err) : status;
}

// After the model's turn, which ended with a token that was sampled and not evaluated.
static dt_status close_turn(struct dt_run *run, struct dt_chat *chat, struct dialogue *d,
                            struct dt_error *err)
{
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES];
    if (chat->source)
        return add_message(d, "assistant", dt_string_buffer_detach(&run->answer), err);
    dt_status status = dt_engine_eval(run->engine, &run->previous, 1, err);
    if (status == DT_OK)
        status =
            eval_pieces(run, pieces, dt_template_close(chat->family, true, pieces), false, err);
    return status;
}

// The messages of a pipe that are there already and will not be answered.
static uint32_t count_unanswered(void)
{
    uint32_t count = 0;
    char *line;
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (isatty(STDIN_FILENO) || flags < 0)
        return 0;
    fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK); // do not wait for more
    for (; (line = read_line("")) != NULL; count++)
        free(line);
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

dt_status dt_run_chat(struct dt_run *run, const char *first, struct dt_error *err)
{
    struct dt_session *session = dt_engine_session(run->engine);
    struct dialogue d = {0};
    struct dt_chat chat;
    dt_status status = open_chat(run, &chat, err);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = opening && first ? strdup(first) : read_line("> ");
        if (!user || dt_engine_cancelled(run->engine)) {
            free(user);
            break;
        }
        if (opening)
            run->begun = dt_clock_ns(); // the time of typing does not count
        status = eval_message(run, &chat, &d, opening, user, err);
        free(user);
        if (status == DT_CONTEXT_FULL)
            break; // no answer, so nothing is printed
        dt_string_buffer_free(&run->answer);
        if (status == DT_OK)
            status = dt_run_continue(run, err);
        if (!dt_run_finish_text(run) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
        if (status != DT_OK || strcmp(run->ended, "end") != 0 ||
            dt_session_position(session) >= run->limit)
            break;
        status = close_turn(run, &chat, &d, err);
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

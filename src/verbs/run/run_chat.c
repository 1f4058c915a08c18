// SPDX-License-Identifier: MIT
// duotale run -m chat: a chat by the model's template, with messages from standard input.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text/template.h"
#include "host/clock.h"
#include "host/file.h"
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

// Finds the family of a template. DT_UNSUPPORTED, with the beginning of the text, if it is unknown.
// where: the file that contains it.
static dt_status family_of_text(const char *text, size_t n, const char *where,
                                enum dt_template *out, struct dt_error *err)
{
    *out = dt_template_recognise(text, n);
    if (*out != DT_TEMPLATE_UNKNOWN)
        return DT_OK;
    return dt_error_set(err, DT_UNSUPPORTED, where,
                        "unknown chat template; choose one with --chat-template. The template "
                        "begins: %.*s%s",
                        n < 300 ? (int)n : 300, text, n < 300 ? "" : " ...");
}

// Chooses the family by --chat-template (a name or a file), else by the model's template. Without
// either it is Llama 2, as in llama2.c.
static dt_status choose_family(const struct dt_run *run, enum dt_template *out,
                               struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *name = run->options->template_name;
    *out = DT_TEMPLATE_LLAMA2;
    if (!name && !m->chat_template)
        return DT_OK;
    if (!name)
        return family_of_text(m->chat_template, m->chat_template_length,
                              dt_engine_path(run->engine), out, err);
    if (dt_template_by_name(name, out))
        return DT_OK;
    if (!dt_file_readable(name))
        return dt_error_set(
            err, DT_USAGE, NULL,
            "--chat-template: must be plain, llama2, llama3, chatml, zephyr, gemma, "
            "mistral, story or a file (got \"%s\")",
            name);
    char *text = NULL;
    size_t n = 0;
    dt_status status = dt_file_read(name, 1u << 20, &text, &n, err);
    if (status == DT_OK)
        status = family_of_text(text, n, name, out, err);
    free(text);
    return status;
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
    uint32_t capacity = run->limit - dt_session_position(dt_engine_session(run->engine));
    if (status == DT_OK && tokens_count > capacity)
        status = dt_error_set(err, DT_CONTEXT_FULL, NULL,
                              "%zu tokens do not fit into the remaining %u positions", tokens_count,
                              capacity);
    if (status == DT_OK && tokens_count) {
        run->prompt_tokens += (uint32_t)tokens_count;
        run->previous = tokens[tokens_count - 1];
        status = dt_engine_eval(run->engine, tokens, (uint32_t)tokens_count, err);
    }
    free(scratch);
    free(tokens);
    return status;
}

dt_status dt_run_chat(struct dt_run *run, const char *first, struct dt_error *err)
{
    dt_status status = DT_OK;
    struct dt_session *session = dt_engine_session(run->engine);
    struct dt_template_piece pieces[DT_TEMPLATE_PIECES];
    enum dt_template family;
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *system = run->options->system;
    size_t system_length = system ? strlen(system) : 0;
    status = choose_family(run, &family, err);
    if (!system && status == DT_OK &&
        family == DT_TEMPLATE_CHATML) // the templates of Qwen and SmolLM insert one
        system =
            dt_template_default_system(m->chat_template, m->chat_template_length, &system_length);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = opening && first ? strdup(first) : read_line("> ");
        if (!user || dt_engine_cancelled(run->engine)) {
            free(user);
            break;
        }
        if (opening)
            run->begun = dt_clock_ns(); // the time of typing does not count
        size_t count =
            dt_template_turn(family, opening, system, system_length, user, strlen(user), pieces);
        status = eval_pieces(run, pieces, count, opening, err);
        free(user);
        if (status == DT_OK)
            status = dt_run_continue(run, err);
        if (!dt_run_finish_text(run) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, NULL, "standard output is closed");
        if (status != DT_OK || strcmp(run->ended, "end") != 0 ||
            dt_session_position(session) >= run->limit)
            break;
        status = dt_engine_eval(run->engine, &run->previous, 1,
                                err); // the end of turn is part of the context
        if (status == DT_OK)
            status = eval_pieces(run, pieces, dt_template_close(family, true, pieces), false, err);
    }
    if (status == DT_CONTEXT_FULL)
        run->ended = "context";
    return status == DT_CONTEXT_FULL ? DT_OK : status;
}

// SPDX-License-Identifier: MIT
// duotale run -m chat: turns by the model's template, asked for on standard input.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text/template.h"
#include "host/clock.h"
#include "host/file.h"
#include "verbs/run/run.h"

// The next line of standard input without its newline, malloc'ed; NULL at the end.
static char *read_line(const char *ask)
{
    char *line = NULL;
    size_t capacity = 0;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        fputs(ask, stderr);
        fflush(stderr);
    }
    ssize_t n = getline(&line, &capacity, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n')
        line[n - 1] = 0;
    return line;
}

// The family that a template's text belongs to; refused with its beginning where it is none that is
// known. where: whose text it is.
static dt_status family_of_text(const char *text, size_t n, const char *where,
                                enum dt_template *out, struct dt_error *err)
{
    *out = dt_template_recognise(text, n);
    if (*out != DT_TEMPLATE_UNKNOWN)
        return DT_OK;
    return dt_error_set(err, DT_UNSUPPORTED, where,
                        "its chat template is of no family that is known; choose one with "
                        "--chat-template. It is: %.*s%s",
                        n < 300 ? (int)n : 300, text, n < 300 ? "" : " ...");
}

// What --chat-template says, a name or a file; else the model's own; Llama 2's, as llama2.c has it,
// where the file has none.
static dt_status choose_family(const struct dt_run *run, enum dt_template *out,
                               struct dt_error *err)
{
    const struct dt_model *m = dt_engine_model(run->engine);
    const char *wanted = run->options->template_name;
    *out = DT_TEMPLATE_LLAMA2;
    if (!wanted && !m->chat_template)
        return DT_OK;
    if (!wanted)
        return family_of_text(m->chat_template, m->chat_template_length,
                              dt_engine_path(run->engine), out, err);
    if (dt_template_by_name(wanted, out))
        return DT_OK;
    if (!dt_file_readable(wanted))
        return dt_error_set(err, DT_USAGE, NULL,
                            "--chat-template takes plain, llama2, llama3, chatml, zephyr, gemma, "
                            "mistral, story or a file, not \"%s\"",
                            wanted);
    char *text = NULL;
    size_t n = 0;
    dt_status status = dt_file_read(wanted, 1u << 20, &text, &n, err);
    if (status == DT_OK)
        status = family_of_text(text, n, wanted, out, err);
    free(text);
    return status;
}

// Encodes pieces of a template and evaluates them as far as they fit. DT_CONTEXT_FULL when they do
// not.
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
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "no memory for %zu bytes of what was said",
                              length);
    if (status == DT_OK)
        status = dt_engine_encode_pieces(run->engine, pieces, count, bos, scratch, length + 16,
                                         tokens, length + 64, &tokens_count, err);
    uint32_t capacity = run->limit - dt_session_position(dt_engine_session(run->engine));
    if (status == DT_OK && tokens_count > capacity)
        status = dt_error_set(err, DT_CONTEXT_FULL, NULL,
                              "%zu tokens do not fit into the %u positions that are left",
                              tokens_count, capacity);
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
        family == DT_TEMPLATE_CHATML) // Qwen and SmolLM put one in themselves
        system =
            dt_template_default_system(m->chat_template, m->chat_template_length, &system_length);
    for (bool opening = true; status == DT_OK; opening = false) {
        char *user = opening && first ? strdup(first) : read_line("> ");
        if (!user || dt_engine_cancelled(run->engine)) {
            free(user);
            break;
        }
        if (opening)
            run->begun = dt_clock_ns(); // what was typed took the typist's time
        size_t count =
            dt_template_turn(family, opening, system, system_length, user, strlen(user), pieces);
        status = eval_pieces(run, pieces, count, opening, err);
        free(user);
        if (status == DT_OK)
            status = dt_run_continue(run, err);
        if (!dt_run_finish_text(run) && status == DT_OK)
            status = dt_error_set(err, DT_FAILED, NULL, "standard output is gone");
        if (status != DT_OK || strcmp(run->ended, "end") != 0 ||
            dt_session_position(session) >= run->limit)
            break;
        status = dt_engine_eval(run->engine, &run->previous, 1,
                                err); // the end of the turn belongs to the talk
        if (status == DT_OK)
            status = eval_pieces(run, pieces, dt_template_close(family, true, pieces), false, err);
    }
    if (status == DT_CONTEXT_FULL)
        run->ended = "context";
    return status == DT_CONTEXT_FULL ? DT_OK : status;
}

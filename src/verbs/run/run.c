// SPDX-License-Identifier: MIT
// duotale run: llama2.c's command line and output, with any backend.
#include "verbs/run/run.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/file.h"

static struct dt_engine *interruptible;
static atomic_int interrupted; // for a server's model

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&interrupted, 1);
    dt_engine_cancel(interruptible);
}

static void catch_interrupt(struct dt_engine *engine)
{
    interruptible = engine;
    struct sigaction action = {.sa_handler = on_interrupt};
    action.sa_flags = (int)SA_RESETHAND; // a second Ctrl-C ends the process immediately
    sigaction(SIGINT, &action, NULL);
}

// Replaces the prompt by a spoken one, unless nothing was understood.
static dt_status listen(struct dt_run *run, char **text, size_t *n, struct dt_error *err)
{
    char *spoken = dt_verb_voice_listen(&run->options->voice, run->engine);
    if (dt_engine_cancelled(run->engine)) {
        free(spoken);
        return dt_error_set(err, DT_CANCELLED, NULL, "interrupted");
    }
    if (!spoken)
        return DT_OK;
    // A request and its story are two paragraphs.
    char *request = NULL;
    if (asprintf(&request, run->options->chat ? "%s" : "%s\n\n", spoken) < 0)
        request = NULL;
    free(spoken);
    if (!request)
        return dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for the prompt");
    free(*text);
    *text = request;
    *n = strlen(request);
    return DT_OK;
}

// The prompt of --prompt, or of --prompt-file without the newline that ends a text file.
static dt_status read_prompt(const struct dt_run_options *o, char **text, size_t *n,
                             struct dt_error *err)
{
    dt_status status = DT_OK;
    if (o->prompt_file)
        status = dt_file_read(o->prompt_file, 16u << 20, text, n, err);
    else if ((*text = strdup(o->prompt)) != NULL)
        *n = strlen(*text);
    else
        status = dt_error_set(err, DT_NO_MEMORY, NULL, "not enough memory for the prompt");
    if (status == DT_OK)
        status = dt_typed_text_clean(*text, n, o->prompt_file ? o->prompt_file : "--prompt", err);
    if (status == DT_OK) {
        if (o->prompt_file && *n > 0 && (*text)[*n - 1] == '\n')
            --*n;
        (*text)[*n] = '\0';
    }
    return status;
}

static void begin_runs(struct dt_run *runs, struct dt_run_options *o)
{
    for (uint32_t i = 0; i < o->sequences; i++) {
        runs[i].options = o;
        runs[i].sequence = i;
        runs[i].ended = "length";
        dt_sink_init(&runs[i].sink, STDOUT_FILENO);
        dt_json_init(&runs[i].json, stdout, 0);
    }
}

static void start_runs(struct dt_run *runs, const struct dt_run_options *o)
{
    struct dt_engine *engine = runs->engine;
    uint32_t limit = dt_session_capacity(dt_engine_session(engine));
    for (uint32_t i = 0; i < o->sequences; i++) {
        runs[i].engine = engine;
        bool ends = o->overflow == DT_OVERFLOW_STOP;
        runs[i].limit = o->steps > 0 && (!ends || o->steps < limit) ? o->steps
                        : ends                                      ? limit
                                                                    : UINT32_MAX;
        dt_engine_set_sampling_at(engine, i, &o->sampling, o->seed + i);
    }
}

int dt_verb_run(int argc, char **argv)
{
    struct dt_run_options o;
    int code = dt_run_options(&o, argc, argv);
    if (code >= 0)
        return code;

    // without a prompt, token ids and JSON need no vocabulary
    o.model.engine.without_vocabulary = (o.ids || o.json) && !o.chat && !o.prompt && !o.prompt_file;
    struct dt_error err = {0};
    struct dt_run *runs = calloc(o.sequences, sizeof *runs), *run = runs;
    if (!runs)
        return dt_status_exit_code(DT_NO_MEMORY);
    char *prompt_text = NULL;
    size_t prompt_length = 0;
    struct dt_engine_plan plan;
    o.voice.quiet = o.quiet;
    dt_verb_log(o.verbose);
    begin_runs(runs, &o);
    dt_status status = DT_OK;
    if (o.prompt_file || o.prompt)
        status = read_prompt(&o, &prompt_text, &prompt_length, &err);
    if (status == DT_OK)
        status = dt_verb_model_path(&o.model, &err);
    if (status == DT_OK)
        status = dt_engine_new(&run->engine, &o.model.engine, &err);
    if (status != DT_OK)
        goto done;
    catch_interrupt(run->engine);
    if (dt_remote_is_address(o.model.path)) {
        status = dt_run_remote(run, &interrupted, prompt_text, prompt_length, &err);
        goto done;
    }
    status = dt_engine_prepare(run->engine, o.model.path, o.model.tokenizer, &plan, &err);
    if (status != DT_OK)
        goto done;
    dt_run_announce(&o, run->engine, &plan);
    status = dt_engine_start(run->engine, NULL, NULL, &err);
    if (status != DT_OK)
        goto done;
    start_runs(runs, &o);
    status = dt_verb_voice_open(&o.voice, &err);
    if (status != DT_OK)
        goto done;
    if (o.voice.listen)
        status = listen(run, &prompt_text, &prompt_length, &err);
    if (status != DT_OK)
        goto done;
    if (o.voice.speech)
        dt_speech_begin(o.voice.speech);
    run->begun = dt_clock_ns();
    if (o.chat)
        status = dt_run_chat(run, prompt_text, &err);
    else
        status = (o.sequences > 1 ? dt_run_stories : dt_run_story)(
            run, prompt_text ? prompt_text : "", prompt_length, &err);
    if (status == DT_OK)
        status = dt_engine_check(run->engine, &err); // the last pieces of text
    if (status == DT_CANCELLED)
        run->ended = "interrupted";
    uint64_t finished = dt_clock_ns();
    if (!dt_verb_voice_finish(&o.voice, run->engine) && status == DT_OK)
        status =
            dt_error_set(&err, DT_FAILED, o.voice.wav_path, "the sound of the story is incomplete");
    dt_run_report(run, finished);
done:
    if (run->sink.failure) // no message if the reader has gone
        status = run->sink.failure == EPIPE
                     ? DT_FAILED
                     : dt_error_set(&err, DT_FAILED, NULL, "cannot write to standard output: %s",
                                    strerror(run->sink.failure));
    if (status != DT_OK && status != DT_CANCELLED && run->sink.failure != EPIPE)
        dt_verb_fail(&err);
    dt_verb_voice_close(&o.voice);
    dt_engine_free(run->engine);
    free(prompt_text);
    free(runs);
    return dt_status_exit_code(status);
}

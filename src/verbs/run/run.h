// SPDX-License-Identifier: MIT
// The parts of duotale run: options (run_options.c), generation (run_generate.c), chat (run_chat.c)
// and figures (run_figures.c). run.c puts them together.
#ifndef DT_VERBS_RUN_H
#define DT_VERBS_RUN_H

#include "core/sampling/sampler.h"
#include "host/json.h"
#include "core/kv/overflow.h"
#include "host/remote/remote.h"
#include "host/string_buffer.h"
#include "base/text.h"
#include "base/typed_text.h"
#include "core/text/thoughts.h"
#include "verbs/run/sink.h"
#include "verbs/run/speak.h"
#include "verbs/verb.h"

enum dt_run_stop {
    DT_RUN_STOP_END, // at BOS, EOS or an end of turn; not printed
    DT_RUN_STOP_BOS, // as llama2.c: at BOS only; control pieces are printed
};

struct dt_run_options {
    struct dt_verb_model model;
    struct dt_sampling sampling;
    uint64_t seed;
    uint32_t steps;
    const char *prompt, *system, *prompt_file, *template_name; // of argv, or NULL
    enum dt_run_stop stop;
    uint32_t remote_timeout; // seconds that a server may be silent
    enum dt_overflow overflow;
    uint32_t sequences; // stories that are generated together; at least 1
    bool chat, ids, json, quiet, verbose, special;
    bool mode_open; // --mode auto: a story, and a line about a model made for dialogues
    bool show_thoughts, without_thinking; // --thinking
    struct dt_stop_text stops;            // --stop-text
    struct dt_verb_voice voice;
};

// Reads the command line. -1: run; else the exit code (the help or an error was printed).
int dt_run_options(struct dt_run_options *out, int argc, char **argv);

// One run and its progress; of several sequences, one of them.
struct dt_run {
    struct dt_run_options *options;
    struct dt_engine *engine;
    uint32_t sequence; // the number of its session
    struct dt_sink sink;
    struct dt_text_filter filter;
    struct dt_json json;
    struct dt_string_buffer answer;      // clean text generated since the last prompt
    struct dt_stop_text stops;           // of the text generated since the last prompt
    bool stopped;                        // one was found
    struct dt_thoughts thoughts;         // of that text
    uint32_t turn_tokens, turn_thoughts; // tokens of that text, and those of thoughts
    bool marked;                         // "thinking ..." is on the terminal
    uint32_t limit;                      // positions of the text to use
    uint32_t pinned, shifted;            // tokens that stay at an overflow; that were dropped by it
    uint32_t previous;                   // the last token, which decoding a piece depends on
    uint32_t prompt_tokens, generated, thought_tokens;
    const char *message;   // of the user, while it is evaluated
    uint32_t turns;        // of the chat, before it
    const char *ended;     // reason: "end", "stop-text", "length", "context", "interrupted"
    uint64_t begun, first; // clock: start of the first prompt, first sampled token
    uint64_t decode_ns;    // time of generation, without prompts
    uint32_t decoded;      // positions evaluated in that time
};

// Generates a story that begins with text[0..n). DT_OK also if the prompt is longer than -n says;
// DT_CONTEXT_FULL, without output, if it is longer than the context; DT_CANCELLED; DT_FAILED if
// stdout is closed.
dt_status dt_run_story(struct dt_run *run, const char *text, size_t n, struct dt_error *err);

// Chats, with one message per line of standard input; first (may be NULL) is the first message.
// DT_CONTEXT_FULL if a message was not answered for want of space; DT_USAGE and DT_UNSUPPORTED for
// an unknown template; else as dt_run_story.
dt_status dt_run_chat(struct dt_run *run, const char *first, struct dt_error *err);

// Generates several stories that begin with text[0..n) in one pass a token: runs[i] in session i,
// with the seed options->seed + i. Their texts are printed one after the other, the first as it
// comes, with a line <|endoftext|> between two. As dt_run_story; `ended` is each run's own.
dt_status dt_run_stories(struct dt_run *runs, const char *text, size_t n, struct dt_error *err);

// A story or chat with a model on a server: prints it and its figures. *stop: not 0 after Ctrl-C.
// Errors as of dt_remote_open and dt_remote_generate; DT_USAGE for options that need tokens.
dt_status dt_run_remote(struct dt_run *run, const atomic_int *stop, const char *text, size_t n,
                        struct dt_error *err);

// ---- steps of a story ----

// Prints bytes of a text that came without tokens, of the prompt or generated. token: they count as
// one. False if stdout is closed.
bool dt_run_write_text(struct dt_run *run, const char *bytes, size_t n, bool token, bool prompt);

// The message of the command line, or the next one of standard input. *out: malloc'ed, NULL at its
// end.
dt_status dt_run_next_message(const char *given, char **out, struct dt_error *err);

// The tokens of a story's beginning, of which -n admits *use; valid until the next encoding.
// DT_CONTEXT_FULL if they are longer than the context.
dt_status dt_run_encode(struct dt_run *run, const char *text, size_t n, const uint32_t **tokens,
                        size_t *count, uint32_t *use, struct dt_error *err);

// Prints them as the beginning of the story.
dt_status dt_run_print_prompt(struct dt_run *run, const uint32_t *tokens, size_t count,
                              uint32_t use, struct dt_error *err);

// Where the story is: the tokens that were evaluated so far, dropped ones included.
uint32_t dt_run_position(const struct dt_run *run);

// Prepares the session for a story longer than the context, as --overflow says; its first `prompt`
// tokens stay. DT_UNSUPPORTED: the model does not allow it.
dt_status dt_run_begin_overflow(struct dt_run *run, size_t prompt, struct dt_error *err);

// Makes space for one more token where --overflow is shift and the context is full.
dt_status dt_run_make_space(struct dt_run *run, struct dt_error *err);

// Whether -n cut the prompt; then a line on stderr says so.
bool dt_run_is_cut(struct dt_run *run, size_t count, uint32_t use);

// Samples the next token and prints it. *id: the token to evaluate; DT_NO_TOKEN: the story ends,
// for the reason in run->ended.
dt_status dt_run_step(struct dt_run *run, uint32_t *id, struct dt_error *err);

// Begins a model's answer whose thoughts have these markers (core/text/thoughts.h); opened[0..n) at
// the end of its prompt opens one. False if stdout is closed.
bool dt_run_begin_answer(struct dt_run *run, unsigned markers, const char *opened, size_t n);

// Generates until the turn ends. The session must contain all tokens so far.
dt_status dt_run_continue(struct dt_run *run, struct dt_error *err);

// Writes the text that the filter still holds, and a newline. False if stdout is closed.
bool dt_run_finish_text(struct dt_run *run);

// Prints the model, vocabulary, backend and seed to stderr, unless quiet.
void dt_run_announce(const struct dt_run_options *options, struct dt_engine *engine,
                     const struct dt_engine_plan *plan);

// Prints the figures to stderr, unless quiet, and as the last JSON object. done: the clock after
// the last token.
// Of several runs the figures are those of all together, and *run is the first of them.
void dt_run_report(struct dt_run *run, uint64_t done);

#endif

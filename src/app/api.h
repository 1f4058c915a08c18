// SPDX-License-Identifier: MIT
// The interface between the program and a front end: one table of functions, and one handle. A
// front end draws and passes on what the user does; everything else happens behind this table. It
// imports no symbol of the program (it may link its own copy of base/, which has no state), so one
// that is a module and one that is compiled in are the same code.
//
// Threads: the one thread that runs the front end (the ui thread) calls everything here; only
// stop() may be called by any thread and any signal handler. No call waits for the worker or the
// disk.
//
// What the front end sees (turns, lists, figures, state) is a view that changes only within next().
// A pointer that the table returns, and what it points to, stay valid and unchanged until the
// following call of next(), unless stated otherwise.
//
// All text is UTF-8 without control characters except newline and tab, whatever the model, the
// library or a file contains.
#ifndef DT_APP_API_H
#define DT_APP_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/settings/command_table.h"
#include "app/settings/settings.h"
#include "base/status.h"
#include "host/memory.h"

struct dt_app;

// ---- state and figures ----

enum dt_app_state {
    DT_APP_IDLE,       // waits for a prompt; the last turn is saved, or a notice said why not
    DT_APP_LOADING,    // a model is being opened
    DT_APP_READING,    // the prompt, or an opened story, is being evaluated
    DT_APP_GENERATING, // a turn is being generated
    DT_APP_SWAPPING,   // other kernels are being prepared; the generation continues afterwards
    DT_APP_COMPARING,  // /compare runs
    DT_APP_SAVING,     // the turn has ended; its receipt from the library is awaited
};

// Figures of the turn that is being generated, or of the last one. A rate is 0 if nothing was
// measured.
struct dt_app_figures {
    uint32_t tokens;                      // generated in this turn
    uint32_t thought_tokens;              // of them, those of thoughts
    uint32_t prompt_tokens;               // evaluated for it, without those in the KV cache
    double seconds;                       // of generation, without the prompt
    double speed_now;                     // tokens a second, over about the last second
    double speed_mean;                    // tokens a second, over the turn
    double prompt_speed;                  // tokens a second, of the evaluation of the prompt
    double first_token_ms;                // from the entered line to the first token
    uint32_t context_used, context_total; // in tokens
    uint32_t context_dropped;             // tokens of the story that are no longer in the context
    struct dt_memory_facts memory;
    double major_faults_s; // page faults from disk a second, over about the last second
    uint64_t own_memory;   // bytes the engine has allocated (KV cache, scratch, tables)
    uint64_t seed;         // of this turn
    uint32_t threads;
    double per_pass;  // tokens that a pass evaluates, by speculation; 0: it is not used
    bool slow;        // no backend but the reference was found for the model; a notice says why
    bool unsaved;     // the library cannot be written: finished turns wait in memory
    bool streamed;    // the weights are read while they are computed; `weights` has the figures
    char weights[64]; // "packed (file)", "packed (copy, 15.2 MB)", "in place"
    char overflow[8]; // the policy: "stop", "new", "shift" or "window"
    char stack[128];  // "int8@avx2+fastexp"
    char model[128];  // file name without folders
};

// Reading aloud and listening.
struct dt_app_voice {
    char name[64];           // "espeak:en-us"; empty: nothing is read aloud
    bool speaking;           // the voice speaks, or is about to
    bool listening;          // speech is being recorded or recognised
    uint32_t waiting;        // sentences that were generated and are not spoken yet
    double real_time_factor; // seconds of computing per second of speech in this story; 0: unknown
};

// ---- events ----

enum dt_app_event_type {
    DT_EVENT_NONE,
    // state: the new one. IDLE: show the prompt.
    DT_EVENT_STATE,
    // Turn number `turn` begins; the view has its prompt. text: the prompt, to echo if it was not
    // typed here.
    DT_EVENT_TURN,
    // text: more of the thoughts of turn `turn`, which come before its text; the view has it
    // already.
    DT_EVENT_THOUGHT,
    // text: more of turn `turn`; the view has it already.
    DT_EVENT_TEXT,
    // Turn `turn` ended. end: why; figures() are final.
    DT_EVENT_TURN_END,
    // The turns from number `turn` on changed (undo, retry, edit, open, new). text: why ("undone",
    // "Story 12: The Red Ball"), may be empty. A front end that cannot redraw prints the turns.
    DT_EVENT_REDRAW,
    // figures() changed; at most 4 times a second.
    DT_EVENT_FIGURES,
    // voice() changed: with each sentence, and not much more often than figures.
    DT_EVENT_VOICE,
    // text: what is in progress ("reading"); done of total; seconds_left (< 0: unknown). done ==
    // total: finished.
    DT_EVENT_PROGRESS,
    // text: one line to show; level.
    DT_EVENT_NOTICE,
    // text: the lines that a command prints (/help, /memory), to be shown as they are; columns are
    // aligned by spaces.
    DT_EVENT_OUTPUT,
    // text: a question to be answered with answer(app, id, yes). yes_default: what Enter means.
    DT_EVENT_ASK,
    // text: to be put into the input line, a leading slash doubled; when the user enters it, call
    // edit() instead of input().
    DT_EVENT_EDIT,
    // text: to be put into an empty input line, and entered as usual (after /undo). If a command is
    // typed instead, its slash replaces the text.
    DT_EVENT_INPUT,
    // setting: its value changed, whatever the cause.
    DT_EVENT_SETTING,
    // Another model or stack is in use; figures() has the names.
    DT_EVENT_MODEL,
    // backends() changed.
    DT_EVENT_BACKENDS,
    // models() changed: one more was examined. done == total: the list is complete.
    DT_EVENT_MODELS,
    // library() has the answer to search number `id`.
    DT_EVENT_LIBRARY,
    // compare() changed.
    DT_EVENT_COMPARE,
    // The user entered a command of the front end (own_commands). command; text: its arguments.
    DT_EVENT_COMMAND,
    // Return from run() soon. text: why; empty if the user asked for it.
    DT_EVENT_QUIT,
};

enum dt_app_level {
    DT_NOTICE_INFO,
    DT_NOTICE_WARNING,
    DT_NOTICE_ERROR,
};

enum dt_app_turn_end {
    DT_END_STORY,     // the model ended it
    DT_END_STOPPED,   // the user stopped it
    DT_END_LENGTH,    // the limit of the setting length; /continue continues
    DT_END_CONTEXT,   // the context is full, and overflow is "stop" or "new"
    DT_END_ERROR,     // a notice says what happened
    DT_END_STOP_TEXT, // a text of the setting stop-text appeared
};

struct dt_app_event {
    enum dt_app_event_type type;
    const char
        *text; // NUL-terminated, never NULL; belongs to the app until the next call of next()
    size_t length;
    uint32_t turn;
    enum dt_app_state state;
    enum dt_app_level level;
    enum dt_app_turn_end end;
    uint64_t done, total;
    double seconds_left;
    uint32_t id;
    bool yes_default;
    int setting; // enum dt_setting_id
    const struct dt_command *command;
};

// ---- the story ----

// A prompt and the text generated for it. In story mode the two are one text, in chat mode two
// parts of a dialogue.
struct dt_app_turn {
    const char *prompt; // may be empty
    size_t prompt_length;
    const char *thought; // what the model thought before its text, without markers; may be empty
    size_t thought_length;
    const char *text; // generated so far
    size_t text_length;
    bool finished; // false while it is being generated
    enum dt_app_turn_end end;
    uint32_t tokens;
    uint64_t seed;
    double speed;
};

struct dt_app_story {
    int64_t id; // its number in the library; 0: none (private, or empty)
    const char *title;
    const char *premise; // set by /pin, or empty
    bool chat;           // chat mode
    bool saved;          // false: private, or the library cannot be written
    size_t turns;
};

// ---- lists ----

struct dt_app_backend {
    const char *name; // as for /backend: "int8@avx2", "fastexp"
    const char *description;
    const char *path;   // its file, or "compiled in"
    int score;          // the higher the faster; 0: cannot run here
    const char *reason; // why it cannot be used; NULL: it can
    bool in_use;
};

struct dt_app_model {
    const char *path, *name; // whole path; file name
    const char *format;      // "GGUF v3"; NULL: not a model
    uint64_t file_bytes;     // of the file, which is mapped
    uint64_t own_bytes;      // to be allocated with the current settings
    uint64_t parameters;
    bool fits;
    const char *reason; // why it does not fit or cannot be used; NULL: it can
    bool in_use;
};

struct dt_app_entry { // a story in the library
    int64_t id;
    const char *title;
    const char *model, *stack;
    const char *snippet;      // the text around the search words, or the beginning; one line
    int64_t created, updated; // seconds since 1970
    uint32_t turns;
    bool current; // it is the open one
};

// One side of a comparison.
struct dt_app_side {
    const char *stack; // resolved
    const char *text;
    size_t text_length;
    uint32_t tokens;
    double speed; // tokens a second of generation
    double prompt_speed;
    bool finished;
    const char *refused; // why this stack cannot be used, or NULL
};

struct dt_app_compare {
    struct dt_app_side side[2];
    const char *prompt;      // of both
    bool differ;             // the texts differ (so far)
    size_t first_difference; // the first byte that differs, at the beginning of a
                             // character; the length of the shorter one if there is none
    uint32_t first_token;    // the number of the first token that differs, from 0
    bool finished;
};

struct dt_app_completion {
    size_t from; // the candidates replace line[from .. cursor)
    size_t count;
    const char *const *words; // sorted
    const char *const *hints; // an explanation of each word ("0 .. 2, now 0.8"); may be NULL
    char suffix;              // to be inserted after a single candidate: ' ' or 0
};

enum dt_app_charset {
    DT_CHARSET_UTF8,
    DT_CHARSET_ASCII,
    DT_CHARSET_LATIN1,
};

// ---- the table ----

struct dt_app_api {
    uint32_t size;     // sizeof(struct dt_app_api)
    const char *build; // DT_UI_BUILD of the program

    // --- events ---

    // A descriptor for poll(), readable while events wait. Do not read it.
    int (*fd)(struct dt_app *app);
    // Fetches the next event into *out; false if there is none. Text that was not fetched yet is
    // joined, figures and progress are replaced by newer ones, so that a slow terminal is never
    // behind by more than the text it has to print.
    bool (*next)(struct dt_app *app, struct dt_app_event *out);
    // Whether the session ends (by a signal too, before its event is fetched). Check it when poll()
    // or read() is interrupted.
    bool (*leaving)(struct dt_app *app);

    // --- input ---

    // One entry of the user: a command if it begins with '/' ("//" begins a prompt with one slash),
    // else a prompt, which may have several lines. An empty one continues a story that was cut off.
    // Returns whether it was accepted; if not, a notice says why and the entry should stay in the
    // input line. During generation a prompt waits for the end of the turn (up to 8 may wait),
    // commands that change the story stop it first, all others run at once or before the next
    // token.
    bool (*input)(struct dt_app *app, const char *text, size_t length);
    // The answer to DT_EVENT_EDIT: replaces the last text, and the story continues from its end. A
    // command is run instead ("//" begins a text with one slash), and the text stays unchanged.
    bool (*edit)(struct dt_app *app, const char *text, size_t length);
    // The answer to DT_EVENT_ASK. Ignored if a later question was asked.
    void (*answer)(struct dt_app *app, uint32_t id, bool yes);
    // Stops what runs: opening a model, a prompt, generation, a swap, a comparison, a script. The
    // text generated so far stays. Harmless when idle. Any thread, async-signal-safe.
    void (*stop)(struct dt_app *app);
    // Posts a notice, in order with the others: it comes back through next().
    void (*notice)(struct dt_app *app, enum dt_app_level level, const char *line);

    // --- the view ---

    enum dt_app_state (*state)(struct dt_app *app);
    const struct dt_app_figures *(*figures)(struct dt_app *app);
    const struct dt_app_voice *(*voice)(struct dt_app *app);
    const struct dt_app_story *(*story)(struct dt_app *app);
    // Turn i of the story, 0-based; false past the last one.
    bool (*turn)(struct dt_app *app, size_t i, struct dt_app_turn *out);

    // --- settings and commands ---

    const struct dt_setting *(*settings)(struct dt_app *app, size_t *count); // the table, static
    // The value as text; belongs to the app until the next call of next() or set().
    const char *(*get)(struct dt_app *app, int setting);
    // Sets one. DT_USAGE says what the value must be. DT_EVENT_SETTING follows.
    dt_status (*set)(struct dt_app *app, int setting, const char *value, struct dt_error *err);
    // Changes one by steps, up if steps > 0, for arrow keys. Choices and switches are cyclic.
    // DT_USAGE if the setting has no step.
    dt_status (*step)(struct dt_app *app, int setting, int steps, struct dt_error *err);
    const struct dt_command *(*commands)(struct dt_app *app, size_t *count); // own ones included
    // Adds the front end's commands to help and completion; entering one posts DT_EVENT_COMMAND.
    // The table belongs to the front end and outlives its run. Of the program's commands only
    // "help" and "script" can be replaced.
    void (*own_commands)(struct dt_app *app, const struct dt_command *table, size_t count);
    // What Tab offers at line[0..cursor). Valid until the next call of complete().
    const struct dt_app_completion *(*complete)(struct dt_app *app, const char *line,
                                                size_t cursor);

    // --- history ---

    // Entries typed before, oldest first; NULL past the last. Those of earlier sessions too, unless
    // the setting history is off or the session private. Valid until the next remember().
    size_t (*history_count)(struct dt_app *app);
    const char *(*history)(struct dt_app *app, size_t i);
    void (*remember)(struct dt_app *app, const char *entry); // one equal to the last is left out

    // --- lists ---

    const struct dt_app_backend *(*backends)(struct dt_app *app, size_t *count);
    // Starts to look for models in the folders of the setting, of the included model and of the
    // open one. DT_EVENT_MODELS follows after each.
    void (*find_models)(struct dt_app *app);
    const struct dt_app_model *(*models)(struct dt_app *app, size_t *count);
    // Searches the library for words (all must occur; the last one may be a prefix), or lists the
    // newest for "": at most `limit` stories after the first `offset`. Replaces a search that was
    // not answered yet. Returns its number: DT_EVENT_LIBRARY carries it as id.
    uint32_t (*search)(struct dt_app *app, const char *words, uint32_t offset, uint32_t limit);
    const struct dt_app_entry *(*library)(struct dt_app *app, size_t *count); // the last answer
    // To open, export, rename or delete a story: input("/open 12") and so on.

    const struct dt_app_compare *(*compare)(
        struct dt_app *app); // the last comparison, NULL if there was none

    // --- the terminal ---

    enum dt_app_charset (*charset)(struct dt_app *app); // setting charset, resolved by the locale
    bool (*colour)(struct dt_app *app); // setting color, NO_COLOR, and whether stdout is a terminal
    // s[0..n) in the terminal's charset: out has space for n + 8 bytes; returns the length.
    // Typographic quotes, dashes and dots become ASCII, Latin letters lose their accents if
    // necessary, anything else becomes '?' (two for wide characters).
    size_t (*encode)(struct dt_app *app, const char *s, size_t n, char *out);
    // The terminal's bytes as UTF-8: out has space for 3 * n + 8 bytes. Pass whole entries, as no
    // state is carried over to the next call.
    size_t (*decode)(struct dt_app *app, const char *s, size_t n, char *out);
    // What a crash handler writes to the terminal (leave the alternate screen, show the cursor ...)
    // before it restores the terminal's modes. Copied; at most 256 bytes; NULL: nothing.
    void (*crash_bytes)(struct dt_app *app, const char *bytes, size_t n);
    // Sets the program's exit code: 1 if stdout is gone, 130 if a pipe's story was interrupted.
    void (*exit_code)(struct dt_app *app, int code);
    // Whether the command line has a prompt or a script. It is entered at the first next().
    bool (*given)(struct dt_app *app);
};

// ---- a front end ----

// What a front end's module exports, as the constant `dt_ui_module`.
struct dt_ui {
    uint32_t size;           // sizeof(struct dt_ui)
    const char *build;       // DT_UI_BUILD; the program refuses any other than its own
    const char *name;        // "line", as for --ui
    const char *description; // one line
    // Whether it can run on this terminal, which it must not change: 0, or -1 with a line in
    // reason.
    int (*usable)(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size);
    // Runs until DT_EVENT_QUIT or until the terminal is gone, and restores the terminal. Returns 0,
    // or -1 with a line in reason if it could not begin: nothing has been drawn then, and the next
    // front end is tried.
    int (*run)(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size);
};

#define DT_UI_SYMBOL "dt_ui_module"

#endif

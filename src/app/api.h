// SPDX-License-Identifier: MIT
// What a front end gets from the program: one table of functions, and one handle. A front end draws
// and asks; everything else happens behind this page. It imports no symbol of the program (it may
// link its own copy of base/, which is stateless), so a front end that is a module and one that is
// compiled in are the same code.
//
// Threads: everything here is called by the one thread that runs the front end (the ui thread),
// except stop(), which any thread and any signal handler may call. No call waits for the worker or
// the disk.
//
// What the front end sees (turns, lists, figures, state) is a view that changes only inside next():
// pointers that the table hands out stay valid, and what they point to unchanged, until the
// following call of next(), unless said otherwise.
//
// All text is UTF-8, free of control bytes other than newline and tab, whatever the model, the
// library or a file held.
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
    DT_APP_IDLE, // waiting for a prompt; the last turn is in the library (or the user was told why
                 // not)
    DT_APP_LOADING, // a model is being opened
    DT_APP_READING, // the prompt (or the rest of an old story) is being evaluated
    DT_APP_GENERATING,
    DT_APP_SWAPPING, // other kernels are being made ready; the story goes on afterwards
    DT_APP_COMPARING,
    DT_APP_SAVING, // the turn is over, its receipt is awaited
};

// Numbers about the turn that is running, or the last one. Rates are 0 where nothing was measured.
struct dt_app_figures {
    uint32_t tokens;        // told in this turn
    uint32_t prompt_tokens; // evaluated for it (what the cache held already is not counted)
    double seconds;         // of telling, without the prompt
    double speed_now;       // tokens a second over about the last second
    double speed_mean;      // over the turn
    double prompt_speed;    // tokens a second of the prompt's evaluation
    double first_token_ms;  // from the submitted line to the first token
    uint32_t context_used, context_total;
    struct dt_memory_facts memory;
    double major_faults_s; // a second, over about the last second
    uint64_t own_memory;   // bytes the engine has taken (KV cache, scratch, tables)
    uint64_t seed;         // of this turn
    uint32_t threads;
    char stack[128]; // "int8@avx2+fastexp"
    char model[128]; // file name without folders
};

// What is read aloud, and whether somebody is listened to.
struct dt_app_voice {
    char name[64];           // "espeak:en-us"; empty: nothing is read aloud
    bool speaking;           // it says something, or will
    bool listening;          // the microphone is open, or what was said is being understood
    uint32_t waiting;        // sentences that are told and not yet begun
    double real_time_factor; // seconds of computing to a second of speech, in this story; 0: not
                             // known yet
};

// ---- events ----

enum dt_app_event_type {
    DT_EVENT_NONE,
    DT_EVENT_STATE, // state: the new one. IDLE: show the prompt
    DT_EVENT_TURN, // a turn begins: turn is its number; its prompt is in the view. text: the prompt
                   // (to echo, when it did not come from here)
    DT_EVENT_TEXT, // text: more of turn `turn`. The view holds it already
    DT_EVENT_TURN_END, // turn; end: why; figures() are final
    DT_EVENT_REDRAW, // turns from number `turn` on are not what they were (undo, retry, edit, open,
                     // new): text is what they are now called for ("undone", "Story 12: The Red
                     // Ball"), may be empty. A face that cannot redraw prints what follows and goes
                     // on
    DT_EVENT_FIGURES,  // figures() has changed; at most 4 a second
    DT_EVENT_VOICE,    // voice() has changed: by sentences, and not much oftener than figures
    DT_EVENT_PROGRESS, // text: what ("reading the prompt"); done, total; seconds_left (< 0: not
                       // known yet). done == total: over
    DT_EVENT_NOTICE,   // text: one line to show; level
    DT_EVENT_OUTPUT,   // text: several lines that a command printed (/help, /memory): as it is,
                       // columns are lined up by spaces
    DT_EVENT_ASK,      // text: a question to be answered by yes or no with answer(app, id, yes);
                       // yes_default: what Enter means
    DT_EVENT_EDIT,     // text: put this into the input line; when the user enters it, call edit()
                       // instead of submit()
    DT_EVENT_INPUT, // text: put this into the input line (as after /undo); it is submitted as usual
    DT_EVENT_SETTING,  // setting: its value has changed, whoever did it
    DT_EVENT_MODEL,    // another model or stack is in use; figures() has the names
    DT_EVENT_BACKENDS, // backends() has changed
    DT_EVENT_MODELS,  // models() has changed (one more was looked at, or the list is whole: done ==
                      // total)
    DT_EVENT_LIBRARY, // library() has the answer to search number `id`
    DT_EVENT_COMPARE, // compare() has changed
    DT_EVENT_COMMAND, // a command of the front end's own (own_commands): command, text: its
                      // arguments
    DT_EVENT_QUIT,    // leave: return from run() soon. text: why, empty when the user asked for it
};

enum dt_app_level {
    DT_NOTICE_INFO,
    DT_NOTICE_WARNING,
    DT_NOTICE_ERROR,
};

enum dt_app_turn_end {
    DT_END_STORY,   // the model ended it
    DT_END_STOPPED, // the user did
    DT_END_LENGTH,  // as long as was allowed (setting length): /continue goes on
    DT_END_CONTEXT, // no more room, and overflow is "stop" or "new"
    DT_END_ERROR,   // a notice said what
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

// A prompt and what was told on it. In story mode the two are one text; in chat mode they are two
// turns of a dialogue.
struct dt_app_turn {
    const char *prompt; // may be empty (a story continued past a length limit stays one turn)
    size_t prompt_length;
    const char *text; // what was told so far
    size_t text_length;
    bool finished; // false while it is being told
    enum dt_app_turn_end end;
    uint32_t tokens;
    uint64_t seed;
    double speed;
};

struct dt_app_story {
    int64_t id; // its number in the library, 0 while it has none (private, or nothing told yet)
    const char *title;
    const char *premise; // what /pin keeps, or empty
    bool chat;           // chat mode
    bool saved;          // false: private, or the library cannot be written
    size_t turns;
};

// ---- lists ----

struct dt_app_backend {
    const char *name; // what /backend takes: "int8@avx2", "fastexp"
    const char *description;
    const char *path;   // its file, or "compiled in"
    int score;          // probe's, 0: cannot run here
    const char *reason; // why it cannot be used, NULL when it can
    bool in_use;
};

struct dt_app_model {
    const char *path, *name; // whole path; file name
    const char *format;      // "GGUF v3", NULL when it is no model
    uint64_t file_bytes;     // its size: mapped, shared with the page cache
    uint64_t own_bytes;      // what it would take of our own memory with the current settings
    uint64_t parameters;
    bool fits;
    const char *reason; // why it does not fit or cannot be used; NULL when it can
    bool in_use;
};

struct dt_app_entry { // a story in the library
    int64_t id;
    const char *title;
    const char *model, *stack;
    const char *snippet;      // where the search words are, or how the story begins; one line
    int64_t created, updated; // seconds since 1970
    uint32_t turns;
    bool current; // the one that is open here
};

// One side of a comparison.
struct dt_app_side {
    const char *stack; // resolved
    const char *text;
    size_t text_length;
    uint32_t tokens;
    double speed; // tokens a second of telling
    double prompt_speed;
    bool finished;
    const char *refused; // why this stack could not be used, or NULL
};

struct dt_app_compare {
    struct dt_app_side side[2];
    const char *prompt;      // what both were given
    bool differ;             // the texts differ (so far)
    size_t first_difference; // byte where they first do, at the beginning of a character; the
                             // shorter one's length if one is the other's beginning
    uint32_t first_token;    // the number of the first token that differs, from 0
    bool finished;
};

struct dt_app_completion {
    size_t from; // the candidates replace line[from .. cursor)
    size_t count;
    const char *const *words; // sorted
    const char *const
        *hints;  // one short explanation a word ("0 .. 2, now 0.8"), entries may be NULL
    char suffix; // what to type after the only candidate: ' ', '/' or 0
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

    // --- waiting and listening ---

    // A descriptor that is readable while events wait: for poll(). Never read it.
    int (*fd)(struct dt_app *app);
    // The next event: true and *out filled, or false when there is none. Text pieces that nobody
    // fetched are joined, figures and progress replaced by newer ones, so a slow terminal never
    // lags behind by more than what it has to print.
    bool (*next)(struct dt_app *app, struct dt_app_event *out);
    // Whether leaving was asked for (also by a signal, before its event is there). Check it when
    // poll() or read() is interrupted.
    bool (*leaving)(struct dt_app *app);

    // --- saying something ---

    // One entry of the user: a command if it begins with '/' ("//" is a prompt that begins with one
    // slash), else a prompt (may be several lines). Empty: nothing happens, in story mode with
    // something told it continues. Returns whether it was taken; if not, a notice says why and the
    // front end should keep the line. While a story is told, a prompt waits until it has ended (a
    // few may), commands that need the story stop it first, the rest happens at once or at the next
    // token.
    bool (*input)(struct dt_app *app, const char *text, size_t length);
    // The answer to DT_EVENT_EDIT: the last text becomes this, and the story goes on from it.
    bool (*edit)(struct dt_app *app, const char *text, size_t length);
    // The answer to DT_EVENT_ASK. One that nobody answers any more is forgotten.
    void (*answer)(struct dt_app *app, uint32_t id, bool yes);
    // Stops whatever is going on: load, prompt, story, swap, comparison, script. What was told
    // stays. Harmless when idle. Any thread, async-signal-safe.
    void (*stop)(struct dt_app *app);
    // A notice of the front end's own, in the same stream as the others (so it comes back through
    // next()).
    void (*notice)(struct dt_app *app, enum dt_app_level level, const char *line);

    // --- looking ---

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
    // Sets one, with an immediate effect for live ones. DT_USAGE says what may be given.
    // DT_EVENT_SETTING follows.
    dt_status (*set)(struct dt_app *app, int setting, const char *value, struct dt_error *err);
    // One step up (steps > 0) or down: for arrow keys. Each setting knows its step; choices and
    // switches go round.
    dt_status (*step)(struct dt_app *app, int setting, int steps, struct dt_error *err);
    const struct dt_command *(*commands)(struct dt_app *app, size_t *count); // own ones included
    // Adds a front end's own commands to help and completion; entering one gives DT_EVENT_COMMAND.
    // The table is the front end's and outlives its run. Names of the app's own commands are not
    // replaced, but for "help" and "script".
    void (*own_commands)(struct dt_app *app, const struct dt_command *table, size_t count);
    // What Tab can offer at line[0..cursor). Belongs to the app until the next call of complete().
    const struct dt_app_completion *(*complete)(struct dt_app *app, const char *line,
                                                size_t cursor);

    // --- the entries of former days ---

    // Entries typed before, oldest first (from disk too, unless history is off or the session
    // private); NULL past the last. Several lines are one entry. Valid until the next remember().
    size_t (*history_count)(struct dt_app *app);
    const char *(*history)(struct dt_app *app, size_t i);
    void (*remember)(struct dt_app *app, const char *entry); // one equal to the last is left out

    // --- lists ---

    const struct dt_app_backend *(*backends)(struct dt_app *app, size_t *count);
    // Starts looking for models (folders of the setting, of the program's data, of the current
    // model); DT_EVENT_MODELS tells when there is more.
    void (*find_models)(struct dt_app *app);
    const struct dt_app_model *(*models)(struct dt_app *app, size_t *count);
    // Asks the library: words (all must occur; the last may be unfinished), or "" for the newest;
    // at most `limit` stories, skipping `offset`. A new search takes the place of one that has not
    // been answered. Returns its number: DT_EVENT_LIBRARY carries it as id.
    uint32_t (*search)(struct dt_app *app, const char *words, uint32_t offset, uint32_t limit);
    const struct dt_app_entry *(*library)(struct dt_app *app, size_t *count); // the last answer
    // Opening, exporting, renaming, deleting: submit("/open 12") and so on.

    const struct dt_app_compare *(*compare)(
        struct dt_app *app); // the last comparison, NULL if there was none

    // --- the terminal ---

    enum dt_app_charset (*charset)(struct dt_app *app); // setting charset, resolved by the locale
    bool (*colour)(struct dt_app *app); // setting color, NO_COLOR, and whether stdout is a terminal
    // s[0..n) in the terminal's charset: out has space for n + 8 bytes; returns the length.
    // Typographic quotes, dashes and dots have ASCII twins, Latin letters lose their accents where
    // need be, the rest is '?' (two for wide characters).
    size_t (*encode)(struct dt_app *app, const char *s, size_t n, char *out);
    // The terminal's bytes as UTF-8: out has space for 3 * n + 8 bytes. State is not kept: give
    // whole entries.
    size_t (*decode)(struct dt_app *app, const char *s, size_t n, char *out);
    // What a crash handler writes to the terminal before it gives it back (leave the alternate
    // screen, show the cursor ...); the terminal's modes are restored besides, as they were when
    // the program started. Copied; at most 256 bytes; NULL: nothing.
    void (*crash_bytes)(struct dt_app *app, const char *bytes, size_t n);
    // What the program is to exit with, where the front end knows better: 1 when stdout is gone,
    // 130 when a pipe's story was interrupted.
    void (*exit_code)(struct dt_app *app, int code);
    // Whether the command line said what to do first (a prompt, a script): it is done at the first
    // next(), and nobody else need ask for anything.
    bool (*given)(struct dt_app *app);
};

// ---- a front end ----

// What a front end's module exports, as the constant `dt_ui_module`.
struct dt_ui {
    uint32_t size;           // sizeof(struct dt_ui)
    const char *build;       // DT_UI_BUILD: anything else than the program's own is refused
    const char *name;        // "line": what --ui takes
    const char *description; // one line
    // Whether it can run on this terminal, without touching it: 0, or -1 with a line in reason.
    int (*usable)(const struct dt_app_api *api, struct dt_app *app, char *reason,
                  size_t reason_size);
    // Runs until the user leaves (DT_EVENT_QUIT) or the terminal is gone, and gives the terminal
    // back. Returns 0, or -1 with a line in reason when it could not begin: then nothing has been
    // drawn, and the next front end is tried.
    int (*run)(const struct dt_app_api *api, struct dt_app *app, char *reason, size_t reason_size);
};

#define DT_UI_SYMBOL "dt_ui_module"

#endif

// SPDX-License-Identifier: MIT
// The worker: the one thread that computes. It owns the engine and the story; everything here runs
// on it.
#ifndef DT_APP_WORKER_H
#define DT_APP_WORKER_H

#include "app/app.h"
#include "app/speech/speech.h"
#include "core/text/template.h"

#define DT_NOWHERE UINT32_MAX

// A prompt and what was told on it.
struct dt_turn {
    char *prompt;
    char *text; // clean UTF-8, NUL-terminated
    size_t length, capacity;
    bool finished, request; // request: the prompt is one, in a story too
    int end;                // enum dt_app_turn_end
    uint32_t tokens;
    uint64_t seed;
    double speed;
    char stack[128];
    uint32_t begin, output_at; // where in the context its tokens and the told ones begin;
                               // DT_NOWHERE: not there as they were
    uint64_t random; // the generator after its last token
};

struct dt_story {
    struct dt_turn *turns;
    size_t count, capacity;
    char *title, *premise;
    bool chat;
    bool stale; // the context has to be made anew from the text
    int64_t id;
    struct dt_writer_story
        *kept; // NULL: nothing was handed to the library writer yet, or nothing is to be
    // what the session should hold; it is brought there when the next token is wanted
    uint32_t *tokens;
    uint32_t token_count, token_capacity;
    uint32_t head; // how many of them are never dropped: BOS and premise
};

struct dt_worker {
    struct dt_app *app;
    struct dt_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct dt_request *first, *last; // under the lock
    atomic_int waiting, busy, live;  // requests that wait; one is being done; live ones that wait

    // the thread's own
    struct dt_settings settings; // as of settings_seen
    unsigned settings_seen;
    unsigned stops; // of the request that is being done
    struct dt_story story;
    enum dt_template family;
    struct dt_app_figures figures;
    uint64_t asked_ns;   // when the prompt came
    double prompt_speed; // of the last prompt, for predictions
    uint64_t progress_ns, progress_begun;
    bool progress_shown;
    const char *progress_what;
    struct dt_speech *speech;
    char speech_as[1200];  // the settings it was opened with
    bool spoken;           // speech has begun for this turn
    uint64_t seeds;        // how many were drawn, so that two in one moment differ
    dt_status load_status; // of the last try to open a model
    char model_path[512];
    char stack_asked[128]; // what the engine was told last
};

// ---- worker.c ----

bool dt_worker_stopped(struct dt_worker *w); // the request at hand is to stop
void dt_worker_state(struct dt_worker *w, enum dt_app_state state);
void dt_worker_see_settings(struct dt_worker *w); // takes changes over
// Does those waiting requests that can be done between two tokens.
void dt_worker_live_requests(struct dt_worker *w);
// Opens a model ("": the setting's or the program's own). The story stays; its context is made
// anew.
dt_status dt_worker_open_model(struct dt_worker *w, const char *path);

// ---- story.c: the text and its tokens ----

void dt_story_clear(struct dt_story *story); // turns, title, context; the premise stays
void dt_story_free(struct dt_story *story);
struct dt_turn *dt_story_last(struct dt_story *story); // NULL when there is none
struct dt_turn *dt_story_add(struct dt_story *story, const char *prompt);
bool dt_story_append_text(struct dt_turn *turn, const char *text, size_t n);
bool dt_story_push_tokens(struct dt_story *story, const uint32_t *tokens, size_t count);
// Removes turn n and all after it, with their tokens.
void dt_story_cut(struct dt_story *story, size_t n);
// Puts the prompt of the last turn into the context (with what closes the one before).
// DT_CONTEXT_FULL when it cannot fit at all.
dt_status dt_story_put_prompt(struct dt_worker *w, struct dt_error *err);
// The context from the text, after an old story was opened, another model, another premise.
dt_status dt_story_rebuild(struct dt_worker *w, struct dt_error *err);
// Gives the last turn another text: tokens of what is unchanged at the beginning stay.
dt_status dt_story_replace_text(struct dt_worker *w, const char *text, struct dt_error *err);
// Drops the oldest half behind the head. Returns how many tokens went.
uint32_t dt_story_shift(struct dt_story *story);
// Whether a prompt reads as a request to the storyteller (a sentence) and not as an opening.
bool dt_story_is_request(const char *prompt);
// The prompt of turn n as it is shown, malloc'ed: a request in a story stands in a paragraph of its
// own.
char *dt_story_shown_prompt(const struct dt_story *story, size_t n);
// The first words of a story as its title, malloc'ed.
char *dt_story_make_title(const struct dt_story *story);
// The story as a record whose strings are borrowed (turns: malloc'ed array only, free it); for
// library writer and export.
void dt_story_as_record(struct dt_worker *w, struct dt_story_record *out);

// ---- tell.c ----

// Evaluates what the session lacks of the context, with progress.
dt_status dt_generate_sync(struct dt_worker *w, struct dt_error *err);
// Tells the last turn until something ends it; saves it, and reports all that.
void dt_generate(struct dt_worker *w, bool go_on);
uint64_t dt_generate_new_seed(struct dt_worker *w);
void dt_generate_sampling(struct dt_worker *w, struct dt_sampling *out);
void dt_generate_figures(struct dt_worker *w, bool with_memory); // posts them
bool dt_generate_is_end(struct dt_worker *w, uint32_t id);
// Opens the voice if it is not; false: told what is missing, and the setting is off.
bool dt_generate_open_speech(struct dt_worker *w);
// The session is private, or turns are to be kept.
bool dt_generate_private(struct dt_worker *w);
// Hands all finished turns to the library writer (after a new library was begun, or privacy ended).
// Waits.
void dt_generate_keep_all(struct dt_worker *w);

// ---- act.c and compare.c: commands ----

// Another length of the context: not a command of its own, but what /set context does.
#define DT_ACT_CONTEXT 1000
void dt_act(struct dt_worker *w, int id, const char *arguments);
void dt_act_redraw(struct dt_worker *w, size_t keep,
                   const char *what); // tells the front end that turns changed
void dt_act_swap(struct dt_worker *w, const char *stack);
void dt_act_threads(struct dt_worker *w, uint32_t threads);
void dt_act_new_story(struct dt_worker *w, const char *why);
void dt_act_open(struct dt_worker *w, int64_t id);
void dt_compare(struct dt_worker *w, const char *a, const char *b);

#endif

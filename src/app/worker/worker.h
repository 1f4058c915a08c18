// SPDX-License-Identifier: MIT
// The worker: the one thread that computes. It owns the engine and the story. Everything declared
// in src/app/worker runs on it, except dt_worker_new and dt_worker_free.
#ifndef DT_APP_WORKER_H
#define DT_APP_WORKER_H

#include "app/control.h"
#include "app/report.h"
#include "app/requests.h"
#include "app/speech/speech.h"
#include "app/worker/story.h"
#include "host/chat.h"
#include "host/remote/remote.h"

// What a worker is made of and works for. All outlive it.
struct dt_worker_parts {
    struct dt_report *report;
    struct dt_control *control;
    struct dt_requests *requests;
    struct dt_writer *writer;
    struct dt_engine *engine;
    bool interactive, force; // force: the file of speak-to may be replaced
};

// The values from before a story was opened (story_settings.c).
struct dt_story_usual {
    struct dt_setting_value values[9];
    char *premise;
};

struct dt_worker {
    struct dt_report *report;
    struct dt_control *control;
    struct dt_requests *requests;
    struct dt_writer *writer;
    struct dt_engine *engine;
    bool interactive, force;
    pthread_t thread;

    struct dt_remote *remote; // computes instead of `engine`, which has no model then; else NULL
    uint32_t remote_used;     // tokens of its context that the last turn used

    struct dt_settings settings; // as of settings_seen
    unsigned settings_seen;
    unsigned stops;    // of the control, when the current request was made
    uint64_t asked_ns; // when the current request began

    struct dt_story story;
    struct dt_story_usual *usual; // NULL: the story was not opened

    struct dt_chat chat;     // of the open model
    enum dt_template family; // of its turns, where its template is not run
    bool endless_said;       // that a turn does not end by itself
    int open_code;           // exit code that a model that could not be opened has set, 0: none
    char model_path[512];
    bool default_model;                               // the open model is the default one
    struct dt_setting_value threads_set, context_set; // that are in effect

    struct dt_app_figures figures;
    uint64_t faults, faults_ns; // major page faults at the last measurement, and when that was
    double prompt_speed;        // of the last prompt, to predict the next one

    struct {
        const char *what;
        uint64_t begin_ns, shown_ns;
        bool shown;
    } progress;

    struct dt_speech *speech;
    char speech_options[1200]; // as text, as of the opening of `speech`
    char spoken_to[512];       // the WAV file that this session has made, or may replace
    bool has_spoken;           // it has made it
    bool reading_aloud;        // this turn is being read
};

// Starts the thread. DT_NO_MEMORY, DT_FAILED. Release with dt_worker_free.
dt_status dt_worker_new(struct dt_worker **out, const struct dt_worker_parts *parts,
                        struct dt_error *err);
// Asks the thread to end after the requests that wait, joins it, frees everything. NULL is
// allowed.
void dt_worker_free(struct dt_worker *worker);

// Whether the current request is to stop.
bool dt_worker_stopped(struct dt_worker *w);

// Reports an error that ended a turn. In a pipe, where nobody can try again, it is the exit status
// too.
void dt_worker_fail(struct dt_worker *w, const struct dt_error *error);

// Renews the copy of the settings if they changed.
void dt_worker_see_settings(struct dt_worker *w);

// Runs the waiting requests that may run between two tokens.
void dt_worker_live_requests(struct dt_worker *w);

// Whether a model is open, or whether there is a turn; if not, a notice says so. what: the rest of
// "there is nothing to ...".
bool dt_worker_has_model(struct dt_worker *w);
bool dt_worker_has_turn(struct dt_worker *w, const char *what);

// The tokens of the context: its length (UINT32_MAX: a server does not say it), and those in use. A
// model is open.
uint32_t dt_worker_context(const struct dt_worker *w);
uint32_t dt_worker_context_used(const struct dt_worker *w);

// Whether the session is private: nothing is saved.
bool dt_worker_private(struct dt_worker *w);

// A random seed of at most nine digits, so that it can be typed again.
uint64_t dt_worker_new_seed(struct dt_worker *w);

#endif

// SPDX-License-Identifier: MIT
// The object of an interactive session: the parts it consists of. Data only. app.c makes and frees
// it; the files that run on the front end's thread (the ui thread) use it.
//
// Each file of src/app uses only files further down in this list (a test checks that the calls
// between object files have no cycle):
//
//     app                                            the whole session, the front end's table
//     input, commands/complete                       what is typed
//     commands/commands                              the table of handlers
//     commands/commands_*, models, library_events    the handlers; what they start
//     commands/change, question, own_commands        settings with an effect; questions; names
//     worker/prompts, open_model, compare            what the worker does
//     worker/generate                                the generation of a turn
//     worker/save, read_aloud, context               a turn to the library, to a voice, to tokens
//     worker/story_settings                          what belongs to a story of the library
//     worker/worker_events, worker, story            the thread, its state, its story
//     view, signals, requests, control               between the threads
//     library/, speech/                              stories on disk; voices
//     report, events                                 everything the front end learns
//     settings/, charset                             tables and values
#ifndef DT_APP_SESSION_H
#define DT_APP_SESSION_H

#include <stdio.h>

#include "app/control.h"
#include "app/report.h"
#include "app/requests.h"
#include "app/view.h"

struct dt_question; // commands/question.h

#define DT_SCRIPTS_MAX 8 // so many scripts may begin one another

struct dt_app {
    // any thread
    struct dt_report report;
    struct dt_control control;
    struct dt_requests requests;
    struct dt_writer *writer;
    bool interactive;         // a person is at the terminal
    atomic_uint print_search; // the number of the search whose answer /library prints
    atomic_uint answers;      // lists that were asked for and are not printed yet
    atomic_bool listening;

    // the worker's thread; others only cancel
    struct dt_engine *engine;
    struct dt_worker *worker;

    // the ui thread
    struct dt_view *view;
    struct dt_history *history;
    struct dt_completion *completion;
    const struct dt_command *own_commands; // the front end's
    size_t own_command_count;
    struct dt_command *all_commands; // both, made when first needed; NULL: not yet
    size_t all_command_count;
    char settings_file[512];       // for /save-settings, "" without a home directory
    FILE *scripts[DT_SCRIPTS_MAX]; // being played: each was begun by the one before
    int script_count;
    unsigned script_stops;             // control.stops when the first began
    bool has_first_input;              // the command line has a script or a prompt
    char *first_script, *first_prompt; // done when the front end first asks for events
    struct dt_question *question;      // the last one, NULL: none
    uint32_t question_number;
    uint32_t searches;
    char value[DT_SETTING_TEXT_MAX]; // the last answer of get()
    int charset;                     // enum dt_app_charset, -1: not resolved yet
    struct dt_listener *listener;    // the last one; NULL: none
    bool leaving_shown;              // DT_EVENT_QUIT was delivered
};

// Counts down `answers` and wakes the front end, which waits for them. Any thread.
static inline void dt_app_answered(struct dt_app *app)
{
    unsigned n = atomic_load(&app->answers);
    while (n && !atomic_compare_exchange_weak(&app->answers, &n, n - 1)) {
    }
    dt_events_wake(&app->report.events);
}

#endif

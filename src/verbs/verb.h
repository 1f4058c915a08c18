// SPDX-License-Identifier: MIT
// Shared by the verbs: their functions, the options that open a model, error reports.
#ifndef DT_VERBS_VERB_H
#define DT_VERBS_VERB_H

#include <getopt.h> // optind, which dt_options_read sets
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "host/engine.h"
#include "verbs/options.h"

// Runs a verb: argv[0] is its name. Returns the exit code (a value of dt_status_exit_code).
typedef int dt_verb_run_function(int argc, char **argv);

dt_verb_run_function dt_verb_run, dt_verb_backends, dt_verb_inspect, dt_verb_eval, dt_verb_bench,
    dt_verb_profile, dt_verb_voices, dt_verb_convert, dt_verb_stories, dt_verb_tokenize,
    dt_verb_serve, dt_verb_models;

// The function of the verb with this name; NULL if there is none.
dt_verb_run_function *dt_verb_find(const char *name);

// ---- errors and logs ----

// Writes "duotale: FILE: MESSAGE" to stderr. Returns the exit code of err->status.
int dt_verb_fail(const struct dt_error *err);

// Flushes stdout at the end of a verb. Returns 0, or 1 with a message on stderr if output was lost.
int dt_verb_flush(void);

// Sends the host's log to stderr: warnings, or everything if verbose.
void dt_verb_log(bool verbose);

// ---- opening a model ----

struct dt_verb_model {
    struct dt_engine_options engine;
    const char *path;      // NULL: the default model
    const char *tokenizer; // NULL: searched for
    char default_path[4096];
};

// Handles an option that opens a model: --check-scales, or one of the settings TOKENIZER to PACK.
// The strings of *value must outlive the engine. Returns 0 if it was handled, -1 if it is none of
// these, 2 if its value is wrong (the message is written).
int dt_verb_model_option(enum dt_verb_id verb, struct dt_verb_model *model, int id,
                         const struct dt_option_value *value);

// Sets model->path to the default model's if it is NULL. Errors as in dt_engine_default_model.
dt_status dt_verb_model_path(struct dt_verb_model *model, struct dt_error *err);

// For a model of the catalogue that is not there: asks at a terminal whether to download it. True:
// it is there now; else *err says what to do. False, without an error, for other names.
bool dt_models_offer(const char *name, struct dt_error *err);

// Describes the conversion or packing of weights in the plan, with its memory; "" if there is none.
// Returns out.
const char *dt_verb_cost(const struct dt_engine_plan *plan, char *out, size_t size);

#endif

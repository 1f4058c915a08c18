// SPDX-License-Identifier: MIT
// What the verbs share: the row a verb has in main's table, the options that open a model, how a
// verb fails.
#ifndef DT_VERBS_VERB_H
#define DT_VERBS_VERB_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "host/engine.h"

// One row a verb. argv[0] is the verb's name; returns the exit code (dt_status_exit_code's values).
struct dt_verb {
    const char *name;
    const char *arguments; // "MODEL TEXT [-b backend]": for the usage line
    const char *help;      // one line
    int (*run)(int argc, char **argv);
};

// Every verb, in the order of the help; ended by a row without a name. In table.c: the one place to
// add one.
extern const struct dt_verb dt_verbs[];
const struct dt_verb *dt_verb_find(const char *name); // NULL if there is none

int dt_verb_run(int argc, char **argv);
int dt_verb_backends(int argc, char **argv);
int dt_verb_inspect(int argc, char **argv);
int dt_verb_eval(int argc, char **argv);
int dt_verb_bench(int argc, char **argv);
int dt_verb_stories(int argc, char **argv);
int dt_verb_convert(int argc, char **argv);
int dt_verb_profile(int argc, char **argv);
int dt_verb_voices(int argc, char **argv);

// ---- failing ----

// Writes "duotale: LINE" to stderr and returns the exit code of err->status.
int dt_verb_fail(const struct dt_error *err);

// The same for a mistake on the command line: exit code 2, with a pointer to --help.
int dt_verb_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Flushes stdout at the end of a verb: 0, or 1 with a line on stderr when something was lost.
int dt_verb_flush(void);

// Sends the host's log to stderr: warnings, or everything when verbose.
void dt_verb_log(bool verbose);

// ---- numbers on the command line ----

// Each reads the whole of text or returns false; nothing is written then.
bool dt_verb_float(const char *text, double *out);
bool dt_verb_count(const char *text, uint32_t max, uint32_t *out);
bool dt_verb_seed(const char *text, uint64_t *out);

// ---- opening a model ----

struct dt_verb_model {
    struct dt_engine_options engine;
    const char *path;      // NULL: the model in data/
    const char *tokenizer; // NULL: looked for
    char default_path[4096];
};

// Values of the long options below, outside of char.
enum {
    DT_OPTION_BATCH = 256,
    DT_OPTION_KV,
    DT_OPTION_MEM_LIMIT,
    DT_OPTION_PACK,
    DT_OPTION_NO_SHORTLIST,
    DT_OPTION_CHECK,
    DT_OPTION_OWN
};

// Rows for a verb's getopt_long table, and their short letters.
#define DT_MODEL_SHORT_OPTIONS "z:b:j:c:"
#define DT_MODEL_LONG_OPTIONS                                                                      \
    {"tokenizer", required_argument, NULL, 'z'}, {"backend", required_argument, NULL, 'b'},        \
        {"threads", required_argument, NULL, 'j'}, {"context", required_argument, NULL, 'c'},      \
        {"batch", required_argument, NULL, DT_OPTION_BATCH},                                       \
        {"kv", required_argument, NULL, DT_OPTION_KV},                                             \
        {"mem-limit", required_argument, NULL, DT_OPTION_MEM_LIMIT},                               \
        {"pack", required_argument, NULL, DT_OPTION_PACK},                                         \
        {"no-shortlist", no_argument, NULL, DT_OPTION_NO_SHORTLIST},                               \
    {                                                                                              \
        "check-scales", no_argument, NULL, DT_OPTION_CHECK                                         \
    }
#define DT_MODEL_OPTIONS_HELP                                                                      \
    "  -z, --tokenizer FILE    vocabulary; else the model's own, ./tokenizer.bin, or one beside "  \
    "the model\n"                                                                                  \
    "  -b, --backend STACK     auto, reference, int8, int8+fastexp, int8@avx2 ... (duotale "       \
    "backends)\n"                                                                                  \
    "  -j, --threads N         workers; 0: what is best for the model\n"                           \
    "  -c, --context N         positions the KV cache holds; 0: the model's\n"                     \
    "      --batch N           prompt tokens evaluated together; 0: 64, or 32 in little memory\n"  \
    "      --kv f32|f16        how the KV cache is kept\n"                                         \
    "      --mem-limit SIZE    refuse to take more memory of our own than this (64M, 1G)\n"        \
    "      --pack never|always use a backend's own weight layout where it has one\n"               \
    "      --no-shortlist      compute every row of a large classifier, also those that cannot "   \
    "matter\n"                                                                                     \
    "      --check-scales      look at every scale of the file before using it\n"

// Takes one of the settings that open a model (enum dt_setting_id), read as the table of settings
// reads it; returns as dt_verb_model_option.
int dt_verb_model_setting(const char *verb, struct dt_verb_model *model, int id, const char *value);

// Takes one option of the rows above: 0 taken, -1 not one of them, 2 refused (the line is written).
int dt_verb_model_option(const char *verb, struct dt_verb_model *model, int option,
                         const char *value);

// The path given, or the default model's. DT_OK or as dt_engine_default_model.
dt_status dt_verb_model_path(struct dt_verb_model *model, struct dt_error *err);

// One line on what conversions cost, "" where nothing is converted. Returns out.
const char *dt_verb_cost(const struct dt_engine_plan *plan, char *out, size_t size);

#endif

// SPDX-License-Identifier: MIT
// What each verb accepts, in one table. It feeds getopt_long, `duotale VERB --help`, the man pages
// and the completions.
#ifndef DT_VERBS_OPTIONS_H
#define DT_VERBS_OPTIONS_H

#include "app/settings/settings.h"

// The interactive session comes first; the order of the verbs is that of the help.
enum dt_verb_id {
    DT_VERB_SESSION,
    DT_VERB_RUN,
    DT_VERB_BACKENDS,
    DT_VERB_INSPECT,
    DT_VERB_TOKENIZE,
    DT_VERB_EVAL,
    DT_VERB_BENCH,
    DT_VERB_PROFILE,
    DT_VERB_VOICES,
    DT_VERB_CONVERT,
    DT_VERB_STORIES,
    DT_VERB_SERVE,
    DT_VERB_MODELS,
    DT_VERB_COUNT
};

// Options that are not settings. The values follow those of enum dt_setting_id, so that one number
// names either.
enum dt_option_id {
    DT_OPTION_HELP = DT_SET_COUNT,
    DT_OPTION_VERSION,
    DT_OPTION_JSON,
    DT_OPTION_QUIET,
    DT_OPTION_VERBOSE,
    DT_OPTION_PROMPT,
    DT_OPTION_PROMPT_FILE,
    DT_OPTION_OPEN,
    DT_OPTION_SCRIPT,
    DT_OPTION_CONFIG,
    DT_OPTION_NO_CONFIG,
    DT_OPTION_STEPS,
    DT_OPTION_IDS,
    DT_OPTION_SPECIAL,
    DT_OPTION_THOUGHTS,
    DT_OPTION_CHECK_SCALES,
    DT_OPTION_LISTEN,
    DT_OPTION_EAR,
    DT_OPTION_VERIFY,
    DT_OPTION_SHAPES,
    DT_OPTION_SEED,
    DT_OPTION_EXACT,
    DT_OPTION_TUNE,
    DT_OPTION_TENSORS,
    DT_OPTION_COMPARE,
    DT_OPTION_FIRST,
    DT_OPTION_LAST,
    DT_OPTION_GEN,
    DT_OPTION_AT,
    DT_OPTION_RUNS,
    DT_OPTION_WARM,
    DT_OPTION_TEMPERATURE,
    DT_OPTION_TOP_P,
    DT_OPTION_NO_START,
    DT_OPTION_CSV,
    DT_OPTION_SVG,
    DT_OPTION_KERNELS,
    DT_OPTION_BASELINE,
    DT_OPTION_CONTEST,
    DT_OPTION_AGAINST,
    DT_OPTION_SPEAK,
    DT_OPTION_VOICE,
    DT_OPTION_ROUNDS,
    DT_OPTION_LAYERS,
    DT_OPTION_OUTPUT,
    DT_OPTION_FORMAT,
    DT_OPTION_TO,
    DT_OPTION_CALIBRATE,
    DT_OPTION_DRAFT,
    DT_OPTION_EMBEDDING,
    DT_OPTION_GROUP,
    DT_OPTION_FOR,
    DT_OPTION_SHARD,
    DT_OPTION_NAME,
    DT_OPTION_LIMIT,
    DT_OPTION_FORCE,
    DT_OPTION_BOS,
    DT_OPTION_CHAT,
    DT_OPTION_DATE,
    DT_OPTION_SYSTEM,
    DT_OPTION_SEQUENCES,
    DT_OPTION_LISTEN_AT,
    DT_OPTION_PORT,
    DT_OPTION_TOKEN_FILE,
    DT_OPTION_WITHOUT_TOKEN,
    DT_OPTION_ARRIVAL,
    DT_OPTION_SHA256,
    DT_OPTION_OVERFLOW,
};

// What an option's value is: how it is checked, and what a shell offers for it.
enum dt_option_type {
    DT_OPTION_SWITCH, // no value
    DT_OPTION_INT,    // minimum .. maximum
    DT_OPTION_REAL,   // minimum .. maximum
    DT_OPTION_RANDOM, // a seed: any whole number of 64 bits
    DT_OPTION_CHOICE, // one of `choices`
    DT_OPTION_TEXT,
    DT_OPTION_FILE,
    DT_OPTION_MODEL, // a model file
    DT_OPTION_STACK, // a backend, or several joined by '+'
    DT_OPTION_VOICES,
    DT_OPTION_STORY, // the number of a story; may be left out
    DT_OPTION_SOUND, // a WAV file; may be left out
};

struct dt_option {
    const char *name;         // "prompt-file", without dashes
    enum dt_option_id id;     // for the verb's handler
    char letter;              // short option, 0 for none
    enum dt_option_type type; //
    const char *value;        // placeholder in the help: "N", "FILE"; NULL for a switch
    double minimum, maximum;  // INT, REAL
    const char *choices;      // CHOICE: words, separated by spaces
    const char *initial;      // default, NULL where there is none
    const char *help;         // one sentence
};

// What the operands of a verb are, for completion.
enum dt_operand {
    DT_OPERAND_NONE,
    DT_OPERAND_MODEL,
    DT_OPERAND_MODEL_AND_FILES,
    DT_OPERAND_STORIES,
};

// One verb, or the session (whose name is "").
struct dt_verb_page {
    const char *name;
    const char *help;     // one line
    const char *synopsis; // the operands and main options; several forms are separated by '\n'
    const char *about;    // what it does: paragraphs separated by '\n'
    const struct dt_option *options; // ended by a row without a name
    const int *settings;  // the settings it takes as options; NULL where it takes every one
    size_t setting_count; // 0: it takes none
    enum dt_operand operand;
    const char *notes; // paragraphs after the options, separated by '\n'
};

// The pages, indexed by enum dt_verb_id. Any thread.
const struct dt_verb_page *dt_verb_page(enum dt_verb_id verb);

// ---- reading a command line ----

// A value in all its readings.
struct dt_option_value {
    const char *text; // as given; NULL for a switch and for an optional value that was left out
    double number;    // INT and REAL
    uint64_t integer; // INT and RANDOM exactly; CHOICE: index of the word
};

// Receives one option: id is an enum dt_option_id, checked already, or an enum dt_setting_id, of
// which only value->text is filled ("on" or "off" for a switch). Returns 0, or an exit code that
// ends the reading, with the message written.
typedef int dt_on_option(void *arg, int id, const struct dt_option_value *value);

// Reads the options of argv, in any order with the operands. -1: all were read, and optind is the
// first operand; else the exit code (the help was printed, or the mistake).
int dt_options_read(enum dt_verb_id verb, int argc, char **argv, dt_on_option *on_option,
                    void *arg);

// Writes "duotale VERB: LINE; see duotale VERB --help" to stderr. Returns exit code 2.
int dt_options_usage(enum dt_verb_id verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Prints the help of a verb to stdout. Returns the exit code.
int dt_options_help(enum dt_verb_id verb);

// Reads the whole of text as a seed: a whole number of 64 bits; a negative one wraps around, as in
// llama2.c. Returns false otherwise, and leaves *out alone.
bool dt_options_seed(const char *text, uint64_t *out);

// Reads the whole of text as a finite number. Returns false otherwise, and leaves *out alone.
bool dt_options_real(const char *text, double *out);

#endif

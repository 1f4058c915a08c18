// SPDX-License-Identifier: MIT
// What can be set, in one table: it feeds the command line, the INI file, the environment, /set,
// completion and the manual. A flag (or /set) has precedence over the environment,
// that over the file, that over the model's suggestion, and that over the default.
#ifndef DT_APP_SETTINGS_H
#define DT_APP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

enum dt_setting_type {
    DT_SETTING_BOOL,   // on/off, yes/no, true/false, 1/0
    DT_SETTING_INT,    // minimum .. maximum
    DT_SETTING_REAL,   // minimum .. maximum
    DT_SETTING_CHOICE, // one of `choices`
    DT_SETTING_TEXT,   // one line of UTF-8, at most DT_SETTING_TEXT_MAX - 1 bytes
    DT_SETTING_FILE,   // a path; "~/" is the home folder
    DT_SETTING_BYTES,  // a size: 24M, 512K, 1G, or plain bytes
    DT_SETTING_TEXTS,  // one text as it is, or several in double quotes (dt_settings_texts)
};

// When a change takes effect.
enum dt_setting_when {
    DT_SETTING_LIVE,  // from the next token, in mid-story
    DT_SETTING_TURN,  // from the next turn
    DT_SETTING_MODEL, // at once: the model is opened again
    DT_SETTING_START, // when the program starts
};

#define DT_SETTING_TEXT_MAX 512

struct dt_setting {
    const char *name; // "top-p": --top-p, top-p = in the file, DUOTALE_TOP_P, /set top-p
    char letter;      // short flag, 0 for none
    enum dt_setting_type type;
    enum dt_setting_when when;
    double minimum, maximum; // INT, REAL, BYTES
    double step;             // what an arrow key adds, 0 where none makes sense
    const char *initial;     // the default, as a user would write it
    const char *choices;     // CHOICE: words, space separated; else NULL
    const char *value;       // a placeholder of the value in help: "P", "FILE"
    const char *group;       // heading in help and manual: "Sampling"
    const char *help;        // one sentence
};

// Every setting. The order is that of help and manual; groups are contiguous.
enum dt_setting_id {
    DT_SET_MODEL,
    DT_SET_TOKENIZER,
    DT_SET_BACKEND,
    DT_SET_THREADS,
    DT_SET_CONTEXT,
    DT_SET_BATCH,
    DT_SET_KV,
    DT_SET_MEM_LIMIT,
    DT_SET_SHORTLIST,
    DT_SET_PACK,
    DT_SET_WEIGHTS,
    DT_SET_DRAFT,
    DT_SET_REMOTE_TIMEOUT,
    DT_SET_TEMPERATURE,
    DT_SET_TOP_P,
    DT_SET_TOP_K,
    DT_SET_MIN_P,
    DT_SET_REPEAT_PENALTY,
    DT_SET_REPEAT_LAST,
    DT_SET_SEED,
    DT_SET_LENGTH,
    DT_SET_MODE,
    DT_SET_TEMPLATE,
    DT_SET_SYSTEM,
    DT_SET_OPENING,
    DT_SET_OVERFLOW,
    DT_SET_STOP,
    DT_SET_STOP_TEXT,
    DT_SET_THINKING,
    DT_SET_COMPARE_LENGTH,
    DT_SET_UI,
    DT_SET_CHARSET,
    DT_SET_COLOR,
    DT_SET_THEME,
    DT_SET_SIZE,
    DT_SET_STATS,
    DT_SET_INTERRUPT,
    DT_SET_LIBRARY,
    DT_SET_PRIVATE,
    DT_SET_HISTORY,
    DT_SET_SPEAK,
    DT_SET_SPEAK_TO,
    DT_SET_VOICE,
    DT_SET_VOICE_SPEED,
    DT_SET_VOICE_PITCH,
    DT_SET_COUNT
};

// Where a value came from, weakest first: a weaker source never replaces a stronger one.
enum dt_setting_source {
    DT_FROM_DEFAULT,
    DT_FROM_MODEL,
    DT_FROM_FILE,
    DT_FROM_STORY, // an opened story
    DT_FROM_ENVIRONMENT,
    DT_FROM_USER, // flag or /set
};

// The table itself, DT_SET_COUNT rows, indexed by dt_setting_id. Any thread.
const struct dt_setting *dt_settings_table(void);

// When a change takes effect, for people: "with the next token".
const char *dt_settings_when(const struct dt_setting *setting);

// A value as text, and as a number for BOOL (0 or 1), INT, REAL, BYTES and CHOICE (index of the
// word).
struct dt_setting_value {
    double number;
    uint64_t integer; // INT and BYTES exactly
    enum dt_setting_source source;
    char text[DT_SETTING_TEXT_MAX];
};

// All values. It can be copied; one that is shared between threads needs a lock.
struct dt_settings {
    struct dt_setting_value value[DT_SET_COUNT];
};

// Everything at its default. Any thread.
void dt_settings_init(struct dt_settings *settings);

// The setting of this name ('_' reads as '-'; case counts), or a unique prefix of it; -1 if there
// is none or several.
int dt_settings_find(const char *name);

// The name nearest to a wrong one, for "did you mean"; NULL if nothing is near.
const char *dt_settings_nearest(const char *name);

// Reads a text as a value of setting `id` into *out, except its source. DT_USAGE, with *out
// unchanged, names the setting, the valid values and the text. Any thread.
dt_status dt_settings_parse(int id, const char *text, struct dt_setting_value *out,
                            struct dt_error *err);

// Reads what a user sets into *out, with its source: the word "default" is the default. Errors and
// threads as dt_settings_parse.
dt_status dt_settings_value(int id, const char *text, enum dt_setting_source source,
                            struct dt_setting_value *out, struct dt_error *err);

// Sets one. DT_USAGE, without a change, names the setting, the valid values and the text. A value
// of a stronger source stays (DT_OK). The word "default" restores the default (with
// source DT_FROM_DEFAULT).
dt_status dt_settings_set(struct dt_settings *settings, int id, const char *text,
                          enum dt_setting_source source, struct dt_error *err);

// As a user would write it. Belongs to settings.
const char *dt_settings_text(const struct dt_settings *settings, int id);
double dt_settings_real(const struct dt_settings *settings, int id);
uint64_t dt_settings_uint(const struct dt_settings *settings, int id);
bool dt_settings_on(const struct dt_settings *settings, int id);
// CHOICE: whether the value is this word.
bool dt_settings_is(const struct dt_settings *settings, int id, const char *word);
// The path of a FILE setting with "~/" expanded into out; NULL if it is empty.
const char *dt_settings_path(const struct dt_settings *settings, int id, char *out, size_t size);
// The same of one value.
const char *dt_settings_value_path(const struct dt_setting_value *value, char *out, size_t size);

// The shortest decimal that reads back as this float, as REAL settings are used and shown: 0.95,
// not 0.949999988. Returns out.
const char *dt_settings_real_text(float value, char *out, size_t size);

// "0 .. 1", "auto line plain tui": the valid values, for messages and help. Returns out.
const char *dt_settings_range(const struct dt_setting *setting, char *out, size_t size);

// Word i of a CHOICE into out; false past the last one.
bool dt_settings_choice(const struct dt_setting *setting, size_t i, char *out, size_t size);

// One step up or down from the present value, written as text into out: numbers stay in range,
// choices and switches are cyclic. False if the setting has no step.
bool dt_settings_step(const struct dt_settings *settings, int id, int steps, char *out,
                      size_t size);

// The texts of a TEXTS value: none if it is empty, several if it begins with a double quote, else
// one as it is. Between the quotes \n, \t, \" and \\ are newline, tab, quote and backslash. Writes
// them to storage[DT_SETTING_TEXT_MAX] and pointers to them to out[DT_STOP_TEXTS]. Returns how
// many; DT_SETTING_NO_TEXTS: too many, an empty or too long one, or something outside the quotes.
size_t dt_settings_texts(const char *value, char *storage, const char **out);
#define DT_SETTING_NO_TEXTS SIZE_MAX

// Appends a text, as it is, to value[DT_SETTING_TEXT_MAX] of a TEXTS setting. False, without a
// change, if it does not fit or is empty.
bool dt_settings_add_text(char *value, const char *text);

// Restores the defaults of all settings that this source set (of a model that is closed).
void dt_settings_forget(struct dt_settings *settings, enum dt_setting_source source);

// ---- sources ----

// DUOTALE_TOP_P and so on. Stops at the first wrong one (DT_USAGE, naming the variable).
dt_status dt_settings_environment(struct dt_settings *settings, struct dt_error *err);

// An INI file: NAME = VALUE lines, sections are only headings. A missing file is DT_OK. DT_USAGE
// names FILE:LINE; unknown names are errors, with the nearest name. DT_BAD_INPUT when it cannot be
// read.
dt_status dt_settings_read(struct dt_settings *settings, const char *path, struct dt_error *err);

// Writes every value that differs from its default, atomically (temporary file, fsync, rename;
// 0600; folders are made, 0700).
dt_status dt_settings_write(const struct dt_settings *settings, const char *path,
                            struct dt_error *err);

// XDG_CONFIG_HOME/duotale/config.ini, else ~/.config/duotale/config.ini; without HOME the
// home directory of the password file. False if there is none.
bool dt_settings_file(char *out, size_t size);

// ---- the command line ----

struct option; // getopt.h

#define DT_SETTING_FLAG                                                                            \
    1000 // getopt_long's value of --NAME is DT_SETTING_FLAG + id; of --no-NAME DT_SETTING_NO_FLAG +
         // id
#define DT_SETTING_NO_FLAG 2000

// Long options for these settings (NULL: all, and `count` is ignored), BOOL ones as
// --NAME and --no-NAME, followed by `extra` (extra_count of them) and a terminator, malloc'ed: the
// caller frees it. *short_options (malloc'ed likewise) gets the letters in getopt's form, with
// `extra_short` appended. NULL when there is no memory.
struct option *dt_settings_options(const int *ids, size_t count, const struct option *extra,
                                   size_t extra_count, const char *extra_short,
                                   char **short_options);

// Which setting a result of getopt_long is, -1 if it is no setting. *argument becomes "on" or
// "off" for a switch.
int dt_settings_flag(int result, const char **argument);

// Sets one by an option, as dt_settings_set does; each option of a TEXTS setting adds a text, which
// is taken as it is, and the first replaces the value of a weaker source.
dt_status dt_settings_set_flag(struct dt_settings *settings, int id, const char *text,
                               struct dt_error *err);

// Handles one result of getopt_long: 1 if it was a setting's (set, or *err filled with DT_USAGE), 0
// if it is no setting.
int dt_settings_option(struct dt_settings *settings, int result, const char *argument,
                       struct dt_error *err);

// The table for people: the flags of these settings (NULL: every one) with range, default and help,
// by group, at most `columns` wide.
void dt_settings_help(FILE *out, const int *ids, size_t count, size_t columns);

// One row of such a table: the flag, and the help from column `indent` on, broken at spaces before
// `columns`. An empty flag with indent 0 gives a paragraph.
void dt_settings_help_row(FILE *out, const char *flag, const char *help, size_t indent,
                          size_t columns);

#endif

// SPDX-License-Identifier: MIT
// A story, a turn and an entry of a list as the library has them.
#ifndef DT_APP_RECORD_H
#define DT_APP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// A turn. Strings are NUL-terminated.
struct dt_turn_record {
    char *prompt;  // may be ""
    char *output;  // the generated text
    bool finished; // false: a draft, whose generation was cut off
    int end;       // enum dt_app_turn_end
    uint32_t tokens;
    uint64_t seed;
    double speed; // tokens a second
    char *stack;  // the backends that computed it
};

// A story with everything that is needed to continue it.
struct dt_story_record {
    int64_t id; // 0: not in the library yet
    char *title;
    int64_t created, updated; // seconds since 1970, up to the year 9999
    // Of the story in the library, which counts changes of any story: it orders the stories, and
    // shows that another session changed this one. 0: unknown.
    int64_t revision;
    char *model, *tokenizer; // paths; "": the default ones
    char *stack;
    char *settings; // of sampling, as NAME = VALUE lines
    char *premise, *system;
    uint64_t seed;
    bool chat;
    struct dt_turn_record *turns;
    size_t turn_count;
    bool renumbered; // the turns have other numbers in the library than here: save all of them
};

// A story in a list.
struct dt_library_entry {
    int64_t id, created, updated;
    uint32_t turns;
    char *title, *model, *stack, *snippet;
};

// Free the malloc'ed strings and arrays (NULL is allowed), not the struct itself, and zero it.
void dt_turn_record_free(struct dt_turn_record *turn);
void dt_story_record_free(struct dt_story_record *record);

// Copies the fields of a story except id, dates, revision and turns. False if memory is short.
bool dt_story_record_copy_fields(struct dt_story_record *to, const struct dt_story_record *from);

// A date for people: strftime's format, in local time or UTC. "-" if the year has no name.
const char *dt_record_date(int64_t seconds, bool utc, const char *format, char *out, size_t size);

// Frees the entries and the array.
void dt_library_entries_free(struct dt_library_entry *entries, size_t count);

// Copies a turn with its strings. DT_NO_MEMORY leaves *to zeroed.
dt_status dt_turn_record_copy(struct dt_turn_record *to, const struct dt_turn_record *from);

// Reads the number of a story as a user types it: 1 or more, digits only. False if the text is
// anything else.
bool dt_story_number(const char *text, int64_t *out);

#endif

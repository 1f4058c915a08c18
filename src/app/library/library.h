// SPDX-License-Identifier: MIT
// The library of stories: one SQLite file. Plain calls that may wait for the disk; a session uses
// them through its library writer only.
#ifndef DT_APP_LIBRARY_H
#define DT_APP_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct dt_library;

// A turn as it is kept. Strings are NUL-terminated.
struct dt_turn_record {
    char *prompt; // may be ""
    char *output;
    bool finished; // false: a draft, cut off by whatever ended the program
    int end;       // enum dt_app_turn_end
    uint32_t tokens;
    uint64_t seed;
    double speed;
    char *stack; // what told it
};

// A story with what is needed to go on with it.
struct dt_story_record {
    int64_t id; // 0: not in the library yet
    char *title;
    int64_t created, updated; // seconds since 1970
    char *model, *tokenizer;  // paths; "" for the program's own
    char *stack;
    char *settings; // NAME = VALUE lines: sampling, as it was
    char *premise, *system;
    uint64_t seed;
    bool chat;
    struct dt_turn_record *turns;
    size_t turn_count;
};

// Frees what the record holds (malloc'ed strings, NULL allowed), not the record. It is zero
// afterwards.
void dt_story_record_free(struct dt_story_record *record);
void dt_turn_record_free(struct dt_turn_record *turn);

// Copies everything. DT_NO_MEMORY leaves *to zero.
dt_status dt_turn_record_copy(struct dt_turn_record *to, const struct dt_turn_record *from);

// A story in a list.
struct dt_library_entry {
    int64_t id, created, updated;
    uint32_t turns;
    char *title, *model, *stack, *snippet;
};
void dt_library_entries_free(struct dt_library_entry *entries, size_t count);

// Why the library does not do what it should, as the next step differs.
enum dt_library_trouble {
    DT_LIBRARY_FINE,
    DT_LIBRARY_LOCKED,    // somebody else holds it: later
    DT_LIBRARY_FULL,      // the disk is
    DT_LIBRARY_READ_ONLY, // file, folder or file system, or a newer program's file
    DT_LIBRARY_CORRUPT,   // to be put aside
    DT_LIBRARY_OTHER,     // medium errors and the rest
};

// XDG_DATA_HOME/duotale/library.db, else below ~/.local/share; false if there is no home.
bool dt_library_default_path(char *out, size_t size);

enum dt_library_flags {
    DT_LIBRARY_WRITE = 1,   // make it if need be (0600, folders 0700); if it cannot be written,
                            // opening for reading is tried, and writes fail
    DT_LIBRARY_PATIENT = 2, // wait up to 2.5 s for a lock instead of 0.2 s
};

// Opens a library: WAL, every commit synced. vfs: SQLite's name of a file system, NULL for the
// usual one (tests bring their own). Without DT_LIBRARY_WRITE a missing file is DT_BAD_INPUT.
// *trouble says what failed. One thread at a time per library.
dt_status dt_library_open(struct dt_library **out, const char *path, const char *vfs,
                          unsigned flags, enum dt_library_trouble *trouble, struct dt_error *err);
void dt_library_close(struct dt_library *library); // NULL is harmless

// The kind of the last failure on this library.
enum dt_library_trouble dt_library_last_trouble(const struct dt_library *library);

// How long to wait for locks from now on.
void dt_library_patience(struct dt_library *library, int milliseconds);

// Moves the file (with its -wal and -shm) to NAME.broken-DATE; the new name to moved. The library
// must be closed.
dt_status dt_library_put_aside(const char *path, char *moved, size_t moved_size,
                               struct dt_error *err);

// Everything below is one transaction, on the disk (synced) when it returns DT_OK; any failure
// changes nothing.

// Writes the fields of the story (turns apart): a new one when record->id is 0, which gets its id
// then.
dt_status dt_library_put_story(struct dt_library *library, struct dt_story_record *record,
                               struct dt_error *err);
// The same, and turn number n (0-based) with it, made or replaced.
dt_status dt_library_put_turn(struct dt_library *library, struct dt_story_record *record,
                              uint32_t n, const struct dt_turn_record *turn, struct dt_error *err);
// Removes turn n and all after it.
dt_status dt_library_cut(struct dt_library *library, int64_t story, uint32_t n,
                         struct dt_error *err);
// DT_BAD_INPUT when there is no such story; for these and those below.
dt_status dt_library_rename(struct dt_library *library, int64_t story, const char *title,
                            struct dt_error *err);
// The text is overwritten in the file and taken out of the search index too.
dt_status dt_library_delete(struct dt_library *library, int64_t story, struct dt_error *err);

// Reads a story whole; id 0: the one that was told last. The caller frees *out with
// dt_story_record_free.
dt_status dt_library_load(struct dt_library *library, int64_t story, struct dt_story_record *out,
                          struct dt_error *err);

// Stories that hold all these words (the last may be a beginning), best first; none: all, newest
// first. The caller frees *out with dt_library_entries_free.
dt_status dt_library_search(struct dt_library *library, const char *words, uint32_t offset,
                            uint32_t limit, struct dt_library_entry **out, size_t *count,
                            struct dt_error *err);

// The whole file looked at (PRAGMA integrity_check and the search index): DT_BAD_INPUT with the
// first finding.
dt_status dt_library_check(struct dt_library *library, struct dt_error *err);

#endif

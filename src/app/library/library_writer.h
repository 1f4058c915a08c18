// SPDX-License-Identifier: MIT
// The library writer: the one thread that owns the library. Other threads post jobs to it through a
// bounded queue, and wait only for the receipt of a finished turn.
//
// If the library cannot be written (locked, full, read-only, not a library), one notice says so;
// finished turns wait in memory and are written as soon as that is possible. What cannot be written
// at the end goes to a file. A damaged library is put aside and a new one is begun; then, and when
// the file was removed or replaced, or another session changed or deleted the story, the story is
// saved again as a whole.
#ifndef DT_APP_LIBRARY_WRITER_H
#define DT_APP_LIBRARY_WRITER_H

#include <stdatomic.h>

#include "app/api.h"
#include "app/library/library.h"

struct dt_writer;
struct dt_writer_story; // a story that is being written: shared by its jobs, counted

// What the library writer reports, on its own thread. Pointers are valid during the call; the
// listener frees entries.
enum dt_writer_report_type {
    DT_WRITER_NOTICE, // level, text
    DT_WRITER_STORY,  // story has its number now: id
    DT_WRITER_LAST,   // after the start: id, text (title) and count (turns) of the last story
    DT_WRITER_LIST,   // the answer to search `number`: entries, count; if the library cannot be
                      // opened, text says why
    DT_WRITER_HEALTH, // healthy: whether turns reach the disk
};
struct dt_writer_report {
    enum dt_writer_report_type type;
    enum dt_app_level level;
    const char *text;
    int64_t id;
    const struct dt_writer_story *story;
    struct dt_library_entry *entries;
    size_t count;
    uint32_t number;
    bool healthy;
};
typedef void dt_writer_listener(void *arg, const struct dt_writer_report *report);

struct dt_writer_options {
    const char *path; // NULL: that of dt_library_default_path
    const char *vfs;  // SQLite's file system, NULL: the default one
    dt_writer_listener *listener;
    void *listener_arg;
    bool offer_last; // report DT_WRITER_LAST
    bool idle;       // open the library only for the first job (a private session)
};

// Starts the thread. A library that cannot be opened is reported, and is no error. DT_NO_MEMORY,
// DT_FAILED. Release with dt_writer_free.
dt_status dt_writer_new(struct dt_writer **out, const struct dt_writer_options *options,
                        struct dt_error *err);

// Does all jobs that wait, writes what the library does not accept to a file beside it or in
// another folder with space, reports that, closes the library, joins the thread. Returns how many
// finished turns are not in the library. NULL is allowed.
unsigned dt_writer_free(struct dt_writer *writer);

// A handle for a story to be written. Copies the record; with id 0, its fields only: the story gets
// its number with its first turn. NULL if memory is short. Any thread.
struct dt_writer_story *dt_writer_story_new(struct dt_writer *writer,
                                            const struct dt_story_record *record);
// The story's number in the library, 0: none yet. Any thread.
int64_t dt_writer_story_number(const struct dt_writer_story *story);
void dt_writer_story_release(struct dt_writer_story *story); // NULL is allowed

// Jobs. They copy their arguments and return a ticket, 0 if memory is short. They wait only while
// the queue (64 jobs) is full. Any thread.

// Writes turn n. A draft that waits is replaced by a newer one, and a draft is dropped if the queue
// is full: do not wait for the ticket of a draft.
uint64_t dt_writer_put_turn(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n,
                            const struct dt_turn_record *turn);
// Removes turn n and all after it.
uint64_t dt_writer_cut(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n);
// Changes the fields of the story: now if it has a number, else with its first turn.
uint64_t dt_writer_put_fields(struct dt_writer *writer, struct dt_writer_story *story,
                              const struct dt_story_record *record);
// Deletes a story: the one of the handle, even if it still waits in memory, or (story NULL) the one
// with this number.
uint64_t dt_writer_delete(struct dt_writer *writer, struct dt_writer_story *story, int64_t id);
uint64_t dt_writer_load(struct dt_writer *writer, int64_t id);
// Answered by DT_WRITER_LIST. Replaces a search that still waits.
uint64_t dt_writer_search(struct dt_writer *writer, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number);
// Runs a function that may wait for the disk on the library writer's thread.
uint64_t dt_writer_call(struct dt_writer *writer, void (*function)(void *arg), void *arg);

enum dt_saved {
    DT_SAVED,       // done; of a turn: it is on the disk, synced
    DT_SAVED_LATER, // not yet: it waits in memory
    DT_NOT_SAVED,   // failed: the error says why
};

// Waits for the end of a job; with cancel only until *cancel is non-zero (DT_SAVED_LATER then). The
// results of the last 16 jobs are available. record: the story of dt_writer_load, which the caller
// releases with dt_story_record_free; else NULL.
enum dt_saved dt_writer_wait(struct dt_writer *writer, uint64_t ticket, const atomic_int *cancel,
                             struct dt_story_record *record, struct dt_error *err);

// Whether the library can be written, as far as is known. Any thread.
bool dt_writer_healthy(struct dt_writer *writer);

#endif

// SPDX-License-Identifier: MIT
// The library writer: the one thread that owns the library. Everybody else hands it jobs through a
// bounded queue and waits for nothing but the receipt of a finished turn.
//
// When the library cannot be written (locked, full, read-only, broken), the library writer says so
// once, finished turns wait in memory, and are written as soon as that is possible again. A damaged
// file is put aside and a new one begun.
#ifndef DT_APP_KEEPER_H
#define DT_APP_KEEPER_H

#include <stdatomic.h>

#include "app/api.h"
#include "app/library/library.h"

struct dt_writer;
struct dt_writer_story; // a story that is being told: shared by its jobs, counted

// What the library writer tells, on its own thread. Pointers are valid during the call, entries are
// the listener's to free.
enum dt_writer_report_type {
    DT_WRITER_NOTICE, // level, text
    DT_WRITER_STORY,  // story has got its number: id
    DT_WRITER_LAST,   // at the start: id, text (title) and count (turns) of the story told last
    DT_WRITER_LIST,   // the answer to search `number`: entries, count; text, where no library could
                      // be asked: why
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
    const char *path; // NULL: dt_library_default_path's
    const char *vfs;  // SQLite's file system, NULL: the usual
    dt_writer_listener *listener;
    void *listener_arg;
    bool offer_last; // report DT_WRITER_LAST
    bool idle;       // open the library at the first job only (a private session)
};

// Starts the thread. Only lack of memory or threads is an error: a library that cannot be opened is
// reported.
dt_status dt_writer_new(struct dt_writer **out, const struct dt_writer_options *options,
                        struct dt_error *err);

// Does all jobs that wait, tells how many turns could not be kept after all, closes the library,
// joins. NULL is harmless.
void dt_writer_free(struct dt_writer *writer);

// A story to be kept: its fields are copied (turns are not looked at). With id 0 it gets its number
// with its first turn. NULL without memory.
struct dt_writer_story *dt_writer_story_new(struct dt_writer *writer,
                                            const struct dt_story_record *record);
// The number the library gave it, 0 while it has none. Any thread.
int64_t dt_writer_story_number(const struct dt_writer_story *story);
void dt_writer_story_release(struct dt_writer_story *story); // NULL is harmless

// Jobs. They copy what they are given and return a ticket, or 0 when there is no memory. Any
// thread; waits only while the queue is full (64).

// Writes turn n. A draft that is still waiting is replaced by a newer one, and is dropped when the
// queue is full; its ticket is not for waiting.
uint64_t dt_writer_put_turn(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n,
                            const struct dt_turn_record *turn);
uint64_t dt_writer_cut(struct dt_writer *writer, struct dt_writer_story *story, uint32_t n);
// Other fields for the story, written with its next turn, or now if it has a number.
uint64_t dt_writer_put_fields(struct dt_writer *writer, struct dt_writer_story *story,
                              const struct dt_story_record *record);
uint64_t dt_writer_rename(struct dt_writer *writer, int64_t id, const char *title);
uint64_t dt_writer_delete(struct dt_writer *writer, int64_t id);
uint64_t dt_writer_load(struct dt_writer *writer, int64_t id);
// Answered by a report. A search that still waits is replaced.
uint64_t dt_writer_search(struct dt_writer *writer, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number);
// Something else that may wait for the disk.
uint64_t dt_writer_call(struct dt_writer *writer, void (*function)(void *arg), void *arg);

enum dt_saved {
    DT_SAVED,       // done; for a turn: synced to the disk
    DT_SAVED_LATER, // not yet: it waits in memory
    DT_SAVED_ANEW,  // done, in a new library, as the old one was damaged: give all former turns
                    // again
    DT_NOT_SAVED,   // refused: the error says why
};

// Waits for a job. NULL cancel: for ever; else until *cancel is non-zero (DT_SAVED_LATER then). The
// last 16 tickets are remembered. record: for dt_writer_load, the story, which the caller frees;
// else NULL.
enum dt_saved dt_writer_wait(struct dt_writer *writer, uint64_t ticket, const atomic_int *cancel,
                             struct dt_story_record *record, struct dt_error *err);

// For the health line: what is waiting in memory, and whether the last write succeeded. Any thread.
bool dt_writer_healthy(struct dt_writer *writer);

#endif

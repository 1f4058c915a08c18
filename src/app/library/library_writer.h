// SPDX-License-Identifier: MIT
// The keeper: the one thread that owns the library. Everybody else hands it jobs through a bounded
// queue and waits for nothing but the receipt of a finished turn.
//
// When the library cannot be written (locked, full, read-only, broken), the keeper says so once,
// finished turns wait in memory, and are written as soon as that is possible again. A damaged file
// is put aside and a new one begun.
#ifndef DT_APP_KEEPER_H
#define DT_APP_KEEPER_H

#include <stdatomic.h>

#include "app/api.h"
#include "app/library/library.h"

struct dt_keeper;
struct dt_keeper_story; // a story that is being told: shared by its jobs, counted

// What the keeper tells, on its own thread. Pointers are valid during the call, entries are the
// listener's to free.
enum dt_keeper_report_type {
    DT_KEEPER_NOTICE, // level, text
    DT_KEEPER_STORY,  // story has got its number: id
    DT_KEEPER_LAST,   // at the start: id, text (title) and count (turns) of the story told last
    DT_KEEPER_LIST,   // the answer to search `number`: entries, count; text, where no library could
                      // be asked: why
    DT_KEEPER_HEALTH, // healthy: whether turns reach the disk
};
struct dt_keeper_report {
    enum dt_keeper_report_type type;
    enum dt_app_level level;
    const char *text;
    int64_t id;
    const struct dt_keeper_story *story;
    struct dt_library_entry *entries;
    size_t count;
    uint32_t number;
    bool healthy;
};
typedef void dt_keeper_listener(void *arg, const struct dt_keeper_report *report);

struct dt_keeper_options {
    const char *path; // NULL: dt_library_default_path's
    const char *vfs;  // SQLite's file system, NULL: the usual
    dt_keeper_listener *listener;
    void *listener_arg;
    bool offer_last; // report DT_KEEPER_LAST
    bool idle;       // open the library at the first job only (a private sitting)
};

// Starts the thread. Only lack of memory or threads is an error: a library that cannot be opened is
// reported.
dt_status dt_keeper_new(struct dt_keeper **out, const struct dt_keeper_options *options,
                        struct dt_error *err);

// Does all jobs that wait, tells how many turns could not be kept after all, closes the library,
// joins. NULL is harmless.
void dt_keeper_free(struct dt_keeper *keeper);

// A story to be kept: its fields are copied (turns are not looked at). With id 0 it gets its number
// with its first turn. NULL without memory.
struct dt_keeper_story *dt_keeper_story_new(struct dt_keeper *keeper,
                                            const struct dt_story_record *record);
// The number the library gave it, 0 while it has none. Any thread.
int64_t dt_keeper_story_number(const struct dt_keeper_story *story);
void dt_keeper_story_release(struct dt_keeper_story *story); // NULL is harmless

// Jobs. They copy what they are given and return a ticket, or 0 when there is no memory. Any
// thread; waits only while the queue is full (64).

// Writes turn n. A draft that is still waiting is replaced by a newer one, and is dropped when the
// queue is full; its ticket is not for waiting.
uint64_t dt_keeper_put_turn(struct dt_keeper *keeper, struct dt_keeper_story *story, uint32_t n,
                            const struct dt_turn_record *turn);
uint64_t dt_keeper_cut(struct dt_keeper *keeper, struct dt_keeper_story *story, uint32_t n);
// Other fields for the story, written with its next turn, or now if it has a number.
uint64_t dt_keeper_put_fields(struct dt_keeper *keeper, struct dt_keeper_story *story,
                              const struct dt_story_record *record);
uint64_t dt_keeper_rename(struct dt_keeper *keeper, int64_t id, const char *title);
uint64_t dt_keeper_delete(struct dt_keeper *keeper, int64_t id);
uint64_t dt_keeper_load(struct dt_keeper *keeper, int64_t id);
// Answered by a report. A search that still waits is replaced.
uint64_t dt_keeper_search(struct dt_keeper *keeper, const char *words, uint32_t offset,
                          uint32_t limit, uint32_t number);
// Something else that may wait for the disk.
uint64_t dt_keeper_call(struct dt_keeper *keeper, void (*function)(void *arg), void *arg);

enum dt_kept {
    DT_KEPT,       // done; for a turn: synced to the disk
    DT_KEPT_LATER, // not yet: it waits in memory
    DT_KEPT_ANEW, // done, in a new library, as the old one was damaged: give all former turns again
    DT_KEPT_NOT,  // refused: the error says why
};

// Waits for a job. NULL cancel: for ever; else until *cancel is non-zero (DT_KEPT_LATER then). The
// last 16 tickets are remembered. record: for dt_keeper_load, the story, which the caller frees;
// else NULL.
enum dt_kept dt_keeper_wait(struct dt_keeper *keeper, uint64_t ticket, const atomic_int *cancel,
                            struct dt_story_record *record, struct dt_error *err);

// For the health line: what is waiting in memory, and whether the last write succeeded. Any thread.
bool dt_keeper_healthy(struct dt_keeper *keeper);

#endif

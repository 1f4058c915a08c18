// SPDX-License-Identifier: MIT
// The jobs of the library writer: the bounded queue to its thread, and the receipts back.
#ifndef DT_APP_LIBRARY_QUEUE_H
#define DT_APP_LIBRARY_QUEUE_H

#include <pthread.h>

#include "app/library/library_writer.h"

#define DT_QUEUE_RECEIPTS 16

enum dt_job_type {
    DT_JOB_TURN,
    DT_JOB_CUT,
    DT_JOB_FIELDS, // up to here: jobs that write a story
    DT_JOB_DELETE,
    DT_JOB_LOAD,
    DT_JOB_SEARCH,
    DT_JOB_CALL
};

struct dt_writer_story {
    atomic_int holders;
    _Atomic int64_t number; // record.id, for other threads
    // Only the library writer's thread uses the rest. It has the whole story, so that it can be
    // saved again when its row is not there any more.
    unsigned era; // of the library that gave the number: see struct dt_writer
    struct dt_story_record record;
    bool unsaved;                 // the record differs from what is in the library,
    size_t saved_to;              // in its fields, or in the turns from this number on
    struct dt_writer_story *next; // in the list of stories that wait for the library
    bool waiting;                 // it is in this list
};

struct dt_job {
    struct dt_job *next;
    enum dt_job_type type;
    uint64_t ticket;
    struct dt_writer_story *story;
    uint32_t n;
    struct dt_turn_record turn;
    struct dt_story_record fields;
    int64_t id;
    char *text;
    uint32_t offset, limit, number;
    void (*function)(void *arg);
    void *arg;
};

struct dt_queue {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    // under the lock
    struct dt_job *first, *last;
    unsigned waiting;
    bool stopping;
    uint64_t tickets; // given so far
    struct dt_queue_receipt {
        uint64_t ticket;
        enum dt_saved saved;
        struct dt_error error;
        struct dt_story_record record; // of a load, until it is fetched
    } receipts[DT_QUEUE_RECEIPTS];
};

// ---- stories and jobs ----

// As dt_writer_story_new.
struct dt_writer_story *dt_queue_story_new(const struct dt_story_record *record, unsigned era);

// Applies a job to the record, and takes the turn or the fields out of it. False if memory is
// short.
bool dt_queue_story_apply(struct dt_writer_story *story, struct dt_job *job);

// The finished turns that are not in the library.
unsigned dt_queue_story_unsaved(const struct dt_writer_story *story);

// A job that holds the story (may be NULL) and a copy of the text (may be NULL). NULL if memory is
// short. The caller releases it with dt_job_free, unless it is posted.
struct dt_job *dt_job_new(enum dt_job_type type, struct dt_writer_story *story, const char *text);
void dt_job_free(struct dt_job *job); // NULL is allowed
bool dt_job_is_draft(const struct dt_job *job);

// ---- the queue ----

void dt_queue_init(struct dt_queue *queue);
void dt_queue_free(struct dt_queue *queue); // empty, with no thread in a call

// Takes the job over and returns its ticket; 0 for NULL. Waits while the queue is full. A draft
// replaces an older draft of the same turn, and is dropped if the queue is full; a search replaces
// one that waits. Any thread.
uint64_t dt_queue_post(struct dt_queue *queue, struct dt_job *job);

// As dt_writer_wait. Any thread.
enum dt_saved dt_queue_wait(struct dt_queue *queue, uint64_t ticket, const atomic_int *cancel,
                            struct dt_story_record *record, struct dt_error *err);

// Ends dt_queue_next once the queue is empty.
void dt_queue_stop(struct dt_queue *queue);

// For the library writer's thread: waits for a job, at most so many seconds (0: without a limit).
// NULL: the time is over, or *stopped.
struct dt_job *dt_queue_next(struct dt_queue *queue, unsigned seconds, bool *stopped);

// Files the receipt of a job, and takes *record over.
void dt_queue_finish(struct dt_queue *queue, uint64_t ticket, enum dt_saved saved,
                     const struct dt_error *err, const struct dt_story_record *record);

#endif
